"""Precision and recall of links are judged against the policy's bars, by sector pair, where the truth is known."""

from __future__ import annotations

import dataclasses
from datetime import date

import polars as pl
import pytest

from pipelines.identity.measure import QUALITY, link_checks
from pipelines.settings import load

DAY = date(2026, 11, 21)
# Out of 1,000 pairs: the bars of the policy are 990 that are right and 900 that are found.
POLICY = """check_id,maximum_share,unit,reason,authority,effective_date
linkage.brg_record_person.precision,0.01,share,r,a,2026-07-01
linkage.brg_record_person.recall_linkable,0.1,share,r,a,2026-07-01
"""


@pytest.fixture
def policy(tmp_path):
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "check_threshold.csv").write_text(POLICY)
    return dataclasses.replace(load({"P20W_HOME": str(tmp_path / "state")}), seeds=tmp_path)


@pytest.mark.parametrize(
    ("metric", "reached", "status"),
    [
        ("precision", 990, "pass"),
        ("precision", 989, "fail"),
        ("recall_linkable", 900, "pass"),
        ("recall_linkable", 899, "fail"),
    ],
)
def test_a_sector_pair_under_the_bar_of_the_policy_fails(policy, metric, reached, status):
    quality = pl.DataFrame([("k12", "workforce", metric, reached / 1000, reached, 1000)], schema=QUALITY, orient="row")
    (row,) = link_checks(policy, quality, truth_is_known=True, day=DAY)
    assert row["check_id"] == f"linkage.brg_record_person.{metric}"
    assert (row["status"], row["failing_count"], row["total_count"]) == (status, 1000 - reached, 1000)
    assert "between k12 and workforce" in row["message"]


def test_without_truth_neither_rate_applies(policy):
    rows = link_checks(policy, pl.DataFrame(schema=QUALITY), truth_is_known=False, day=DAY)
    assert {row["check_id"].rsplit(".", 1)[-1]: row["status"] for row in rows} == {
        "precision": "not_applicable",
        "recall_linkable": "not_applicable",
    }


def test_the_bars_of_this_state_are_those_that_were_agreed():
    settings = load({"P20W_HOME": "unused"})
    shares = pl.read_csv(settings.seeds / "policy" / "check_threshold.csv").filter(
        pl.col("check_id").str.starts_with("linkage.")
    )
    assert dict(shares.select("check_id", "maximum_share").iter_rows()) == {
        "linkage.brg_record_person.precision": 0.005,
        "linkage.brg_record_person.recall_linkable": 0.03,
        "linkage.brg_record_person.recall_worst_group": 0.05,
        "linkage.brg_record_person.linkable_share": 0.01,
    }
    assert shares.filter(pl.col("reason").str.len_chars() < 20).is_empty()
