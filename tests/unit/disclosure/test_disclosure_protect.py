"""From a warehouse's exact cube to its protected table, evidence and check results."""

from __future__ import annotations

import dataclasses
import os

import duckdb
import polars as pl
import pytest
from disclosure_auditor import BANDS, GROUP, POLICY, cube, organization, register

from pipelines.disclosure.declare import declare
from pipelines.disclosure.earlier import nothing_earlier
from pipelines.disclosure.memory import digest, parts, recall
from pipelines.disclosure.protect import COLUMNS, protect_official
from pipelines.quality import check_result
from pipelines.settings import load

BUILD = "20261121T191500-3fa2"
REGISTER = """indicator_code,breakdowns,attribution,nested_in,numerator_overlaps,protection
college_going_fall,all;gender;disability,school=one_school;lea=one_school;state=one_school,college_going_12_month,,official
college_going_12_month,all;gender;disability,school=one_school;lea=one_school;state=one_school,,,official
chronic_absenteeism,all;gender;disability,school=each_school;lea=once_per_level;state=once_per_level,,,official
course_completion,all;gender,institution=each_school,,,perturbed
"""
GROUPS = """breakdown_code,group_code,group_name,sort_order
all,all,All,1
gender,f,Female,1
gender,m,Male,2
gender,x,Nonbinary,3
disability,y,Yes,1
disability,z,No,2
"""


@pytest.fixture
def home(tmp_path):
    """Settings of an empty home with small registers and the real policy."""
    seeds = tmp_path / "seeds"
    (seeds / "registers").mkdir(parents=True)
    (seeds / "reference").mkdir()
    (seeds / "registers" / "indicator.csv").write_text(REGISTER)
    (seeds / "reference" / "student_group.csv").write_text(GROUPS)
    os.symlink(load({}).seeds / "policy", seeds / "policy")
    settings = load({"P20W_HOME": str(tmp_path / "state"), "P20W_SEEDS": str(seeds)})
    settings.home.mkdir(parents=True)
    return settings


def warehouse(settings, exact: pl.DataFrame, places: pl.DataFrame) -> None:
    """A warehouse with the columns that protection reads."""
    places = places.with_columns(
        organization_id_nces=pl.lit(None, pl.String),
        organization_name=pl.col("organization_id_state"),
        lea_id_state=pl.lit(None, pl.String),
        lea_name=pl.lit(None, pl.String),
    )
    if "window_open_count" not in exact.columns:
        exact = exact.with_columns(window_open_count=pl.lit(0, pl.Int64))
    with duckdb.connect(str(settings.warehouse_file)) as connection:
        connection.register("exact", exact.to_arrow())
        connection.register("places", places.to_arrow())
        connection.execute("CREATE SCHEMA cubes; CREATE SCHEMA core")
        connection.execute("CREATE TABLE cubes.cube_indicator AS SELECT * FROM exact")
        connection.execute("CREATE TABLE core.dim_organization AS SELECT * FROM places")


def published(settings) -> pl.DataFrame:
    with duckdb.connect(str(settings.warehouse_file), read_only=True) as connection:
        return connection.execute("SELECT * FROM protected.official_indicator").pl()


def people():
    rows = []
    for i in range(300):
        who = (i % 3, "fm"[i % 2], "yz"[i % 8 > 0])
        rows.append(("college_going_fall", *who, i % 5 > 2))
        rows.append(("college_going_12_month", *who, i % 5 > 1))
        rows.append(("chronic_absenteeism", *who, i % 4 == 0))
        rows.append(("course_completion", *who, True))
    return rows


def test_official_indicators_are_protected_and_nothing_is_found(home):
    warehouse(home, cube(people()), organization(1, 3))
    summary = protect_official(home, BUILD)
    assert summary.findings_left == 0 and summary.shown > 0 and summary.suppressed > 0
    table = published(home)
    with duckdb.connect(str(home.warehouse_file), read_only=True) as connection:
        described = {row[0]: row[1] for row in connection.execute("DESCRIBE protected.official_indicator").fetchall()}
    assert described == COLUMNS and list(described) == list(COLUMNS)
    assert "course_completion" not in table["indicator_code"].to_list()
    assert table["protection"].unique().to_list() == ["official"]
    shown = table.filter(pl.col("value_status") == "shown")
    difference = shown["rate"].cast(pl.Float64) - shown["numerator_count"] / shown["denominator_count"]
    assert difference.abs().max() < 1e-6
    hidden = table.filter(pl.col("value_status") == "suppressed")
    assert hidden["numerator_count"].null_count() == hidden["rate"].null_count() == hidden.height
    checks = check_result.read(home, BUILD).filter(pl.col("check_id").str.starts_with("disclosure."))
    assert checks.height >= 5
    assert set(checks.filter(pl.col("severity") == "error")["status"].to_list()) == {"pass"}
    evidence = pl.read_parquet(home.evidence / "disclosure" / f"{BUILD}.parquet")
    assert evidence.height == table.height
    assert evidence["numerator_count"].null_count() == 0 and evidence["is_numerator_hidden"].any()


def test_a_second_run_gives_the_same_table(home):
    warehouse(home, cube(people()), organization(1, 3))
    protect_official(home, BUILD)
    first = published(home)
    protect_official(home, BUILD)
    assert first.equals(published(home))


def test_a_cohort_with_an_open_window_has_one_row_an_organization_and_no_number_and_so_have_those_nested_in_it(home):
    exact = cube(people()).with_columns(
        window_open_count=pl.when(pl.col("indicator_code") == "college_going_12_month").then(4).otherwise(0)
    )
    warehouse(home, exact, organization(1, 3))
    summary = protect_official(home, BUILD)
    assert summary.window_open_families == 2
    for code in ("college_going_12_month", "college_going_fall"):
        rows = published(home).filter(pl.col("indicator_code") == code)
        assert rows.height == 5
        assert rows["value_status"].unique().to_list() == ["window_open"]
        assert rows["denominator_count"].null_count() == rows["numerator_count"].null_count() == 5
        assert rows["rate"].null_count() == 5


