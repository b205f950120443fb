"""What a night leaves behind, and what a night with nothing new leaves alone."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import duckdb
import polars as pl
import pytest
from exact import FLOW, flows, largest_noise, minimum_count, sure_flows
from homes import State

from pipelines import planner
from pipelines.intake import ledger

MARTS = (
    "mart_availability",
    "mart_coverage",
    "mart_earnings_private",
    "mart_indicator__organization",
    "mart_institution",
    "mart_link_quality",
    "mart_transition__college__work",
    "mart_transition__early_childhood__kindergarten",
    "mart_transition__high_school__college",
)
TRANSITIONS = [mart for mart in MARTS if mart.startswith("mart_transition__")]
# A day on which the newest deliveries of the synthetic state are due and the next ones are not.
STATUS_DAY = "2026-11-21"


def indicators(settings) -> list[dict[str, str]]:
    with (settings.seeds / "registers" / "indicator.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_the_release_has_every_file_that_it_promises(night):
    release = night.current.resolve()
    promised = ["p20w.duckdb", "release.json", "dictionary.csv", "collection_inventory.csv", "datapackage.json"]
    promised += ["checksums.sha256", "gate.json", "site/index.html", "site/quality.html", "site/inventory.html"]
    promised += [f"data/{mart}.parquet" for mart in MARTS] + [f"csv/{mart}.csv" for mart in MARTS]
    assert [name for name in promised if not (release / name).is_file()] == []
    assert os.readlink(night.current) == release.name, "the link must be relative, so that a home can be moved"


def test_a_release_cannot_be_written_to(night):
    for path in (night.current.resolve(), *night.current.resolve().rglob("*")):
        assert not path.stat().st_mode & 0o222, path


def test_others_reach_the_releases_and_nothing_else(night):
    assert night.settings.home.stat().st_mode & 0o077 == 0o011
    for path in (*night.settings.restricted, night.settings.warehouse_file):
        assert path.stat().st_mode & 0o077 == 0, path
    assert night.settings.releases.stat().st_mode & 0o077 == 0o055
    assert (night.current / "p20w.duckdb").stat().st_mode & 0o777 == 0o444


def test_the_release_verifies_and_is_listed(night):
    assert "The release is whole." in night.p20w("release", "verify").stdout
    assert f"{night.release_id}  released" in night.p20w("release", "list").stdout


def answers(con: duckdb.DuckDBPyConnection, night: State) -> dict[str, int]:
    """Example query -> rows that it finds."""
    queries = sorted((night.current / "example_queries").glob("*.sql"))
    assert len(queries) == 10
    return {path.name[:2]: len(con.sql(path.read_text()).fetchall()) for path in queries}


def test_every_example_query_runs_on_the_release(night):
    with duckdb.connect(str(night.current / "p20w.duckdb"), read_only=True) as con:
        found = answers(con, night)
    # These list rows whether or not they are shown.
    assert {number for number in ("02", "03", "04", "05", "09") if not found[number]} == set()


def test_every_example_query_finds_rows_where_nothing_is_hidden_and_something_is_missing(night):
    """What a small state shows of its schools and institutions hangs on random keys; here all is shown."""
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{night.current / 'p20w.duckdb'}' AS release (READ_ONLY)")
        con.execute(f"ATTACH '{night.settings.warehouse_file}' AS exact (READ_ONLY)")
        for mart in MARTS:
            con.execute(f"CREATE TABLE {mart} AS FROM release.{mart}")
        con.execute(
            "UPDATE mart_indicator__organization SET value_status = 'shown', rate = 0.5, value_amount = 30000"
            " WHERE value_status = 'suppressed'"
        )
        con.execute("UPDATE mart_availability SET status = 'missing_element'")
        for mart in TRANSITIONS:
            con.execute(f"DELETE FROM {mart}")
            con.execute(
                f"INSERT INTO {mart} BY NAME SELECT {', '.join(FLOW)}, person_count, origin_code AS origin_name,"
                " destination_code AS destination_name, 'shown' AS value_status, 'perturbed' AS protection"
                f" FROM exact.cubes.cube_transition WHERE transition_code = '{mart.removeprefix('mart_transition__')}'"
            )
        assert [number for number, rows in answers(con, night).items() if not rows] == []


@pytest.mark.parametrize("mart", TRANSITIONS)
def test_flows_far_above_the_minimum_are_published_and_none_below_it(night, mart):
    exact, sure, shown = flows(night, mart), sure_flows(night, mart), night.table(mart)
    # A small state's official table may hide every number whose people the flows count; elsewhere some are sure.
    assert sure.height > 0 or mart == "mart_transition__high_school__college", "the test proves nothing"
    assert sure.join(shown, on=FLOW, how="anti").rows() == []
    beside = shown.join(exact, on=FLOW, how="left", suffix="_exact")
    assert beside.filter(pl.col("person_count_exact").fill_null(0) < minimum_count(night)).rows() == []
    noise = (beside["person_count"] - beside["person_count_exact"]).abs()
    assert noise.filter(noise > largest_noise(night)).is_empty()
    assert shown.filter(pl.col("person_count") < minimum_count(night)).is_empty()


LINKS = ["sector_code", "other_sector_code", "school_year", "breakdown_code", "group_code"]


def exact_links(night: State) -> pl.DataFrame:
    with duckdb.connect(str(night.settings.warehouse_file), read_only=True) as con:
        return con.sql("FROM cubes.cube_link_quality").pl()


def test_links_by_group_that_the_warehouse_publishes_are_those_that_identity_measured(night):
    """Two programs count the same people: from the registry and the facts, and from the vault and the deliveries."""
    status = pl.col("link_status")
    cube = exact_links(night).group_by(LINKS).agg(
        everyone=pl.col("person_count").sum(),
        linkable=pl.col("person_count").filter(status != "not_linkable").sum(),
        linked=pl.col("person_count").filter(status == "linked").sum(),
        not_determined=pl.col("person_count").filter(status == "not_determined").sum(),
    )  # fmt: skip
    measured = (
        pl.read_parquet(night.settings.exchange / "link_quality_group.parquet")
        .filter(pl.col("method") == "count", pl.col("school_year").is_not_null())
        .rename({"sector_a": "sector_code", "sector_b": "other_sector_code"})
    )
    assert measured.height > 1000
    for metric, below in (("linkable", "everyone"), ("linked", "linkable"), ("not_determined", "linkable")):
        own = measured.filter(pl.col("metric") == metric).select(*LINKS, "numerator", "denominator")
        beside = own.join(cube, on=LINKS, how="full", coalesce=True)
        wrong = beside.filter(
            (pl.col("numerator") != pl.col(metric)).fill_null(True)
            | (pl.col("denominator") != pl.col(below)).fill_null(True)
        )
        assert wrong.is_empty(), (metric, wrong)


def test_published_links_are_perturbed_and_none_is_of_few_people(night):
    key = [*LINKS, "link_status"]
    shown = night.table("mart_link_quality")
    beside = shown.join(exact_links(night), on=key, how="left", suffix="_exact")
    assert beside.height == shown.height > 100
    assert beside["person_count_exact"].min() >= minimum_count(night) <= shown["person_count"].min()
    noise = (beside["person_count"] - beside["person_count_exact"]).abs()
    assert noise.max() <= largest_noise(night)


def test_the_linkable_share_computed_from_the_deliveries_is_the_generators(night):
    found = night.checks().filter(pl.col("check_id") == "linkage.brg_record_person.linkable_share")
    assert found.height >= 8 and set(found["status"]) == {"pass"}, found["message"].to_list()


def test_every_indicator_has_a_view_with_rows_protected_as_its_register_says(night):
    with duckdb.connect(str(night.current / "p20w.duckdb"), read_only=True) as con:
        for row in indicators(night.settings):
            view = f"mart_{row['indicator_code']}"
            found = con.sql(f'SELECT DISTINCT protection FROM "{view}"').fetchall()
            assert found == [(row["protection"],)], view


def test_official_and_perturbed_rows_are_shown_and_hidden(night):
    found = night.table("mart_indicator__organization").group_by("protection", "value_status").len()
    pairs = set(found.select("protection", "value_status").iter_rows())
    assert {("official", status) for status in ("shown", "banded", "suppressed", "window_open")} <= pairs
    assert {("perturbed", status) for status in ("shown", "suppressed")} <= pairs


def test_a_hidden_value_carries_no_number(night):
    table = night.table("mart_indicator__organization").filter(pl.col("value_status") == "suppressed")
    numbers = ["numerator_count", "rate", "rate_low", "rate_high"]
    assert table.filter(pl.any_horizontal(pl.col(numbers).is_not_null())).is_empty()


def test_every_column_of_every_mart_is_described(night):
    with (night.current / "dictionary.csv").open(newline="") as handle:
        words = {(row["table_name"], row["column_name"]): row["description"] for row in csv.DictReader(handle)}
    for mart in MARTS:
        for column in pl.read_parquet_schema(night.current / "data" / f"{mart}.parquet"):
            assert words.get((mart, column)), f"{mart}.{column}"


def test_the_public_decision_names_no_count(night):
    gate = json.loads((night.current / "gate.json").read_text())
    families = {family["family"] for family in gate["families"]}
    assert families == {row["indicator_code"] for row in indicators(night.settings)} | set(MARTS) - {
        "mart_indicator__organization"
    }
    assert not {"failing_count", "total_count", "message"} & set(json.dumps(gate).replace('"', " ").split())


def records(path: Path) -> int:
    """Source records of a file as anyone would count them."""
    if path.suffix == ".parquet":
        return pl.read_parquet(path).height
    if path.suffix == ".txt":
        return sum(1 for line in path.read_text("iso-8859-1").splitlines() if line.strip())
    with path.open(newline="", encoding="iso-8859-1") as handle:
        return sum(1 for _ in csv.reader(handle)) - 1


def test_the_ledger_accounts_for_every_record_of_every_file(night):
    assert ledger.ledger_balances(night.settings) == []
    book = ledger.read(night.settings)
    delivered = {
        tuple(path.relative_to(night.settings.landing).parts): records(path)
        for path in night.settings.landing.rglob("*.*")
        if path.is_file() and path.name != "certification.json" and ".received" not in path.parts
    }
    noted = {
        (row["submitter"], row["package"], row["period"], row["file_name"]): row["delivered_count"]
        for row in book.iter_rows(named=True)
    }
    assert noted == delivered
    assert set(book["status"]) == {"accepted"}


def test_nothing_is_late_and_nothing_was_sent_back(night):
    told = night.p20w("status", "--today", STATUS_DAY)
    assert "no delivery is late" in told.stdout
    assert ledger.read(night.settings)["quarantined_count"].sum() == 0


def test_the_orchestrator_recorded_one_successful_run_of_every_asset_and_check(night):
    from dagster import AssetKey, DagsterInstance

    from pipelines.definitions import defs

    graph = defs().resolve_asset_graph()
    with DagsterInstance.from_config(str(night.settings.dagster_home)) as instance:
        (run,) = instance.get_run_records()
        assert run.dagster_run.status.value == "SUCCESS"
        assert run.dagster_run.job_name == "nightly"
        made = set(instance.all_asset_keys())
        assert {key.to_user_string() for key in graph.materializable_asset_keys - made} == set()
        latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(graph.asset_check_keys))
    unknown = {key.to_user_string() for key in graph.asset_check_keys if key not in latest}
    assert unknown == set()
    evaluated = {key: record.event.dagster_event.event_specific_data for key, record in latest.items()}
    rows = [key for key in evaluated if key.name == "rows_conform"]
    tests = [key for key in evaluated if key.asset_key.path[0] in ("core", "marts", "staging", "cubes")]
    assert len(rows) >= 18 and len(tests) > 100
    assert all(evaluated[key].passed for key in rows)
    failed = [key.to_user_string() for key, found in evaluated.items() if not found.passed and found.blocking]
    assert failed == [], "a check that blocks would end the night before the decision"
    assert AssetKey(["releases", "current"]) in made


def test_every_layer_left_evidence_and_no_error_check_failed(night):
    checks = night.checks()
    assert {"intake", "warehouse", "linkage", "disclosure", "expectation"} <= set(checks["layer"])
    broken = checks.filter((pl.col("severity") == "error") & pl.col("status").is_in(["fail", "error", "skipped"]))
    # Whoever runs this after the next school year is told, rightly, that its deliveries have not come.
    broken = broken.filter(pl.col("school_year").is_null() | (pl.col("school_year") <= 2026))
    assert broken.select("check_id", "message").rows() == []


def modified(*folders: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_unchanged_nights_call_no_dbt_publish_nothing_and_say_so(own_copy):
    settings = own_copy.settings
    watched = (settings.logs, settings.work / "dbt", settings.vault, settings.releases, settings.candidate / "data")
    before = modified(*watched)
    release, size = own_copy.release_id, settings.warehouse_file.stat().st_size
    for number in ("second", "third"):
        said = own_copy.p20w("nightly").stderr
        assert f"Nothing changed: {release} stays the current release." in said, number
        assert modified(*watched) == before, f"the {number} night wrote where nothing changed"
        assert own_copy.release_id == release
    # Views are made anew every night; the file may close up, and must not grow.
    assert settings.warehouse_file.stat().st_size <= size
    approved = own_copy.p20w("release", "publish", "--approved-by", "demo_chair").stdout
    assert f"Nothing changed: {release}" in approved


def test_a_change_that_was_taken_back_after_a_broken_night_is_worked_again(home, monkeypatch):
    """Tables and candidate are half of the broken night's, although the inputs are those of the last good build."""
    inputs = {"seeds": "as before"}
    monkeypatch.setattr(planner, "input_parts", lambda _: dict(inputs))

    def plan(build_id: str) -> planner.Plan:
        planner.begin(home, build_id)
        return planner.plan(home)

    assert plan("first").is_touched
    planner.mark_good(home)
    assert not plan("second").is_touched
    planner.mark_good(home)
    assert planner.last_good(home)["build_id"] == "first", "evidence is that of the build that made it"
    inputs["seeds"] = "changed"
    assert plan("broken").is_touched
    inputs["seeds"] = "as before"
    again = plan("fourth")
    assert again.is_touched and again.reason == "build broken did not run to its end"
    planner.mark_good(home)
    assert not plan("fifth").is_touched
