"""The release clock: on which dates a candidate becomes a release, and when published years may change.

What belongs here: reading `seeds/registers/release_clock.csv`. What does not: who may publish between dates
(`registers.active_officers`) and what is published (`gate`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pipelines.registers import RegisterError, read_seed
from pipelines.settings import Settings

EVENTS = ("regular", "revision")


@dataclass(frozen=True)
class ClockDate:
    """One row of the register; family '*' is every family."""

    family: str
    event: str
    on: date
    note: str


def clock(settings: Settings) -> list[ClockDate]:
    """All rows of the release clock by date. Errors: RegisterError that names the bad row."""
    rows = []
    for number, row in enumerate(read_seed(settings, "registers/release_clock.csv"), start=2):
        place = f"registers/release_clock.csv, line {number}"
        if row["event"] not in EVENTS:
            raise RegisterError(f"{place}: event {row['event']!r} is not one of {', '.join(EVENTS)}.")
        try:
            on = date.fromisoformat(row["date"])
        except ValueError:
            raise RegisterError(f"{place}: {row['date']!r} is not a date like 2027-06-15.") from None
        rows.append(ClockDate(row["family"] or "*", row["event"], on, row["note"]))
    return sorted(rows, key=lambda row: (row.on, row.family))


def due(settings: Settings, today: date, last_release: date | None) -> bool:
    """Whether a release is due: the first one always, later ones once a clock date has come since the last."""
    if last_release is None:
        return True
    return any(last_release < row.on <= today for row in clock(settings))


def revision_dates(settings: Settings, today: date) -> dict[str, date]:
    """The newest revision date that has come, by family ('*' = all)."""
    return {row.family: row.on for row in clock(settings) if row.event == "revision" and row.on <= today}


def next_date(settings: Settings, today: date) -> date | None:
    """The next date on which a release is due, or None when the register names none."""
    return next((row.on for row in clock(settings) if row.on > today), None)