def test_without_official_data_the_table_exists_and_is_empty(home):
    warehouse(home, cube(people()).clear(), organization(1, 3))
    summary = protect_official(home, BUILD)
    assert summary.cells == 0
    assert published(home).height == 0
    checks = check_result.read(home, BUILD)
    assert checks.filter(pl.col("check_id") == "disclosure.official_indicator.detection")["status"].to_list() == [
        "not_applicable"
    ]


def test_a_finding_that_cannot_be_repaired_fails_the_check(home, monkeypatch):
    from pipelines.disclosure import protect

    # A suppressor that hides primaries only, and cannot do more: the detector must refuse what it leaves.
    monkeypatch.setattr(protect.Suppressor, "close", lambda self: self.pattern)
    monkeypatch.setattr(protect.Suppressor, "repair", lambda self, targets, effort, reach: 0)
    warehouse(home, cube(people()), organization(1, 3))
    assert protect_official(home, BUILD).findings_left > 0
    checks = check_result.read(home, BUILD).filter(pl.col("status") == "fail")
    assert checks.height and set(checks["severity"].to_list()) == {"error"}
    found = pl.read_parquet(home.evidence / "disclosure" / f"{BUILD}__finding.parquet")
    assert found.height > 0 and found["sentence"].str.len_chars().min() > 20


def test_a_build_id_without_a_date_is_an_error(home):
    with pytest.raises(ValueError, match="does not start with a date"):
        protect_official(home, "tonight")


def test_a_night_costs_what_changed(home, monkeypatch):
    """Two cohorts. Nothing changed: no program at all. One changed: programs for that one only, and the other's rows
    stay as they were."""
    from pipelines.disclosure import certify, detect

    asked = []
    for module, name in ((certify, "solve_whole"), (detect, "linprog")):
        whole = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *given, whole=whole, name=name, **more: asked.append(name) or whole(*given, **more)
        )

    def night(build: str, later: list) -> int:
        asked.clear()
        first, second = cube(people()), cube(later).with_columns(cohort_year=2027, school_year=2027)
        home.warehouse_file.unlink(missing_ok=True)
        warehouse(home, pl.concat([first, second.cast(dict(first.schema))]), organization(1, 3))
        protect_official(home, build)
        return len(asked)

    everything = night("20261121T191500-3fa2", people())
    assert everything > 20
    before = published(home)
    assert night("20261122T191500-3fa2", people()) == 0
    assert published(home).equals(before)
    moved = people()[8:]
    assert 0 < night("20261123T191500-3fa2", moved) <= 0.6 * everything
    kept = pl.col("cohort_year") == 2026
    assert published(home).filter(kept).equals(before.filter(kept))
    checks = check_result.read(home, "20261123T191500-3fa2")
    assert set(checks.filter(pl.col("severity") == "error")["status"].to_list()) == {"pass"}


def test_what_another_night_made_is_known_again_only_if_everything_is_the_same(home):
    warehouse(home, cube(people()), organization(1, 3))
    protect_official(home, BUILD)
    later = "20261122T191500-3fa2"
    assert recall(home, BUILD).parts == {}  # a build does not remember itself
    kept = recall(home, later).parts
    exact = cube([row for row in people() if row[0] != "course_completion"])
    codes = ("college_going_fall", "college_going_12_month", "chronic_absenteeism")
    places = register(*codes, nested_in={"college_going_fall": "college_going_12_month"})
    places = places.with_columns(
        attribution=pl.when(pl.col("indicator_code") == "chronic_absenteeism")
        .then(pl.lit("school=each_school;lea=once_per_level;state=once_per_level"))
        .otherwise("attribution")
    )
    declaration = declare(exact, organization(1, 3), GROUP, places)
    cut = parts(declaration, nothing_earlier(len(declaration.d)))
    assert len(cut) == 2  # nested families are one part
    marks = {digest(part, POLICY, BANDS, b"key") for part in cut}
    assert len(marks) == 2
    again = parts(declaration, nothing_earlier(len(declaration.d)))
    assert {digest(part, POLICY, BANDS, b"key") for part in again} == marks
    others = [
        {digest(part, POLICY, BANDS, b"other") for part in cut},
        {digest(part, dataclasses.replace(POLICY, minimum_count=11), BANDS, b"key") for part in cut},
        {digest(part, POLICY, dataclasses.replace(BANDS, low_share=BANDS.low_share + 1), b"key") for part in cut},
    ]
    told = dataclasses.replace(cut[0].earlier, hidden_d=~cut[0].earlier.hidden_d)
    others.append({digest(dataclasses.replace(cut[0], earlier=told), POLICY, BANDS, b"key")})
    for changed in others:
        assert not changed & marks
    assert len(kept) == 2 and all(each.certified.height for each in kept.values())


def test_a_remembered_part_that_was_tampered_with_fails_the_check(home):
    """What is known again is verified like all else."""
    warehouse(home, cube(people()), organization(1, 3))
    protect_official(home, BUILD)
    path = home.evidence / "disclosure" / f"{BUILD}__move.parquet"
    moves = pl.read_parquet(path)
    moves.with_columns(amount=pl.col("amount") + 1).write_parquet(path)
    later = "20261122T191500-3fa2"
    protect_official(home, later)
    failed = check_result.read(home, later).filter(pl.col("status") == "fail")
    assert failed["check_id"].to_list() == ["disclosure.official_indicator.certificate"]
