"""Families that the register links stay together."""

from __future__ import annotations

import csv
import subprocess
import sys

import pytest
from disclosure_auditor import GROUP, SEEDS, cube, organization, register

from pipelines.disclosure.declare import declare
from pipelines.disclosure.linked import linked_families


def line(code, nested_in="", overlaps=""):
    return {"indicator_code": code, "nested_in": nested_in, "numerator_overlaps": overlaps}


def test_links_hold_in_both_directions_and_through_others():
    rows = [line("a", "b"), line("b", "c"), line("c"), line("d", overlaps="a;e"), line("e"), line("f")]
    together = {"a", "b", "c", "d", "e"}
    assert linked_families(rows) == {**dict.fromkeys("abcde", together), "f": {"f"}}


def test_only_the_named_kind_of_link_counts():
    rows = [line("a", "b"), line("b"), line("d", overlaps="a")]
    assert linked_families(rows, by=("nested_in",)) == {"a": {"a", "b"}, "b": {"a", "b"}, "d": {"d"}}


def test_a_link_to_an_indicator_that_is_not_there_is_left_out():
    assert linked_families([line("a", "gone"), {"indicator_code": "b"}]) == {"a": {"a"}, "b": {"b"}}


def test_graduation_and_college_going_are_linked_in_the_register():
    with (SEEDS.parent / "registers" / "indicator.csv").open(newline="", encoding="utf-8") as handle:
        official = [row for row in csv.DictReader(handle) if row["protection"] == "official"]
    college = {"college_going_fall", "college_going_12_month", "college_going_16_month"}
    assert linked_families(official)["four_year_graduation"] == {"four_year_graduation", *college}
    assert linked_families(official)["chronic_absenteeism"] == {"chronic_absenteeism"}


def test_an_overlap_with_an_unknown_indicator_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="numerator_overlaps of one names 'gonig'"):
        declare(
            cube([("one", 0, "f", "y", True)]), organization(1, 1), GROUP, register("one", overlaps={"one": "gonig"})
        )


def test_asking_for_links_loads_no_heavy_package():
    asked = "import sys, pipelines.disclosure.linked; print(sorted({'polars', 'numpy', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "[]\n"
