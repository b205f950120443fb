"""The annual data-collection inventory: one row an element of a collection, with law, purpose and who reads it.

The register (`seeds/registers/collection.csv`) says why; the schemas say what; the night's SQL says who reads it.
Elements without authority, purpose or reader come first, because they are what a reviewer must decide on.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import polars as pl

import schemas
from pipelines.intake import views
from pipelines.reports.lineage import Lineage
from pipelines.reports.page import write
from pipelines.reports.site import seed
from pipelines.settings import Settings
from schemas.elements import ELEMENTS

COLUMNS = [
    "collection", "element", "definition", "ceds_id", "purpose", "benefit", "legal_citation", "mandate",
    "privacy_class", "agreement_id", "first_year", "last_year", "completeness", "retention", "status",
    "read_by_models", "read_by_marts", "limitations", "last_reviewed", "decision",
]  # fmt: skip
NO_PURPOSE = "no current purpose"


def inventory(settings: Settings) -> list[dict[str, str]]:
    """Rows of the inventory, those to decide on first. `completeness` is a share 0–1 of accepted rows, coarse."""
    register = registered(settings)
    lineage = Lineage.of_night(settings)
    rows = []
    for name, collection in sorted(schemas.collections().items()):
        filled, years = completeness(settings, name)
        for field in collection.fields:
            element = ELEMENTS[field.element]
            declared = register.get((name, element.name)) or register.get((name, "*")) or defaultdict(str)
            models, marts = readers(lineage, collection, element)
            status = declared["status"] or "maintained"
            if status == "maintained" and not models:
                status = NO_PURPOSE
            rows.append(
                {
                    "collection": name,
                    "element": element.name,
                    "definition": element.definition,
                    "ceds_id": element.ceds_id,
                    "purpose": declared["purpose"],
                    "benefit": declared["benefit"],
                    "legal_citation": declared["legal_citation"],
                    "mandate": declared["mandate"],
                    "privacy_class": element.privacy_class,
                    "agreement_id": declared["agreement_id"],
                    "first_year": str(years[0]) if years else "",
                    "last_year": str(years[1]) if years else "",
                    "completeness": filled.get(element.name, ""),
                    "retention": declared["retention"],
                    "status": status,
                    "read_by_models": ";".join(models),
                    "read_by_marts": ";".join(marts),
                    "limitations": declared["limitations"],
                    "last_reviewed": declared["last_reviewed"],
                    "decision": declared["decision"],
                }
            )
    return sorted(rows, key=lambda row: (not needs_decision(row), row["collection"], row["element"]))


def needs_decision(row: dict[str, str]) -> bool:
    """An element without authority or purpose in the register, or that nothing reads."""
    return not row["legal_citation"] or not row["purpose"] or row["status"] == NO_PURPOSE


def readers(lineage: Lineage, collection: schemas.Collection, element) -> tuple[list[str], list[str]]:
    """Models and marts that read an element. Linkage and checks of quality count as use."""
    models, marts = lineage.readers(f"stg_{collection.name}", element.name)
    if element.identity_field or element.key_map in {"employer", "provider"}:
        models = ["linkage", *models]
    if any(element.name in rule.columns for rule in collection.rules) or element.name in collection.key:
        models = [*models, "row checks"]
    return models, marts


def registered(settings: Settings) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["collection"], row["element"]): row for row in seed(settings, "registers/collection.csv")}


def completeness(settings: Settings, name: str) -> tuple[dict[str, str], tuple[int, int] | None]:
    """Share of accepted rows with a value, by element, and first and last school year.

    In steps of a tenth: an exact share of a small collection would tell about single people. Identifiers, which are
    in the vault, are left empty.
    """
    frame = pl.concat([pl.scan_parquet(path) for path in views.active_files(settings)[name]], how="vertical_relaxed")
    columns = [each for each in frame.collect_schema().names() if each in ELEMENTS]
    summary = frame.select(
        [
            pl.len().alias("#rows"),
            pl.col("school_year").min().alias("#first"),
            pl.col("school_year").max().alias("#last"),
        ]
        + [pl.col(each).is_not_null().mean().alias(each) for each in columns]
    ).collect()
    row = summary.row(0, named=True)
    if not row["#rows"]:
        return {}, None
    return {each: f"{round(row[each], 1):.1f}" for each in columns}, (row["#first"], row["#last"])


def build_inventory(settings: Settings, out_csv: Path) -> int:
    """Write the inventory as CSV. Returns the number of elements."""
    rows = inventory(settings)
    out_csv.parent.mkdir(parents=True, exist_ok=True)
    with out_csv.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def inventory_page(in_csv: Path, out_html: Path, release_id: str, data_as_of: str) -> None:
    """The inventory of a release as a page, from its CSV."""
    with in_csv.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    by_collection: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        by_collection[row["collection"]].append(row)
    declared = schemas.collections()
    write(
        out_html,
        "inventory.html",
        to_decide=[row for row in rows if needs_decision(row)],
        collections=[
            {"name": name, "title": declared[name].title, "rows": sorted(each, key=lambda row: row["element"])}
            for name, each in sorted(by_collection.items())
        ],
        count=len(rows),
        release_id=release_id,
        data_as_of=data_as_of,
    )
