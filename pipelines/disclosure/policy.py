"""The protection parameters that a committee signs, read from seeds/policy/protection.csv.

What belongs here: reading, dating and checking the parameters. What does not: what they do (suppress, detect, dbt).
A parameter that is misspelled, missing or out of range is an error that names it: a typo must never weaken a rule.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

from pipelines.errors import P20wError

ZERO_RULES = ("hideable", "shown")
LONGEST_MARKER = 6


@dataclass(frozen=True)
class Policy:
    """One dated set of parameters. Counts are people, shares are 0 to 1, money is dollars; costs are doublings of the
    people in a cell: how many times larger another cell may be and still be hidden first. marker: what pages show
    instead of a hidden figure. Rules that releases of before do not name have the value that held then."""

    minimum_count: int
    accountability_minimum: int
    interval_width: int
    zero_rule: str
    minimum_employers: int
    top_employer_share: float
    employer_estimate_margin: float
    median_rounding: int
    median_pool: int
    repair_rounds: int
    state_cost: int
    lea_cost: int
    whole_cost: int
    revision_loss_share: float
    decoy_share: float
    marker: str
    decoy_reach: int = 3
    report_minimum_rows: int = 100
    quarantine_low_share: float = 0.005
    quarantine_high_share: float = 0.05
    loss_low_share: float = 0.1
    loss_high_share: float = 0.5


# Lowest and highest value that makes sense: outside of them it is a slip of the pen, not a policy.
RANGES = {
    "minimum_count": (2, 1000),
    "accountability_minimum": (2, 1000),
    "interval_width": (2, 100),
    "minimum_employers": (2, 100),
    "top_employer_share": (0.0, 1.0),
    "employer_estimate_margin": (0.0, 1.0),
    "median_rounding": (1, 100_000),
    "median_pool": (1, 9),
    "repair_rounds": (1, 1000),
    "state_cost": (0, 60),
    "lea_cost": (0, 60),
    "whole_cost": (0, 60),
    "revision_loss_share": (0.0, 1.0),
    "decoy_share": (0.0, 0.5),
    "decoy_reach": (2, 100),
    "report_minimum_rows": (2, 1_000_000),
    "quarantine_low_share": (0.001, 1.0),
    "quarantine_high_share": (0.001, 1.0),
    "loss_low_share": (0.01, 1.0),
    "loss_high_share": (0.01, 1.0),
}


def load_policy(path: Path, as_of: date) -> Policy:
    """The parameters in force on `as_of`: for each, the row with the latest effective_date not after it.

    Raises ValueError naming file, row and parameter for an unknown, missing, malformed or contradictory one.
    """
    kinds = {field.name: field.type for field in fields(Policy)}
    chosen: dict[str, tuple[date, object]] = {}
    with path.open(newline="", encoding="utf-8") as handle:
        for number, row in enumerate(csv.DictReader(handle), start=2):
            name = (row.get("parameter") or "").strip()
            where = f"{path.name}, row {number}"
            if name not in kinds:
                raise P20wError(
                    f"{where}: '{name}' is not a protection parameter. Correct the spelling; "
                    f"known are {', '.join(sorted(kinds))}."
                )
            effective = effective_date(row, where, name)
            value = _value(name, kinds[name], (row.get("value") or "").strip(), where)
            if effective > as_of:
                continue
            if name in chosen and chosen[name][0] == effective:
                raise P20wError(f"{where}: '{name}' has two values from {effective}. Keep one.")
            if name not in chosen or chosen[name][0] < effective:
                chosen[name] = (effective, value)
    missing = sorted(set(kinds) - set(chosen))
    if missing:
        raise P20wError(f"{path.name}: no value in force on {as_of} for {', '.join(missing)}. Add the row.")
    policy = Policy(**{name: value for name, (_, value) in chosen.items()})
    if policy.accountability_minimum < policy.minimum_count:
        raise P20wError(
            f"{path.name}: accountability_minimum ({policy.accountability_minimum}) is below "
            f"minimum_count ({policy.minimum_count}); raise it."
        )
    if policy.interval_width > policy.minimum_count:
        raise P20wError(
            f"{path.name}: interval_width ({policy.interval_width}) is above "
            f"minimum_count ({policy.minimum_count}); no hidden value could reach it."
        )
    if policy.report_minimum_rows < policy.minimum_count:
        raise P20wError(
            f"{path.name}: report_minimum_rows ({policy.report_minimum_rows}) is below "
            f"minimum_count ({policy.minimum_count}); raise it."
        )
    for low, high in (("quarantine_low_share", "quarantine_high_share"), ("loss_low_share", "loss_high_share")):
        if getattr(policy, low) >= getattr(policy, high):
            raise P20wError(f"{path.name}: {low} ({getattr(policy, low)}) is not below {high}; lower it.")
    return policy


def effective_date(row: dict[str, str], where: str, name: str) -> date:
    """The row's effective_date; ValueError naming row and parameter when it is none."""
    text = (row.get("effective_date") or "").strip()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise P20wError(f"{where}: effective_date '{text}' of '{name}' is not a date like 2026-07-01.") from None


def _value(name: str, kind: str, text: str, where: str) -> object:
    if name == "marker":
        if not 1 <= len(text) <= LONGEST_MARKER or text[0].isdigit():
            raise P20wError(
                f"{where}: '{name}' is '{text}'; it must be 1 to {LONGEST_MARKER} signs that do not read as a number."
            )
        return text
    if name == "zero_rule":
        if text not in ZERO_RULES:
            raise P20wError(f"{where}: '{name}' is '{text}'; it must be one of {', '.join(ZERO_RULES)}.")
        return text
    try:
        value = int(text) if kind == "int" else float(text)
    except ValueError:
        wanted = "a whole number" if kind == "int" else "a number"
        raise P20wError(f"{where}: '{name}' is '{text}'; it must be {wanted}.") from None
    low, high = RANGES[name]
    if not low <= value <= high:
        raise P20wError(f"{where}: '{name}' is {text}; it must lie between {low} and {high}.")
    return value
