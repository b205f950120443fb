"""Rows of the linker's policy files that are in force.

What belongs here: choosing rows by date, and named numbers. What does not: what a row means (candidate.py, model.py,
run.py).
"""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path


def rows_in_force(path: Path, key: str, as_of: date | None = None) -> list[tuple[int, dict[str, str]]]:
    """(line of the file, row) of a policy file, in its order: for each value of the column `key` all rows of its newest
    effective_date not after `as_of` (today, in UTC, in which builds are dated). A row without a date always counts."""
    today = (as_of or datetime.now(UTC).date()).isoformat()
    with path.open(newline="", encoding="utf-8") as handle:
        rows = [(line, row) for line, row in enumerate(csv.DictReader(handle), start=2)]
    newest: dict[str, str] = {}
    for _, row in rows:
        since = row.get("effective_date") or ""
        if since <= today:
            newest[row[key]] = max(since, newest.get(row[key], ""))
    return [(line, row) for line, row in rows if newest.get(row[key]) == (row.get("effective_date") or "")]


def parameters(path: Path, as_of: date | None = None) -> dict[str, float]:
    """The linker's numbers by name (seeds/policy/link_parameter.csv), as they are in force."""
    return {row["parameter"]: float(row["value"]) for _, row in rows_in_force(path, "parameter", as_of)}
