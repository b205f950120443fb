"""Which indicators are told by differential privacy, from which cohort on, and at what price.

What belongs here: reading, dating and checking seeds/policy/private_statistic.csv. What does not: the noise
(mechanism), what is spent (budget), and what is silent for it (instead).

A decision is never taken back: a later row of the same family changes levels, statistics, price or bounds of what is
drawn from then on; what was told once stays told (budget), and so does its first cohort year.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipelines.disclosure.policy import effective_date
from pipelines.errors import P20wError
from pipelines.registers import read_rows

FILE = "policy/private_statistic.csv"
COUNT = "found_count"
# Statistic -> the share of people below it. The count has none.
STATISTICS = {COUNT: None, "earnings_p25": 0.25, "earnings_p50": 0.5, "earnings_p75": 0.75}
# Lowest and highest value that makes sense: outside of them it is a slip of the pen, not a policy.
RANGES = {
    "epsilon": (0.01, 20.0),
    "budget": (0.01, 1000.0),
    "earnings_low": (0, 1_000_000),
    "earnings_high": (1, 10_000_000),
    "first_cohort_year": (1990, 2200),
}
WHOLE = ("earnings_low", "earnings_high", "first_cohort_year")
COLUMNS = ("family", "levels", "statistics", *RANGES, "authority", "effective_date", "reason")


@dataclass(frozen=True)
class Private:
    """One indicator told privately.

    epsilon: of one drawing of one cohort year, over all levels and statistics together; budget: the most that all
    drawings of the family may cost together, over cohort years and revisions. Earnings in nominal dollars a year: a
    percentile is told between low and high.
    """

    family: str
    levels: tuple[str, ...]
    statistics: tuple[str, ...]
    epsilon: float
    budget: float
    earnings_low: int
    earnings_high: int
    first_cohort_year: int


def load_private(seeds: Path, as_of: date) -> dict[str, Private]:
    """Family -> what was decided of it, by the newest row in force on `as_of`; empty where nobody decided it.

    Errors: P20wError naming row and column for what is malformed, also in a row that is not yet in force.
    """
    path = seeds / FILE
    if not path.exists():
        return {}
    levels_of = _earnings_indicators(seeds)
    chosen: dict[str, tuple[date, Private]] = {}
    first: dict[str, int] = {}
    with path.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise P20wError(f"{path.name} lacks the column {', '.join(missing)}. Add it.")
        for number, row in enumerate(reader, start=2):
            where = f"{path.name}, row {number}"
            effective = effective_date(row, where, row["family"])
            decided = _decided(row, where, levels_of)
            if effective > as_of:
                continue
            family = decided.family
            if family in chosen and chosen[family][0] == effective:
                raise P20wError(f"{where}: '{family}' has two rows from {effective}. Keep one.")
            first[family] = min(first.get(family, decided.first_cohort_year), decided.first_cohort_year)
            if family not in chosen or chosen[family][0] < effective:
                chosen[family] = effective, decided
    return {
        family: Private(**{**vars(decided), "first_cohort_year": first[family]})
        for family, (_, decided) in sorted(chosen.items())
    }


def _decided(row: dict[str, str], where: str, levels_of: dict[str, set[str]]) -> Private:
    family = (row["family"] or "").strip()
    if family not in levels_of:
        raise P20wError(
            f"{where}: '{family}' is no perturbed indicator with a median in registers/indicator.csv. Known are "
            f"{', '.join(sorted(levels_of))}."
        )
    levels = _listed(row["levels"], sorted(levels_of[family]), where, "levels")
    statistics = _listed(row["statistics"], list(STATISTICS), where, "statistics")
    if COUNT not in statistics:
        raise P20wError(f"{where}: statistics must hold {COUNT}: by it is decided which places have a row.")
    numbers = {name: _number(row, name, where) for name in RANGES}
    if numbers["budget"] < numbers["epsilon"]:
        raise P20wError(f"{where}: the budget is below the epsilon of one cohort year, so nothing could be drawn.")
    if numbers["earnings_low"] >= numbers["earnings_high"]:
        raise P20wError(f"{where}: earnings_low must be below earnings_high.")
    for name in ("authority", "reason"):
        if not (row[name] or "").strip():
            raise P20wError(f"{where}: {name} is empty. Say who decided this, and why.")
    return Private(family, levels, statistics, **numbers)


def _listed(text: str | None, known: list[str], where: str, name: str) -> tuple[str, ...]:
    """'b;a' -> ('a', 'b') in the order of `known`."""
    found = [part.strip() for part in (text or "").split(";") if part.strip()]
    wrong = sorted(set(found) - set(known))
    if wrong or not found or len(set(found)) < len(found):
        raise P20wError(f"{where}: {name} is '{text}'; it must hold some of {', '.join(known)}, each once.")
    return tuple(each for each in known if each in found)


def _number(row: dict[str, str], name: str, where: str) -> float:
    text = (row[name] or "").strip()
    low, high = RANGES[name]
    try:
        value = int(text) if name in WHOLE else float(text)
    except ValueError:
        wanted = "a whole number" if name in WHOLE else "a number"
        raise P20wError(f"{where}: {name} is '{text}'; it must be {wanted}.") from None
    if not low <= value <= high:  # also what is not a number
        raise P20wError(f"{where}: {name} is {text}; it must lie between {low} and {high}.")
    return value


def _earnings_indicators(seeds: Path) -> dict[str, set[str]]:
    """Indicators with earnings that no official table tells -> their levels."""
    return {
        row["indicator_code"]: set((row.get("levels") or "").split(";"))
        for row in read_rows(seeds / "registers" / "indicator.csv")
        if row.get("value_kind") == "rate_and_median" and row.get("protection") == "perturbed"
    }
