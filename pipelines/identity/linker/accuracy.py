"""How right a grouping is, given the truth: pairs, and records (B-cubed).

What belongs here: counting. What does not: anything that uses the truth to link better.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Accuracy:
    """Shares between 0 and 1. Pairs: of all pairs of records. B-cubed (Bagga & Baldwin 1998): averaged over records."""

    precision: float
    recall: float
    f1: float
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f: float


def accuracy(found: pl.Series, truth: pl.Series) -> Accuracy:
    """Compare groups found with true groups, both by record in one order. A record without truth is left out."""
    frame = pl.DataFrame({"found": found, "truth": truth}).drop_nulls("truth")
    both = frame.group_by("found", "truth").len("both")
    each = both.join(frame.group_by("found").len("in_found"), on="found").join(
        frame.group_by("truth").len("in_truth"), on="truth"
    )
    right, linked, linkable = (_pairs(frame, names) for names in (["found", "truth"], ["found"], ["truth"]))
    precision = right / linked if linked else 1.0
    recall = right / linkable if linkable else 1.0
    weight = each["both"].cast(pl.Float64) ** 2 / max(frame.height, 1)
    by_found, by_truth = (weight / each["in_found"]).sum(), (weight / each["in_truth"]).sum()
    return Accuracy(precision, recall, _mean(precision, recall), by_found, by_truth, _mean(by_found, by_truth))


def _pairs(frame: pl.DataFrame, names: list[str]) -> int:
    count = frame.group_by(names).len("n")["n"].cast(pl.Int64)
    return int((count * (count - 1) // 2).sum())


def _mean(first: float, second: float) -> float:
    return 2 * first * second / (first + second) if first + second else 0.0
