"""The annual data-collection inventory: one row an element of a collection, with law, purpose and who reads it.

The register (`seeds/registers/collection.csv`) says why; the schemas say what; the night's SQL says who reads it.
Elements without authority, purpose or reader come first, because they are what a reviewer must decide on.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import polars as pl

import schemas
from pipelines import planner
from pipelines.disclosure.policy import load_policy
from pipelines.intake import views
from pipelines.registers import read_seed
from pipelines.reports import words
from pipelines.reports.lineage import Lineage
from pipelines.reports.page import write
from pipelines.reports.titles import Titles
from pipelines.settings import Settings
from schemas.elements import ELEMENTS, Element

COLUMNS = [
    "collection", "element", "definition", "ceds_id", "purpose", "benefit", "legal_citation", "mandate",
    "privacy_class", "agreement_id", "first_year", "last_year", "completeness", "retention", "status",
    "read_by_models", "read_by_marts", "limitations", "last_reviewed", "decision",
]  # fmt: skip
LONG_MART = "mart_indicator__organization"
MOST_NAMED = 5  # more indicators than these are counted, not named
COMMON = ("purpose", "benefit", "legal_citation", "mandate", "agreement_id", "retention", "limitations")
NO_PURPOSE = "no current purpose"
OTHER_USES = ("row checks", "row key")


def inventory(settings: Settings, build_id: str) -> list[dict[str, str]]:
    """Rows of the inventory, those to decide on first. Columns as `COLUMNS`, every value text."""
    policy = load_policy(settings.seeds / "policy" / "protection.csv", planner.day_of(build_id))
    register = registered(settings)
    lineage = Lineage.of_night(settings)
    rows: list[dict[str, str]] = []
    for name, collection in sorted(schemas.collections().items()):
        filled, years = completeness(settings, name, policy.report_minimum_rows)
        for field in collection.fields:
            element = ELEMENTS[field.element]
            declared = register.get((name, element.name)) or register.get((name, "*")) or defaultdict(str)
            models, marts = readers(lineage, collection, element)
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
                    "status": status(declared["status"] or "maintained", models, marts),
                    "read_by_models": ";".join(models),
                    "read_by_marts": ";".join(marts),
                    "limitations": declared["limitations"],
                    "last_reviewed": declared["last_reviewed"],
                    "decision": declared["decision"],
                }
            )
    return sorted(rows, key=rank)


def status(declared: str, models: list[str], marts: list[str]) -> str:
    """The register's status, unless nothing that leaves, links or checks reads the element.

    A model on the way that no published table follows from is no purpose.
    """
    serves = bool(marts) or any(model in OTHER_USES or model.startswith("int_linkage__") for model in models)
    return NO_PURPOSE if declared == "maintained" and not serves else declared


def rank(row: dict[str, str]) -> tuple:
    """Order: without authority or purpose, then read by nobody, then all others; by collection and element."""
    without_reason = not row["legal_citation"] or not row["purpose"]
    return (not without_reason, row["status"] != NO_PURPOSE, row["collection"], row["element"])


def needs_decision(row: dict[str, str]) -> bool:
    """An element without authority or purpose in the register, or that nothing reads."""
    return not row["legal_citation"] or not row["purpose"] or row["status"] == NO_PURPOSE


def readers(lineage: Lineage, collection: schemas.Collection, element: Element) -> tuple[list[str], list[str]]:
    """Models and marts that read an element, itself or what intake makes of it: the vault's identifiers, a key, a year.

    Linkage and row checks count as use; telling rows apart (the key of the collection) does too.
    """
    origins = [(collection.name, element.name)]
    if element.identity_field:
        origins.append(("identity_record", element.identity_field))
    if element.name in {"birth_date", "birth_month"}:
        origins.append((collection.name, "birth_year"))
    if element.key_map in {"employer", "provider"}:
        origins.append((collection.name, f"{element.key_map}_key"))
    models, marts = lineage.readers(origins)
    if any(element.name in rule.columns for rule in collection.rules):
        models.append("row checks")
    if element.name in collection.key:
        models.append("row key")
    return models, marts


def registered(settings: Settings) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["collection"], row["element"]): row for row in read_seed(settings, "registers/collection.csv")}


def completeness(settings: Settings, name: str, minimum_rows: int) -> tuple[dict[str, str], tuple[int, int] | None]:
    """Share of accepted rows with a value (0.0 to 1.0 in tenths), by element, and first and last school year.

    In tenths and for `minimum_rows` rows only: an exact share, or one of few rows, would tell about single people.
    Identifiers, which are in the vault, are left empty.
    """
    frame = pl.concat([pl.scan_parquet(path) for path in views.active_files(settings)[name]], how="vertical_relaxed")
    columns = [each for each in frame.collect_schema().names() if each in ELEMENTS]
    summary = frame.select(
        [
            pl.len().alias("#rows"),
            pl.col("school_year").min().alias("#first"),
            pl.col("school_year").max().alias("#last"),
        ]
        + [pl.col(each).count().alias(each) for each in columns]
    ).collect()
    row = summary.row(0, named=True)
    total = row["#rows"]
    years = (row["#first"], row["#last"]) if total and row["#first"] is not None else None
    if total < minimum_rows:
        return {}, years
    return {each: tenths(row[each], total) for each in columns}, years


def tenths(count: int, total: int) -> str:
    """A share as text with one decimal, halves up."""
    return str((Decimal(count) / Decimal(total)).quantize(Decimal("0.1"), ROUND_HALF_UP))


def build_inventory(settings: Settings, build_id: str, out_csv: Path) -> int:
    """Write the inventory as CSV. Returns the number of elements."""
    rows = inventory(settings, build_id)
    out_csv.parent.mkdir(parents=True, exist_ok=True)
    with out_csv.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def inventory_page(settings: Settings, in_csv: Path, out_html: Path, release_id: str, data_as_of: str) -> None:
    """The inventory of a release as a page, from its CSV."""
    with in_csv.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    titles = Titles(settings)
    for row in rows:
        row["title"] = words.sentence_case(row["element"])
        row["privacy"] = words.PRIVACY.get(row["privacy_class"], row["privacy_class"])
        row["uses"] = uses(row, titles)
        row["why"] = why_listed(row)
        row["filled"] = f"{Decimal(row['completeness']) * 100:.0f}%" if row["completeness"] else ""
        row["years"] = span(row)
    write(
        out_html,
        "inventory.html",
        to_decide=by_collection([row for row in rows if needs_decision(row)], titles),
        collections=by_collection(sorted(rows, key=lambda row: row["element"]), titles),
        count=len(rows),
        undecided=sum(needs_decision(row) for row in rows),
        release_id=release_id,
        data_as_of=data_as_of,
    )


def by_collection(rows: list[dict], titles: Titles) -> list[dict]:
    """Rows grouped by collection, with what most of a collection's elements have in common."""
    groups: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        groups[row["collection"]].append(row)
    return [
        {
            "name": name,
            "title": titles.collection(name),
            "rows": groups[name],
            "common": {
                column: Counter(row[column] for row in groups[name]).most_common(1)[0][0]
                for column in (*COMMON, "years", "last_reviewed")
            },
        }
        for name in sorted(groups)
    ]


