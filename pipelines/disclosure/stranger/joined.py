"""Which figures of an earlier version of the tables a reader takes to hold in another version, though it hides them.

What belongs here: laying two versions side by side, and the values that a reader carries over. What does not: what
follows from them (attack); figures that both versions tell, whose change is an attack of its own.

The rule. A sum is unchanged between two versions where both tell its total, both tell the same, and so they do of every
member that both tell. Of an unchanged sum a reader takes the people to be the same, so what one version told of a
member that the other hides is its value there too. Of numerators the same holds where the sum is unchanged in people
and in numerators. He may be wrong: two students may have changed places. Where what he carries over cannot be true
beside all else that is told, he notices and leaves that place alone; where it can, he is about right.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.disclosure.stranger.figures import FAMILY, FIGURE, HIDDEN, Figures, read_rows


def versions(earlier: Iterable[Path]) -> Iterable[pl.DataFrame]:
    """Official rows of the releases in these folders, in their order; each version of a family's year once."""
    known: pl.DataFrame | None = None
    for folder in earlier:
        rows = read_rows(folder)
        told = rows.select(*FIGURE, "denominator_count", "numerator_count")
        content = told.group_by(FAMILY).agg(content=pl.struct(pl.all()).hash().sum())
        fresh = content if known is None else content.join(known, on=content.columns, how="anti", nulls_equal=True)
        if fresh.is_empty():
            continue
        known = content if known is None else pl.concat([known, fresh])
        yield rows.join(fresh, on=FAMILY, how="semi", nulls_equal=True, maintain_order="left")


def beside(seen: Figures, other: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(d, n) that the rows `other` tell of the figures of `seen`, HIDDEN where they tell nothing. (figures,) each."""
    found = seen.rows.select(FIGURE).join(
        other.select(*FIGURE, d="denominator_count", n="numerator_count"),
        on=FIGURE,
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    d, n = (found[name].fill_null(HIDDEN).cast(pl.Int64).to_numpy() for name in ("d", "n"))
    return d, n


def carried_over(seen: Figures, other: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(d, n) of `seen` with what a reader carries over from `other` (beside), by the rule of the module."""
    other_d, other_n = other
    same_d = _unchanged(seen, seen.d, other_d)
    d = np.where((seen.d == HIDDEN) & _member_of(seen, same_d), other_d, seen.d)
    same_n = same_d & _unchanged(seen, seen.n, other_n)
    n = np.where((seen.n == HIDDEN) & (d != HIDDEN) & _member_of(seen, same_n), other_n, seen.n)
    return d, n


def _unchanged(seen: Figures, value: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which sums are unchanged between the two versions of the values. (ties,)"""
    both = (value != HIDDEN) & (other != HIDDEN)
    differs = both & (value != other)
    number = np.repeat(np.arange(len(seen.parent)), np.diff(seen.start))
    changed = np.bincount(number, weights=differs[seen.member], minlength=len(seen.parent)) > 0
    return both[seen.parent] & ~differs[seen.parent] & ~changed


def _member_of(seen: Figures, ties: np.ndarray) -> np.ndarray:
    """Which figures are members of one of these ties. (figures,)"""
    inside = np.zeros(len(seen.d), dtype=bool)
    inside[seen.member[np.repeat(ties, np.diff(seen.start))]] = True
    return inside
