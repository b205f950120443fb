"""Each population is told in one way: perturbed rows are silent where an official table hides its count.

Belongs here: withholding and its independent check, on small tables. Does not belong here: which official cells are
hidden (test_disclosure_suppression) and the noise (test_cell_key).
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

import polars as pl
import pytest

from pipelines.disclosure.one_way import LONG, OneWay, load_one_way, withhold
from pipelines.disclosure.told_once import told_twice
from pipelines.errors import P20wError
from pipelines.settings import ROOT

SCHEMA = {
    "indicator_code": pl.String, "subject_code": pl.String, "cohort_year": pl.Int32, "organization_level": pl.String,
    "organization_id_state": pl.String, "breakdown_code": pl.String, "group_code": pl.String,
    "denominator_count": pl.Int64, "numerator_count": pl.Int64, "rate": pl.Float64, "rate_low": pl.Float64,
    "rate_high": pl.Float64, "value_amount": pl.Int64, "value_unit": pl.String, "value_status": pl.String,
    "suppression_reason": pl.String, "protection": pl.String,
}  # fmt: skip
SEEDS = ROOT / "seeds"


def official(code: str, group: tuple[str, str], d: int | None, n: int | None = None, place=("school", "1"), year=2024):
    status = "suppressed" if d is None or n is None else "shown"
    return [code, "all", year, *place, *group, d, n, None, None, None, None, None, status,
            "small_group" if status == "suppressed" else "", "official"]  # fmt: skip


def perturbed(code: str, group: tuple[str, str], d: int, place=("school", "1"), subject="all", year=2024):
    return [code, subject, year, *place, *group, d, d - 10, 0.5, None, None, 30_000, "dollars", "shown", "",
            "perturbed"]  # fmt: skip


def long(*rows: list) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


def shown(table: pl.DataFrame, *names: str) -> set[tuple]:
    """Perturbed rows that say any number, by the columns named."""
    numbers = ("denominator_count", "numerator_count", "rate", "value_amount", "value_unit")
    telling = table.filter(
        (pl.col("protection") == "perturbed") & pl.any_horizontal(pl.col(name).is_not_null() for name in numbers)
    )
    return set(telling.select(names).iter_rows())


def released(tables: dict[str, pl.DataFrame], folder: Path) -> Path:
    for mart, table in tables.items():
        table.write_parquet(folder / f"{mart}.parquet")
    return folder


EMPLOYED = "employment_year_1_after_high_school"
GOING = ["college_going_fall", "college_going_12_month", "college_going_16_month"]


def four_and_thirty_seven() -> pl.DataFrame:
    """The planted case: 4 and, so that they cannot be subtracted, 37 are hidden; 41 and 60 are shown."""
    rows = []
    for code in GOING:
        rows += [official(code, ("all", "all"), 101, 50), official(code, ("homeless", "no"), 60, 30)]
        rows += [official(code, ("homeless", "yes"), None), official(code, ("homeless", "not_reported"), None)]
    told = [("all", "all"), 99], [("homeless", "no"), 58], [("homeless", "not_reported"), 36]
    return long(*rows, *(perturbed(EMPLOYED, group, d) for group, d in told))


def test_a_partner_that_an_official_table_hides_is_not_told_by_noise(tmp_path):
    table = four_and_thirty_seven()
    assert told_twice(released({LONG: table}, tmp_path), SEEDS)[LONG] == (1, 1)  # the planted row is found
    kept = withhold({LONG: table}, load_one_way(SEEDS))[LONG]
    assert shown(kept, "breakdown_code", "group_code") == {("all", "all"), ("homeless", "no")}
    silent = kept.filter((pl.col("protection") == "perturbed") & (pl.col("group_code") == "not_reported")).row(
        0, named=True
    )
    assert (silent["value_status"], silent["suppression_reason"]) == ("suppressed", "small_group")
    assert told_twice(released({LONG: kept}, tmp_path), SEEDS)[LONG] == (1, 0)


@pytest.mark.parametrize(
    ("of_official", "of_perturbed", "subject", "is_shown"),
    [
        (("race_ethnicity_2007", "asian"), ("race_ethnicity_2024", "asian"), "state_summative|reading", False),
        (("race_ethnicity_2007", "white"), ("race_ethnicity_2024", "middle_eastern"), "state_summative|reading", False),
        (("race_ethnicity_2007", "asian"), ("race_ethnicity_2024", "black"), "state_summative|reading", True),
        (("foster_k12", "yes"), ("foster_child_welfare", "yes"), "state_summative|reading", False),
        (("all", "all"), ("gender", "female"), "state_summative|reading", False),
        (("gender", "male"), ("all", "all"), "state_summative|reading", True),
        (("english_learner", "current"), ("gender", "female"), "esl", False),
        (("english_learner", "current"), ("gender", "female"), "cte", True),
        (("economic_disadvantage", "yes"), ("all", "all"), "food_service", False),
        (("disability", "yes"), ("all", "all"), "special_education", False),
        (("disability", "no"), ("all", "all"), "special_education", True),
        (("english_learner", "former"), ("gender", "female"), "former_english_learner", False),
        (("foster_k12", "yes"), ("all", "all"), "foster", False),
    ],
)
def test_another_definition_of_a_hidden_group_is_not_told(of_official, of_perturbed, subject, is_shown, tmp_path):
    code = "assessment_proficiency" if "|" in subject else "program_participation"
    table = long(official("chronic_absenteeism", of_official, None), perturbed(code, of_perturbed, 40, subject=subject))
    kept = withhold({LONG: table}, load_one_way(SEEDS))[LONG]
    assert bool(shown(kept, "group_code")) == is_shown
    assert told_twice(released({LONG: table}, tmp_path), SEEDS)[LONG][1] == (not is_shown)


def test_another_place_year_or_population_is_told():
    hidden = official("chronic_absenteeism", ("gender", "female"), None)
    others = (
        perturbed("assessment_proficiency", ("gender", "female"), 40, place=("school", "2")),
        perturbed("assessment_proficiency", ("gender", "female"), 40, place=("lea", "1")),
        perturbed("assessment_proficiency", ("gender", "female"), 40, year=2025),
        perturbed("course_completion", ("gender", "female"), 40),
    )
    kept = withhold({LONG: long(hidden, *others)}, load_one_way(SEEDS))[LONG]
    assert len(shown(kept, "indicator_code", "organization_level", "organization_id_state", "cohort_year")) == 4


def test_flows_coverage_and_link_quality_have_no_row_where_the_official_count_is_hidden(tmp_path):
    lea, state = ("lea", "7"), ("state", "S")
    table = long(
        official("college_going_12_month", ("all", "all"), 90, None, place=lea),  # the denominator is told
        official("college_going_12_month", ("all", "all"), 900, 500, place=state),
        official("chronic_absenteeism", ("all", "all"), None, place=lea),
        official("chronic_absenteeism", ("migrant", "yes"), None, place=state),
        official("four_year_graduation", ("all", "all"), None, place=state),
    )
    tables = {
        LONG: table,
        "mart_transition__high_school__college": pl.DataFrame(
            {"cohort_year": [2024] * 3, "origin_type_code": ["lea", "lea", "state"], "origin_code": ["7", "8", "S"],
             "person_count": [50, 60, 70]}, schema_overrides={"cohort_year": pl.Int32}),
        "mart_transition__early_childhood__kindergarten": pl.DataFrame(
            {"cohort_year": [2024] * 2, "destination_type_code": ["lea", "lea"], "destination_code": ["7", "8"],
             "person_count": [50, 60]}, schema_overrides={"cohort_year": pl.Int32}),
        "mart_coverage": pl.DataFrame(
            {"indicator_code": ["four_year_graduation", "four_year_graduation", "course_completion"],
             "cohort_year": [2024, 2023, 2024], "person_count": [50, 60, 70]},
            schema_overrides={"cohort_year": pl.Int32}),
        "mart_link_quality": pl.DataFrame(
            {"sector_code": ["k12", "k12", "workforce"], "school_year": [2024] * 3, "breakdown_code": ["migrant"] * 3,
             "group_code": ["yes", "no", "yes"], "person_count": [50, 60, 70]},
            schema_overrides={"school_year": pl.Int32}),
    }  # fmt: skip
    found = told_twice(released(tables, tmp_path), SEEDS)
    assert [count for mart, (_, count) in found.items() if mart != LONG] == [1, 1, 1, 1]
    kept = withhold(tables, load_one_way(SEEDS))
    counts = {mart: kept[mart]["person_count"].to_list() for mart in tables if mart != LONG}
    assert list(counts.values()) == [[60, 70], [60], [60, 70], [60, 70]]
    assert not any(count for _, count in told_twice(released(kept, tmp_path), SEEDS).values())


def test_withholding_is_what_looking_at_every_pair_of_rows_says():
    """Random tables against plain loops over pairs of rows, which share no code with the joins."""
    draw = random.Random(7)
    rules = OneWay(
        frozenset({"o", "u"}), {"p": ["o", "u"], "q": ["u"]}, {}, {("B", "x"): ("A", "y")}, {("q", "s"): ("A", "x")}
    )
    for _ in range(60):
        rows = []
        for place in (("school", "1"), ("school", "2")):
            for group in (("all", "all"), ("A", "x"), ("A", "y"), ("B", "x"), ("B", "y")):
                rows += [official(code, group, draw.choice([None, 20, 20, 20]), 10, place) for code in "ou"]
                rows += [perturbed(code, group, 30, place, draw.choice(["s", "t"])) for code in "pqr"]
        table = long(*rows)
        names = list(SCHEMA)
        hidden = [dict(zip(names, row, strict=True)) for row in rows if row[-1] == "official" and row[7] is None]

        def silent(row: dict, hidden=hidden) -> bool:
            group = (row["breakdown_code"], row["group_code"])
            reads = {("all", "all"), group}
            reads |= {("A", "y")} if group == ("B", "x") else set()
            reads |= {("A", "x")} if (row["indicator_code"], row["subject_code"]) == ("q", "s") else set()
            counted = {"p": "ou", "q": "u", "r": ""}[row["indicator_code"]]
            return any(
                other["indicator_code"] in counted
                and other["organization_id_state"] == row["organization_id_state"]
                and (other["breakdown_code"], other["group_code"]) in reads
                for other in hidden
            )

        key = ("indicator_code", "organization_id_state", "breakdown_code", "group_code")
        expected = {
            tuple(row[name] for name in key)
            for row in (dict(zip(names, row, strict=True)) for row in rows if row[-1] == "perturbed")
            if not silent(row)
        }
        assert shown(withhold({LONG: table}, rules)[LONG], *key) == expected


def test_perturbed_sums_speak_of_groups_of_hidden_cells_and_never_of_one():
    """`all` less the shown groups, in any combination of shown rows, never is the count of one hidden cell."""
    kept = withhold({LONG: four_and_thirty_seven()}, load_one_way(SEEDS))[LONG]
    groups = ["all", "no", "yes", "not_reported"]
    told = [groups.index(group) for (group,) in shown(kept, "group_code")]
    # all = no + yes + not_reported; what follows from shown rows is spanned by them as vectors of the three groups.
    vectors = {0: (1, 1, 1), 1: (1, 0, 0), 2: (0, 1, 0), 3: (0, 0, 1)}
    sums = {
        tuple(a * x + b * y for x, y in zip(vectors[told[0]], vectors[told[-1]], strict=True))
        for a in range(-3, 4)
        for b in range(-3, 4)
    }
    assert vectors[2] not in sums and vectors[3] not in sums and (0, 1, 1) in sums


def test_an_indicator_that_counts_people_of_no_official_table_is_refused(tmp_path):
    (tmp_path / "registers").mkdir()
    path = tmp_path / "registers" / "indicator.csv"
    path.write_text("indicator_code,protection,counts_people_of\na,official,\nb,perturbed,a;c\n")
    with pytest.raises(P20wError, match="counts_people_of of b names c"):
        load_one_way(tmp_path)


def test_every_perturbed_indicator_of_a_school_says_whose_people_it_counts():
    """Official tables count every student of a school and every graduate: who counts students of one counts theirs."""
    with (SEEDS / "registers" / "indicator.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    silent = [
        row["indicator_code"]
        for row in rows
        if row["protection"] == "perturbed" and {"school", "lea"} & set(row["levels"].split(";"))
        and not row["counts_people_of"]
    ]  # fmt: skip
    assert not silent


def test_every_program_that_an_official_table_counts_as_a_group_follows_that_group():
    """The warehouse leaves such a program out where tonight's cube has the table; the rows that stand may be others."""
    with (SEEDS / "reference" / "subject.csv").open(newline="") as handle:
        counted = [row for row in csv.DictReader(handle) if row["counted_by_indicator"]]
    with (SEEDS / "registers" / "indicator.csv").open(newline="") as handle:
        breakdowns = {row["indicator_code"]: row["breakdowns"].split(";") for row in csv.DictReader(handle)}
    with (SEEDS / "reference" / "student_group.csv").open(newline="") as handle:
        groups = {(row["breakdown_code"], row["group_code"]) for row in csv.DictReader(handle)}
    assert counted
    for row in counted:
        other = (row["other_definition_breakdown_code"], row["other_definition_group_code"])
        assert other in groups and other[0] in breakdowns[row["counted_by_indicator"]], row["subject_code"]