def uses(row: dict[str, str], titles: Titles) -> list[str]:
    """Who reads an element, in words: indicators, other tables, linkage, checks."""
    models, marts = row["read_by_models"].split(";"), row["read_by_marts"].split(";")
    found = [titles.family(code) for code in titles.indicators if f"ind_{code}" in models]
    if len(found) > MOST_NAMED:
        found = [f"{len(found)} indicators"]
    elif LONG_MART in marts and not found:
        found = ["Student groups of indicators" if "cube_indicator" in models else "Names of organizations"]
    found += [words.table(mart) for mart in marts if mart and mart != LONG_MART]
    if any(model.startswith("int_linkage__") for model in models):
        found.append("Linkage")
    return found + [
        text for use, text in zip(OTHER_USES, ("Row checks", "Telling rows apart"), strict=True) if use in models
    ]


def why_listed(row: dict[str, str]) -> str:
    """Why an element has to be decided on."""
    reasons = [
        text
        for is_so, text in (
            (not row["legal_citation"], "No authority is registered."),
            (not row["purpose"], "No purpose is registered."),
            (row["status"] == NO_PURPOSE, "Nothing published, no link and no check reads it."),
        )
        if is_so
    ]
    return " ".join(reasons)


def span(row: dict[str, str]) -> str:
    if not row["first_year"]:
        return "not delivered"
    first, last = words.school_year(int(row["first_year"])), words.school_year(int(row["last_year"]))
    return first if first == last else f"{first} to {last}"
