"""Attack the published table as a stranger would, with everything that was published and every declared tie.

What belongs here: what follows from the published values. What does not: how the pattern was chosen. This module
shares no code with suppress and never sees an exact count: only shown values, bands, ties and their residuals.

In order of cost: the sums that a tie leaves for its hidden members; the null space of the hidden cells (an entry that
vanishes in random null vectors proves a cell determined); bounds that follow from non-negativity, N <= D, bands and
whole numbers; linear programs, which use all ties of a connected block at once. A finding is a value that the reader
knows, or knows too well; its sentence shows the arithmetic and is restricted evidence.

Whether a hidden value is truly small does not matter: a reader cannot tell, so every hidden value that could be
below n must stay uncertain. A hidden value that is surely n or more gives nobody away.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from scipy.optimize import linprog
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import lsmr

from pipelines.disclosure.declare import NO_OVERLAP, Nesting, Overlap, Relation
from pipelines.disclosure.earlier import Earlier, nothing_earlier
from pipelines.errors import P20wError

UNKNOWN = -1
ANYTHING = 1e8  # no state has more people; stands for "no upper bound"
EXACT = 1e-6  # below this an entry of a null vector of unit-sized noise counts as vanished
SLACK = 1e-6  # solver tolerance when a real bound becomes a whole number
JOINT_PROGRAMS = 6  # programs over a whole block before those around single cells
REGION = 400  # unknowns of a program around one cell
DENSE_LIMIT = 400  # unknowns of a block up to which the null space is taken from a full decomposition


@dataclass(frozen=True)
class Published:
    """What a reader sees, per cell: d and n (UNKNOWN where hidden), and the bounds of n that a band states.

    n_low and n_high are only read where d is shown and n is not. least_d: what a reader knows of each hidden
    denominator, or of all (1 where a zero would be shown, else 0).
    """

    d: np.ndarray
    n: np.ndarray
    n_low: np.ndarray
    n_high: np.ndarray
    label: list[str]
    least_d: np.ndarray | int = 0


@dataclass(frozen=True)
class Finding:
    """One thing a reader can learn. variable: d, n, c, or xd, xn (difference of a pair). cell, other: where to hide
    more (other is -1 where one cell is enough).
    """

    rule: str
    variable: str
    cell: int
    other: int
    sentence: str


@dataclass
class Detection:
    """Findings, and how far the attack went: blocks, size of the largest, blocks whose cells got no own program."""

    findings: list[Finding] = field(default_factory=list)
    blocks: int = 0
    largest_block: int = 0
    hidden_count: int = 0
    partly_solved_blocks: int = 0


def detect(
    published: Published,
    relation: Relation,
    nesting: Nesting,
    minimum_count: int,
    interval_width: int,
    overlap: Overlap = NO_OVERLAP,
    earlier: Earlier | None = None,
    programs: bool = True,
    block_limit: int = 3_000,
    single_limit: int = 3_000,
    clean: set[bytes] | None = None,
    stop_early: bool = False,
) -> Detection:
    """Everything that `published` gives away. Linear programs only when `programs` and nothing was found before.

    `stop_early`: the cheap attacks first, the others only when those find nothing (for a table still being repaired).
    A block of more than `block_limit` unknowns is attacked indicator by indicator, and gets no program if that is still
    too large; a block of more than `single_limit` gets no program of its own for a cell. Both are counted as partly.
    `clean` remembers the blocks that an attack cleared, so that an unchanged block costs nothing the next time.
    """
    clean = set() if clean is None else clean
    earlier = nothing_earlier(len(published.d)) if earlier is None else earlier
    system = _System(published, relation, nesting, overlap, earlier, minimum_count, interval_width)
    result = Detection(hidden_count=int((published.n == UNKNOWN).sum()))
    result.findings += system.residuals()
    result.findings += system.narrow(*system.propagate(), "bounds")
    if not (stop_early and result.findings):
        result.findings += system.determined(clean)
    result.blocks, result.largest_block = system.block_sizes()
    if programs and not result.findings:
        found, partly = system.programs(block_limit, single_limit, clean)
        result.findings += found
        result.partly_solved_blocks = partly
    return result


class _System:
    """The reader's unknowns and equations. Variables: D, N and C of hidden cells, X of nestings, of overlaps, and of
    what is compared with earlier releases."""

    def __init__(
        self,
        published: Published,
        relation: Relation,
        nesting: Nesting,
        overlap: Overlap,
        earlier: Earlier,
        n_min: int,
        width: int,
    ):
        self.published, self.relation, self.nesting, self.overlap = published, relation, nesting, overlap
        self.earlier = earlier
        self.n_min, self.width = n_min, width
        cells = len(published.d)
        self.hidden_d = published.d == UNKNOWN
        # Where nobody is counted the numerator is 0 whatever its marker says.
        self.hidden_n = (published.n == UNKNOWN) & ~(published.d == 0)
        self.shown_n = np.where(published.d == 0, 0, published.n)
        at_d, at_n = np.flatnonzero(self.hidden_d), np.flatnonzero(self.hidden_n)
        self.var_d = np.full(cells, -1)
        self.var_n = np.full(cells, -1)
        self.var_c = np.full(cells, -1)
        self.var_d[at_d] = np.arange(len(at_d))
        self.var_n[at_n] = len(at_d) + np.arange(len(at_n))
        self.var_c[at_d] = len(at_d) + len(at_n) + np.arange(len(at_d))
        known = len(at_d) * 2 + len(at_n)
        self.cell_of = np.concatenate([at_d, at_n, at_d, np.zeros(0, dtype=np.int64)])
        self.kind_of = np.concatenate([np.full(len(at_d), "d"), np.full(len(at_n), "n"), np.full(len(at_d), "c")])
        self.low = np.zeros(known)
        self.high = np.full(known, ANYTHING)
        self.low[: len(at_d)] = np.broadcast_to(published.least_d, cells)[at_d]
        shown_d = ~self.hidden_d[at_n]
        self.low[self.var_n[at_n[shown_d]]] = published.n_low[at_n[shown_d]]
        self.high[self.var_n[at_n[shown_d]]] = published.n_high[at_n[shown_d]]
        self._rows: list[np.ndarray] = []
        self._columns: list[np.ndarray] = []
        self._values: list[np.ndarray] = []
        self._right: list[np.ndarray] = []
        self.row_text: list[tuple[str, int]] = []
        self.row_count = 0
        self._relation_rows()
        self._identity_rows(at_d)
        self._difference_rows()
        self._comparison_rows()
        self._finish()

    # --- equations ----------------------------------------------------------------------------------------

    def _add(self, row: np.ndarray, column: np.ndarray, value: np.ndarray, right: np.ndarray, kind: str, ids) -> None:
        """Rows numbered 0.. within the call; `ids` name the tie, cell or nesting behind each."""
        self._rows.append(row + self.row_count)
        self._columns.append(column)
        self._values.append(value)
        self._right.append(right)
        self.row_text.extend((kind, int(i)) for i in ids)
        self.row_count += len(right)

    def _relation_rows(self) -> None:
        tie = np.concatenate([np.arange(self.relation.count), self.relation.relation])
        cell = np.concatenate([self.relation.parent, self.relation.member])
        sign = np.concatenate([np.ones(self.relation.count), -np.ones(len(self.relation.member))])
        touches_d = np.zeros(self.relation.count, dtype=bool)
        touches_d[tie[self.hidden_d[cell]]] = True
        shown_d = np.where(self.hidden_d, 0, self.published.d)
        shown_n = np.where(self.hidden_n, 0, self.shown_n)
        shown_c = shown_d - shown_n  # D itself where only N is hidden: C = D - N
        residual_c = self.relation.residual_d - self.relation.residual_n
        # C is D - N where D is shown, and a variable of its own elsewhere. Its rows add nothing linear, but a
        # reader who adds up "everyone but" gets tighter bounds than from N alone.
        for kind, variable, known, residual, use in (
            ("d", self.var_d, shown_d, self.relation.residual_d, touches_d),
            ("n", self.var_n, shown_n, self.relation.residual_n, self.relation.in_numerator),
            ("c", self.var_c, shown_c, residual_c, self.relation.in_numerator & touches_d),
        ):
            inside = use[tie]
            t, c, s = tie[inside], cell[inside], sign[inside]
            open_ = variable[c] >= 0
            value = s.copy()
            column = variable[c].copy()
            if kind == "c":
                # Shown D, hidden N: C = D - N, so the unknown enters with the opposite sign.
                turned = (column < 0) & self.hidden_n[c] & ~self.hidden_d[c]
                column[turned] = self.var_n[c[turned]]
                value[turned] *= -1
                open_ = column >= 0
            total = np.bincount(t, weights=s * known[c], minlength=self.relation.count)
            alive = np.zeros(self.relation.count, dtype=bool)
            alive[t[open_]] = True
            ids = np.flatnonzero(alive)
            number = np.cumsum(alive) - 1
            self._add(number[t[open_]], column[open_], value[open_], (residual - total)[ids], kind, ids)

    def _identity_rows(self, at_d: np.ndarray) -> None:
        """D - N - C = 0 where D is hidden (N is hidden there, always)."""
        if (self.var_n[at_d] < 0).any():
            raise P20wError("A published numerator stands beside a hidden denominator: hide it too.")
        count = len(at_d)
        row = np.tile(np.arange(count), 3)
        column = np.concatenate([self.var_d[at_d], self.var_n[at_d], self.var_c[at_d]])
        value = np.concatenate([np.ones(count), -np.ones(2 * count)])
        self._add(row, column, value, np.zeros(count), "identity", at_d)

    def _difference_rows(self) -> None:
        """X = outer - inner of every pair: N of a nesting and, where denominators nest too, D, with X >= 0; and D of
        an overlap minus N, of either sign.
        """
        nesting, both = self.nesting, self.nesting.in_denominator
        d, n = (self.var_d, self.published.d), (self.var_n, self.shown_n)
        self.x_pair: list[tuple[int, str]] = []
        for kind, outer, inner, (outer_of, outer_shown), (inner_of, inner_shown), least in (
            ("n", nesting.outer, nesting.inner, n, n, 0.0),
            ("d", nesting.outer[both], nesting.inner[both], d, d, 0.0),
            ("dn", self.overlap.whole, self.overlap.part, d, n, -ANYTHING),
        ):
            ids = np.arange(len(outer))
            first = len(self.low)
            number = np.arange(len(ids))
            row, column, value = [number], [first + number], [-np.ones(len(ids))]
            right = np.zeros(len(ids))
            for cell, sign, variable, shown in (
                (outer, 1.0, outer_of, outer_shown),
                (inner, -1.0, inner_of, inner_shown),
            ):
                open_ = variable[cell] >= 0
                row.append(number[open_])
                column.append(variable[cell[open_]])
                value.append(np.full(open_.sum(), sign))
                right -= np.where(open_, 0, sign * shown[cell])
            self._add(np.concatenate(row), np.concatenate(column), np.concatenate(value), right, "nested " + kind, ids)
            self.low = np.concatenate([self.low, np.full(len(ids), least)])
            self.high = np.concatenate([self.high, np.full(len(ids), ANYTHING)])
            self.cell_of = np.concatenate([self.cell_of, outer])
            self.kind_of = np.concatenate([self.kind_of, np.full(len(ids), "x")])
            self.x_pair += [(int(cell), kind) for cell in inner]

    def _comparison_rows(self) -> None:
        """X = D, N or C of a cell, minus a value that an earlier release told; of either sign."""
        earlier, cell = self.earlier, self.earlier.cell
        ids = np.arange(len(cell))
        first = len(self.low)
        row, column, value = [ids], [first + ids], [-np.ones(len(ids))]
        right = earlier.value.astype(float)
        shown_d = np.where(self.hidden_d[cell], 0, self.published.d[cell])
        shown_n = np.where(self.hidden_n[cell], 0, self.shown_n[cell])
        is_d, is_n, is_c = (earlier.variable == name for name in "dnc")
        free = self.hidden_d[cell]
        # C of a shown D is D - N; of a hidden one a variable of its own.
        for which, variable, sign in (
            (is_d & free, self.var_d, 1.0),
            (is_n & self.hidden_n[cell], self.var_n, 1.0),
            (is_c & free, self.var_c, 1.0),
            (is_c & ~free & self.hidden_n[cell], self.var_n, -1.0),
        ):
            row.append(ids[which])
            column.append(variable[cell[which]])
            value.append(np.full(int(which.sum()), sign))
        right -= np.where(is_d & ~free, shown_d, 0) + np.where(is_n & ~self.hidden_n[cell], shown_n, 0)
        right -= np.where(is_c & ~free, shown_d - shown_n, 0)
        self._add(np.concatenate(row), np.concatenate(column), np.concatenate(value), right, "compared", ids)
        self.low = np.concatenate([self.low, np.full(len(ids), -ANYTHING)])
        self.high = np.concatenate([self.high, np.full(len(ids), ANYTHING)])
        self.cell_of = np.concatenate([self.cell_of, cell])
        self.kind_of = np.concatenate([self.kind_of, np.full(len(ids), "x")])
        self.x_pair += [(-1, str(variable)) for variable in earlier.variable]

    def _finish(self) -> None:
        self.row = np.concatenate(self._rows).astype(np.int64)
        self.column = np.concatenate(self._columns).astype(np.int64)
        self.value = np.concatenate(self._values)
        self.right = np.concatenate(self._right)
        self.variable_count = len(self.low)
        self.first_x = self.variable_count - len(self.x_pair)
        self.matrix = sparse.csr_matrix(
            (self.value, (self.row, self.column)), shape=(self.row_count, self.variable_count)
        )
        graph = sparse.bmat([[None, self.matrix.T], [self.matrix, None]], format="csr") if self.row_count else None
        if graph is None:
            self.block = np.arange(self.variable_count)
        else:
            _, label = connected_components(graph, directed=False)
            self.block = label[: self.variable_count]

    def block_sizes(self) -> tuple[int, int]:
        """Number of connected blocks of unknowns and the size of the largest."""
        if not self.variable_count:
            return 0, 0
        sizes = np.bincount(self.block)
        return int((sizes > 0).sum()), int(sizes.max())

    # --- attacks ------------------------------------------------------------------------------------------

    def residuals(self) -> list[Finding]:
        """Sums of hidden members that a shown parent gives away, when they are about fewer than n people."""
        relation, published = self.relation, self.published
        found: list[Finding] = []
        shown_d = np.where(self.hidden_d, 0, published.d)
        hidden = np.bincount(relation.relation, weights=self.hidden_d[relation.member], minlength=relation.count)
        rest = (
            shown_d[relation.parent]
            - relation.residual_d
            - np.bincount(relation.relation, weights=shown_d[relation.member], minlength=relation.count)
        )
        told = (hidden > 0) & ~self.hidden_d[relation.parent] & (rest >= 1) & (rest < self.n_min)
        for tie in np.flatnonzero(told):
            found.append(self._residual_finding(tie, "d", self.hidden_d, published.d, relation.residual_d, rest[tie]))
        # Numerators: the hidden members' D, N and C are all known sums once the parent is shown.
        unknown = self.hidden_n[relation.member]
        hidden = np.bincount(relation.relation, weights=unknown, minlength=relation.count)
        value_n = np.where(self.hidden_n, 0, self.shown_n)
        value_c = np.where(self.hidden_n | self.hidden_d, 0, published.d - self.shown_n)
        residual_c = relation.residual_d - relation.residual_n
        # Who is in the hidden members together is known too (a numerator is shown beside its denominator only). Of
        # nobody, nothing is told.
        d_beside_n = np.where(self.hidden_n, 0, published.d)
        people = (
            published.d[relation.parent]
            - relation.residual_d
            - np.bincount(relation.relation, weights=d_beside_n[relation.member], minlength=relation.count)
        )
        open_ = (hidden > 0) & ~self.hidden_n[relation.parent] & relation.in_numerator & (people != 0)
        for name, value, residual in (("n", value_n, relation.residual_n), ("c", value_c, residual_c)):
            rest = (
                value[relation.parent]
                - residual
                - np.bincount(relation.relation, weights=value[relation.member], minlength=relation.count)
            )
            for tie in np.flatnonzero(open_ & (rest < self.n_min)):
                found.append(self._residual_finding(tie, name, self.hidden_n, value, residual, rest[tie]))
        return found

    def _residual_finding(self, tie, name, hidden, value, residual, rest) -> Finding:
        members = self.relation.member[self.relation.relation == tie]
        closed = [int(cell) for cell in members if hidden[cell]]
        shown = [int(cell) for cell in members if not hidden[cell] and value[cell]]
        parent = int(self.relation.parent[tie])
        terms = "".join(f" - {int(value[cell])} ({self.published.label[cell]})" for cell in shown)
        constant = f" - {int(residual[tie])} (known residual)" if residual[tie] else ""
        names = "; ".join(self.published.label[cell] for cell in closed)
        sentence = (
            f"{_name(name)} of the hidden cells together: {int(value[parent])} ({self.published.label[parent]}){terms}"
            f"{constant} = {int(rest)}, fewer than {self.n_min}: {names}."
        )
        return Finding("residual", "d" if name == "d" else "n", closed[0], -1, sentence)

    def propagate(self, most_rounds: int = 200) -> tuple[np.ndarray, np.ndarray]:
        """Tightest bounds (variables,) by interval arithmetic row by row, repeated until nothing moves."""
        low, high = self.low.copy(), self.high.copy()
        self.reason = np.full(self.variable_count, -1)
        row, column, value = self.row, self.column, self.value
        positive = value > 0
        for _ in range(most_rounds):
            least = np.where(positive, low[column], -high[column])
            most = np.where(positive, high[column], -low[column])
            row_least = np.bincount(row, weights=least, minlength=self.row_count)
            row_most = np.bincount(row, weights=most, minlength=self.row_count)
            # value * x = right - others, with the others between (row sums minus own part).
            signed_low = self.right[row] - (row_most[row] - most)
            signed_high = self.right[row] - (row_least[row] - least)
            new_low = np.where(positive, signed_low, -signed_high)
            new_high = np.where(positive, signed_high, -signed_low)
            old_low, old_high = low.copy(), high.copy()
            np.maximum.at(low, column, new_low)
            np.minimum.at(high, column, new_high)
            moved = (low > old_low) | (high < old_high)
            if not moved.any():
                break
            why = moved[column] & ((new_low == low[column]) | (new_high == high[column]))
            self.reason[column[why]] = row[why]
        self.proven_low, self.proven_high = low, high
        return low, high

    def narrow(self, low: np.ndarray, high: np.ndarray, rule: str, among: np.ndarray | bool = True) -> list[Finding]:
        """Findings among the intervals [low, high] (variables,) of whole numbers."""
        judged = self._judged(low, high) & among
        impossible = (low > high) & among
        below = judged & (self.kind_of == "d") & (high > 0) & (high < self.n_min) & ~impossible
        few = judged & (high - low + 1 < self.width) & ~below & ~impossible
        found = []
        for name, which, why in (
            ("inconsistent", impossible, "no value is possible"),
            (rule, below, f"the group surely has fewer than {self.n_min} people"),
            (rule, few, f"fewer than {self.width} values are possible"),
        ):
            found += [self._finding(name, variable, low, high, why) for variable in np.flatnonzero(which)]
        return found

    def _finding(self, rule: str, variable: int, low: np.ndarray, high: np.ndarray, why: str) -> Finding:
        cell = int(self.cell_of[variable])
        other, kind = -1, str(self.kind_of[variable])
        name = f"{_name(kind)} of {self.published.label[cell]}"
        if kind == "x":
            other, which = self.x_pair[variable - self.first_x]
            name = f"{_name(which[0])} of {self.published.label[cell]} minus "
            name += f"{_name(which[-1])} of {self.published.label[other]}" if other >= 0 else "what was told earlier"
            kind = "xd" if which[0] == "d" else "xn"
            if which == "dn":
                other = -1  # an overlap is undone on the side of the denominator alone
        row = self.reason[variable] if rule in ("bounds", "inconsistent") else -1
        because = f" by {self._equation(row)}" if row >= 0 else ""
        if kind == "d" and row >= 0 and self.row_text[row][0] in ("identity", "n", "c"):
            kind = "n"  # the bound comes from numerator and complement: more of those must be hidden
        sentence = f"{name} lies between {int(low[variable])} and {int(high[variable])}{because}: {why}."
        return Finding(rule, kind, cell, other, sentence)

    def _equation(self, row: int) -> str:
        """The reader's equation over hidden values, in words."""
        inside = slice(self.matrix.indptr[row], self.matrix.indptr[row + 1])
        terms = []
        for column, value in zip(self.matrix.indices[inside], self.matrix.data[inside], strict=True):
            name = _name(str(self.kind_of[column])) + " of " + self.published.label[self.cell_of[column]]
            terms.append(("+ " if value > 0 else "- ") + name)
        return f"{' '.join(terms).removeprefix('+ ')} = {int(self.right[row])}"

    def determined(self, clean: set[bytes]) -> list[Finding]:
        """Cells that the equations alone fix, by vanishing entries of random null vectors, block by block."""
        found = []
        use = np.array([kind in ("d", "n") for kind, _ in self.row_text], dtype=bool)
        equations = self.matrix[np.flatnonzero(use)][:, : self.first_x]
        right = self.right[use]
        row_id = np.flatnonzero(use)
        touched = np.flatnonzero(np.diff(equations.tocsc().indptr))
        if not len(touched):
            return found
        graph = sparse.bmat([[None, equations.T], [equations, None]], format="csr")
        _, label = connected_components(graph, directed=False)
        generator = np.random.default_rng()  # a fresh attack every time; a pattern tuned to one vector would not help
        order_v = np.argsort(label[: self.first_x], kind="stable")
        order_r = np.argsort(label[self.first_x :], kind="stable")
        edge_v = np.searchsorted(label[: self.first_x][order_v], np.arange(label.max() + 2))
        edge_r = np.searchsorted(label[self.first_x :][order_r], np.arange(label.max() + 2))
        for block in np.unique(label[touched]):
            variables = order_v[edge_v[block] : edge_v[block + 1]]
            rows = order_r[edge_r[block] : edge_r[block + 1]]
            part = equations[rows][:, variables]
            mark = hashlib.blake2b(digest_size=16)
            for array in (part.indptr, part.indices, part.data):
                mark.update(np.ascontiguousarray(array).tobytes())
            if mark.digest() in clean:
                continue
            fixed, solution = _fixed(part, right[rows], generator)
            if not fixed.any():
                clean.add(mark.digest())
            for position in np.flatnonzero(fixed):
                variable = variables[position]
                value = round(float(solution[position]))
                if self._harmless(variable, value):
                    continue
                kind, label_ = str(self.kind_of[variable]), self.published.label[self.cell_of[variable]]
                combination = self._combination(part, position, row_id[rows])
                sentence = f"{_name(kind)} of {label_} is exactly {value}: {combination}."
                found.append(Finding("determined", kind, int(self.cell_of[variable]), -1, sentence))
        return found

    def _harmless(self, variable: int, value: int) -> bool:
        """An exact value that tells nothing of a small group: 0 people, or n and more (with n and more beside them);
        and that differs from nothing told earlier by fewer than n."""
        held = (self.earlier.cell == self.cell_of[variable]) & (self.earlier.variable == self.kind_of[variable])
        apart = np.abs(self.earlier.value[held] - value)
        if ((apart >= 1) & (apart < self.n_min)).any():
            return False
        if self.kind_of[variable] == "d":
            return value == 0 or value >= self.n_min
        cell = self.cell_of[variable]
        shown = self.published.d[cell]
        if shown < 0 and self.proven_high[self.var_d[cell]] <= 0:
            return True  # the group has nobody in it
        complement = shown - value if shown >= 0 else self.proven_low[self.var_c[cell]]
        return value >= self.n_min and complement >= self.n_min

    def _combination(self, part: sparse.csr_matrix, position: int, rows: np.ndarray) -> str:
        """The sums and differences of equations that leave one unknown, as text."""
        unit = np.zeros(part.shape[1])
        unit[position] = 1.0
        if max(part.shape) <= DENSE_LIMIT:
            weight = np.linalg.lstsq(part.T.toarray(), unit, rcond=None)[0]
        else:
            weight = lsmr(part.T, unit, atol=1e-12, btol=1e-12)[0]
        terms = [f"{weight[i]:+.4g} x [{self._equation(rows[i])}]" for i in np.flatnonzero(np.abs(weight) > 1e-6)[:40]]
        return " ".join(terms)

    def programs(self, block_limit: int, single_limit: int, clean: set[bytes]) -> tuple[list[Finding], int]:
        """Intervals by linear programs. Points of joint programs clear most cells; the rest get programs of their own.

        Every point a program returns is a table that the reader cannot exclude, so a cell whose values over the
        points already differ enough needs no further one.
        """
        low, high = self.proven_low, self.proven_high
        found, partly = [], 0
        queue = self._parts(np.arange(self.variable_count), np.arange(self.row_count))
        while queue:
            variables, rows = queue.pop()
            # One equation or none: bounds propagation is exact.
            if len(rows) <= 1:
                continue
            if len(variables) > block_limit:
                # Too large at once: leave out what ties different indicators. Each by itself is still attacked with
                # all of its sums; the ties left out keep their part in bounds and null space.
                inner = rows[~self._between_indicators()[rows]]
                partly += 1
                if len(inner) < len(rows):
                    queue += self._parts(variables, inner)
                continue
            mark = self._fingerprint(variables, rows, low, high)
            if mark in clean:
                continue
            outcome, whole = self._solve_block(variables, rows, low, high, len(variables) <= single_limit)
            found += outcome
            partly += not whole
            if whole and not outcome:
                clean.add(mark)
        return found, partly

    def _parts(self, variables: np.ndarray, rows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Connected parts (unknowns, equations) of the system cut down to `variables` and `rows`."""
        if not len(rows):
            return []
        part = self.matrix[rows][:, variables]
        graph = sparse.bmat([[None, part.T], [part, None]], format="csr")
        count, label = connected_components(graph, directed=False)
        cuts = []
        for ids, names in ((variables, label[: len(variables)]), (rows, label[len(variables) :])):
            order = np.argsort(names, kind="stable")
            edge = np.searchsorted(names[order], np.arange(count + 1))
            cuts.append([ids[order[edge[i] : edge[i + 1]]] for i in range(count)])
        return list(zip(*cuts, strict=True))

    def _between_indicators(self) -> np.ndarray:
        """Equations (equations,) of nestings, overlaps and equal denominators of nested indicators."""
        return np.array(
            [
                kind.startswith("nested") or (kind in "dnc" and self.relation.kind[i] == "same")
                for kind, i in self.row_text
            ],
            dtype=bool,
        )

    def _fingerprint(self, variables: np.ndarray, rows: np.ndarray, low: np.ndarray, high: np.ndarray) -> bytes:
        """Hash of all that the reader knows of a block: kinds of unknowns, bounds, equations, denominators beside."""
        part = self.matrix[rows][:, variables]
        digest = hashlib.blake2b(f"{self.n_min} {self.width}".encode(), digest_size=16)
        for array in (
            self.kind_of[variables],
            low[variables],
            high[variables],
            self.published.d[self.cell_of[variables]],
            self.right[rows],
            part.indptr,
            part.indices,
            part.data,
        ):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.digest()

    def _solve_block(self, variables, rows, low, high, singly: bool) -> tuple[list[Finding], bool]:
        """Findings of one block, and whether every cell of it was decided."""
        equations = self.matrix[rows][:, variables].tocsc()
        right = self.right[rows]
        floor_, ceiling = low[variables], high[variables]
        judged = self._judged(low, high)[variables]
        must_reach = (self.kind_of[variables] == "d") & judged
        seen_low = np.full(len(variables), np.inf)
        seen_high = np.full(len(variables), -np.inf)

        def solve(objective: np.ndarray, cells: np.ndarray, target: np.ndarray) -> np.ndarray | None:
            point = _least(equations, right, floor_, ceiling, objective[cells], cells, target)
            if point is not None:
                np.minimum(seen_low, point, out=seen_low)
                np.maximum(seen_high, point, out=seen_high)
            return point

        def waiting() -> np.ndarray:
            """Positions that the points seen so far do not clear."""
            count = np.floor(seen_high + SLACK) - np.ceil(seen_low - SLACK) + 1
            return np.flatnonzero(judged & ((count < self.width) | (must_reach & (seen_high < self.n_min - SLACK))))

        if not judged.any():
            return [], True

        generator = np.random.default_rng(7)  # only orders the work: which points are looked at first

        def goal(cells: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            """Objective per cell and the value from where more (or less) of it is of no use."""
            # Cells that compete for the same people cannot rise together: uneven weights lift others each time.
            weight = generator.uniform(0.05, 1.0, len(cells))
            base = np.where(np.isfinite(seen_low[cells]), np.ceil(seen_low[cells] - SLACK), floor_[cells])
            rise = np.maximum(base + self.width - 1, np.where(must_reach[cells], self.n_min, 0))
            fall = np.floor(np.minimum(seen_high[cells], ANYTHING) + SLACK) - self.width + 1
            up = up | (must_reach[cells] & (seen_high[cells] < self.n_min - SLACK))
            return np.where(up, -weight, weight), np.where(up, rise, fall)

        points: list[np.ndarray] = []

        def together(most: int) -> bool:
            """Programs over the whole block until they stall; False when nothing fits what is published."""
            stalled, done, open_ = 0, 0, waiting() if points else np.flatnonzero(judged)
            while stalled < 2 and done < most and len(open_):
                objective = np.zeros(len(variables))
                objective[open_], target = goal(open_, np.full(len(open_), done % 2 == 0))
                done += 1
                point = solve(objective, open_, target)
                if point is None:
                    return False
                if len(points) < JOINT_PROGRAMS:
                    points.append(point)
                left = waiting()
                stalled = 0 if len(left) < len(open_) else stalled + 1
                open_ = left
            return True

        if not together(JOINT_PROGRAMS):
            label = self.published.label[self.cell_of[variables[0]]]
            sentence = f"No table fits what is published around {label}."
            return [Finding("inconsistent", "d", int(self.cell_of[variables[0]]), -1, sentence)], True

        # Near one cell a small program does: everything farther away stays at a point that is known to be possible,
        # so whatever the small program finds is possible too.
        center = np.mean(points, axis=0)
        by_row = equations.tocsr()
        for seed in waiting() if len(variables) > 2 * REGION else ():
            open_ = waiting()
            if seed not in open_:
                continue
            near = _neighborhood(by_row, equations, int(seed), REGION)
            matrix = by_row[np.unique(equations[:, near].indices)][:, near].tocsc()
            inside = np.flatnonzero(np.isin(near, open_))
            cost, target = goal(near[inside], np.ones(len(inside), dtype=bool))
            cost[near[inside] == seed] *= 20.0
            point = _least(matrix, matrix @ center[near], floor_[near], ceiling[near], cost, inside, target)
            if point is not None:
                seen_low[near] = np.minimum(seen_low[near], point)
                seen_high[near] = np.maximum(seen_high[near], point)
        together(len(variables))
        if not len(waiting()):
            return [], True
        if not singly:
            return [], False
        true_low, true_high = low.copy(), high.copy()
        for position in waiting():
            if position not in waiting():
                continue  # a point found for another cell cleared this one
            unit = np.zeros(len(variables))
            alone = np.array([position])
            for sign, side, rounding in ((-1.0, true_high, np.floor), (1.0, true_low, np.ceil)):
                unit[position] = sign
                limit = ceiling[alone] if sign < 0 else floor_[alone]
                point = solve(unit, alone, limit)
                if point is not None:
                    side[variables[position]] = rounding(point[position] - sign * SLACK)
        mine = np.zeros(self.variable_count, dtype=bool)
        mine[variables[waiting()]] = True
        return self.narrow(true_low, true_high, "program", mine), True

    def _judged(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Variables (variables,) whose value could tell of fewer than n people, given proven bounds."""
        # Of a difference that may have either sign, both ways.
        could = (low < self.n_min) & ((self.kind_of != "x") | (high > -self.n_min))
        shown = self.published.d[self.cell_of]
        # A numerator is harmless only if neither it nor its complement can be small.
        is_n = self.kind_of == "n"
        complement_low = np.where(is_n & (shown >= 0), shown - high, 0)
        beside = np.where(is_n & (shown < 0), self.var_c[self.cell_of], -1)
        complement_low[beside >= 0] = low[beside[beside >= 0]]
        could |= is_n & (complement_low < self.n_min)
        # Of nobody there is nothing to tell: D, or a difference, that is surely 0, and N and C of such a D.
        nobody = (high <= 0) & (low >= 0) & ((self.kind_of == "d") | (self.kind_of == "x"))
        of_cell = np.where(self.kind_of == "x", -1, self.var_d[self.cell_of])
        nobody |= (of_cell >= 0) & (high[of_cell] <= 0) if self.variable_count else False
        return could & ~nobody


def _fixed(part: sparse.csr_matrix, right: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Which unknowns every solution shares, and one solution. Shapes: (unknowns,)."""
    rows, unknowns = part.shape
    if max(rows, unknowns) <= DENSE_LIMIT:
        dense = part.toarray()
        _, size, basis = np.linalg.svd(dense, full_matrices=False)
        kept = basis[size > 1e-9 * max(1.0, size.max(initial=0.0))]
        solution = np.linalg.lstsq(dense, right, rcond=None)[0]

        def project(vector: np.ndarray) -> np.ndarray:
            return vector - kept.T @ (kept @ vector)
    else:
        solution = lsmr(part, right, atol=1e-13, btol=1e-13, maxiter=20 * unknowns)[0]

        def project(vector: np.ndarray) -> np.ndarray:
            # Part of the vector inside the row space = least-norm solution of part @ y = part @ vector.
            return vector - lsmr(part, part @ vector, atol=1e-13, btol=1e-13, maxiter=20 * unknowns)[0]

    fixed = np.ones(unknowns, dtype=bool)
    for _ in range(2):
        vector = generator.uniform(1.0, 2.0, unknowns) * generator.choice([-1.0, 1.0], unknowns)
        fixed &= np.abs(project(vector)) < EXACT
        if not fixed.any():
            break
    return fixed, solution


def _least(matrix, right, floor_, ceiling, cost, cells, target) -> np.ndarray | None:
    """A point with matrix @ x = right inside its bounds that is best for `cells`, or None when there is none.

    cost < 0 asks a cell to rise, at most to its target; cost > 0 to fall, at least to it. x = t + s with t up to the
    target and only the wanted part in the objective: so as many cells as can reach their target, not one without end.
    """
    target = np.clip(target, floor_[cells], ceiling[cells])
    wide = sparse.hstack([matrix, matrix[:, cells]], format="csc")
    objective = np.zeros(wide.shape[1])
    objective[cells] = np.where(cost < 0, cost, 0.0)
    objective[matrix.shape[1] :] = np.where(cost > 0, cost, 0.0)
    bounds = np.empty((wide.shape[1], 2))
    bounds[: matrix.shape[1]] = np.column_stack([floor_, ceiling])
    bounds[cells, 1] = target
    bounds[matrix.shape[1] :] = np.column_stack([np.zeros(len(cells)), ceiling[cells] - target])
    outcome = linprog(objective, A_eq=wide, b_eq=right, bounds=bounds, method="highs")
    if outcome.x is None:
        return None
    point = outcome.x[: matrix.shape[1]].copy()
    point[cells] += outcome.x[matrix.shape[1] :]
    return point


def _neighborhood(by_row: sparse.csr_matrix, by_column: sparse.csc_matrix, seed: int, size: int) -> np.ndarray:
    """Unknowns reached from `seed` over shared equations, nearest first, until there are `size` of them. Sorted."""
    seen = {seed}
    edge = [seed]
    while edge and len(seen) < size:
        reached = []
        for variable in edge:
            for row in by_column.indices[by_column.indptr[variable] : by_column.indptr[variable + 1]]:
                for other in by_row.indices[by_row.indptr[row] : by_row.indptr[row + 1]]:
                    if other not in seen:
                        seen.add(int(other))
                        reached.append(int(other))
        edge = reached
    return np.array(sorted(seen))


def _name(kind: str) -> str:
    return {"d": "number of people", "n": "numerator", "c": "complement", "x": "difference"}[kind]
