"""Attack the official tables of a release with nothing but what is published, and say what gives someone away.

What belongs here: what follows from one release, and from this one beside all earlier ones. What does not: how figures
and rules are read (figures, rules). Bounds, rank and programs are those of `p20w attack` for any table.

A finding is a count of 1 to n - 1 that a reader knows, or knows within fewer values than the rules ask, or surely below
n; a sum that leaves so few; a difference between two releases or two nested or overlapping tables that is about so few.
Every interval is proven; what the time did not suffice to settle is counted as unsettled.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.disclosure.stranger.again import Again, run_again
from pipelines.disclosure.stranger.figures import (
    FAMILY,
    FIGURE,
    HIDDEN,
    UNLIMITED,
    Equations,
    Figures,
    contradictions,
    equations,
    figures,
    read_rows,
    undeclared,
)
from pipelines.disclosure.stranger.rules import Rules
from pipelines.disclosure.table.attack.equations import blocks, propagate, rows_of
from pipelines.disclosure.table.attack.intervals import Block
from pipelines.disclosure.table.attack.rank import prove, suspects
from pipelines.errors import P20wError
from pipelines.progress import say

AGAIN = 0.25  # of the time, more, for second runs of the suppressor
SINGLE = 1_500  # unknowns of a block up to which single figures get programs of their own
WORDS = {"d": "people of", "n": "numerator of", "c": "complement of", "x": "difference to the table nested in"}


@dataclass(frozen=True)
class Finding:
    """One thing that a reader learns. rule: undeclared, contradiction, residual, bounds, difference, revision,
    residual_of_revision or rerun; sentence: its arithmetic, which is restricted evidence."""

    rule: str
    sentence: str


@dataclass(frozen=True)
class ReleaseAttack:
    """What was learned of how much: official figures read, of those not told, earlier releases compared, findings,
    unknowns that are no finding so far, but were not shown to be none within the time, and small blocks that a second
    run of the suppressor was tried on and made as they are published."""

    figures: int
    hidden: int
    compared: int
    findings: list[Finding]
    unsettled: int
    seconds: float
    small: int = 0
    judged: int = 0

    def as_text(self) -> str:
        """The result for a terminal."""
        lines = [
            f"{self.figures} official figures, {self.hidden} of them not told in full, beside {self.compared} earlier "
            f"versions. Findings: {len(self.findings)}. No finding, but not shown to be none: {self.unsettled}. "
            f"Second runs of the suppressor: {self.small} small blocks, {self.judged} of them made as published. "
            f"{self.seconds:.1f} s."
        ]
        return "\n".join(lines + [f"  {each.rule}: {each.sentence}" for each in self.findings[:10]])


def attack_release(folder: Path, rules: Rules, earlier: Iterable[Path] = (), seconds: float = 60.0) -> ReleaseAttack:
    """Attack the release (or candidate) in `folder`, joined with the releases in the folders of `earlier`.

    seconds: budget of the programs. Errors: P20wError where a table is absent or has a column that nobody declared.
    """
    began = time.monotonic()
    rows = read_rows(folder)
    found = [Finding("undeclared", sentence) for sentence in undeclared(folder, rules)]
    found += [Finding("contradiction", sentence) for sentence in contradictions(rows)]
    if found or rows.is_empty():
        return ReleaseAttack(rows.height, 0, 0, found, 0, time.monotonic() - began)
    seen = figures(rows, rules)
    found += _told(seen, rules) + _residuals(seen, rules)
    compared = 0
    for old in _versions(seen.rows, earlier):
        found += _revision(seen, old, rules)
        compared += 1
    unsettled, again = 0, Again([], 0, 0)
    try:
        more, unsettled, again = _intervals(seen, rules, began + seconds, AGAIN * seconds)
        found += more
    except P20wError as contradiction:
        found.append(Finding("contradiction", str(contradiction)))
    hidden = int(((seen.d == HIDDEN) | (seen.n == HIDDEN)).sum())
    return ReleaseAttack(
        rows.height, hidden, compared, found, unsettled, time.monotonic() - began, again.small, again.judged
    )


# --- one release ------------------------------------------------------------------------------------------


def _told(seen: Figures, rules: Rules) -> list[Finding]:
    """Small counts that are simply told, and differences of two figures that are both told."""
    label = seen.labels()
    told_n = (seen.n != HIDDEN) & (seen.d > 0)
    found = []
    for name, value, which in (
        ("d", seen.d, (seen.d >= 1) & (seen.d < rules.minimum)),
        ("n", seen.n, told_n & (seen.n < rules.minimum)),
        ("c", seen.d - seen.n, told_n & (seen.d - seen.n < rules.minimum)),
    ):
        found += [
            Finding("bounds", f"{WORDS[name]} {label[at]} is told: {int(value[at])}.") for at in np.flatnonzero(which)
        ]
    for words, a, b, a_value, b_value in (
        ("the numerators of", seen.outer, seen.inner, seen.n, seen.n),
        ("the people of", seen.outer, seen.inner, seen.d, seen.d),
        ("people and numerator of", seen.whole, seen.part, seen.d, seen.n),
    ):
        apart = np.abs(a_value[a] - b_value[b])
        both = (a_value[a] != HIDDEN) & (b_value[b] != HIDDEN)
        for at in np.flatnonzero(both & (apart >= 1) & (apart < rules.minimum)):
            found.append(
                Finding(
                    "difference",
                    f"{words} {label[a[at]]} and {label[b[at]]} differ by {int(apart[at])}: "
                    f"{int(a_value[a[at]])} and {int(b_value[b[at]])}.",
                )
            )
    return found


def _residuals(seen: Figures, rules: Rules) -> list[Finding]:
    """Sums that leave 1 to n - 1 people for what they hide, or fewer than n in or out of a numerator."""
    found = []
    people, _ = _rest(seen, np.where(seen.d == HIDDEN, 0, seen.d), seen.n != HIDDEN)  # of what N is not told
    somebody = (people > 0) | (seen.d[seen.parent] == HIDDEN)  # of nobody there is nothing to tell
    for name, value, told in _counts(seen):
        rest, hidden = _rest(seen, value, told)
        few = (hidden > 0) & told[seen.parent] & (rest < rules.minimum)
        few &= rest >= 1 if name == "d" else somebody
        for tie in np.flatnonzero(few):
            found.append(Finding("residual", _sum(seen, tie, name, value, told, int(rest[tie]))))
    return found


def _counts(seen: Figures) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, values (0 where not told) and whether they are told, of D, N and C."""
    told_d, told_n = seen.d != HIDDEN, seen.n != HIDDEN
    return [
        ("d", np.where(told_d, seen.d, 0), told_d),
        ("n", np.where(told_n, seen.n, 0), told_n),
        ("c", np.where(told_n, seen.d - seen.n, 0), told_n),
    ]


