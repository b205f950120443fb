"""Waivers of failing checks.

What belongs here: which waivers hold today and which are wrong, each by name.
What does not: what a waived check then means (`gate`). Nothing about disclosure can be waived.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta

from pipelines.registers import active_officers, day, read_seed
from pipelines.settings import Settings

_COLUMNS = (
    "check_id",
    "collection",
    "submitter",
    "reason",
    "effect_on_numbers",
    "entered_by",
    "approved_by",
    "approved_on",
    "meeting",
    "expires_on",
)
_MAY_BE_EMPTY = ("collection", "submitter")  # empty = the waiver does not depend on it
_LONGEST = timedelta(days=366)


@dataclass(frozen=True)
class Waiver:
    """One signed exception: a failing check that may pass until a date."""

    check_id: str
    collection: str
    submitter: str
    reason: str
    effect_on_numbers: str
    entered_by: str
    approved_by: str
    approved_on: str
    meeting: str
    expires_on: str

    def covers(self, check: dict) -> bool:
        """Whether this waiver is about that check result (check id, and collection and submitter where named)."""
        return (
            self.check_id == check["check_id"]
            and self.collection in ("", check["collection"] or "")
            and self.submitter in ("", check["submitter"] or "")
        )

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def load_waivers(settings: Settings, today: date) -> tuple[list[Waiver], list[str]]:
    """Waivers that hold today, and one sentence for each that does not."""
    officers = active_officers(settings, today)
    valid, errors = [], []
    for number, row in enumerate(read_seed(settings, "registers/waiver.csv"), start=2):
        place = f"registers/waiver.csv, line {number} (check {row.get('check_id') or 'without a name'})"
        problem = _problem(row, place, officers, today)
        if problem:
            errors.append(problem)
        else:
            valid.append(Waiver(**{name: row[name].strip() for name in _COLUMNS}))
    return valid, errors


def _problem(row: dict, place: str, officers: set[str], today: date) -> str:
    """What is wrong with one row, as a sentence; '' when nothing is."""
    if None in row or any(row.get(name) is None for name in _COLUMNS):
        return f"{place}: the row does not have {len(_COLUMNS)} columns. It has no effect until it is corrected."
    row = {name: row[name].strip() for name in _COLUMNS}
    for name in _COLUMNS:
        if not row[name] and name not in _MAY_BE_EMPTY:
            return f"{place}: {name} is empty. The waiver has no effect until it is filled in."
    try:
        approved = day(row["approved_on"], place, "approved_on")
        expires = day(row["expires_on"], place, "expires_on")
    except ValueError as error:
        return str(error)
    if row["check_id"].startswith("disclosure."):
        return f"{place}: a disclosure finding cannot be waived."
    if row["approved_by"] not in officers:
        return f"{place}: approved by {row['approved_by']}, who is not an officer in registers/officer.csv today."
    if row["approved_by"] == row["entered_by"]:
        return f"{place}: entered and approved by {row['entered_by']}; another officer must approve it."
    if approved > today:
        return f"{place}: approved on {approved}, which is in the future."
    if expires - approved > _LONGEST:
        return f"{place}: expires on {expires}, more than a year after its approval on {approved}."
    if expires < today:
        return f"{place}: expired on {expires}. Renew it, or remove the row."
    return ""
