"""Results of checks are appended, validated and read back by build; scorecards count them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pipelines.quality import check_result, scorecard
from pipelines.settings import load

BUILD = "20261121T191500-3fa2"
ROW = {
    "check_id": "intake.k12__student.type_share", "layer": "intake", "category": "conformance", "severity": "error",
    "status": "fail", "failing_count": 2, "total_count": 10, "collection": "k12__student", "submitter": "lea_1",
}  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path):
    return load({"P20W_HOME": str(tmp_path / "state")})


def test_recording_twice_appends_and_overwrites_nothing(settings):
    first = check_result.record(settings, BUILD, "intake", [ROW])
    before = first.read_bytes()
    second = check_result.record(settings, BUILD, "intake", [{**ROW, "status": "pass", "family": "a;b"}])
    assert first.read_bytes() == before
    assert second.name == "intake__2.parquet"
    found = check_result.read(settings, BUILD)
    assert found["status"].to_list() == ["fail", "pass"]
    assert found["family"].to_list() == [None, "a;b"]
    assert found.schema == check_result.SCHEMA
    assert check_result.sources(settings, BUILD) == {"intake"}


def test_a_source_without_findings_is_recorded_too(settings):
    check_result.record(settings, BUILD, "disclosure", [])
    assert check_result.sources(settings, BUILD) == {"disclosure"}
    assert check_result.read(settings, BUILD).is_empty()


def test_builds_are_kept_apart(settings):
    check_result.record(settings, BUILD, "intake", [ROW])
    assert check_result.read(settings, "20261122T000000-0000").is_empty()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "broken"}, "status 'broken'"),
        ({"severity": "fatal"}, "severity 'fatal'"),
        ({"layer": "kitchen"}, "layer 'kitchen'"),
        ({"category": ""}, "lacks category"),
        ({"rows": 3}, "unknown columns: rows"),
    ],
)
def test_a_row_out_of_shape_is_named(settings, change, words):
    with pytest.raises(ValueError, match=words):
        check_result.record(settings, BUILD, "intake", [{**ROW, **change}])


def test_a_build_id_cannot_leave_the_folder(settings):
    with pytest.raises(ValueError, match="Build id"):
        check_result.record(settings, "../elsewhere", "intake", [ROW])


def test_scorecards_count_by_source_and_by_family(settings):
    check_result.record(
        settings,
        BUILD,
        "intake",
        [ROW, {**ROW, "status": "pass", "failing_count": 0}, {**ROW, "status": "warn", "family": "a;b"}],
    )
    line = scorecard.by_source(settings, BUILD).row(0, named=True)
    assert (line["check_count"], line["passed_count"], line["warned_count"], line["failed_count"]) == (3, 1, 1, 1)
    assert line["failing_row_count"] == 4
    assert scorecard.by_family(settings, BUILD)["family"].to_list() == ["a", "b"]


def test_results_recorded_before_a_cause_was_kept_can_still_be_read(settings):
    path = check_result.record(settings, BUILD, "intake", [ROW])
    pl.read_parquet(path).drop("cause").write_parquet(path)
    assert check_result.read(settings, BUILD)["cause"].to_list() == [""]