def _rest(seen: Figures, value: np.ndarray, told: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per tie: what the total leaves for the members that are not told, and how many those are."""
    number = np.repeat(np.arange(len(seen.parent)), np.diff(seen.start))
    shown = told[seen.member]
    size = len(seen.parent)
    sums = np.bincount(number, weights=np.where(shown, value[seen.member], 0), minlength=size)
    return value[seen.parent] - sums, np.bincount(number, weights=~shown, minlength=size)


def _sum(seen: Figures, tie: int, name: str, value: np.ndarray, told: np.ndarray, rest: int) -> str:
    label = seen.labels()
    members = seen.member[seen.start[tie] : seen.start[tie + 1]]
    shown = " - ".join(f"{int(value[at])} ({label[at]})" for at in members if told[at] and value[at])
    hidden = "; ".join(label[at] for at in members if not told[at])
    total = int(seen.parent[tie])
    return (
        f"{WORDS[name]} what is hidden: {int(value[total])} ({label[total]})"
        f"{' - ' + shown if shown else ''} = {rest}: {hidden}."
    )


# --- intervals --------------------------------------------------------------------------------------------


def _intervals(seen: Figures, rules: Rules, until: float, longest: float) -> tuple[list[Finding], int, Again]:
    """Findings among the proven intervals of what is hidden, how many unknowns time did not settle, and what second
    runs of the suppressor add within `longest` seconds."""
    system = equations(seen, rules)
    low, high = system.low.copy(), system.high.copy()
    if not len(low):
        return [], 0, Again([], 0, 0)
    unsettled = _tighten(seen, system, rules, low, high, until)
    found = _narrow(seen, system, rules, low, high)
    again = run_again(seen, system, rules, low, high, time.monotonic() + longest)
    label = seen.labels()
    for at in again.away:
        found.append(
            Finding(
                "rerun",
                f"{WORDS[system.kind[at]]} {label[system.figure[at]]} lies between {int(low[at])} and {int(high[at])}; "
                f"where it is {rules.minimum} or more, or another number, the suppressor makes another pattern.",
            )
        )
    return found, int(unsettled.sum()), again


def _tighten(
    seen: Figures, system: Equations, rules: Rules, low: np.ndarray, high: np.ndarray, until: float
) -> np.ndarray:
    """Bring low and high (in place) as close together as bounds, rank and programs prove, as far as it matters.
    Returns which unknowns are not settled."""
    propagate(system.matrix, system.by_column, system.right, low, high)
    open_ = np.flatnonzero(low < high)
    suspect = open_[suspects(system.matrix[:, open_], np.random.default_rng(1))]
    if len(suspect) and prove(system, suspect, low, high):
        propagate(system.matrix, system.by_column, system.right, low, high)
    unsettled = np.zeros(len(low), dtype=bool)
    loose = np.flatnonzero(low < high)
    right = system.right - system.matrix @ np.where(low < high, 0, low)
    matrix = system.matrix[:, loose]
    for part in sorted(blocks(matrix), key=len):
        at = loose[part]
        columns = matrix[:, part]
        rows = np.flatnonzero(np.diff(columns.indptr))
        question = _Question(seen, system, rules, at)
        if not question.judged(low[at], high[at]).any():
            continue
        block = Block(columns[rows], right[rows], low[at], high[at], until)
        block.find_endless()
        if block.find_table():
            block.settle_jointly(question.wanted, np.random.default_rng(len(part)))
            if len(part) <= SINGLE:
                block.settle_singly(question.wanted, whole=False)
                block.settle_singly(question.wanted, whole=True)
        low[at], high[at] = block.low, block.high
        down, up = question.wanted(block)
        unsettled[at] = down | up
    return unsettled


class _Question:
    """What must be seen of the unknowns of one block to show that none of them is a finding."""

    def __init__(self, seen: Figures, system: Equations, rules: Rules, at: np.ndarray):
        self.rules, self.kind = rules, system.kind[at]
        self.shown_d = np.where(seen.d[system.figure[at]] == HIDDEN, UNLIMITED, seen.d[system.figure[at]])

    def judged(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Unknowns that could be about fewer than n people."""
        complement = np.where(self.shown_d < UNLIMITED, self.shown_d - high, 0)
        could = (low < self.rules.minimum) | ((self.kind == "n") & (complement < self.rules.minimum))
        # Of an empty group, or of no difference, there is nothing to tell.
        return could & ~((high <= 0) & ((self.kind == "d") | (self.kind == "x")))

    def wanted(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Unknowns that must be seen lower, and those that must be seen higher, to be no finding."""
        judged = self.judged(block.low, block.high)
        spread = judged & (block.most - block.least + 1 < self.rules.interval)
        spread &= block.high - block.low + 1 >= self.rules.interval
        small = judged & (self.kind == "d") & (block.most < self.rules.minimum) & (block.high >= self.rules.minimum)
        return block.open_low() & spread, block.open_high() & (spread | small)


def _narrow(seen: Figures, system: Equations, rules: Rules, low: np.ndarray, high: np.ndarray) -> list[Finding]:
    every = np.arange(len(low))
    judged = _Question(seen, system, rules, every).judged(low, high)
    is_d = system.kind == "d"
    nobody = np.zeros(len(seen.d), dtype=bool)
    nobody[system.figure[is_d & (high <= 0)]] = True
    judged &= ~(nobody[system.figure] & np.isin(system.kind, ["n", "c"]))
    below = judged & is_d & (high > 0) & (high < rules.minimum)
    narrow = judged & (high - low + 1 < rules.interval) & ~below
    label = seen.labels()
    found = []
    for at in np.flatnonzero(below | narrow):
        why = f"surely fewer than {rules.minimum}" if below[at] else f"fewer than {rules.interval} values are possible"
        name = f"{WORDS[system.kind[at]]} {label[system.figure[at]]}"
        said = _equation(seen, system, int(at), low, high)
        found.append(
            Finding("bounds", f"{name} lies between {int(low[at])} and {int(high[at])}: {why}. Most telling: {said}.")
        )
    return found


def _equation(seen: Figures, system: Equations, at: int, low: np.ndarray, high: np.ndarray) -> str:
    """The sum around an unknown that leaves it least room, in words."""
    label = seen.labels()
    rows = rows_of(system.by_column, np.array([at]))
    if not len(rows):
        return "its own limits"

    def room(row: int) -> int:
        inside = system.matrix.indices[system.matrix.indptr[row] : system.matrix.indptr[row + 1]]
        return int(np.minimum(high[inside] - low[inside], UNLIMITED >> 20).sum())

    row = min((int(each) for each in rows), key=room)
    inside = slice(system.matrix.indptr[row], system.matrix.indptr[row + 1])
    terms = [
        f"{'+' if value > 0 else '-'} {WORDS[system.kind[column]]} {label[system.figure[column]]}"
        for column, value in zip(system.matrix.indices[inside], system.matrix.data[inside], strict=True)
    ]
    return f"{' '.join(terms[:12])}{' ...' if len(terms) > 12 else ''} = {int(system.right[row])}"


# --- beside earlier releases ------------------------------------------------------------------------------


def _versions(rows: pl.DataFrame, earlier: Iterable[Path]) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """(d, n) of the figures as earlier releases told them (HIDDEN where not), each version of a family's year once."""
    known: pl.DataFrame | None = None
    for folder in earlier:
        counts = read_rows(folder).select(*FIGURE, old_d="denominator_count", old_n="numerator_count")
        content = counts.group_by(FAMILY).agg(content=pl.struct(pl.all()).hash().sum())
        fresh = content if known is None else content.join(known, on=content.columns, how="anti", nulls_equal=True)
        if fresh.is_empty():
            continue
        known = content if known is None else pl.concat([known, fresh])
        beside = rows.join(
            counts.join(fresh, on=FAMILY, how="semi", nulls_equal=True),
            on=FIGURE,
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        yield tuple(beside[name].fill_null(HIDDEN).cast(pl.Int64).to_numpy() for name in ("old_d", "old_n"))


def _revision(seen: Figures, old: tuple[np.ndarray, np.ndarray], rules: Rules) -> list[Finding]:
    """Figures and sums that changed by 1 to n - 1 people since an earlier release."""
    label, found = seen.labels(), []
    old_d, old_n = old
    old_counts = {
        "d": (old_d, old_d != HIDDEN),
        "n": (old_n, old_n != HIDDEN),
        "c": (old_d - old_n, old_n != HIDDEN),
    }
    for name, value, told in _counts(seen):
        before, was_told = old_counts[name]
        both = told & was_told
        change = np.where(both, value - before, 0)
        for at in np.flatnonzero((np.abs(change) >= 1) & (np.abs(change) < rules.minimum)):
            found.append(
                Finding(
                    "revision",
                    f"{WORDS[name]} {label[at]} was {int(before[at])} and is {int(value[at])}: "
                    f"{abs(int(change[at]))} came, went or changed.",
                )
            )
        # What the hidden members have together is known in both releases where all else is told in both.
        rest, hidden = _rest(seen, change, told)
        _, not_both = _rest(seen, change, both | ~told)
        few = (np.abs(rest) >= 1) & (np.abs(rest) < rules.minimum)
        for tie in np.flatnonzero((hidden > 0) & (not_both == 0) & both[seen.parent] & few):
            found.append(
                Finding(
                    "residual_of_revision",
                    f"since an earlier release the change of {_sum(seen, tie, name, change, told, int(rest[tie]))}",
                )
            )
    return found


def report(attack: ReleaseAttack) -> None:
    """One line for the log of a night; no figure of a cell."""
    say(
        f"attack on the release: {attack.figures} official figures beside {attack.compared} earlier versions, "
        f"{len(attack.findings)} findings, {attack.unsettled} not settled; {attack.judged} small blocks made again"
    )
