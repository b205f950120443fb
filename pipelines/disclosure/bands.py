"""Rate bands: what is said of a rate whose numerator or complement is too small to show.

What belongs here: reading seeds/policy/rate_band.csv and the integer arithmetic of a band.
What does not: the choice of which cells are banded (suppress) and what an attacker makes of one (detect).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from pipelines.disclosure.policy import Policy, effective_date
from pipelines.errors import P20wError

SCALE = 10_000  # shares are kept in hundredths of a percent so that every comparison is one of integers
OPEN_END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Bands:
    """Bands by denominator, ascending and without gaps. Shapes: (bands,). Shares in 1/10,000."""

    first: np.ndarray
    last: np.ndarray
    low_share: np.ndarray
    high_share: np.ndarray

    def limits(self, denominator: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Per denominator (cells,): largest numerator of the low band, smallest of the high band, and both shares.

        A denominator below every band has limits -1 and a number above any: it never falls into a band.
        """
        denominator = np.asarray(denominator, dtype=np.int64)
        index = np.searchsorted(self.first, denominator, side="right") - 1
        known = (index >= 0) & (denominator <= self.last[index])
        low, high = self.low_share[index], self.high_share[index]
        low_most = np.where(known, low * denominator // SCALE, -1)
        high_least = np.where(known, -((-high * denominator) // SCALE), denominator + 1)
        return low_most, high_least, low, high

    def band(self, denominator: np.ndarray, numerator: np.ndarray) -> np.ndarray:
        """-1 where the rate lies in the low band, +1 in the high band, else 0. Shape (cells,), int8."""
        low_most, high_least, _, _ = self.limits(denominator)
        return (np.where(numerator >= high_least, 1, 0) - np.where(numerator <= low_most, 1, 0)).astype(np.int8)


def share_text(share: int) -> str:
    """A share in 1/10,000 as a percentage without trailing zeros: 500 -> '5%', 250 -> '2.5%'."""
    return f"{Decimal(int(share)) / 100:f}".rstrip("0").rstrip(".") + "%" if share % 100 else f"{int(share) // 100}%"


def load_bands(path: Path, policy: Policy, as_of: date) -> Bands:
    """The bands in force on `as_of` (the newest effective_date not after it, whole set).

    Raises ValueError naming file and row when bands overlap, leave a gap, start below or above minimum_count, or are
    so narrow that a numerator inside, or between them, has fewer possible values than interval_width.
    """
    rows: list[tuple[date, int, str, int, int, int]] = []
    with path.open(newline="", encoding="utf-8") as handle:
        for number, row in enumerate(csv.DictReader(handle), start=2):
            where = f"{path.name}, row {number}"
            effective = effective_date(row, where, "rate band")
            if effective > as_of:
                continue
            first = _whole(row, "denominator_low", where)
            last = OPEN_END if not (row["denominator_high"] or "").strip() else _whole(row, "denominator_high", where)
            low, high = _share(row, "low_share", where), _share(row, "high_share", where)
            rows.append((effective, first, where, last, low, high))
    if not rows:
        raise P20wError(f"{path.name}: no rate band is in force on {as_of}. Add the rows.")
    newest = max(row[0] for row in rows)
    chosen = sorted(row for row in rows if row[0] == newest)
    expected = policy.minimum_count
    for _, first, where, last, low, high in chosen:
        if first != expected:
            raise P20wError(
                f"{where}: denominator_low is {first} but must be {expected}: bands start at minimum_count "
                "and follow each other without gap or overlap."
            )
        if last < first or not 0 < low < high < SCALE:
            raise P20wError(
                f"{where}: a band needs denominator_low <= denominator_high and 0 < low_share < high_share < 1."
            )
        values = min(low * first // SCALE, first - -((-high * first) // SCALE)) + 1
        if values < policy.interval_width:
            raise P20wError(
                f"{where}: with {first} people the band leaves {values} possible numerators, fewer than "
                f"interval_width ({policy.interval_width}). Widen the band."
            )
        # What has no band lies between them: that is told too. Beyond this many people there is more room.
        people = np.arange(first, min(last, first + 4 * SCALE // low) + 1, dtype=np.int64)
        between = -((-high * people) // SCALE) - low * people // SCALE - 1
        if ((between > 0) & (between < policy.interval_width)).any():
            narrow = int(people[np.argmax((between > 0) & (between < policy.interval_width))])
            raise P20wError(
                f"{where}: with {narrow} people fewer than interval_width ({policy.interval_width}) numerators lie "
                "between the bands, so that a numerator without a band is nearly told. Move low_share and high_share."
            )
        expected = last + 1 if last != OPEN_END else OPEN_END
    if expected != OPEN_END:
        raise P20wError(f"{path.name}: the last band ends at {expected - 1}. Leave its denominator_high empty.")
    columns = [np.array([row[i] for row in chosen], dtype=np.int64) for i in (1, 3, 4, 5)]
    return Bands(*columns)


def _whole(row: dict[str, str], column: str, where: str) -> int:
    try:
        return int((row[column] or "").strip())
    except ValueError:
        raise P20wError(f"{where}: {column} is '{row[column]}'; it must be a whole number.") from None


def _share(row: dict[str, str], column: str, where: str) -> int:
    try:
        scaled = Decimal((row[column] or "").strip()) * SCALE
    except InvalidOperation:
        raise P20wError(f"{where}: {column} is '{row[column]}'; it must be a share like 0.05.") from None
    if scaled != scaled.to_integral_value():
        raise P20wError(f"{where}: {column} is '{row[column]}'; give at most four decimals.")
    return int(scaled)
