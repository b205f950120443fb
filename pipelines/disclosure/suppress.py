"""Choose what to hide: primary cells, then partners until no single tie gives a hidden value away.

What belongs here: the pattern of hidden denominators and numerators. What does not: the proof that it holds. That
is detect's, which shares no code with this module; `repair` here only hides more where it was told of a finding.

Rules, with n = minimum_count. Of a tie (parent = members + residual) whose parent is shown, a reader knows the sum
of the hidden members. Therefore, for every tie with anything hidden:
  D: at least two cells hidden (the parent counts), and hidden members together more than n people: one of them who
     reads it knows that his own group is not empty, so of n together he knows that the others are fewer than n. Where
     members are surely not empty (a place is told of only where someone is counted) they have so many more together
     that each of them may have n;
  N: at least two cells whose numerator is not shown, and N and C of them together n or more each, so that neither
     'everyone' nor 'nobody' is told of a small group.
A nested pair is never shown on both sides when the difference is 1 to n-1 people, nor is an overlapping one. Of an
overlap only the D side is ever hidden: that table comes out later, when the other is published already. Where the other
hides its numerator, a D of nearly the same people is hidden too.
What earlier releases told is never told again with a difference of 1 to n-1 people, neither of a cell nor of what the
hidden members of a tie have together, nor so that a group came or went of whom nobody or everybody is in the numerator;
and what was once hidden stays hidden.
Hiding every member of a tie always satisfies it or moves the question to the parent, so the search ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipelines.disclosure.bands import Bands
from pipelines.disclosure.declare import ALL, Declaration
from pipelines.disclosure.decoy import decoys
from pipelines.disclosure.earlier import NOT_TOLD, Earlier, nothing_earlier
from pipelines.disclosure.policy import Policy

# Weights of the cost of hiding one more cell, in units of log2(people). They order choices, they protect nothing.
OPENS_TIE_COST = 2.5  # each tie in which this would be the first hidden cell, and so need a partner of its own
STEP_COST = 2.0  # in a repair, each step between the target and its partner
TOO_SMALL_COST = 4.0  # alone it does not fill the tie up to n, so another would follow
NEAR_EQUAL = 1.0  # costs this close are decided by the secret key
BARRED = 1e6  # hiding would change nothing for the reader


@dataclass
class Pattern:
    """What is hidden, per cell. hide_d implies hide_n. band: -1 low, +1 high, 0 none; only where D is shown.

    primary_d, primary_n, decoy, late say why (restricted evidence: which cells are primary is never published); late:
    the sums did not ask for it, but bounds, intervals or certificates did.
    """

    hide_d: np.ndarray
    hide_n: np.ndarray
    band: np.ndarray
    primary_d: np.ndarray
    primary_n: np.ndarray
    decoy: np.ndarray
    late: np.ndarray


class Suppressor:
    """Pattern of one declaration under one policy. Same cells and secret in, same pattern out, to the byte."""

    def __init__(
        self,
        declaration: Declaration,
        policy: Policy,
        bands: Bands,
        secret: bytes,
        earlier: Earlier | None = None,
    ):
        self.declaration, self.policy = declaration, policy
        self.n_min = policy.minimum_count
        self.d, self.n = declaration.d, declaration.n
        self.c = self.d - self.n
        relation = declaration.relation
        self.parent, self.kind = relation.parent, relation.kind
        self.relation, self.member = relation.relation, relation.member
        self.count = relation.count
        self.in_n = relation.in_numerator
        # Every cell of a tie, members and parent, for the choice of partners.
        self.tie = np.concatenate([self.relation, np.arange(self.count)])
        self.tie_cell = np.concatenate([self.member, self.parent])
        order = np.lexsort((self.tie_cell, self.tie))
        self.tie, self.tie_cell = self.tie[order], self.tie_cell[order]
        self.tie_start = np.searchsorted(self.tie, np.arange(self.count + 1))
        rank = declaration.cells["level_rank"].to_numpy()
        self.base_cost = (
            np.log2(np.where(self.d == 0, self.n_min, self.d) + 2.0)
            + np.array([policy.state_cost, policy.lea_cost, 0, 0], dtype=float)[rank]
            + np.where((declaration.cells["breakdown_code"] == ALL).to_numpy(), policy.whole_cost, 0)
            + NEAR_EQUAL * _draw(declaration.cells["label"].to_list(), secret)
        )
        self.no_zero = hides_no_zero(declaration, policy)
        self.batches = self._batches(rank)
        primary_d = (self.d >= 1) & (self.d < self.n_min)
        primary_n = (self.d > 0) & ((self.n < self.n_min) | (self.c < self.n_min))
        earlier = nothing_earlier(len(self.d)) if earlier is None else earlier
        decoy_d, decoy_n = self._decoys(primary_d | primary_n, earlier, secret)
        self.changes = self._changes(earlier)
        # What an earlier release told, and what did not change, hides nothing and nobody.
        self.known_d, self.known_n = earlier.known(self.d, self.n)
        self.hopeless = np.zeros(self.count, dtype=bool)  # ties of which all is known; the attack judges them
        apart = earlier.apart(self.d, self.n)
        told = (apart >= 1) & (apart < self.n_min)
        for variable, primary in (("d", primary_d), ("n", primary_n), ("c", primary_n)):
            primary[earlier.cell[told & (earlier.variable == variable)]] = True
        primary_n |= earlier.one_sided(self.d, self.n, self.n_min)
        # An empty cell that was hidden once is hidden for good, but asks for no partner: its value gives nobody away.
        self.quiet = earlier.hidden_d & (self.d == 0)
        hide_d = primary_d | earlier.hidden_d | decoy_d
        hide_n = primary_n | earlier.hidden_n | decoy_n | hide_d
        self.pattern = Pattern(
            hide_d=hide_d,
            hide_n=hide_n,
            band=np.where(hide_n & ~hide_d & ~earlier.unbanded, bands.band(self.d, self.n), 0).astype(np.int8),
            primary_d=primary_d,
            primary_n=primary_n,
            decoy=decoy_d | decoy_n,
            late=np.zeros_like(hide_d),
        )

    def _decoys(self, primary: np.ndarray, earlier: Earlier, secret: bytes) -> tuple[np.ndarray, np.ndarray]:
        """Denominators and numerators that are hidden as if they were small, (cells,) each. None where nothing is small
        at all, and none that an earlier release told: its reader has it."""
        if not primary.any():
            return np.zeros_like(primary), np.zeros_like(primary)
        label = self.declaration.cells["label"].to_list()
        share, reach = self.policy.decoy_share, self.policy.decoy_reach
        told_d, told_n = np.zeros_like(primary), np.zeros_like(primary)
        for d, n in earlier.versions:
            told_d, told_n = told_d | (d != NOT_TOLD), told_n | (n != NOT_TOLD)
        smaller = np.minimum(self.n, self.c)
        return (
            decoys(self.d, self.n_min, share, _draw(label, secret + b"decoy d"), reach) & ~told_d,
            decoys(smaller, self.n_min, share, _draw(label, secret + b"decoy n"), reach) & ~told_n,
        )

    def _changes(self, earlier: Earlier) -> list[dict[str, np.ndarray]]:
        """Change of d, n and c of each cell since an earlier version (nan: not told then), for the versions in which
        one is large enough to be told: where none is, sums change by what is hidden, or not at all."""
        found = []
        for (d, n), absent in zip(earlier.versions, earlier.absent, strict=True):
            d, n = (np.where(absent, 0, value) for value in (d, n))
            both = (d != NOT_TOLD) & (n != NOT_TOLD)
            change = {
                "d": np.where(d != NOT_TOLD, self.d - d, np.nan),
                "n": np.where(n != NOT_TOLD, self.n - n, np.nan),
                "c": np.where(both, self.c - (d - n), np.nan),
            }
            if any((np.abs(value[~np.isnan(value)]) >= self.n_min).any() for value in change.values()):
                found.append(change)
        return found

    def _tells_change(self, variable: str, hidden: np.ndarray) -> np.ndarray:
        """Ties whose hidden members together are known to have changed by 1 to n-1 since some version, or not at all in
        a numerator or its rest, though people came or went. (ties,)"""
        told = np.zeros(self.count, dtype=bool)
        for change in self.changes:
            rest = self._rest(change[variable], hidden)
            with np.errstate(invalid="ignore"):
                few = (rest >= 1) & (rest < self.n_min)
                if variable != "d":
                    few |= (rest == 0) & (self._rest(change["d"], hidden) >= self.n_min)
                told |= few & ~hidden[self.parent] & (self._sum(hidden) > 0)
        return told

    def _rest(self, change: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """By how much the hidden members of each tie changed together, as a reader sees it. (ties,) nan: not at all."""
        seen = np.where(hidden, 0, change)  # what is told of both versions; nan: not told then
        return np.abs(seen[self.parent] - self._sum(seen))

    def _batches(self, rank: np.ndarray) -> list[np.ndarray]:
        """Ties that are settled together: same kind, same level of the parent. They hardly share cells."""
        code = {"same": 0, "crossed": 1, "group": 2, "sum": 3, "level": 4}
        key = np.array([code[kind] for kind in self.kind], dtype=np.int64) * 10 + (9 - rank[self.parent])
        return [np.flatnonzero(key == value) for value in np.unique(key)]

    # --- fixpoint -----------------------------------------------------------------------------------------

    def close(self) -> Pattern:
        """Hide partners until every tie and every nested pair satisfies the rules of the module's docstring."""
        while True:
            before = self.pattern.hide_d.sum(), self.pattern.hide_n.sum()
            self._nested()
            self._settle(self._violated_d, self._cost_d, self._hide_d)
            self.pattern.hide_n |= self.pattern.hide_d
            self._settle(self._violated_n, self._cost_n, self._hide_n)
            if before == (self.pattern.hide_d.sum(), self.pattern.hide_n.sum()):
                self.pattern.band[self.pattern.hide_d] = 0
                return self.pattern

    def _settle(self, violated, cost, hide) -> None:
        while True:
            quiet = True
            for batch in self.batches:
                while True:
                    broken = batch[violated(batch) & ~self.hopeless[batch]]
                    if not broken.size:
                        break
                    quiet = False
                    cells, stuck = self._cheapest(broken, cost)
                    hide(cells)
                    if stuck.size:
                        # No numerator left to hide, yet a residual tells one: a denominator must go with it.
                        self._violated_d(stuck)
                        cells, stuck = self._cheapest(stuck, self._cost_d)
                        self._hide_d(cells)
                    if stuck.size and not self.known_d.any():
                        raise RuntimeError("A tie is open although every cell of it is hidden.")
                    self.hopeless[stuck] = True
            if quiet:
                return

    def _cheapest(self, ties: np.ndarray, cost) -> tuple[np.ndarray, np.ndarray]:
        """For each tie the cheapest cell that is still shown: those cells, and the ties that have none."""
        rows = np.zeros(self.count, dtype=bool)
        rows[ties] = True
        entry = np.flatnonzero(rows[self.tie])
        price = cost(entry)
        keep = np.isfinite(price)
        entry, price = entry[keep], price[keep]
        order = np.lexsort((self.tie_cell[entry], price, self.tie[entry]))
        tie = self.tie[entry][order]
        first = np.ones(len(tie), dtype=bool)
        first[1:] = tie[1:] != tie[:-1]
        return np.unique(self.tie_cell[entry][order][first]), np.setdiff1d(ties, tie[first])

    def _sum(self, value: np.ndarray) -> np.ndarray:
        return np.bincount(self.relation, weights=value[self.member], minlength=self.count)

    # --- denominators -------------------------------------------------------------------------------------

    def _violated_d(self, batch: np.ndarray) -> np.ndarray:
        hidden = self.pattern.hide_d & ~self.known_d
        self._hidden_members = self._sum(hidden)
        self._hidden_total = self._sum(hidden * self.d)
        parent = hidden[self.parent]
        self._parent_hidden = parent
        # Each of them that is surely not empty leaves one person less for the others.
        self._least_total = self.n_min + 1 + np.maximum(self._sum(hidden & self.no_zero) - 2, 0)
        small = self._hidden_total < self._least_total
        bad = (self._hidden_members + parent == 1) | (~parent & (self._hidden_members > 0) & small)
        return ((bad & self._asks(hidden)) | self._tells_change("d", hidden))[batch]

    def _asks(self, hidden: np.ndarray) -> np.ndarray:
        """Ties in which something is hidden that must not be known."""
        active = hidden & ~self.quiet
        return (self._sum(active) > 0) | active[self.parent]

    def _cost_d(self, entry: np.ndarray) -> np.ndarray:
        cell, tie = self.tie_cell[entry], self.tie[entry]
        closed = (self._hidden_members + self._parent_hidden) == 0
        opens = np.bincount(self.tie_cell, weights=closed[self.tie], minlength=len(self.d))
        is_parent = cell == self.parent[tie]
        missing = np.where(self._parent_hidden[tie] | is_parent, 0, (self._least_total - self._hidden_total)[tie])
        price = self.base_cost[cell] + OPENS_TIE_COST * opens[cell] + TOO_SMALL_COST * (self.d[cell] < missing)
        # A zero below a shown zero is known anyway, and some zeros are always shown.
        zero = self.d[cell] == 0
        price = price + BARRED * (zero & (self._known_zero() | self.no_zero)[cell])
        price[self.pattern.hide_d[cell] | self.known_d[cell]] = np.inf
        return price

    def _known_zero(self) -> np.ndarray:
        shown_zero = (self.d == 0) & ~self.pattern.hide_d
        known = np.zeros(len(self.d), dtype=bool)
        known[self.member[shown_zero[self.parent[self.relation]]]] = True
        return known

    def _hide_d(self, cells: np.ndarray) -> None:
        self.pattern.hide_d[cells] = True
        self.pattern.hide_n[cells] = True

    # --- numerators ---------------------------------------------------------------------------------------

    def _violated_n(self, batch: np.ndarray) -> np.ndarray:
        hidden = self.pattern.hide_n & ~self.known_n
        self._hidden_members = self._sum(hidden)
        parent = hidden[self.parent]
        self._parent_hidden = parent
        small = (self._sum(hidden * self.n) < self.n_min) | (self._sum(hidden * self.c) < self.n_min)
        bad = (self._hidden_members + parent == 1) | (~parent & (self._hidden_members > 0) & small)
        bad &= self._asks(hidden)
        bad |= self._tells_change("n", hidden) | self._tells_change("c", hidden)
        return (bad & self.in_n)[batch]

    def _cost_n(self, entry: np.ndarray) -> np.ndarray:
        cell = self.tie_cell[entry]
        closed = ((self._hidden_members + self._parent_hidden) == 0) & self.in_n
        opens = np.bincount(self.tie_cell, weights=closed[self.tie], minlength=len(self.d))
        price = self.base_cost[cell] + OPENS_TIE_COST * opens[cell]
        # Where nobody is counted the numerator is known: hiding it hides nothing.
        price[(self.d[cell] == 0) | self.pattern.hide_n[cell] | self.known_n[cell]] = np.inf
        return price

    def _hide_n(self, cells: np.ndarray) -> None:
        self.pattern.hide_n[cells] = True

    # --- nestings -----------------------------------------------------------------------------------------

    def _nested(self) -> None:
        nesting = self.declaration.nesting
        for value, hidden, which in (
            (self.d, self.pattern.hide_d, nesting.in_denominator),
            (self.n, self.pattern.hide_n, np.ones(len(nesting.outer), dtype=bool)),
        ):
            outer, inner = nesting.outer[which], nesting.inner[which]
            difference = value[outer] - value[inner]
            told = (difference >= 1) & (difference < self.n_min)
            for a, b in zip(outer[told], inner[told], strict=True):
                if not hidden[a] and not hidden[b]:
                    chosen = a if (self.base_cost[a], a) < (self.base_cost[b], b) else b
                    hidden[chosen] = True
        overlap, hidden = self.declaration.overlap, self.pattern
        apart = np.abs(self.d[overlap.whole] - self.n[overlap.part])
        # Where they differ by few, both figures together would tell of these few, and one alone what the other hides.
        near = (apart < self.n_min) & ((apart >= 1) | hidden.hide_n[overlap.part])
        self.pattern.hide_d[overlap.whole[near]] = True
        self.pattern.hide_n |= self.pattern.hide_d

    # --- repair -------------------------------------------------------------------------------------------

    def repair(self, targets: Iterable[tuple[str, int]], effort: int, reach: int = 0) -> int:
        """Hide `effort` more cells near each target ('d' or 'n', cell), then close again. How many were hidden more.

        The nearest shown cells come first: those in a tie with the target, then in a tie with its hidden neighbors.
        A numerator with nothing left around it loses its band, then its denominator. A denominator that is itself
        shown (as one side of a difference) is the first to be hidden.
        reach: what this call hid within so many steps of a target counts for that target too. Many findings of one
        cause are often undone by the first repair; those that are not come back in the next round.
        """
        before = self._size()
        touching = self._touching()
        already = self._hidden()
        for variable, cell in targets:
            left = effort - self._helped(cell, already, touching, reach)
            if left <= 0:
                continue
            size = self._size()
            if variable == "n":
                left = self._repair_n(cell, left, touching)
                if left and not self.pattern.hide_d[cell]:
                    self._hide_d(np.array([cell]))
                    left -= 1
            elif not self.pattern.hide_d[cell]:
                self._hide_d(np.array([cell]))
                left -= 1
            if left:
                self._repair_d(cell, left, touching)
            if left and size == self._size():
                # Nothing smaller is left: a figure of the whole state goes.
                self._hide_n(np.array(self._open_numerators(cell, touching, depth=2)[:left], dtype=np.int64))
        self.close()
        return self._size() - before

    def _helped(self, cell: int, already: np.ndarray, touching, reach: int) -> int:
        """How many cells within `reach` steps of `cell` hide more now than `already`."""
        seen, edge = {int(cell)}, {int(cell)}
        for _ in range(reach):
            edge = set().union(*(touching(other, False) for other in edge)) - seen
            seen |= edge
        near = np.fromiter(seen, dtype=np.int64)
        return int((self._hidden()[near] > already[near]).sum())

    def _hidden(self) -> np.ndarray:
        """How much of each cell is hidden: nothing, its numerator, or all of it. Shape (cells,)."""
        return self.pattern.hide_d.astype(np.int8) + self.pattern.hide_n

    def _size(self) -> int:
        """How much is hidden: it only grows."""
        pattern = self.pattern
        return int(pattern.hide_d.sum() + pattern.hide_n.sum() + (pattern.band == 0).sum())

    def _touching(self):
        """Function from a cell to the cells it shares a tie or a nesting with."""
        order = np.argsort(self.tie_cell, kind="stable")
        start = np.searchsorted(self.tie_cell[order], np.arange(len(self.d) + 1))
        nesting = self.declaration.nesting

        def cells(cell: int, numerator: bool) -> set[int]:
            found: set[int] = set()
            for tie in self.tie[order[start[cell] : start[cell + 1]]]:
                if numerator and not self.in_n[tie]:
                    continue
                found.update(self.tie_cell[self.tie_start[tie] : self.tie_start[tie + 1]].tolist())
            found.update(nesting.inner[nesting.outer == cell].tolist())
            found.update(nesting.outer[nesting.inner == cell].tolist())
            found.discard(int(cell))
            return found

        return cells

    def _ring(self, cell: int, numerator: bool, wanted, touching, depth: int = 4) -> list[int]:
        """Cells around `cell` for which `wanted` holds, from the nearest ring that has any and the one behind it.

        Cheapest first, each step away counted: a school's group two steps off is a better partner than the state's
        whole figure beside the target.
        """
        seen, edge = {int(cell)}, {int(cell)}
        price: dict[int, float] = {}
        last = depth
        for step in range(1, depth + 1):
            reached = set().union(*(touching(other, numerator) for other in edge)) - seen if edge else set()
            chosen = [other for other in reached if wanted(other)]
            price.update({other: self.base_cost[other] + STEP_COST * step for other in chosen})
            if any(self.base_cost[other] < self.policy.state_cost for other in chosen):
                last = min(last, step + 1)
            if step == last:
                break
            seen |= reached
            edge = reached
        # What a whole state reads is hidden only where nothing smaller is left.
        small = {other for other in price if self.base_cost[other] < self.policy.state_cost}
        return sorted(small or price, key=lambda other: (price[other], other))

    def _open_numerators(self, cell: int, touching, depth: int) -> list[int]:
        """Cells around `cell` whose numerator is still shown, cheapest first."""
        return self._ring(
            cell,
            True,
            lambda o: not (self.pattern.hide_n[o] or self.known_n[o]) and self.d[o] > 0,
            touching,
            depth=depth,
        )

    def _repair_n(self, cell: int, left: int, touching) -> int:
        pattern = self.pattern
        # Where the numerator hangs on hidden denominators, more of those help sooner than numerators farther off.
        near = self._open_numerators(cell, touching, depth=1 if pattern.hide_d[cell] else 2)
        near = [other for other in near if self.base_cost[other] < self.policy.state_cost]
        for other in near[:left]:
            self._hide_n(np.array([other]))
        left -= min(left, len(near))
        if left:
            banded = self._ring(cell, True, lambda o: pattern.band[o] != 0, touching, depth=2)
            if pattern.band[cell]:
                banded.append(cell)
            for other in banded[:left]:
                pattern.band[other] = 0
            left -= min(left, len(banded))
        return left

    def _repair_d(self, cell: int, left: int, touching) -> None:
        hidden = self.pattern.hide_d
        near = self._ring(
            cell,
            False,
            lambda o: not (hidden[o] or self.known_d[o]) and not (self.no_zero[o] and self.d[o] == 0),
            touching,
            depth=6,
        )
        # Cells that carry people move a bound; zeros only where nothing else is left.
        near.sort(key=lambda other: self.d[other] == 0)
        for other in near[:left]:
            self._hide_d(np.array([other]))


def hides_no_zero(declaration: Declaration, policy: Policy) -> np.ndarray:
    """Cells whose zero is always told, so that a hidden one has people: (cells,). A place has rows where someone is
    counted there, so that nobody believes its hidden total to be 0."""
    whole = (declaration.cells["breakdown_code"] == ALL).to_numpy()
    return whole | (policy.zero_rule == "shown")


def _draw(labels: list[str], secret: bytes) -> np.ndarray:
    """A number in [0, 1) for each cell, from the secret key: a stranger cannot re-run the choice of partners."""
    key = hashlib.blake2b(secret, digest_size=32).digest()
    digest = b"".join(hashlib.blake2b(label.encode(), key=key, digest_size=8).digest() for label in labels)
    return (np.frombuffer(digest, dtype=">u8") >> np.uint64(11)).astype(np.float64) / 2.0**53
