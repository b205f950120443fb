"""One page an organization: each indicator for three years by group, beside its district and the state.

What belongs here: which years, groups and organizations stand in which table. What does not: what a value reads like
(`words`) and what an indicator means (`section`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipelines.reports import words
from pipelines.reports.page import write
from pipelines.reports.published import Key, Organization, Published, Row
from pipelines.reports.section import FEW, MEDIAN, cell, coverage, explained, is_rate, mark, subject_name
from pipelines.reports.transitions import links

YEARS = 3


def write_organization(published: Published, organization: Organization, site_dir: Path) -> None:
    lea = published.organizations.get(("lea", organization.lea_id_state))
    state = next((each for each in published.organizations.values() if each.level == "state"), None)
    above = [each for each in (lea, state) if each is not None and each is not organization]
    sections = []
    for code in published.titles.indicators:
        section = indicator_section(published, organization, code, above)
        if section:
            sections.append(section)
    write(
        site_dir / organization.page,
        "organization.html",
        root="../",
        organization=organization,
        level=words.LEVELS[organization.level],
        above=above,
        below=below(published, organization),
        sections=sections,
        flows=links(published, organization),
        glance=[section["glance"] for section in sections if section["glance"]],
        columns=[organization.name, *(each.name for each in above)],
        **published.stamp,
    )


def below(published: Published, organization: Organization) -> dict | None:
    """What belongs to an organization: a district's schools; the state's districts and institutions."""
    every = published.organizations.values()
    if organization.level == "lea":
        members = [each for each in every if each.level == "school" and each.lea_id_state == organization.id_state]
        title = "Schools of this district"
    elif organization.level == "state":
        members, title = [each for each in every if each.level in {"lea", "institution"}], "Districts and institutions"
    else:
        members, title = [], ""
    return {"title": title, "members": members} if members else None


def indicator_section(
    published: Published, organization: Organization, code: str, above: list[Organization]
) -> dict | None:
    """One indicator of one organization: three years by group, beside its district and the state."""
    indicator, own = published.titles.indicators[code], organization.figures.get(code)
    if not own:
        return None
    columns = [own, *(each.figures.get(code, {}) for each in above)]
    years = page_years(published, code, columns)
    open_years = sorted({key[1] for key, row in own.items() if is_open(row)})
    has_figures = [True, *(bool(each) for each in columns[1:])]
    columns = [each for each, there in zip(columns, has_figures, strict=True) if there]
    names = [each.name for each, there in zip([organization, *above], has_figures, strict=True) if there]
    table = Table(published, indicator, columns, years)
    subjects = table.subjects()
    main = table.rows([("", subject, "all", "all") for subject in subjects])
    by_group, hidden_by_group = [], []
    for row, subject in zip(main, subjects, strict=True):
        row["name"] = "All" if subject == "all" else table.subject_name(subject)
        blocks = table.blocks(subject)
        name = "" if subject == "all" else row["name"]
        if any(tells_something(line) for block in blocks for line in block["rows"]):
            by_group.append({"name": name, "blocks": blocks})
        elif blocks:
            hidden_by_group.append(name)
    return {
        **explained(published, indicator, organization.level, open_years),
        "coverage": coverage(published, indicator) if organization.level == "state" else [],
        "years": [words.school_year(year) for year in years],
        "columns": names,
        "first_column": "Students" if subjects == ["all"] else "What",
        "main": main,
        "by_group": by_group,
        "hidden_by_group": hidden_by_group,
        "bars": bars(names, main[0]["cells"], len(years)) if subjects == ["all"] and is_rate(indicator) else [],
        "glance": glance(published, indicator, main[0]["cells"], years, has_figures) if subjects == ["all"] else None,
        "notes": table.notes(),
        "newest": words.school_year(years[-1]) if years else "",
    }


def page_years(published: Published, code: str, columns: list[dict[Key, Row]]) -> list[int]:
    """The newest years that are known anywhere in the release; an organization without any of them has its own last.

    A year of which nothing is known yet in any column is not among them: a sentence tells of it.
    """
    mine = {key[1] for key in columns[0]}
    newest = published.known.get(code, [])[-YEARS:]
    years = newest if mine & set(newest) else sorted(mine & set(published.known.get(code, [])))[-YEARS:]
    told = {key[1] for rows in columns for key, row in rows.items() if not is_open(row)}
    return [year for year in years if year in told]


def is_open(row: Row) -> bool:
    return row["value_status"] == "window_open"


def tells_something(line: dict) -> bool:
    """Whether a row of cells holds a value, or anything that is not hidden."""
    return any(each["status"] in {"shown", "banded"} for each in line["cells"])


class Table:
    """Rows of cells for one indicator: years of the organization, then the same years of its district and state."""

    def __init__(self, published: Published, indicator: dict, columns: list[dict[Key, Row]], years: list[int]):
        self.published, self.indicator, self.columns, self.years = published, indicator, columns, years
        self.seen: dict[tuple[str, str], None] = {}

    def subjects(self) -> list[str]:
        """Subjects with a row of the organization in these years, by name."""
        found = {key[0] for key in self.columns[0] if key[1] in self.years}
        return sorted(found, key=self.subject_name)

    def subject_name(self, subject: str) -> str:
        return subject_name(self.published, self.indicator["indicator_code"], subject)

    def rows(self, lines: Iterable[tuple[str, str, str, str]]) -> list[dict]:
        """A row of cells for each (name, subject, breakdown, group)."""
        return [{"name": name, "cells": self._cells(subject, *group)} for name, subject, *group in lines]

    def blocks(self, subject: str) -> list[dict]:
        """A block a breakdown; groups without anybody in any of the cells are left out."""
        there = {key[2:] for key in self.columns[0] if key[0] == subject and key[1] in self.years}
        blocks: dict[str, list[dict]] = {}
        for breakdown, group in self._ordered(there):
            found = [rows.get((subject, year, breakdown, group)) for rows in self.columns for year in self.years]
            if all(row is None or row["value_status"] == "no_students" for row in found):
                continue
            name = self.published.groups.get((breakdown, group)) or words.sentence_case(group)
            blocks.setdefault(breakdown, []).append({"name": name, "cells": [self._cell(row) for row in found]})
        return [{"name": words.breakdown(code), "rows": rows} for code, rows in blocks.items()]

    def _ordered(self, there: set[tuple[str, str]]) -> list[tuple[str, str]]:
        declared = [pair for pair in self.published.groups if pair in there]
        return [pair for pair in [*declared, *sorted(there - set(declared))] if pair[0] != "all"]

    def _cells(self, subject: str, breakdown: str, group: str) -> list[dict]:
        return [self._cell(rows.get((subject, year, breakdown, group))) for rows in self.columns for year in self.years]

    def _cell(self, row: Row | None) -> dict[str, str]:
        shown = cell(row, self.indicator["value_kind"], self.published.policy)
        if shown["why"]:
            self.seen.setdefault((mark(shown), shown["why"]))
        if shown["amount"]:
            self.seen.setdefault(("$", MEDIAN))
        if shown["people"].endswith(words.FEW):
            self.seen.setdefault((words.FEW, FEW.format(self.published.policy.accountability_minimum)))
        return shown

    def notes(self) -> list[tuple[str, str]]:
        """(mark, sentence) for the marks that stand in this table."""
        order = [each[0] or self.published.policy.marker for each in words.HIDDEN.values()]
        return sorted(self.seen, key=lambda note: order.index(note[0]) if note[0] in order else len(order))


def bars(names: list[str], cells: list[dict], width: int) -> list[dict]:
    """Bars of the newest year, all students; empty when the organization's own value is hidden."""
    found = []
    for number, name in enumerate(names):
        shown = cells[number * width + width - 1] if width else None
        if shown and shown["status"] == "shown":
            found.append({"name": name, "text": shown["text"], "share": float(shown["text"].rstrip("%"))})
        elif number == 0:
            return []
    return found


def glance(
    published: Published, indicator: dict, cells: list[dict], years: list[int], has_figures: list[bool]
) -> dict | None:
    """The newest year of an indicator in one line: the organization, then those above it, in the page's order."""
    if not years:
        return None
    newest = iter(cells[len(years) - 1 :: len(years)])
    empty = cell(None, indicator["value_kind"], published.policy)
    return {
        "code": indicator["indicator_code"],
        "name": indicator["indicator_name"],
        "year": words.school_year(years[-1]),
        "cells": [next(newest) if there else empty for there in has_figures],
    }
