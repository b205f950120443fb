"""The annual inventory: order, what counts as use, how coarse it is."""

from __future__ import annotations

import csv

import polars as pl
import pytest

import schemas
from pipelines.intake import ledger, views
from pipelines.reports import inventory
from pipelines.reports.lineage import Lineage
from schemas.elements import ELEMENTS


def row(element: str, **values: str) -> dict[str, str]:
    return {
        **dict.fromkeys(inventory.COLUMNS, ""),
        "collection": "k12__student",
        "element": element,
        "purpose": "Count",
        "legal_citation": "Law",
        "status": "maintained",
        **values,
    }


def test_elements_without_authority_come_first_then_those_that_nobody_reads():
    rows = [
        row("d"),
        row("c", status=inventory.NO_PURPOSE),
        row("b", purpose=""),
        row("a", legal_citation="", collection="workforce__wage"),
    ]
    assert [each["element"] for each in sorted(rows, key=inventory.rank)] == ["b", "a", "c", "d"]


@pytest.mark.parametrize(
    ("models", "marts", "expected"),
    [
        ([], [], inventory.NO_PURPOSE),
        (["fct_enrollment"], [], inventory.NO_PURPOSE),
        (["int_linkage__key"], [], "maintained"),
        (["row checks"], [], "maintained"),
        (["row key"], [], "maintained"),
        ([], ["mart_institution"], "maintained"),
    ],
)
def test_linkage_checks_and_published_tables_are_use_a_model_on_the_way_is_not(models, marts, expected):
    assert inventory.status("maintained", models, marts) == expected


def test_what_the_register_proposes_or_removes_stays_so():
    assert inventory.status("proposed", [], []) == "proposed" and inventory.status("removed", [], []) == "removed"


def test_a_key_made_from_an_identifier_counts_as_reading_the_identifier():
    lineage = Lineage(
        {
            (
                "indicators",
                "ind_x",
            ): 'select count(distinct w.employer_key) as n from "w"."accepted"."workforce__wage" as w',
            ("marts", "mart_x"): 'select x.n from "w"."indicators"."ind_x" as x',
        }
    )
    collection = schemas.collections()["workforce__wage"]
    models, marts = inventory.readers(lineage, collection, ELEMENTS["employer_account_number"])
    assert "ind_x" in models and marts == ["mart_x"]
    assert inventory.readers(lineage, collection, ELEMENTS["state_fips"]) == ([], [])


@pytest.mark.parametrize(("count", "text"), [(0, "0.0"), (5, "0.1"), (94, "0.9"), (95, "1.0"), (100, "1.0")])
def test_completeness_is_told_in_tenths_halves_up(count, text):
    assert inventory.tenths(count, 100) == text


def deliver(home, rows: int) -> None:
    """One accepted delivery of child-welfare placements with that many rows."""
    columns = dict(schemas.collections()["child_welfare__placement"].accepted_columns())
    frame = pl.DataFrame(
        [{**dict.fromkeys(columns), "school_year": 2026}] * rows,
        schema={name: views.polars_type(kind) for name, kind in columns.items()},
    )
    path = views.accepted_path(home, "child_welfare__placement", "d1")
    path.parent.mkdir(parents=True)
    frame.write_parquet(path)
    home.evidence.mkdir(parents=True)
    line = {"delivery_id": "d1", "file_name": "f", "status": "accepted"}
    pl.DataFrame([{**dict.fromkeys(ledger.LEDGER), **line}], schema=ledger.LEDGER).write_parquet(
        home.evidence / "ledger.parquet"
    )
    counted = {"delivery_id": "d1", "file_name": "f", "collection": "child_welfare__placement", "accepted_count": rows}
    pl.DataFrame(
        [{**dict.fromkeys(ledger.LEDGER_COLLECTION), **counted}], schema=ledger.LEDGER_COLLECTION
    ).write_parquet(home.evidence / "ledger_collection.parquet")


@pytest.mark.parametrize(("rows", "told"), [(99, False), (100, True)])
def test_completeness_of_few_rows_is_left_out(home, rows, told):
    deliver(home, rows)
    filled, years = inventory.completeness(home, "child_welfare__placement", 100)
    assert bool(filled) is told and years == (2026, 2026)


def test_the_page_tells_uses_by_their_titles(home, tmp_path):
    path = tmp_path / "collection_inventory.csv"
    rows = [
        row("sex_code", read_by_models="ind_four_year_graduation;cube_indicator", read_by_marts=inventory.LONG_MART),
        row("surname", status=inventory.NO_PURPOSE),
    ]
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, inventory.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    inventory.inventory_page(home, path, tmp_path / "inventory.html", "r1", "2026-11-20")
    page = (tmp_path / "inventory.html").read_text()
    assert "Four-year graduation rate" in page and "ind_" not in page and "k12__student</" not in page
    assert "Nothing published, no link and no check reads it." in page
