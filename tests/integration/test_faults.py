"""Each planted fault: the night ends, the fault is named, the decision is right family by family."""

from __future__ import annotations

import csv
import html
import json

import duckdb
import polars as pl
import pytest
from exact import sure_flows
from homes import State
from test_night import MARTS, STATUS_DAY, TRANSITIONS, indicators

from pipelines.demo_state.faults import Planted
from pipelines.intake import ledger

LONG_MART = "mart_indicator__organization"
# Words about a row's numbers.
_SAID = ("value_status", "suppression_reason", "rate_label", "value_unit")
ANNUAL = ("k12__attendance", "k12__completion", "k12__enrollment", "k12__program_participation", "k12__student")


def registers(state: State) -> dict[str, tuple[set[str], list[int]]]:
    """Family → collections that it reads, and how far the years that it reads are from its cohort year."""
    rows = [(row["indicator_code"], row) for row in indicators(state.settings)]
    with (state.settings.seeds / "registers" / "family.csv").open(newline="") as handle:
        rows += [(row["family"], row) for row in csv.DictReader(handle)]
    return {
        family: (set(row["collections"].split(";")), [int(each) for each in (row["reads_years"] or "0").split(";")])
        for family, row in rows
    }


def touched(state: State, collections: set[str], year: int) -> dict[str, set[int]]:
    """Family → cohort years whose numbers a failing delivery of these collections and this school year touches."""
    return {
        family: {year - offset for offset in offsets}
        for family, (read, offsets) in registers(state).items()
        if read & collections
    }


def linked(state: State, hold: dict[str, set[int]]) -> dict[str, set[int]]:
    """These and what is held with them: nested official numbers, one of which could be subtracted from the other."""
    joined: list[set[str]] = []
    for row in indicators(state.settings):
        if row["protection"] == "official":
            near = {row["indicator_code"], *row["nested_in"].split(";")} - {""}
            apart = [group for group in joined if not group & near]
            joined = [*apart, near.union(*(group for group in joined if group & near))]
    years = {code: set().union(*(hold.get(other, set()) for other in group)) for group in joined for code in group}
    return {family: found for family, found in together(hold, years).items() if found}


def held(gate: dict) -> dict[str, set[int]]:
    assert gate["outcome"] == "publish", gate["reasons"]
    assert {family["family"] for family in gate["families"] if family["decision"] == "refuse"} == set()
    return {family["family"]: set(family["held_years"]) for family in gate["families"] if family["decision"] == "hold"}


def gate_of(state: State) -> dict:
    return json.loads((state.settings.candidate / "gate.json").read_text())


def rows_of(table: pl.DataFrame, family: str, year: int | None = None) -> pl.DataFrame:
    if "indicator_code" in table.columns and family in table["indicator_code"].to_list():
        table = table.filter(pl.col("indicator_code") == family)
    return table if year is None else table.filter(pl.col("cohort_year") == year)


