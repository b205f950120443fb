"""The public site of a release: overview, one page an organization, the list of them.

It reads a release's published tables and registers only; what is hidden there is hidden here.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pipelines.progress import track
from pipelines.reports import charts, words
from pipelines.reports.page import copy_style, slug, write
from pipelines.settings import Settings

YEARS = 3
Row = dict[str, object]


@dataclass
class Published:
    """The published rows of a release, found by organization, and the registers that explain them."""

    rows: dict[tuple[str, str], list[Row]]
    indicators: list[dict[str, str]]
    groups: dict[tuple[str, str], tuple[str, int]]
    subjects: dict[tuple[str, str], str]
    release_id: str
    data_as_of: str
    waivers: list[str] = field(default_factory=list)


def build_site(settings: Settings, data_dir: Path, site_dir: Path, gate: dict) -> int:
    """Write the site below `site_dir` from the Parquet files in `data_dir`. Returns the number of pages."""
    published = load(settings, data_dir, gate)
    copy_style(site_dir)
    organizations = {
        key: describe(rows) for key, rows in sorted(published.rows.items()) if key[0] in words.LEVELS and rows
    }
    for key in track(list(organizations), "Organization pages"):
        write_organization(published, organizations, key, site_dir)
    write_list(published, organizations, site_dir)
    write_overview(published, site_dir)
    return len(organizations) + 2


def load(settings: Settings, data_dir: Path, gate: dict) -> Published:
    """Published rows by (organization level, state id)."""
    table = pl.read_parquet(data_dir / "mart_indicator__organization.parquet")
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in table.iter_rows(named=True):
        rows[(row["organization_level"], row["organization_id_state"])].append(row)
    release_id = table["release_id"][0] if table.height and "release_id" in table.columns else "candidate"
    data_as_of = str(table["data_as_of"].max()) if table.height and "data_as_of" in table.columns else "tonight"
    return Published(
        rows=dict(rows),
        indicators=seed(settings, "registers/indicator.csv"),
        groups={
            (row["breakdown_code"], row["group_code"]): (row["group_name"], int(row["sort_order"]))
            for row in seed(settings, "reference/student_group.csv")
        },
        subjects={
            (row["indicator_code"], row["subject_code"]): row["subject_name"]
            for row in seed(settings, "reference/subject.csv")
        },
        release_id=release_id,
        data_as_of=data_as_of,
        waivers=[
            f"{each['reason']} Effect on numbers: {each['effect_on_numbers']} Until {each['expires_on']}."
            for each in gate.get("waivers", [])
        ],
    )


def seed(settings: Settings, name: str) -> list[dict[str, str]]:
    with (settings.seeds / name).open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def describe(rows: list[Row]) -> dict[str, object]:
    """Name, level, ids and page of an organization, from its newest row."""
    row = max(rows, key=lambda each: each["school_year"])
    return {
        "name": row["organization_name"] or row["organization_id_state"],
        "level": row["organization_level"],
        "level_name": words.LEVELS[row["organization_level"]],
        "id_state": row["organization_id_state"],
        "id_nces": row["organization_id_nces"],
        "lea_id_state": row["lea_id_state"],
        "lea_name": row["lea_name"],
        "page": f"organizations/{slug(row['organization_level'], row['organization_id_state'])}.html",
    }


def index(rows: list[Row], code: str) -> dict[tuple, Row]:
    """Rows of one indicator by (subject, cohort year, breakdown, group)."""
    return {
        (row["subject_code"], row["cohort_year"], row["breakdown_code"], row["group_code"]): row
        for row in rows
        if row["indicator_code"] == code
    }


def write_organization(published: Published, organizations: dict, key: tuple[str, str], site_dir: Path) -> None:
    organization = dict(organizations[key])
    lea = ("lea", organization["lea_id_state"])
    organization["lea_page"] = "../" + organizations[lea]["page"] if lea in organizations else None
    state = next((each for each in organizations if each[0] == "state"), None)
    beside = [each for each in (lea, state) if each in organizations and each != key]
    sections = []
    for indicator in published.indicators:
        section = indicator_section(published, organizations, indicator, key, beside)
        if section:
            sections.append(section)
    write(
        site_dir / organization["page"],
        "organization.html",
        root="../",
        organization=organization,
        sections=sections,
        waivers=published.waivers,
        release_id=published.release_id,
        data_as_of=published.data_as_of,
    )


def indicator_section(
    published: Published, organizations: dict, indicator: dict, key: tuple[str, str], beside: list[tuple[str, str]]
) -> dict | None:
    """One indicator of one organization: three years by group (or by subject), beside its district and the state."""
    code, kind = indicator["indicator_code"], indicator["value_kind"]
    own = index(published.rows[key], code)
    if not own:
        return None
    years = sorted({each[1] for each in own})[-YEARS:]
    others = [(organizations[each]["name"], index(published.rows[each], code)) for each in beside]
    by_group = {each[0] for each in own} == {"all"}
    blocks = []
    for name, lines in table_lines(published, code, own, years, by_group):
        body = []
        for line_name, subject, breakdown, group in lines:
            found = [own.get((subject, year, breakdown, group)) for year in years]
            found += [rows.get((subject, years[-1], breakdown, group)) for _, rows in others]
            body.append({"name": line_name, "cells": [cell(row, kind) for row in found]})
        blocks.append({"name": name, "rows": body})
    every_row = [row for row in own.values() if row["cohort_year"] in years]
    return {
        "code": code,
        "name": indicator["indicator_name"],
        "description": indicator["description"],
        "who_is_counted": indicator["who_is_counted"],
        "grain": grain_sentence(indicator, key[0]),
        "protection": indicator["protection"],
        "is_by_group": by_group,
        "years": years,
        "others": [name for name, _ in others],
        "blocks": blocks,
        "bars": bars(kind, organizations[key]["name"], own, others, years[-1]) if by_group else [],
        "notes": notes(every_row),
    }


def table_lines(published: Published, code: str, own: dict, years: list[int], by_group: bool):
    """Blocks of lines: by breakdown and group, or by subject where an indicator has subjects."""
    shown = {each for each in own if each[1] in years}
    if not by_group:
        subjects = sorted({each[0] for each in shown})
        yield "", [(published.subjects.get((code, each), each), each, "all", "all") for each in subjects]
        return
    pairs = {(each[2], each[3]) for each in shown}
    order: dict[str, list[tuple[str, str]]] = {}
    for breakdown, group in published.groups:
        if (breakdown, group) in pairs:
            order.setdefault(breakdown, []).append((breakdown, group))
    for breakdown, members in order.items():
        title = "" if breakdown == "all" else breakdown.replace("_", " ").capitalize()
        yield title, [(published.groups[member][0], "all", *member) for member in members]


def cell(row: Row | None, kind: str) -> dict[str, str]:
    shown = words.value(row, kind)
    return {**shown, "amount": words.amount(row), "people": words.people(row) if kind != "count" else ""}


def bars(kind: str, name: str, own: dict, others: list, year: int) -> list[dict]:
    """Bars of the newest year's rate for all students; empty when the organization's own is hidden."""
    if kind == "count":
        return []
    key = ("all", year, "all", "all")
    result = []
    for label, rows in [(name, own), *others]:
        row = rows.get(key)
        if row is not None and row["value_status"] == "shown" and row["rate"] is not None:
            result.append({"label": label, "text": words.percent(row["rate"]), "width": int(float(row["rate"]) * 340)})
        elif rows is own:
            return []
    return result


def notes(rows: list[Row]) -> list[str]:
    """What the marks in this table mean: only those that stand in it."""
    found = {row["value_status"] for row in rows}
    return [f"{mark}: {sentence}" for status, (mark, sentence) in words.HIDDEN.items() if status in found] + (
        ["≤ and ≥: a range, because the exact share would tell about too few students."] if "banded" in found else []
    )


def grain_sentence(indicator: dict, level: str) -> str:
    """How this level counts people, from the register's attribution."""
    declared = dict(part.split("=") for part in indicator["attribution"].split(";") if "=" in part)
    return {
        "each_school": "Each school counts its own students, so a student may count at several schools.",
        "once_per_level": "Each student counts once here, however many schools they attended.",
    }.get(declared.get(level, ""), "")


