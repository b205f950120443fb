"""Rows of the seeds that people keep, as text, which of them are in force, and who may sign.

What belongs here: reading a seed file, its dates, the officers in office. What does not: what a register's rows mean
(the room that it concerns).
"""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

from pipelines.errors import P20wError
from pipelines.settings import Settings


class RegisterError(P20wError):
    """A row of a seed that people keep is malformed; the sentence names file, line and what to correct."""


def read_seed(settings: Settings, relative: str) -> list[dict[str, str]]:
    """Rows of one seed file as text (`registers/waiver.csv`); empty when the file is absent."""
    return read_rows(settings.seeds / relative)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a seed file by its path, as text; empty when the file is absent."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def rows_in_force(path: Path, key: str, as_of: date) -> list[tuple[int, dict[str, str]]]:
    """(line of the file, row) of a policy file, in its order, as it stands on a day: for each value of the column `key`
    all rows of its newest effective_date not after `as_of`. A row without a date always counts; none when the file is
    absent. Errors: RegisterError that names file and line of a date that is none."""
    rows = list(enumerate(read_rows(path), start=2))
    since = [
        day(row["effective_date"], f"{path.name}, line {line}", "effective_date")
        if row.get("effective_date")
        else date.min
        for line, row in rows
    ]
    newest: dict[str, date] = {}
    for (_, row), begins in zip(rows, since, strict=True):
        if begins <= as_of:
            newest[row[key]] = max(begins, newest.get(row[key], date.min))
    return [each for each, begins in zip(rows, since, strict=True) if newest.get(each[1][key]) == begins]


def day(text: str, place: str, column: str) -> date:
    """A date of a row. Errors: RegisterError that names the place (file and line) and the column."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise RegisterError(f"{place}: {column} {text!r} is not a date like 2027-06-15.") from None


def active_officers(settings: Settings, today: date) -> set[str]:
    """Officers of `registers/officer.csv` in office on that day. Errors: RegisterError that names a malformed row."""
    found = set()
    for number, row in enumerate(read_seed(settings, "registers/officer.csv"), start=2):
        place = f"registers/officer.csv, line {number}"
        start = day(row["active_from"], place, "active_from")
        end = day(row["active_until"], place, "active_until") if row["active_until"] else date.max
        if start <= today <= end:
            found.add(row["officer"])
    return found