def same_rows(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    return one.sort(one.columns, nulls_last=True).equals(other.sort(other.columns, nulls_last=True))


def rows_without_equal(one: pl.DataFrame, other: pl.DataFrame) -> list[dict]:
    """The first rows of one frame that the other lacks, for whoever reads why a test failed."""
    return one.join(other, on=one.columns, how="anti", nulls_equal=True).head(9).to_dicts()


def silent_years(state: State, hold: dict[str, set[int]]) -> dict[str, set[int]]:
    """Perturbed family → years whose official table of the same people is held: the family is silent where the pattern
    that the night found for that table hides, which is another pattern on another night."""
    rows = [(row["indicator_code"], row) for row in indicators(state.settings)]
    official = {code for code, row in rows if row["protection"] == "official"}
    with (state.settings.seeds / "registers" / "family.csv").open(newline="") as handle:
        rows += [(row["family"], row) for row in csv.DictReader(handle)]
    found = {
        family: set().union(*(hold.get(code, set()) for code in row["counts_people_of"].split(";")))
        for family, row in rows
    }
    return found | {"mart_coverage": set().union(*(hold.get(code, set()) for code in official))}


def perturbed(state: State) -> pl.DataFrame:
    with duckdb.connect(str(state.settings.warehouse_file), read_only=True) as con:
        return con.execute("FROM protected.perturbed_indicator").pl()


def same_where_told(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Whether no number differs that both tell."""
    numbers = [name for name in one.columns if one.schema[name].is_numeric() and not name.endswith("_year")]
    of_state = [name for name in one.columns if name not in (*numbers, *_SAID)]
    both = one.join(other, on=of_state, nulls_equal=True, suffix="__other")
    differ = [
        pl.col(name).is_not_null() & pl.col(f"{name}__other").is_not_null() & (pl.col(name) != pl.col(f"{name}__other"))
        for name in numbers
    ]
    return both.filter(pl.any_horizontal(differ)).is_empty()


def report(state: State) -> str:
    """The restricted quality report as text."""
    return html.unescape((state.settings.evidence / "reports" / "quality.html").read_text())


def together(*parts: dict[str, set[int]]) -> dict[str, set[int]]:
    """All families of the parts, each with the years of every part."""
    return {family: set().union(*(part.get(family, set()) for part in parts)) for part in parts for family in part}


# --- nothing came ---------------------------------------------------------------------------------------------------
def touched_by_preliminary(missing) -> dict[str, set[int]]:
    """Only indicators that count certified deliveries wait for them."""
    waiting = {row["indicator_code"] for row in indicators(missing.state.settings) if row["protection"] == "official"}
    found = touched(missing.state, set(ANNUAL), int(missing.preliminary.period))
    return {family: years for family, years in found.items() if family in waiting}


def not_by_certified(missing) -> pl.Expr:
    """Rows of the long mart whose group does not hang on what was certified that year.

    Gender is the last certified statement: without the district's, that of the state assessment counts.
    """
    is_gender = pl.col("breakdown_code").str.starts_with("gender")
    return ~(is_gender & (pl.col("cohort_year") == int(missing.preliminary.period)))


def expected_after_missing(missing) -> dict[str, set[int]]:
    return linked(
        missing.state,
        together(
            touched(missing.state, {"k12__assessment_result"}, int(missing.late_file.period)),
            touched(missing.state, set(ANNUAL), int(missing.district_missing.period)),
            touched_by_preliminary(missing),
        ),
    )


def test_a_night_without_expected_deliveries_ends_and_publishes(missing):
    assert missing.late_file.records > 0 and missing.district_missing.records > 0
    assert f"{missing.state.release_id} is the current release." in missing.said
    assert missing.state.problems() == []


@pytest.mark.parametrize(
    ("fault", "collections"), [("late_file", ("k12__assessment_result",)), ("district_missing", ANNUAL)]
)
def test_a_missing_delivery_is_named_with_collection_and_submitter(missing, fault, collections):
    planted: Planted = getattr(missing, fault)
    failed = missing.state.checks().filter(
        (pl.col("layer") == "intake") & (pl.col("status") == "fail") & (pl.col("submitter") == planted.submitter)
    )
    found = {row["collection"]: row for row in failed.iter_rows(named=True) if row["school_year"] == 2026}
    assert set(found) == set(collections)
    for collection, row in found.items():
        assert row["check_id"] == f"intake.{collection}.delivered"
        assert row["severity"] == "error" and row["failing_count"] == 1
        assert f"{planted.package} {planted.period}" in row["message"]
    page = report(missing.state)
    late = page.split('<h2 id="late">')[1].split("</section>")[0]
    assert planted.submitter in late and "2025–26" in late
    assert found[collections[0]]["message"] in page


def test_a_delivery_that_nobody_certified_is_named_with_collection_and_submitter(missing):
    planted: Planted = missing.preliminary
    assert planted.records > 0
    checks = missing.state.checks().filter(pl.col("check_id").str.contains(r"^intake\..*\.certified$"))
    found = {row["collection"]: row for row in checks.filter(pl.col("status") == "fail").iter_rows(named=True)}
    assert set(found) == set(ANNUAL)
    page = report(missing.state)
    for collection, row in found.items():
        assert row["check_id"] == f"intake.{collection}.certified"
        assert (row["severity"], row["submitter"]) == ("warn", planted.submitter)
        assert row["school_year"] == int(planted.period)
        assert f"{planted.package} {planted.period}" in row["message"] and row["message"] in page


def test_a_delivery_that_nobody_certified_is_counted_where_the_latest_one_counts(missing, night):
    year = int(missing.preliminary.period)
    hold = held(gate_of(missing.state))
    waiting = touched_by_preliminary(missing)
    assert year in waiting["chronic_absenteeism"] and waiting["chronic_absenteeism"] <= hold["chronic_absenteeism"]
    assert year not in hold["program_participation"] and "program_participation" not in waiting
    # As they are before an official table of the same people makes some of them silent.
    now, without = (
        rows_of(perturbed(state), "program_participation", year).filter(not_by_certified(missing))
        for state in (missing.state, night)
    )
    assert "shown" in now["value_status"] and same_rows(now, without)


def test_a_missing_delivery_is_late_in_the_status(missing):
    told = missing.state.p20w("status", "--today", STATUS_DAY, check=False)
    assert told.returncode == 1
    late = [line for line in told.stdout.splitlines() if line.startswith("late")]
    assert len(late) == 2
    for planted in (missing.late_file, missing.district_missing):
        assert any(f"{planted.submitter} {planted.package} {planted.period}" in line for line in late)


def test_a_missing_delivery_holds_exactly_the_years_that_read_it(missing, night):
    assert held(gate_of(missing.state)) == together(held(gate_of(night)), expected_after_missing(missing))


def test_years_never_released_are_incomplete_and_show_no_number(missing):
    table = missing.state.table(LONG_MART)
    for family, years in expected_after_missing(missing).items():
        rows = rows_of(table, family) if not family.startswith("mart_") else missing.state.table(family)
        year = "cohort_year" if "cohort_year" in rows.columns else "school_year"
        rows = rows.filter(pl.col(year).is_in(sorted(years)))
        assert set(rows["value_status"]) <= {"incomplete"}, family
        numbers = [
            name for name in rows.columns if name.endswith("_count") or name in ("rate", "share", "value_amount")
        ]
        assert rows.filter(pl.any_horizontal(pl.col(numbers).is_not_null())).is_empty(), family
    assert rows_of(table, "chronic_absenteeism", 2026).height > 0


def test_untouched_families_and_years_are_published_with_the_same_rows(missing, night):
    hold = expected_after_missing(missing)
    silent = silent_years(missing.state, hold)
    differing = []
    for family in registers(missing.state):
        if family in ("mart_availability", "mart_link_quality"):
            continue  # they say what is missing, and whom it would have linked: so they must differ
        if family == "mart_earnings_private":
            continue  # nothing is told privately before a state decides so
        mart = family if family.startswith("mart_") else LONG_MART
        with_fault, without = (rows_of(state.table(mart), family) for state in (missing.state, night))
        # Each flow of a small state may fall under the minimum by noise; those of the whole state cannot.
        sure = sure_flows(night, family).height if family in TRANSITIONS else 1
        assert without.height >= sure, family
        # A small state's official table may hide every number whose people these flows count.
        assert sure > 0 or family == "mart_transition__high_school__college", family
        if "cohort_year" in without.columns:
            kept = ~pl.col("cohort_year").is_in(sorted(hold.get(family, ())))
            if mart == LONG_MART:
                kept &= not_by_certified(missing)
            with_fault, without = with_fault.filter(kept), without.filter(kept)
            follows = pl.col("cohort_year").is_in(sorted(silent.get(family, ())))
            assert same_where_told(with_fault.filter(follows), without.filter(follows)), family
            with_fault, without = with_fault.filter(~follows), without.filter(~follows)
        if not same_rows(with_fault, without):
            differing.append(family)
    assert differing == []


def test_the_ledger_balances_without_the_missing_deliveries(missing, night):
    assert ledger.ledger_balances(missing.state.settings) == []
    there, everywhere = (ledger.read(state.settings)["delivered_count"].sum() for state in (missing.state, night))
    assert everywhere - there == missing.late_file.records + missing.district_missing.records


# --- what came was spoiled ------------------------------------------------------------------------------------------
def test_a_night_with_shifted_columns_and_repeats_ends_and_decides(spoiled):
    assert "No release is due" in spoiled.said or "Nothing changed" in spoiled.said


def test_shifted_columns_are_named_with_collection_submitter_and_records(spoiled):
    planted = spoiled.shifted_columns
    found = {
        row["check_id"]: row
        for row in spoiled.state.checks()
        .filter((pl.col("submitter") == planted.submitter) & (pl.col("school_year") == 2026))
        .filter(pl.col("collection") == "k12__enrollment")
        .iter_rows(named=True)
    }
    for rule in ("quarantine_share", "type_share"):
        row = found[f"intake.k12__enrollment.{rule}"]
        assert row["status"] == "fail" and row["severity"] == "error"
        assert row["failing_count"] == row["total_count"] == planted.records > 0
        assert row["message"] in report(spoiled.state)
    assert "columns have probably shifted" in found["intake.k12__enrollment.type_share"]["message"]


def test_every_shifted_record_is_in_quarantine_and_in_the_submitters_error_file(spoiled):
    planted, settings = spoiled.shifted_columns, spoiled.state.settings
    line = newest(spoiled.state, planted)
    assert line["quarantined_count"] == line["delivered_count"] == planted.records
    quarantined = pl.read_parquet(settings.quarantine / f"{line['delivery_id']}__k12__enrollment.parquet")
    assert quarantined["source_row"].n_unique() == planted.records
    told = pl.read_csv(settings.quarantine / "errors" / planted.submitter / f"{line['delivery_id']}.csv")
    assert told["source_row"].n_unique() == planted.records


def newest(state: State, planted: Planted) -> dict:
    """The ledger's line of the file as it was delivered last."""
    lines = ledger.read(state.settings).filter(
        (pl.col("submitter") == planted.submitter)
        & (pl.col("package") == planted.package)
        & (pl.col("period") == planted.period)
        & (pl.col("file_name") == planted.file_name)
        & (pl.col("status") != "superseded")
    )
    return lines.row(0, named=True)


def test_repeated_rows_and_files_are_named_and_change_nothing(spoiled):
    planted = spoiled.duplicate_delivery
    checks = spoiled.state.checks()
    repeated = checks.filter(
        (pl.col("check_id") == "intake.k12__enrollment.repeated_row") & (pl.col("submitter") == planted.submitter)
    ).row(0, named=True)
    assert (repeated["status"], repeated["failing_count"]) == ("warn", planted.records)
    assert newest(spoiled.state, planted)["duplicate_count"] == planted.records
    twice = checks.filter(pl.col("check_id") == "intake.early_childhood__kindergarten_readiness.sent_twice")
    row = twice.row(0, named=True)
    assert (row["status"], row["submitter"], row["school_year"]) == ("warn", "sea", 2026)
    assert row["failing_count"] == newest_readiness(spoiled.state)
    for each in (repeated, row):
        assert each["message"] in report(spoiled.state)


def newest_readiness(state: State) -> int:
    lines = ledger.read(state.settings).filter(
        (pl.col("package") == "readiness") & (pl.col("period") == "2026") & (pl.col("status") == "accepted")
    )
    return lines["delivered_count"].sum()


def test_shifted_columns_hold_exactly_the_years_that_read_them_and_repeats_hold_nothing(spoiled, night):
    hold = linked(spoiled.state, touched(spoiled.state, {"k12__enrollment"}, int(spoiled.shifted_columns.period)))
    assert held(gate_of(spoiled.state)) == together(held(gate_of(night)), hold)


def test_held_years_keep_their_released_rows_and_so_do_all_others(spoiled, night):
    """The repeats change no number and what has shifted is held: only the table of what is missing is new. What counts
    people of an official table again follows the rows that stand, not tonight's pattern."""
    assert f"{spoiled.state.release_id} is the current release." in spoiled.published
    assert spoiled.state.release_id != night.release_id
    assert spoiled.state.problems() == []
    new = [mart for mart in MARTS if not same_rows(spoiled.state.table(mart), night.table(mart))]
    assert new == ["mart_availability"]
    release = json.loads((spoiled.state.current / "release.json").read_text())
    origins = {(row["family"], row["year"]): row["origin"] for row in release["years"]}
    hold = linked(spoiled.state, touched(spoiled.state, {"k12__enrollment"}, int(spoiled.shifted_columns.period)))
    for family, years in hold.items():
        for year in years:
            assert origins.get((family, year), "held") == "held", (family, year)
    assert origins["chronic_absenteeism", 2026] == "held" and origins["chronic_absenteeism", 2025] == "frozen"


def test_the_candidate_differs_only_in_the_years_that_are_held(spoiled, night):
    hold = touched(spoiled.state, {"k12__enrollment"}, int(spoiled.shifted_columns.period))
    # Official tables of a year are protected together, and what counts their people again follows their pattern.
    register = indicators(spoiled.state.settings)
    together_protected = {row["indicator_code"] for row in register if row["protection"] == "official"}
    years = set().union(*(hold.get(code, set()) for code in together_protected))
    for row in register:
        if row["indicator_code"] in together_protected or row["counts_people_of"]:
            hold[row["indicator_code"]] = set(hold.get(row["indicator_code"], ())) | years
    long, before = spoiled.state.candidate(LONG_MART), night.candidate(LONG_MART)
    assert not same_rows(long, before), "a district without enrollments must change numbers"
    for family in before["indicator_code"].unique():
        kept = ~pl.col("cohort_year").is_in(sorted(hold.get(family, ())))
        one, other = rows_of(long, family).filter(kept), rows_of(before, family).filter(kept)
        assert same_rows(one, other), f"{family}: {rows_without_equal(one, other)}, {rows_without_equal(other, one)}"


def test_superseded_deliveries_stay_in_the_ledger_and_it_balances(spoiled):
    book = ledger.read(spoiled.state.settings)
    assert ledger.ledger_balances(spoiled.state.settings) == []
    for planted in (spoiled.shifted_columns, spoiled.duplicate_delivery):
        of_place = book.filter(
            (pl.col("submitter") == planted.submitter)
            & (pl.col("package") == planted.package)
            & (pl.col("period") == planted.period)
        )
        assert sorted(of_place["status"].unique()) == ["accepted", "superseded"]
        for (delivery_id,) in of_place.select("delivery_id").unique().iter_rows():
            assert (spoiled.state.settings.landing / ".received" / delivery_id).is_dir()
