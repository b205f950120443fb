"""A10 on a release: the suppressor, which anyone may read, again on every table of a small block (attack A10).

What belongs here: the surroundings of a block of hidden figures, as the suppressor would see them under a guess, and
what it makes of them. What does not: what follows for a reader (pipelines/disclosure/rerun); other attacks (attack).

A block is what hidden figures are linked by sums and pairs. Around it stand all figures of these sums, which are known.
What the suppressor hides for sums farther off, or after a first look for what is still told, is not seen here: of a
block that it hides for such a reason, no guess explains the pattern, and a second run tells nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from pipelines.disclosure.bands import Bands
from pipelines.disclosure.declare import LEVEL_RANK, Declaration, Nesting, Overlap, Relation
from pipelines.disclosure.decoy import decoys
from pipelines.disclosure.policy import Policy
from pipelines.disclosure.rerun import TABLES, given_away, key_of
from pipelines.disclosure.stranger.figures import ALL, FAMILY, HIDDEN, PLACE, Equations, Figures
from pipelines.disclosure.stranger.rules import Rules
from pipelines.disclosure.suppress import Suppressor
from pipelines.disclosure.table.attack.equations import blocks, every_table

LARGEST = 40  # unknowns of a block that is gone through


@dataclass(frozen=True)
class Again:
    """away: unknowns that a second run gives away; judged: blocks of which it made the pattern; small: blocks that are
    small enough to be gone through."""

    away: list[int]
    judged: int
    small: int


def run_again(seen: Figures, system: Equations, rules: Rules, low: np.ndarray, high: np.ndarray, until: float) -> Again:
    """Second runs of all small blocks, until that time. low, high: proven bounds of the unknowns."""
    away: list[int] = []
    judged = small = 0
    if rules.policy is None:
        return Again(away, judged, small)
    loose = np.flatnonzero(low < high)
    right = system.right - system.matrix @ np.where(low < high, 0, low)
    matrix = system.matrix[:, loose]
    known = _Known(seen, system, low, high)
    for part in sorted(blocks(matrix), key=len):
        if len(part) > LARGEST or time.monotonic() > until:
            break
        at = loose[part]
        columns = matrix[:, part]
        rows = np.flatnonzero(np.diff(columns.indptr))
        inside = columns[rows].tocsr()
        tables = every_table(inside, inside.tocsc(), right[rows], low[at], high[at], TABLES)
        if tables is None:
            continue
        small += 1
        around = _Around(seen, system, rules, known, at)
        if not around.is_known:
            continue
        found = given_away(
            tables, system.kind[at] == "d", around.comes_out, rules.minimum, lambda: time.monotonic() > until
        )
        if found is not None:
            judged += 1
            away += at[found].tolist()
    return Again(away, judged, small)


class _Known:
    """d, n: (figures,) as published or as it follows from the bounds, HIDDEN where open."""

    def __init__(self, seen: Figures, system: Equations, low: np.ndarray, high: np.ndarray):
        self.d, self.n = seen.d.copy(), seen.n.copy()
        for kind, value in (("d", self.d), ("n", self.n)):
            fixed = (system.kind == kind) & (low == high)
            value[system.figure[fixed]] = low[fixed]


class _Around:
    """The figures around one block, and the suppressor on them."""

    def __init__(self, seen: Figures, system: Equations, rules: Rules, known: _Known, at: np.ndarray):
        self.kind, self.policy = system.kind[at], Policy(**rules.policy)
        self.bands = Bands(*(np.array(column, dtype=np.int64) for column in rules.bands))
        inner = np.unique(system.figure[at])
        tie_of = np.repeat(np.arange(len(seen.parent)), np.diff(seen.start))
        mine = np.zeros(len(seen.d), dtype=bool)
        mine[inner] = True
        touches = mine[seen.parent]
        touches[tie_of[mine[seen.member]]] = True
        cells = [inner, seen.parent[touches], seen.member[touches[tie_of]]]
        pairs = [mine[a] | mine[b] for a, b in ((seen.outer, seen.inner), (seen.whole, seen.part))]
        for (a, b), near in zip(((seen.outer, seen.inner), (seen.whole, seen.part)), pairs, strict=True):
            cells += [a[near], b[near]]
        self.figure = np.unique(np.concatenate(cells))
        place = np.full(len(seen.d), -1)
        place[self.figure] = np.arange(len(self.figure))
        self.where = place[system.figure[at]]
        self.d, self.n = known.d[self.figure].copy(), known.n[self.figure].copy()
        self.is_known = not self._open().any()
        frame = seen.rows[self.figure.tolist()]
        self.cells = frame.select(
            "label", "breakdown_code", level_rank=pl.col("organization_level").replace_strict(LEVEL_RANK, default=3)
        )
        self.of_all = _of_all(frame)
        self.shut_d, self.shut_n = seen.d[self.figure] == HIDDEN, seen.n[self.figure] == HIDDEN
        self.banded = frame["rate_low"].is_not_null().to_numpy() | frame["rate_high"].is_not_null().to_numpy()
        site = frame.select(pl.concat_str(PLACE, separator=" ")).to_series().to_numpy()
        self.relation = _relation(seen, touches, tie_of, place, site, pairs[0])
        near, over = pairs
        self.nesting = Nesting(place[seen.outer[near]], place[seen.inner[near]], ~seen.same_d[near])
        self.overlap = Overlap(place[seen.whole[over]], place[seen.part[over]])

    def _open(self) -> np.ndarray:
        """Figures of which something is not known although it belongs to no unknown of the block."""
        d, n = self.d.copy(), self.n.copy()
        d[self.where[self.kind == "d"]] = 0
        n[self.where[self.kind == "n"]] = 0
        return (d == HIDDEN) | (n == HIDDEN)

    def comes_out(self, guess: np.ndarray, run: int) -> bool:
        """Whether the suppressor makes what is published of that guess; every second run with the decoys that fit."""
        d, n = self.d.copy(), self.n.copy()
        for kind, value in (("d", d), ("n", n)):
            value[self.where[self.kind == kind]] = guess[self.kind == kind]
        if (n > d).any():
            return False
        declaration = Declaration(
            self.cells.with_columns(denominator_count=pl.Series(d), numerator_count=pl.Series(n)),
            self.relation,
            self.nesting,
            self.overlap,
            [],
        )
        fits = run % 2 == 0 and self.policy.decoy_share > 0
        policy = replace(self.policy, decoy_share=0.0) if fits else self.policy
        suppressor = Suppressor(declaration, policy, self.bands, key_of(run))
        pattern = suppressor.pattern
        if (pattern.hide_d & ~self.shut_d).any() or (pattern.hide_n & ~self.shut_n & (d > 0)).any():
            return False
        if fits and (pattern.primary_d | pattern.primary_n).any():
            for value, shut, hide in (
                (d, self.shut_d, pattern.hide_d),
                (np.minimum(n, d - n), self.shut_n, pattern.hide_n),
            ):
                hide |= shut & decoys(value, policy.minimum_count, 1.0, np.zeros(len(value)), policy.decoy_reach)
            pattern.hide_n |= pattern.hide_d
            banded = self.bands.band(d, n)
            pattern.band[:] = np.where(pattern.hide_n & ~pattern.hide_d, banded, 0)
        pattern = suppressor.close()
        silent = (d == 0) & pattern.hide_d[self.of_all]
        hide_d = pattern.hide_d | silent
        hide_n = (pattern.hide_n | hide_d) & ((d > 0) | hide_d)
        return bool(
            (hide_d == self.shut_d).all()
            and (hide_n == self.shut_n).all()
            and (((pattern.band != 0) & ~hide_d) == self.banded).all()
        )


def _of_all(frame: pl.DataFrame) -> np.ndarray:
    """Position of the figure of all students beside each, its own where that is not there."""
    own = frame.select(*FAMILY, *PLACE, "breakdown_code").with_row_index("own")
    whole = own.filter(pl.col("breakdown_code") == ALL).select(*FAMILY, *PLACE, whole="own")
    found = own.join(whole, on=[*FAMILY, *PLACE], how="left", maintain_order="left")
    return found.select(pl.coalesce("whole", "own")).to_series().to_numpy()


def _relation(
    seen: Figures, touches: np.ndarray, tie_of: np.ndarray, place: np.ndarray, site: np.ndarray, near: np.ndarray
) -> Relation:
    """The sums around a block, and that nested tables count the same people where they do."""
    parent = place[seen.parent[touches]]
    number = np.cumsum(touches) - 1
    rows = touches[tie_of]
    relation, member = number[tie_of[rows]], place[seen.member[rows]]
    first = np.searchsorted(relation, np.arange(len(parent)))
    kind = np.where(site[member[first]] == site[parent], "group", "level") if len(parent) else np.zeros(0, "U5")
    same = near & seen.same_d
    pairs = int(same.sum())
    none = np.zeros(len(parent) + pairs, dtype=np.int64)
    return Relation(
        np.concatenate([parent, place[seen.outer[same]]]),
        np.concatenate([kind, np.full(pairs, "same")]),
        none,
        none,
        np.concatenate([np.ones(len(parent), dtype=bool), np.zeros(pairs, dtype=bool)]),
        np.concatenate([relation, len(parent) + np.arange(pairs)]),
        np.concatenate([member, place[seen.inner[same]]]),
    )
