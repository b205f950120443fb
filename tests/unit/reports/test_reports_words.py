"""Published values in words."""

from __future__ import annotations

import csv
import re

import pytest

from pipelines.reports import words
from pipelines.settings import ROOT

STATUSES = {"shown", "banded", "suppressed", "no_students", "not_applicable", "window_open", "incomplete", "withdrawn"}
REASONS = {"small_group", "band", "few_people_or_employers", "window_open", ""}


def row(status: str, **values: object) -> dict:
    empty = {"rate": None, "numerator_count": None, "denominator_count": None, "rate_label": None, "value_amount": None}
    return {**empty, "value_status": status, "suppression_reason": "", **values}


@pytest.mark.parametrize("status", sorted(STATUSES - {"shown", "banded"}))
@pytest.mark.parametrize("kind", ["rate", "count", "rate_and_median"])
def test_every_status_without_a_number_has_a_mark_spoken_words_and_a_sentence(status, kind):
    told = words.value(row(status), kind, "#")
    assert told["text"] and told["spoken"] and told["why"].endswith(".") and status not in told["why"]


@pytest.mark.parametrize("reason", sorted(REASONS - {""}))
def test_every_reason_is_told_in_words(reason):
    told = words.value(row("suppressed", suppression_reason=reason), "rate", "#")
    assert words.REASONS[reason] in told["why"] and "_" not in told["why"]


def test_a_small_group_and_one_hidden_to_protect_it_read_alike():
    assert "or" in words.REASONS["small_group"].split(), "one reason for both, so that nobody learns which is which"


def test_a_shown_rate_reads_as_a_percentage_and_a_shown_count_as_a_number():
    assert words.value(row("shown", rate=0.5, numerator_count=1234), "rate", "#")["text"] == "50.0%"
    assert words.value(row("shown", rate=0.5, numerator_count=1234), "count", "#")["text"] == "1,234"
    assert words.value(row("shown"), "rate", "#")["status"] == "not_applicable"


def test_a_band_reads_as_its_label_and_says_why():
    told = words.value(row("banded", rate_label="≤5%", suppression_reason="band"), "rate", "#")
    assert told["text"] == "≤5%" and told["why"].startswith("The exact share")


def test_no_row_reads_as_nothing_published():
    assert words.value(None, "rate", "#")["status"] == "absent"
    assert words.people(None, 30) == words.amount(None) == ""


def test_a_hidden_figure_has_the_mark_of_the_policy():
    assert words.value(row("suppressed"), "rate", "n<10")["text"] == "n<10"
    assert words.value(row("withdrawn"), "rate", "n<10")["text"] != "n<10"


def test_fewer_people_than_an_accountability_decision_may_rest_on_are_called_few():
    assert words.people(row("shown", denominator_count=29), 30) == f"29, {words.FEW}"
    assert words.people(row("shown", denominator_count=30), 30) == "30"


@pytest.mark.parametrize(
    ("rate", "text"), [("0.0005", "0.1%"), ("0.12345", "12.3%"), ("0.1235", "12.4%"), (1, "100.0%"), (0.8325, "83.3%")]
)
def test_halves_are_rounded_up(rate, text):
    assert words.percent(rate) == text


def test_school_years_and_periods_are_named_as_people_name_them():
    assert words.school_year(2000) == "1999–00" and words.period("2026") == "2025–26"
    assert words.period("2024Q3") == "quarter 3 of 2024" and words.period("sample") == "sample"
    assert words.years([2019, 2020, 2022]) == "2018–19 to 2019–20, 2021–22"


def test_every_breakdown_of_the_registers_has_a_title():
    with (ROOT / "seeds" / "reference" / "student_group.csv").open(newline="") as handle:
        declared = {line["breakdown_code"] for line in csv.DictReader(handle)}
    assert declared <= set(words.BREAKDOWNS), declared - set(words.BREAKDOWNS)


def test_every_code_of_the_gate_and_every_value_of_the_indicator_register_has_words():
    with (ROOT / "seeds" / "registers" / "indicator.csv").open(newline="") as handle:
        for line in csv.DictReader(handle):
            assert line["direction"] in words.DIRECTIONS and line["leading_or_lagging"] in words.LEADING
            assert line["protection"] in words.PROTECTION and line["certification_rule"] in words.CERTIFICATION
            for part in line["attribution"].split(";"):
                assert part.split("=")[1] in words.ATTRIBUTIONS
    source = (ROOT / "pipelines" / "release" / "gate.py").read_text()
    for code in ("evidence_absent", "disclosure_finding", "shared_core_failed", "implausible", "not_in_candidate"):
        assert code in source and code in words.GATE_REASONS


def test_every_reason_for_not_being_counted_has_words():
    found = set()
    for folder in ("models/indicators", "macros"):
        for path in (ROOT / "dbt_project" / folder).glob("*.sql"):
            for block in re.findall(r"case((?:(?!\bcase\b).)*?)end as exclusion_code", path.read_text(), re.S):
                found |= set(re.findall(r"then '(\w+)'", block))
    with (ROOT / "seeds" / "policy" / "exit_cohort_effect.csv").open(newline="") as handle:
        found |= {line["exclusion_code"] for line in csv.DictReader(handle)} - {""}
    assert len(found) > 10
    assert found - {"window_not_covered"} <= set(words.EXCLUSIONS)  # cohorts whose window is open are not told of


@pytest.mark.parametrize(
    ("name", "level", "read"),
    [
        ("Not in the directory: OPEN_UNIVERSITY_UK", "institution", "Open University UK"),
        ("Not in the directory: COLLEGE_OF_THE_WEST", "institution", "College of the West"),
        ("Not in the directory: 00110", "lea", "District 00110"),
        ("Not in the directory: 255901044", "school", "School 255901044"),
        ("St. Mary’s OF THE LAKE", "school", "St. Mary’s OF THE LAKE"),
    ],
)
def test_a_name_is_read_from_the_id_where_no_directory_has_one(name, level, read):
    assert words.organization(name, level) == read
