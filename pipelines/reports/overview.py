"""The overview of a release: one chart and one table an indicator.

What belongs here: whose figures the overview shows, and which chart. What does not: drawing it (`charts`).
"""

from __future__ import annotations

from pathlib import Path

from pipelines.progress import track
from pipelines.reports import charts, words
from pipelines.reports.page import write
from pipelines.reports.published import Organization, Published, Row
from pipelines.reports.section import MEDIAN, cell, coverage, explained, mark, subject_name

OVERVIEW_YEARS = 6
MOST_DISTRICTS = charts.MOST_SERIES - 1  # beside the state; more, and the overview shows the state alone
MOST_ROWS = 20  # of a table on the overview; the rest is on the pages of organizations
PLURALS = {"district": "districts", "school": "schools", "college or university": "colleges and universities"}


def write_overview(published: Published, site_dir: Path) -> None:
    sections = [overview_section(published, code) for code in track(list(published.titles.indicators), "Charts")]
    state = next((each for each in published.organizations.values() if each.level == "state"), None)
    counts = [
        (title, sum(each.level == level for each in published.organizations.values()))
        for level, title in (("lea", "district"), ("school", "school"), ("institution", "college or university"))
    ]
    write(
        site_dir / "index.html",
        "index.html",
        sections=[section for section in sections if section["rows"]],
        empty=[section["name"] for section in sections if not section["rows"]],
        state=state,
        counts=[f"{number} {title if number == 1 else PLURALS[title]}" for title, number in counts if number],
        **published.stamp,
    )


def overview_section(published: Published, code: str) -> dict:
    """An indicator's chart and its figures: the state and its districts over years, or its subjects."""
    indicator = published.titles.indicators[code]
    kind = indicator["value_kind"]
    years = published.known.get(code, [])[-OVERVIEW_YEARS:]
    every, subjects = overview_series(published, code, years)
    series = every[:MOST_ROWS]
    rows = [
        {"name": name, "cells": [cell(each.get(year), kind, published.policy) for year in years]}
        for name, each in series
    ]
    labels = [words.school_year(year) for year in years]
    level = "institution" if not any(each.figures.get(code) for each in _at(published, "state")) else "state"
    notes: dict[tuple[str, str], None] = {}
    for shown in (shown for row in rows for shown in row["cells"]):
        if shown["why"]:
            notes.setdefault((mark(shown), shown["why"]))
        if shown["amount"]:
            notes.setdefault(("$", MEDIAN))
    return {
        **explained(published, indicator, level, published.open.get(code, [])),
        "coverage": coverage(published, indicator),
        **overview_chart(published, indicator, series, years, subjects),
        "first_column": "What" if subjects else "Where",
        "years": labels,
        "rows": rows,
        "left_out": len(every) - len(series),
        "notes": list(notes),
    }


def overview_series(published: Published, code: str, years: list[int]) -> tuple[list[tuple[str, dict[int, Row]]], bool]:
    """(name, rows by year) of all that the overview could show, in order, and whether these are subjects.

    The state and its districts; subjects in the state; where an indicator has no state figures, its institutions (and
    their subjects), those with a figure to show first.
    """
    places = _at(published, "state")
    if not any(each.figures.get(code) for each in places):
        places = [each for each in _at(published, "institution") if each.figures.get(code)]
    elif len(_at(published, "lea")) <= MOST_DISTRICTS:
        places = places + _at(published, "lea")
    has_subjects = any(key[0] != "all" for each in places for key in each.figures.get(code, ()))
    if has_subjects:
        places = [each for each in places if each.level != "lea"]
    found: dict[str, dict[int, Row]] = {}
    for each in places:
        for (subject, year, breakdown, _), row in each.figures.get(code, {}).items():
            if breakdown != "all" or year not in years:
                continue
            name = each.name
            if has_subjects:
                name = subject_name(published, code, subject)
                name = name if len(places) == 1 else f"{each.name}: {name}"
            found.setdefault(name, {})[year] = row
    if has_subjects:
        kind = published.titles.indicators[code]["value_kind"]
        telling = [name for name in sorted(found) if any(number(row, kind) is not None for row in found[name].values())]
        found = {name: found[name] for name in telling or sorted(found)}
    return list(found.items()), has_subjects


def _at(published: Published, level: str) -> list[Organization]:
    return [each for each in published.organizations.values() if each.level == level]


def overview_chart(
    published: Published, indicator: dict, series: list[tuple[str, dict[int, Row]]], years: list[int], subjects: bool
) -> dict[str, str]:
    """The chart of an overview section: lines over years, or bars of the newest year where there are subjects."""
    kind, name = indicator["value_kind"], indicator["indicator_name"]
    what = "Share" if kind != "count" else "Number of students"
    if subjects or len(series) > charts.MOST_SERIES:
        year = max((y for _, rows in series for y in years if number(rows.get(y), kind) is not None), default=None)
        points = [(label, "", number(rows.get(year), kind)) for label, rows in series]
        points = [point for point in points if point[2] is not None]
        chart_of = f"{what} in {words.school_year(year)}"
        if not points:
            return {"chart": "", "chart_of": ""}
        label = f"{name}. {chart_of}. The figures are in the table below."
        return {"chart": charts.bars(points, label, kind != "count", published.cache), "chart_of": chart_of}
    points = [
        (label, words.school_year(year), number(rows.get(year), kind)) for label, rows in series for year in years
    ]
    drawn = {point[0] for point in points if point[2] is not None}
    points = [point for point in points if point[0] in drawn]
    if not points:
        return {"chart": "", "chart_of": ""}
    chart_of = f"{what} by school year"
    label = f"{name}. {chart_of}. The figures are in the table below."
    return {"chart": charts.trend(points, label, kind != "count", published.cache), "chart_of": chart_of}


def number(row: Row | None, kind: str) -> float | None:
    """The number of a row that is shown as one."""
    if row is None or row["value_status"] != "shown":
        return None
    value = row["numerator_count"] if kind == "count" else row["rate"]
    return None if value is None else float(value)
