"""How a published value reads on a page, and the plain words for why one is hidden.

What does not belong here: deciding what is hidden (`disclosure/`, `release/`).
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

HIDDEN = {
    "suppressed": ("*", "Not shown, so that no student can be recognized."),
    "window_open": ("…", "Not known yet: the time in which this is counted has not passed for every source."),
    "incomplete": ("†", "Incomplete: a delivery that this number needs is missing or failed its checks."),
    "not_applicable": ("–", "Does not apply, or the source does not hold it."),
    "no_students": ("0 students", "There were no students in this group."),
    "withdrawn": ("‡", "Withdrawn at a revision."),
}
REASONS = {
    "small_group": "the group is too small",
    "complementary": "showing it would give away another, smaller group",
    "band": "the exact share would tell about too few students, so a range is shown",
    "few_employers": "too few employers stand behind it",
    "window_open": "the time in which this is counted has not passed",
}
LEVELS = {"state": "State", "lea": "District", "school": "School", "institution": "Institution", "provider": "Provider"}


def percent(rate: object) -> str:
    """A share 0–1 as a percentage with one decimal, halves up."""
    return f"{(Decimal(str(rate)) * 100).quantize(Decimal('0.1'), ROUND_HALF_UP)}%"


def value(row: dict | None, value_kind: str) -> dict[str, str]:
    """Text, kind and explanation of one published row; a row that is not there reads as nothing published."""
    if row is None:
        return {"text": "–", "status": "absent", "why": "Nothing is published here."}
    status = row["value_status"]
    reason = REASONS.get(row.get("suppression_reason") or "", "")
    if status not in {"shown", "banded"}:
        mark, sentence = HIDDEN.get(status, ("–", status))
        return {"text": mark, "status": status, "why": f"{sentence[:-1]}: {reason}." if reason else sentence}
    if value_kind == "count":
        text = f"{row['numerator_count']:,}" if row["numerator_count"] is not None else "–"
    elif status == "banded":
        text = row["rate_label"]
    elif row["rate"] is not None:
        text = percent(row["rate"])
    elif row["numerator_count"] is not None:
        text = f"{row['numerator_count']:,}"
    else:
        text = "*"
    return {"text": text, "status": status, "why": f"A range: {reason}." if status == "banded" else ""}


def amount(row: dict | None) -> str:
    """The median of a row in dollars, or an empty text."""
    return "" if row is None or row.get("value_amount") is None else f"${row['value_amount']:,}"


def people(row: dict | None) -> str:
    """The number of people behind a row, or an empty text."""
    return "" if row is None or row.get("denominator_count") is None else f"{row['denominator_count']:,}"
