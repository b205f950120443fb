"""Attack the official tables of a release with nothing but what is published, and say what gives someone away.

What belongs here: what follows from one release, and from this one beside and joined with all earlier ones. What does
not: how figures and rules are read (figures, rules), and which old figures still hold (joined). Bounds, rank and
programs are those of `p20w attack` for any table.

A finding is a count of 1 to n - 1 that a reader knows, or knows within fewer values than the rules ask, or surely below
n; a sum that leaves so few, or n of whom one may be the reader; a difference between two releases or two nested or
overlapping tables that is about so few.
Every interval is proven; what the time did not suffice to settle is counted as unsettled.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.disclosure.stranger.again import Again, run_again
from pipelines.disclosure.stranger.columns import undeclared
from pipelines.disclosure.stranger.figures import (
    FAMILY,
    FIGURE,
    HIDDEN,
    PLACE,
    UNLIMITED,
    Equations,
    Figures,
    contradictions,
    equations,
    figures,
    read_rows,
)
from pipelines.disclosure.stranger.joined import beside, carried_over, versions
from pipelines.disclosure.stranger.rules import Rules
from pipelines.disclosure.table.attack.equations import blocks, propagate, rows_of
from pipelines.disclosure.table.attack.intervals import Block
from pipelines.disclosure.table.attack.rank import prove, suspects
from pipelines.errors import P20wError
from pipelines.progress import say

LATE = ("insider", "entered", "joined")  # rules of findings that a release of before may hold already
AGAIN = 0.25  # of the time, more, for second runs of the suppressor
SINGLE = 1_500  # unknowns of a block up to which single figures get programs of their own
WORDS = {
    "d": "people of",
    "n": "numerator of",
    "c": "complement of",
    "x": "difference to the table nested in",
    "s": "people counted twice below",
}


@dataclass(frozen=True)
class Finding:
    """One thing that a reader learns. rule: undeclared, contradiction, residual, insider, bounds, difference, revision,
    residual_of_revision, entered, joined or rerun; sentence: its arithmetic (restricted evidence); about: whose."""

    rule: str
    sentence: str
    about: str = ""


@dataclass(frozen=True)
class ReleaseAttack:
    """What was learned of how much: official figures read, of those not told, earlier releases compared, findings,
    unknowns that are no finding so far, but were not shown to be none within the time, and small blocks that a second
    run of the suppressor was tried on and made as they are published. past: what earlier releases together give away
    without this one (as rules asked less, or this attack knew less): nobody can take that back. likely: what those
    second runs tell; likely and not proven, as the reader does not hold the key.
    """

    figures: int
    hidden: int
    compared: int
    findings: list[Finding]
    unsettled: int
    seconds: float
    small: int = 0
    judged: int = 0
    past: tuple[Finding, ...] = ()
    likely: tuple[Finding, ...] = ()

    def as_text(self) -> str:
        """The result for a terminal."""
        lines = [
            f"{self.figures} official figures, {self.hidden} of them not told in full, beside {self.compared} earlier "
            f"versions. Findings: {len(self.findings)}. No finding, but not shown to be none: {self.unsettled}. "
            f"Second runs of the suppressor: {self.small} small blocks, {self.judged} of them made as published, "
            f"{len(self.likely)} figures likely small or known. "
            f"{self.seconds:.1f} s."
        ]
        lines += [f"  {each.rule}: {each.sentence}" for each in self.findings[:10]]
        lines += [f"  {each.rule}: {each.sentence}" for each in self.likely[:10]]
        if self.past:
            lines.append(f"Given away by earlier releases already, whatever this one tells: {len(self.past)}.")
            lines += [f"  {each.rule}: {each.sentence}" for each in self.past[:10]]
        return "\n".join(lines)


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
    found += _told(seen, rules)
    left = _residuals(seen, rules)
    history = list(versions(earlier))
    for old in history:
        left += _revision(seen, beside(seen, old), rules)
    unsettled, likely, again = 0, [], Again([], 0, 0)
    try:
        alone = _solve(seen, rules, began + seconds, AGAIN * seconds)
        again, likely = alone.again, alone.likely
        joined, open_ = _joined(seen, alone, history, rules, began + seconds)
        unsettled = int(open_.sum())
        found += alone.findings
        left += joined
    except P20wError as contradiction:
        found.append(Finding("contradiction", str(contradiction)))
    # What is asked since lately, or needs two releases, earlier ones may have told: nobody can take that back.
    late = [each for each in left if each.rule in LATE]
    already = _already(history, rules, began + seconds) if late else set()
    past = [each for each in late if each.about in already]
    found += [each for each in left if each not in past]
    hidden = int(((seen.d == HIDDEN) | (seen.n == HIDDEN)).sum())
    spent = time.monotonic() - began
    return ReleaseAttack(
        rows.height,
        hidden,
        len(history),
        found,
        unsettled,
        spent,
        again.small,
        again.judged,
        tuple(past),
        tuple(likely),
    )


# --- one release ------------------------------------------------------------------------------------------


def _told(seen: Figures, rules: Rules) -> list[Finding]:
    """Small counts that are simply told, and small differences of figures that are."""
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
    return found + _apart(seen, rules)


def _apart(seen: Figures, rules: Rules) -> list[Finding]:
    """Differences of 1 to n - 1 people between two figures that are both told."""
    label, found = seen.labels(), []
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
                    f"{words} {label[a[at]]} and {label[b[at]]}",
                )
            )
    return found


def _residuals(seen: Figures, rules: Rules) -> list[Finding]:
    """Sums that leave 1 to n people for what they hide, or fewer than n in or out of a numerator."""
    found = []
    loose = seen.loose
    beliefs = replace(seen, parent=loose.parent, start=loose.start, member=loose.member)
    for sums, most in ((seen, {}), (beliefs, loose.most)):
        people, _ = _rest(sums, np.where(seen.d == HIDDEN, 0, seen.d), seen.n != HIDDEN)  # of what N is not told
        somebody = (people > 0) | (seen.d[sums.parent] == HIDDEN)  # of nobody there is nothing to tell
        for name, value, told in _counts(seen):
            rest, hidden = _rest(sums, value, told)
            surplus = most.get(name, np.zeros(len(rest), dtype=np.int64))
            # Of n people one may be the reader: the others are fewer than n. Of a numerator that says nothing.
            enough = rules.minimum + (name == "d")
            few = (hidden > 0) & told[sums.parent] & (surplus != HIDDEN) & (rest + surplus < enough)
            few &= rest >= 1 if name == "d" else somebody
            for tie in np.flatnonzero(few):
                members = sums.member[sums.start[tie] : sums.start[tie + 1]]
                about = " ".join([WORDS[name], *(seen.rows["label"][int(at)] for at in members if not told[at])])
                said = _sum(sums, tie, name, value, told, int(rest[tie]))
                if surplus[tie]:
                    said += f" Or up to {int(surplus[tie])} more, who are counted twice below."
                is_late = rest[tie] + surplus[tie] == rules.minimum
                if is_late:
                    said += " One of them who reads it knows that the others are fewer."
                found.append(Finding("insider" if is_late else "residual", said, about))
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


@dataclass(frozen=True)
class _Solved:
    """What follows from one set of figures: the system, proven bounds of its unknowns, which of them are not settled,
    which are a finding, and these findings; what second runs of the suppressor add to them."""

    system: Equations
    low: np.ndarray
    high: np.ndarray
    unsettled: np.ndarray
    given_away: np.ndarray
    findings: list[Finding]
    again: Again
    likely: list[Finding]


def _solve(seen: Figures, rules: Rules, until: float, longest: float = 0.0) -> _Solved:
    """The findings among the proven intervals of what is hidden, among those that follow from what a reader believes of
    loose sums, and what second runs of the suppressor add within `longest` seconds (none by default). Errors: P20wError
    where the figures contradict each other, whatever he believes."""
    system = equations(seen)
    low, high = system.low.copy(), system.high.copy()
    none = np.zeros(len(low), dtype=bool)
    if not len(low):
        return _Solved(system, low, high, none, none, [], Again([], 0, 0), [])
    try:
        unsettled = _tighten(seen, system, rules, low, high, until)
    except P20wError:
        least = np.full_like(seen.least_d, rules.zeros == "shown")
        if (seen.least_d == least).all():
            raise
        # What was hidden once stays hidden: a place may be empty by now, and its rows no longer say that it is not.
        return _solve(replace(seen, least_d=least), rules, until, longest)
    given_away = _given_away(seen, system, rules, low, high)
    findings = _narrow(seen, system, rules, low, high, given_away)
    again, likely = Again([], 0, 0), []
    if longest > 0:
        again = run_again(seen, system, rules, low, high, time.monotonic() + longest)
        label = seen.labels()
        for at in again.away:
            about = f"{WORDS[system.kind[at]]} {label[system.figure[at]]}"
            likely.append(
                Finding(
                    "rerun",
                    f"{about} lies between {int(low[at])} and {int(high[at])}; "
                    f"where it is {rules.minimum} or more, or another number, the suppressor makes another pattern.",
                    about,
                )
            )
    proven = _Solved(system, low, high, unsettled, given_away, findings, again, likely)
    believed = np.flatnonzero(seen.loose.most["d"] != HIDDEN)
    return (_believing(seen, proven, believed, rules, until) or proven) if len(believed) else proven


def _believing(seen: Figures, proven: _Solved, sums: np.ndarray, rules: Rules, until: float) -> _Solved | None:
    """`proven`, and what follows beyond it where the loose `sums` hold. Places whose sums contradict what is told are
    left out; None where no belief is left that is consistent."""
    for attempt in range(2):
        system = equations(seen, sums)
        more = len(system.low) - len(proven.low)
        low = np.concatenate([proven.low, system.low[len(proven.low) :]])
        high = np.concatenate([proven.high, system.high[len(proven.high) :]])
        try:
            propagate(system.matrix, system.by_column, system.right, low, high)
            near = _beside_surplus(system)
            unsettled = _tighten(seen, system, rules, low, high, until, near)
        except P20wError:
            if attempt == 0:
                sums = _consistent(seen, proven, sums, rules, until)
            continue
        unsettled[: len(proven.low)] |= proven.unsettled
        known = np.concatenate([proven.given_away, np.zeros(more, dtype=bool)])
        which = _given_away(seen, system, rules, low, high)
        findings = proven.findings + _narrow(seen, system, rules, low, high, which & ~known)
        return _Solved(system, low, high, unsettled, which | known, findings, proven.again, proven.likely)
    return None


def _consistent(seen: Figures, proven: _Solved, sums: np.ndarray, rules: Rules, until: float) -> np.ndarray:
    """Those of the loose `sums` whose place, taken by itself, does not contradict what is told."""
    place = seen.rows.select(pl.struct([*FAMILY, *PLACE]).rank("dense")).to_series().to_numpy()
    place = place[seen.loose.parent[sums]]
    kept = []
    for here in np.unique(place):
        if time.monotonic() > until:
            break
        some = sums[place == here]
        system = equations(seen, some)
        low = np.concatenate([proven.low, system.low[len(proven.low) :]])
        high = np.concatenate([proven.high, system.high[len(proven.high) :]])
        try:
            propagate(system.matrix, system.by_column, system.right, low, high)
            kept.append(some)
        except P20wError:
            continue
    return np.concatenate([np.zeros(0, dtype=np.int64), *kept])


def _beside_surplus(system: Equations) -> np.ndarray:
    """Unknowns that a surplus is connected with: what is learned of them may rest on a belief."""
    near = np.zeros(len(system.low), dtype=bool)
    if (system.kind == "s").any():
        for block in blocks(system.matrix):
            near[block] = (system.kind[block] == "s").any()
    return near


def _tighten(
    seen: Figures,
    system: Equations,
    rules: Rules,
    low: np.ndarray,
    high: np.ndarray,
    until: float,
    only: np.ndarray | None = None,
) -> np.ndarray:
    """Bring low and high (in place) as close together as bounds, rank and programs prove, as far as it matters.
    Returns which unknowns are not settled. only: whose blocks are worth a program, all by default."""
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
        if not question.judged(low[at], high[at]).any() or not (only is None or only[at].any()):
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
        return could & (self.kind != "s") & ~((high <= 0) & ((self.kind == "d") | (self.kind == "x")))

    def wanted(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Unknowns that must be seen lower, and those that must be seen higher, to be no finding."""
        judged = self.judged(block.low, block.high)
        spread = judged & (block.most - block.least + 1 < self.rules.interval)
        spread &= block.high - block.low + 1 >= self.rules.interval
        small = judged & (self.kind == "d") & (block.most < self.rules.minimum) & (block.high >= self.rules.minimum)
        return block.open_low() & spread, block.open_high() & (spread | small)


