"""The attack in its order: single sums, rank, programs by connected block; then the count of what was learned.

What belongs here: which means is spent on which block, the findings' definition, the result's file. What does not: the
means themselves.

An interval is always one that the reader can prove; where it may be wider than the truth, `method` says so:
exact (the integer interval itself), linear (whole numbers or time left something open), bounds (single sums, or
programs over a part of the block only).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.disclosure.table.attack.again import run_again
from pipelines.disclosure.table.attack.arithmetic import explain_cell, explain_residual
from pipelines.disclosure.table.attack.equations import (
    NO_LIMIT,
    System,
    blocks,
    build,
    is_count,
    neighborhood,
    propagate,
)
from pipelines.disclosure.table.attack.intervals import Block
from pipelines.disclosure.table.attack.rank import prove, suspects
from pipelines.disclosure.table.family import (
    HIDDEN,
    LEFT_OUT,
    Table,
    cell_frame,
    check_out,
    describe,
    read_family,
    read_protected,
    write_table,
)
from pipelines.errors import P20wError

EXACT_CELLS = 6_000  # tables up to this get the exact interval of every cell, larger ones of the cells at risk
WHOLE = 400  # cells of a block up to which programs in whole numbers are affordable in a large table
WIDE = 3_000  # cells of a block from which programs over all of it are dear: those around single cells come first
PIECES = 8_000  # cells of such a block that one program changes, the others left as they are
JOINT = 0.9  # of the time that such a block has left, for programs for many of its cells at once
LARGEST_BLOCK = 600_000  # hidden cells of a block up to which one program finds a table of it
REGION = 300  # hidden cells of a program around one cell, in a block too large or out of time
EXPLAINED = 10  # findings whose arithmetic is written out
SECONDS = 600.0
AGAIN = 0.1  # of the time, at most, goes into running the protection again


@dataclass(frozen=True)
class Attack:
    """What was learned. cells: a row per cell of the table: its codes, status, low, high (empty: without end), method.

    exact, below, narrow: numbers of hidden cells known exactly, surely below n, within less than the asked width (a
    cell may count in several); narrow_harmless: of the narrow ones, those surely n or more and not exact. residuals:
    sums whose shown numbers leave 1 to n - 1 for the hidden ones. shown: cells that the table shows although they are
    below n. again: counts that are likely below n, or known, to whoever runs the protection again on every possible
    table; no finding, as it is not proven; None where that tells nothing. unsettled: cells that are no finding so far,
    but of which no tables were found either that show it (large tables only). sentences: arithmetic of the first
    findings; plain: the first of `shown`, in words.
    """

    cells: pl.DataFrame
    minimum: int
    interval: int
    hidden: int
    exact: int
    below: int
    narrow: int
    narrow_harmless: int
    residuals: int
    shown: int
    again: int | None
    unsettled: int
    sentences: list[str]
    plain: list[str]
    block_count: int
    largest_block: int
    by_method: dict[str, int]
    seconds: float
    budget: float

    @property
    def has_finding(self) -> bool:
        """Whether a reader learns what the family forbids."""
        return bool(self.exact or self.below or self.narrow > self.narrow_harmless or self.residuals or self.shown)

    def as_text(self) -> str:
        """The result for a terminal."""
        harmless = f" ({self.narrow_harmless} of them surely {self.minimum} or more, no finding)"
        lines = [
            f"{self.cells.height} cells, {self.hidden} hidden in {self.block_count} connected blocks, the largest of "
            f"{self.largest_block}.",
            f"Known exactly: {self.exact}. Surely below {self.minimum}: {self.below}. Narrower than {self.interval}: "
            f"{self.narrow}{harmless if self.narrow_harmless else ''}.",
            f"Sums that leave 1 to {self.minimum - 1} for their hidden cells: {self.residuals}.",
            f"Shown below the minimum: {self.shown}.",
            "A second run of the protection tells nothing: too many tables are possible, or it made none of them so."
            if self.again is None
            else f"Likely below {self.minimum} (a second run of the protection makes no other possible table so, under "
            f"the keys that were tried): {self.again}.",
            f"No finding, but not shown to be none: {self.unsettled}.",
            f"Intervals: {', '.join(f'{count} {name}' for name, count in self.by_method.items())}. "
            f"{self.seconds:.1f} s of at most {self.budget:g} s of programs.",
        ]
        if self.sentences:
            lines.append("Arithmetic of the first findings:" if self.has_finding else "")
            lines += [f"  {i}. {sentence}" for i, sentence in enumerate(self.sentences, 1)]
        if self.plain:
            lines.append("The first that are shown below the minimum (`p20w protect` hides them from exact counts):")
            lines += [f"  {i}. {sentence}" for i, sentence in enumerate(self.plain, 1)]
        return "\n".join(lines)


def attack_file(table: Path, family: Path, out: Path, seconds: float = SECONDS) -> Attack:
    """Attack a protected CSV or Parquet file and write every cell's interval to `out`, whole or not at all.

    seconds: budget of the programs; what they did not settle says so in `method`. Raises P20wError where the file, the
    family or a column cannot be used, and where no table of whole numbers has the published sums.
    """
    check_out(out, table, family)
    done = attack_table(read_protected(table, read_family(family)), seconds)
    write_table(done.cells, out)
    return done


def attack_table(table: Table, seconds: float = SECONDS) -> Attack:
    """Attack a protected table; the same table gives the same intervals as long as the budget does not run out."""
    began = time.monotonic()
    system = build(table)
    found = _Search(system, began + seconds)
    try:
        found.run()
    except P20wError as contradiction:
        raise P20wError(f"{contradiction} {LEFT_OUT}.") from None
    low, high, n = found.low, found.high, table.family.minimum
    width = table.family.interval
    # Of a numerator or complement it may be known that it is small: that is what a band says.
    exact, below, narrow = low == high, (high < n) & found.is_count, high - low < width
    finding = exact | below | (narrow & (low < n))
    residual_rows = _residuals(system, n)
    plain = _plain(table)
    late = time.monotonic() + AGAIN * seconds
    again = run_again(system, low, high, lambda: time.monotonic() > late)
    order = np.concatenate([np.flatnonzero(each) for each in (exact, below & ~exact, finding & ~exact & ~below)])[
        :EXPLAINED
    ]
    sentences = [explain_cell(system, int(c), int(low[c]), int(high[c])) for c in order]
    sentences += [explain_residual(system, int(r)) for r in residual_rows[: EXPLAINED - len(sentences)]]
    return Attack(
        cells=_frame(system, low, high, found.method),
        minimum=n,
        interval=width,
        hidden=len(low),
        exact=int(exact.sum()),
        below=int(below.sum()),
        narrow=int(narrow.sum()),
        narrow_harmless=int((narrow & ~finding).sum()),
        residuals=len(residual_rows),
        shown=len(plain),
        again=None if again is None else len(again),
        unsettled=int((found.is_open & ~finding).sum()),
        sentences=sentences,
        plain=[_in_words(table, int(cell)) for cell in plain[:EXPLAINED]],
        block_count=found.block_count,
        largest_block=found.largest_block,
        by_method={name: int((found.method == code).sum()) for code, name in enumerate(METHODS)},
        seconds=time.monotonic() - began,
        budget=seconds,
    )


METHODS = ("exact", "linear", "bounds")
EXACT, LINEAR, BOUNDS = range(3)


@dataclass
class _Search:
    """Intervals of all hidden cells as they become known. low, high: proven; method: index into METHODS.

    is_open: no tables were found that show the cell to be no finding.
    """

    system: System
    until: float
    low: np.ndarray = field(init=False)
    high: np.ndarray = field(init=False)
    method: np.ndarray = field(init=False)
    is_open: np.ndarray = field(init=False)
    block_count: int = 0
    largest_block: int = 0

    def __post_init__(self) -> None:
        family = self.system.table.family
        self.n, self.width = family.minimum, family.interval
        self.low, self.high = self.system.least.copy(), self.system.most.copy()
        self.is_count = is_count(self.system.table, self.system.cell)
        self.method = np.full(len(self.low), BOUNDS, dtype=np.int8)
        self.is_open = np.ones(len(self.low), dtype=bool)
        self.is_small = self.system.table.value.size <= EXACT_CELLS

    def run(self) -> None:
        system = self.system
        connected = blocks(system.matrix)
        self.block_count = len(connected)
        self.largest_block = max((len(each) for each in connected), default=0)
        self._propagate()
        if not self.is_small:
            while True:
                loose, matrix, _ = self._loose()
                suspect = loose[suspects(matrix, np.random.default_rng(1))]
                if not len(suspect) or not prove(system, suspect, self.low, self.high):
                    break
                self._propagate()
        loose, matrix, right = self._loose()
        known = self.low == self.high
        self.method[known], self.is_open[known] = EXACT, False
        # Small blocks first: what time is left belongs to the large ones.
        for part in sorted(blocks(matrix), key=len):
            self._attack_block(matrix, right, loose, part)

    def _propagate(self) -> None:
        propagate(self.system.matrix, self.system.by_column, self.system.right, self.low, self.high)

    def _loose(self):
        """Columns that are not known exactly, their matrix and right hand sides. Rows without any are dropped."""
        system, known = self.system, self.low == self.high
        loose = np.flatnonzero(~known)
        right = system.right - system.matrix @ np.where(known, self.low, 0)
        matrix = system.matrix[:, loose]
        self.kept = np.flatnonzero(np.diff(matrix.indptr))
        return loose, matrix[self.kept], right[self.kept]

    def _attack_block(self, matrix, right, loose: np.ndarray, part: np.ndarray) -> None:
        at = loose[part]
        columns = matrix[:, part]
        rows = np.flatnonzero(np.diff(columns.indptr))
        block = Block(columns[rows], right[rows], self.low[at], self.high[at], self.until)
        rng = np.random.default_rng(len(part))
        block.counts = self.is_count[at]
        is_whole = len(part) <= LARGEST_BLOCK
        if is_whole:
            block.find_endless()
            block.find_table()
        if len(part) > WIDE:
            block.until = time.monotonic() + JOINT * max(0.0, self.until - time.monotonic())
        if is_whole and len(part) > WIDE:
            inner = ~self.system.is_top()[self.kept[rows]]
            block.settle_in_pieces(self._undecided, blocks(block.matrix[inner]), PIECES, rng)
        if is_whole:
            block.settle_jointly(self._undecided, rng)  # what counts comes first
        block.until = self.until
        if len(part) > WIDE:
            self._attack_around(block)
        if is_whole:
            block.settle_singly(self._undecided, whole=self.is_small or len(part) <= WHOLE)
        if self.is_small:
            block.settle_jointly(_every_side, rng)
            block.settle_singly(_every_side, whole=True, share=0.1)  # one hard program must not keep all others waiting
            block.settle_singly(_every_side, whole=True)
        self.low[at], self.high[at] = block.low, block.high
        linear = np.where(block.proven_low & (block.proven_high | block.endless), LINEAR, BOUNDS)
        self.method[at] = np.where(block.exact() | (block.low == block.high), EXACT, linear)
        down, up = self._undecided(block)
        self.is_open[at] = down | up

    def _undecided(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Cells for which it is open whether they are a finding, and that must come down or go up to show it."""
        asked = np.where(block.low >= self.n, 1, self.width)
        seen = block.most - block.least
        spread = (seen < asked) & (block.high - block.low >= asked)
        small = (block.most < self.n) & (block.high >= self.n) & block.counts
        # Narrow, and seen only at n or more: a finding unless it is surely that.
        narrow = (block.high - block.low < asked) & (block.low < self.n) & (block.least >= self.n)
        return block.open_low() & (spread | narrow), block.open_high() & (spread | small)

    def _attack_around(self, block: Block) -> None:
        """Bounds of undecided cells from programs around them, the narrowest first, while time is left."""
        down, up = self._undecided(block)
        order = np.argsort(block.high - block.low, kind="stable")
        for cell in order[(down | up)[order]]:
            if block.is_out_of_time():
                return
            rows, columns = neighborhood(block.matrix, block.by_column, int(cell), REGION)
            near = Block(
                block.matrix[rows][:, columns],
                block.right[rows],
                block.low[columns],
                block.high[columns],
                block.until,
            )
            for side in (-1, 1):
                near.bound(int(np.searchsorted(columns, cell)), side)
            block.low[columns], block.high[columns] = near.low, near.high