def write_list(published: Published, organizations: dict, site_dir: Path) -> None:
    schools: dict[str, list[dict]] = defaultdict(list)
    for organization in organizations.values():
        if organization["level"] == "school":
            schools[organization["lea_id_state"]].append(organization)
    titles = {"state": "State", "lea": "Districts", "institution": "Institutions", "provider": "Providers"}
    groups = []
    for level, title in titles.items():
        entries = [
            {**organization, "schools": schools.pop(organization["id_state"], []) if level == "lea" else []}
            for organization in organizations.values()
            if organization["level"] == level
        ]
        if entries:
            groups.append({"name": title, "entries": sorted(entries, key=lambda each: str(each["name"]))})
    alone = [each for left in schools.values() for each in left]
    if alone:
        groups.append({"name": "Schools", "entries": [{**each, "schools": []} for each in alone]})
    write(
        site_dir / "organizations.html",
        "organizations.html",
        groups=groups,
        release_id=published.release_id,
        data_as_of=published.data_as_of,
    )


def write_overview(published: Published, site_dir: Path) -> None:
    sections = [overview_section(published, indicator) for indicator in track(published.indicators, "Charts")]
    write(
        site_dir / "index.html",
        "index.html",
        sections=sections,
        release_id=published.release_id,
        data_as_of=published.data_as_of,
    )