def _given_away(seen: Figures, system: Equations, rules: Rules, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Unknowns that are surely small, or have too few values left, within these bounds. (unknowns,)"""
    judged = _Question(seen, system, rules, np.arange(len(low))).judged(low, high)
    is_d = system.kind == "d"
    nobody = seen.d == 0
    nobody[system.figure[is_d & (high <= 0)]] = True
    judged &= ~(nobody[system.figure] & np.isin(system.kind, ["n", "c"]))
    judged &= ~(is_d & (low <= 0) & _beside_surplus(system))  # nobody at all, or as many as are counted twice
    return judged & ((is_d & (high > 0) & (high < rules.minimum)) | (high - low + 1 < rules.interval))


def _narrow(
    seen: Figures, system: Equations, rules: Rules, low: np.ndarray, high: np.ndarray, which: np.ndarray
) -> list[Finding]:
    """The unknowns that are given away, in words."""
    label, found = seen.labels(), []
    for at in np.flatnonzero(which):
        is_below = system.kind[at] == "d" and high[at] < rules.minimum
        why = f"surely fewer than {rules.minimum}" if is_below else f"fewer than {rules.interval} values are possible"
        about = f"{WORDS[system.kind[at]]} {label[system.figure[at]]}"
        said = _equation(seen, system, int(at), low, high)
        found.append(
            Finding(
                "bounds",
                f"{about} lies between {int(low[at])} and {int(high[at])}: {why}. Most telling: {said}.",
                about,
            )
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


def _revision(seen: Figures, old: tuple[np.ndarray, np.ndarray], rules: Rules) -> list[Finding]:
    """Figures and sums that changed by 1 to n - 1 people since an earlier release, or to which a group came, or from
    which it went, nobody or everybody of whom is in the numerator."""
    label, found = seen.labels(), []
    old_d, old_n = old
    old_counts = {
        "d": (old_d, old_d != HIDDEN),
        "n": (old_n, old_n != HIDDEN),
        "c": (old_d - old_n, old_n != HIDDEN),
    }
    counts = _counts(seen)
    both_d = counts[0][2] & old_counts["d"][1]
    people = np.where(both_d, counts[0][1] - old_d, 0)
    for name, value, told in counts:
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
        known = (hidden > 0) & (not_both == 0) & both[seen.parent]
        few = (np.abs(rest) >= 1) & (np.abs(rest) < rules.minimum)
        for tie in np.flatnonzero(known & few):
            found.append(
                Finding(
                    "residual_of_revision",
                    f"since an earlier release the change of {_sum(seen, tie, name, change, told, int(rest[tie]))}",
                )
            )
        if name == "d":
            continue
        for at in np.flatnonzero(both & both_d & (change == 0) & (np.abs(people) >= rules.minimum)):
            about = f"{WORDS[name]} {label[at]}"
            found.append(
                Finding(
                    "entered",
                    f"{about} was {int(before[at])} and is so still, though there are {int(people[at]):+d} people: "
                    "of those who came or went it is known of each.",
                    about,
                )
            )
        came, _ = _rest(seen, people, told)
        _, not_both = _rest(seen, people, both_d | ~told)
        known &= (not_both == 0) & both_d[seen.parent] & (rest == 0) & (np.abs(came) >= rules.minimum)
        for tie in np.flatnonzero(known):
            said = _sum(seen, tie, name, change, told, 0)
            found.append(
                Finding(
                    "entered", f"{int(came[tie]):+d} people since an earlier release, and the change of {said}", said
                )
            )
    return found


def _joined(
    seen: Figures, alone: _Solved, history: list[pl.DataFrame], rules: Rules, until: float
) -> tuple[list[Finding], np.ndarray]:
    """What follows from this release and earlier ones together and not from this one alone; and the unknowns of this
    release that time did not settle, joined or not.

    Figures that this release hides are taken from earlier ones by the rule of `joined`, the newest first; and what an
    earlier release hid from this one.
    """
    d, n = seen.d, seen.n
    for old in reversed(history):
        old_d, old_n = carried_over(seen, beside(seen, old))
        d, n = np.where(d == HIDDEN, old_d, d), np.where(n == HIDDEN, old_n, n)
    found, unsettled = _learned(seen, alone, d, n, rules, until)
    for old in history:
        was = _told_since(old, seen, rules)
        if was is None:
            continue
        try:
            # What is learned here is of the people of then; of them nothing is counted as not settled.
            found += _learned(was[0], _solve(was[0], rules, until), *was[1], rules, until)[0]
        except P20wError:
            continue  # the figures of then contradict each other
    return found, unsettled


def _already(history: list[pl.DataFrame], rules: Rules, until: float) -> set[str]:
    """What earlier releases, each beside those before it, gave away without this one."""
    found = []
    for number, old in enumerate(history):
        was = figures(old, rules)
        found += _residuals(was, rules) + _apart(was, rules)
        for before in history[:number]:
            found += _revision(was, beside(was, before), rules)
        try:
            alone = _solve(was, rules, until)
        except P20wError:
            continue  # the figures of then contradict each other
        found += alone.findings + _joined(was, alone, history[:number], rules, until)[0]
    return {each.about for each in found}


def _told_since(old: pl.DataFrame, seen: Figures, rules: Rules) -> tuple[Figures, tuple[np.ndarray, np.ndarray]] | None:
    """The figures of an earlier version, and (d, n) with what this release tells of those it hid; None for nothing."""
    told = seen.rows.select(*FIGURE, now_d="denominator_count", now_n="numerator_count")
    hid = old.filter(pl.col("denominator_count").is_null() | pl.col("numerator_count").is_null())
    since = hid.join(told, on=FIGURE, nulls_equal=True).filter(
        (pl.col("denominator_count").is_null() & pl.col("now_d").is_not_null())
        | (pl.col("numerator_count").is_null() & pl.col("now_n").is_not_null())
    )
    if since.is_empty():  # as protection wants it
        return None
    was = figures(old, rules)
    d, n = carried_over(was, beside(was, seen.rows))
    return None if (d == was.d).all() and (n == was.n).all() else (was, (d, n))


def _learned(
    seen: Figures, alone: _Solved, d: np.ndarray, n: np.ndarray, rules: Rules, until: float
) -> tuple[list[Finding], np.ndarray]:
    """What `d` and `n`, in which some figures are told that `seen` hides, give away beyond `alone`; and the unknowns
    that time did not settle. The figures carried over are no findings themselves: they were told."""
    new_d, new_n = (seen.d == HIDDEN) & (d != HIDDEN), (seen.n == HIDDEN) & (n != HIDDEN)
    if not (new_d | new_n).any():
        return [], alone.unsettled
    system = alone.system
    # Whoever carries over what cannot be true notices, and leaves that place alone.
    low, high = alone.low.copy(), alone.high.copy()
    of_d, of_n = system.kind == "d", system.kind == "n"
    carried = (of_d & new_d[system.figure]) | (of_n & new_n[system.figure])
    value = np.where(of_d, d[system.figure], n[system.figure])
    place = seen.rows.select(pl.struct([*FAMILY, *PLACE]).rank("dense")).to_series().to_numpy()[system.figure]
    columns = np.flatnonzero(carried)
    columns = columns[np.argsort(place[columns], kind="stable")]
    for at in np.split(columns, np.flatnonzero(np.diff(place[columns])) + 1):
        least, most = low.copy(), high.copy()
        least[at] = most[at] = value[at]
        try:
            if ((value[at] < low[at]) | (value[at] > high[at])).any():
                raise P20wError("The figures carried over are not possible.")
            propagate(system.matrix, system.by_column, system.right, least, most, rows_of(system.by_column, at))
            low, high = least, most
        except P20wError:
            figure = system.figure[at]
            d, n = d.copy(), n.copy()
            d[figure], n[figure] = seen.d[figure], seen.n[figure]
            carried[at] = False
    new_d, new_n = new_d & (d != HIDDEN), new_n & (n != HIDDEN)
    full = replace(seen, d=d, n=n)
    known = {each.about for each in _residuals(seen, rules) + _apart(seen, rules)}
    found = [each for each in _residuals(full, rules) + _apart(full, rules) if each.about not in known]
    near = np.zeros(len(low), dtype=bool)
    for block in blocks(system.matrix):
        near[block] = carried[block].any()
    unsettled = alone.unsettled.copy()
    try:
        unsettled |= _tighten(full, system, rules, low, high, until, near)
        which = _given_away(full, system, rules, low, high) & ~alone.given_away & ~carried
        which &= ~((system.kind == "c") & new_d[system.figure] & (n != HIDDEN)[system.figure])
        found += _narrow(full, system, rules, low, high, which)
    except P20wError:
        pass  # all together they are not possible: only what single sums say is left
    label = seen.labels()
    told = [f"{WORDS['d']} {label[at]} {int(d[at])}" for at in np.flatnonzero(new_d)]
    told += [f"{WORDS['n']} {label[at]} {int(n[at])}" for at in np.flatnonzero(new_n)]
    return [
        Finding(
            "joined",
            f"{each.sentence} Carried over from another release: "
            f"{'; '.join(line for line in told if line.rpartition(' ')[0].partition(' of ')[2] in each.sentence)}.",
            each.about,
        )
        for each in found
    ], unsettled


def report(attack: ReleaseAttack) -> None:
    """One line for the log of a night; no figure of a cell."""
    say(
        f"attack on the release: {attack.figures} official figures beside {attack.compared} earlier versions, "
        f"{len(attack.findings)} findings, {attack.unsettled} not settled; {attack.judged} small blocks made again"
    )