def _every_side(block: Block) -> tuple[np.ndarray, np.ndarray]:
    return block.open_low(), block.open_high()


def _residuals(system: System, n: int) -> np.ndarray:
    """Rows with a shown total whose hidden parts are 1 to n - 1 people together."""
    if not len(system.right):
        return np.zeros(0, dtype=np.int64)
    total_shown = np.minimum.reduceat(system.matrix.data, system.matrix.indptr[:-1]) > 0
    return np.flatnonzero(total_shown & (system.right >= 1) & (system.right < n))


def _plain(table: Table) -> np.ndarray:
    """Flat cells that are shown below n: counts of 1 or more; numerators and complements of 0 or more beside a shown
    count of somebody, as a share of nobody or of everybody tells of each of them.
    """
    n, value = table.family.minimum, table.value
    small = (value >= 1) & (value < n)
    if table.family.numerator:
        small[..., 1:] |= (value[..., 1:] == 0) & (value[..., :1] > 0)
    return np.flatnonzero(small)


def _in_words(table: Table, cell: int) -> str:
    where = describe(table.dimensions, np.unravel_index(cell, table.value.shape))
    return f"{where}: {table.value.ravel()[cell]} is shown, below {table.family.minimum}"


def _frame(system: System, low: np.ndarray, high: np.ndarray, method: np.ndarray) -> pl.DataFrame:
    """Every cell of the table: its codes, status, interval and the method behind it."""
    value = system.table.value.ravel()
    is_hidden = value == HIDDEN
    least, most, how = value.copy(), value.copy(), np.zeros(len(value), dtype=np.int8)
    least[is_hidden], most[is_hidden], how[is_hidden] = low, high, method
    named = cell_frame(system.table.dimensions).select([each.column for each in system.table.dimensions])
    return named.with_columns(
        status=pl.Series(["shown", "hidden"]).gather(is_hidden.astype(np.int64)),
        low=pl.Series(least),
        high=pl.Series(most).replace(int(NO_LIMIT), None),
        method=pl.Series(METHODS).gather(how.astype(np.int64)),
    )