def overview_section(published: Published, indicator: dict) -> dict:
    """An indicator's chart and its figures: state and districts over years, or subjects in the newest year."""
    code, kind = indicator["indicator_code"], indicator["value_kind"]
    series: dict[str, dict[int, Row]] = defaultdict(dict)
    rows = [
        row
        for (level, _), each in published.rows.items()
        if level in {"state", "lea", "institution"}
        for row in each
        if row["indicator_code"] == code and row["breakdown_code"] == "all"
    ]
    by_subject = {row["subject_code"] for row in rows} - {"all"}
    top = next((level for level in ("state", "lea", "institution") if any(_at(rows, level))), "state")
    for row in rows:
        if by_subject:
            if row["organization_level"] == top:
                name = published.subjects.get((code, row["subject_code"]), row["subject_code"])
                series[name][row["cohort_year"]] = row
        elif row["organization_level"] in {"state", "lea"} or top == "institution":
            series[row["organization_name"]][row["cohort_year"]] = row
    years = sorted({year for each in series.values() for year in each})[-6:]
    body = [
        {"name": name, "cells": [cell(each.get(year), kind) for year in years]} for name, each in sorted(series.items())
    ]
    points = [
        {"year": year, "series": name, "value": point}
        for name, each in sorted(series.items())
        for year in years
        if (point := _number(each.get(year), kind)) is not None
    ]
    chart = ""
    chart_of = "by year: state and districts" if not by_subject else f"newest year, {words.LEVELS[top].lower()}"
    if points:
        frame = pl.DataFrame(points, schema={"year": pl.Int64, "series": pl.String, "value": pl.Float64})
        label = f"{indicator['indicator_name']}, {chart_of}. The figures are in the table below."
        if by_subject:
            newest = frame.filter(pl.col("year") == pl.col("year").max().over("series"))
            chart = charts.bars(newest, label, kind != "count")
        else:
            chart = charts.trend(frame, label, kind != "count")
    return {
        "code": code,
        "name": indicator["indicator_name"],
        "description": indicator["description"],
        "chart": chart,
        "chart_of": chart_of,
        "first_column": "What" if by_subject else "Organization",
        "years": years,
        "rows": body,
    }


def _at(rows: list[Row], level: str):
    return (row for row in rows if row["organization_level"] == level and row["value_status"] == "shown")


def _number(row: Row | None, kind: str) -> float | None:
    if row is None or row["value_status"] != "shown":
        return None
    value = row["numerator_count"] if kind == "count" else row["rate"]
    return None if value is None else float(value)
