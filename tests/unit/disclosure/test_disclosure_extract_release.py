"""A13: an extract's rows beside a release. What a reader computes is reckoned here by hand."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipelines.disclosure.extract import check_file
from pipelines.disclosure.stranger.rules import Rules, write_rules
from pipelines.errors import P20wError

TODAY = date(2026, 11, 22)
COUNTED = "{organization_id_state: school, cohort_year: school_year, groups: {gender: sex}}"


def release(folder: Path, people: dict[str, int | None]) -> Path:
    """One school's graduation table by gender; None is a hidden count."""
    rows = [
        ("four_year_graduation", "all", "S1", 2026, "all" if group == "all" else "gender", group, count, "official")
        for group, count in people.items()
    ]
    names = ["indicator_code", "subject_code", "organization_id_state", "cohort_year", "breakdown_code", "group_code"]
    made = folder / "release"
    (made / "data").mkdir(parents=True)
    pl.DataFrame(rows, schema=[*names, "denominator_count", "protection"], orient="row").write_parquet(
        made / "data" / "mart_indicator__organization.parquet"
    )
    write_rules(Rules(10, 3, "hideable", {}, []), made)
    return made


def found(folder: Path, rows: dict[str | None, int], published: dict[str, int | None], counted: str = COUNTED):
    """Findings of rule release: (what is compared, people). rows: people of the extract by gender."""
    people = [sex for sex, count in rows.items() for _ in range(count)]
    table = folder / "extract.parquet"
    pl.DataFrame(
        [(str(i), "2026", "S1", sex) for i, sex in enumerate(people)],
        schema={"research_id": pl.String, "school_year": pl.String, "school": pl.String, "sex": pl.String},
        orient="row",
    ).write_parquet(table)
    said = {"project": "p", "extract": "e", "person": "research_id", "time": "school_year", "k": "2", "l": "1",
            "quasi_identifiers": "[school, sex]", "sensitive": "[]", "counted": counted}  # fmt: skip
    declare = folder / "extract.yml"
    declare.write_text("".join(f"{key}: {value}\n" for key, value in said.items()))
    made = release(folder, published)
    report = check_file(table, declare, None, folder / "found.csv", None, TODAY, made)
    rows_ = report.findings.filter(pl.col("rule") == "release")
    return [(row["against"], row["people"]) for row in rows_.iter_rows(named=True)]


def test_who_was_left_out_of_an_extract_is_a_small_group_beside_the_published_count(tmp_path):
    # 62 are published, 60 are in the extract: two were left out because they stood out.
    told = found(tmp_path, {"m": 60}, {"all": 62, "f": None, "m": None})
    assert ("four_year_graduation 2026 S1 all all less the extract", 2) in told


def test_what_a_table_hides_as_a_partner_and_the_rows_tell_gives_the_small_group_away(tmp_path):
    # Two have no gender in the rows. 62 less the 60 boys, whom the table hides and the rows tell, are the two girls.
    told = found(tmp_path, {"m": 60, None: 2}, {"all": 62, "f": None, "m": None})
    assert told == [("four_year_graduation 2026 S1 gender f, by what the extract tells of the others", 2)]


def test_a_sample_and_a_group_of_ten_give_nobody_away(tmp_path):
    assert found(tmp_path, {"m": 20, "f": 12}, {"all": 90, "f": 40, "m": 50}) == []


def test_a_count_that_the_extract_holds_in_full_or_lacks_by_ten_gives_nobody_away(tmp_path):
    assert found(tmp_path, {"m": 50, "f": 30}, {"all": 90, "f": 40, "m": 50}) == []


@pytest.mark.parametrize(
    ("counted", "message"),
    [
        ("{organization_id_state: school}", "counted needs"),
        ("{organization_id_state: school, cohort_year: year}", "the column year"),
        ("{organization_id_state: school, cohort_year: school_year, groups: [sex]}", "a column for each breakdown"),
    ],
)
def test_a_senseless_entry_is_named(tmp_path, counted, message):
    with pytest.raises(P20wError, match=message):
        found(tmp_path, {"m": 3}, {"all": 3}, counted)


def test_a_declaration_without_the_entry_cannot_be_laid_beside_a_release(tmp_path):
    with pytest.raises(P20wError, match="needs the entry counted"):
        declare = tmp_path / "extract.yml"
        declare.write_text(
            "project: p\nextract: e\nperson: a\ntime: t\nquasi_identifiers: [q]\nsensitive: []\nk: 2\nl: 1\n"
        )
        check_file(tmp_path / "x.csv", declare, None, tmp_path / "found.csv", None, TODAY, tmp_path)
