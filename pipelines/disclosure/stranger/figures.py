"""What a reader sees: the official rows of published tables, and the sums and limits that tie their figures.

What belongs here: reading rows, and laying them out as unknown whole numbers with equations. What does not: what
follows from the equations (attack).

Of each figure there is a count of people D, a numerator N and a complement C = D - N. A reader knows: the groups of a
breakdown add up to all students; the schools of an LEA to the LEA and the LEAs to the state, where the rules say so;
a band's limits of N; an inner indicator never counts more than the outer one.

Where a level does not add up (a student counts at each school, and once for the LEA), the members together count the
total and some people once more: the surplus, which nobody publishes. No rule bounds it strictly (who was at each of
two schools for too short to count there counts for the LEA alone), but a reader sees it wherever a sum is told in
full. He takes the surplus of a group to be between 0 and that of all students of the place, and so for numerators and
complements; where the one of all students cannot be seen, he takes people to be 0 or more, and nothing of numerators.
He takes it so only where nothing that is told speaks against it: no group of the place has another surplus, and where
that of all students is not seen no sum of the indicator has less than 0.
What follows is about right where he is; so it counts as a finding only of people who then surely exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from pipelines.disclosure.stranger.rules import Rules
from pipelines.errors import P20wError

MART = "mart_indicator__organization"
FAMILY = ["indicator_code", "subject_code", "cohort_year"]
PLACE = ["organization_level", "organization_id_state"]
GROUP = ["breakdown_code", "group_code"]
FIGURE = [*FAMILY, *PLACE, *GROUP]
ALL = "all"
HIDDEN = -1
SAID = ("shown", "banded", "suppressed", "no_students", "withdrawn")
MILLION = 1_000_000
UNLIMITED = np.int64(1) << 60  # an upper bound that nothing gives


@dataclass(frozen=True)
class Figures:
    """rows: FIGURE, the LEA of schools, and a label; d, n: (figures,) HIDDEN where not told; n_low, n_high: limits of a
    numerator that is not told; least_d: what a hidden D is at least. ties: parent = sum of members, for D and N.
    nested: pairs (outer, inner) of figures. same_d: whether their denominators are the same wherever both are told.
    loose: sums of levels that do not add up.
    """

    rows: pl.DataFrame
    d: np.ndarray
    n: np.ndarray
    n_low: np.ndarray
    n_high: np.ndarray
    least_d: np.ndarray
    parent: np.ndarray
    start: np.ndarray
    member: np.ndarray
    outer: np.ndarray
    inner: np.ndarray
    same_d: np.ndarray
    whole: np.ndarray
    part: np.ndarray
    loose: Loose

    def labels(self) -> list[str]:
        return self.rows["label"].to_list()


@dataclass(frozen=True)
class Loose:
    """Sums of which a reader believes: parent + surplus = sum of members, 0 <= surplus <= most, for each of D, N and C.

    parent, start, member as in Figures. most: name -> (sums,), UNLIMITED where no limit is seen, HIDDEN where he
    believes nothing of the sum.
    """

    parent: np.ndarray
    start: np.ndarray
    member: np.ndarray
    most: dict[str, np.ndarray]


@dataclass(frozen=True)
class Equations:
    """matrix @ x = right over whole x with low <= x <= high. kind (unknowns,): d, n, c, x (the difference of a nested
    pair) or s (a surplus, in the last columns); figure: which it is of; row_kind, row_of: what each equation is (d, n:
    a tie; c: D = N + C; x: a pair; s: a loose sum or its surplus)."""

    matrix: sparse.csr_matrix
    by_column: sparse.csc_matrix
    right: np.ndarray
    low: np.ndarray
    high: np.ndarray
    kind: np.ndarray
    figure: np.ndarray
    row_kind: np.ndarray
    row_of: np.ndarray


def read_rows(folder: Path) -> pl.DataFrame:
    """Official rows of the long mart under `folder`/data that say something. Errors: P20wError where there is none."""
    path = folder / "data" / f"{MART}.parquet"
    if not path.exists():
        raise P20wError(f"{folder} holds no data/{MART}.parquet: name the folder of a release or of the candidate.")
    return (
        pl.read_parquet(path)
        .filter((pl.col("protection") == "official") & pl.col("value_status").is_in(SAID))
        .with_columns(pl.col("cohort_year").cast(pl.Int64), lea=pl.col("lea_id_state"))
        .sort(FIGURE)
    )


def contradictions(rows: pl.DataFrame) -> list[str]:
    """Sentences about rows in which one column says more than another hides."""
    d, n = pl.col("denominator_count"), pl.col("numerator_count")
    low, high, said = (pl.col(name).cast(pl.Float64) for name in ("rate_low", "rate_high", "label_share"))
    sign = pl.col("rate_label").str.head(1)
    says_limit = ((sign == "≤") & (low == 0) & ((high * 100 - said).abs() < 1e-6)) | (
        (sign == "≥") & (high == 1) & ((low * 100 - said).abs() < 1e-6)
    )
    rows = rows.with_columns(label_share=pl.col("rate_label").str.extract(r"^[≤≥]([0-9.]+)%$"))
    rules = {
        "a figure stands twice": pl.struct(FIGURE).is_duplicated(),
        "a numerator is told without its denominator": n.is_not_null() & d.is_null(),
        "a rate stands beside a hidden numerator": pl.col("rate").is_not_null() & n.is_null(),
        "a band stands beside a hidden denominator": pl.col("rate_low").is_not_null() & d.is_null(),
        "an amount of money stands in an official row": pl.col("value_amount").is_not_null(),
        "a numerator is above its denominator": n > d,
        "a hidden figure is called shown": pl.col("value_status").is_in(["shown", "no_students"]) & n.is_null(),
        "a label stands beside a hidden rate": (pl.col("rate_label").fill_null("") != "")
        & ~pl.col("value_status").is_in(["shown", "banded"]),
        "a label says other than the limits of its band": (pl.col("rate_label").fill_null("") != "")
        & (pl.col("value_status") == "banded")
        & ~says_limit.fill_null(False),
        "a rate is not that of its counts": (pl.col("rate") * MILLION).cast(pl.Int64)
        != (2 * MILLION * n + d) // (2 * d),
    }
    found = []
    for sentence, rule in rules.items():
        count = rows.filter(rule).height
        if count:
            found.append(f"In {count} rows {sentence}.")
    reasons = rows.group_by("value_status").agg(pl.col("suppression_reason").n_unique()).filter(pl.last() > 1)
    for status in sorted(reasons["value_status"].to_list()):
        found.append(f"Rows that are {status} give different reasons: the reason tells which of them are small.")
    return found


def figures(rows: pl.DataFrame, rules: Rules) -> Figures:
    """The figures of `rows` (read_rows) with their ties."""
    rows = rows.with_columns(
        label=pl.format("{} {} {}, {} {}, {} {}", *FIGURE),
        figure=pl.int_range(pl.len(), dtype=pl.Int64),
    )
    d = rows["denominator_count"].fill_null(HIDDEN).cast(pl.Int64).to_numpy()
    n = rows["numerator_count"].fill_null(HIDDEN).cast(pl.Int64).to_numpy()
    # In millionths, so that a limit is one of whole numbers.
    limits = rows.select(
        low=((pl.col("rate_low") * MILLION).cast(pl.Int64) * pl.col("denominator_count") + MILLION - 1) // MILLION,
        high=(pl.col("rate_high") * MILLION).cast(pl.Int64) * pl.col("denominator_count") // MILLION,
        most=pl.col("denominator_count").cast(pl.Int64),
    )
    n_low = limits["low"].fill_null(0).to_numpy()
    n_high = limits.select(pl.coalesce("high", "most").fill_null(int(UNLIMITED))).to_series().to_numpy()
    levels, loose = _levels(rows, rules)
    outer, inner, same = _nested(rows, rules)
    whole, part = _pairs(rows, [(other, code) for code, other in rules.pairs("overlaps")])
    return Figures(
        rows,
        d,
        n,
        n_low,
        n_high,
        # A place has rows where someone is counted there.
        np.where((rows["breakdown_code"] == ALL).to_numpy() | (rules.zeros == "shown"), 1, 0),
        *_flat(pl.concat([_groups(rows), levels])),
        outer,
        inner,
        same,
        whole,
        part,
        _loose(rows, loose, d, n),
    )


def _flat(ties: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """parent, start and member of sums given as rows (tie, parent, member)."""
    ties = ties.sort("tie", "member")
    head = ties.group_by("tie", maintain_order=True).agg(pl.col("parent").first(), pl.len())
    return (
        head["parent"].to_numpy(),
        np.concatenate([[0], np.cumsum(head["len"].to_numpy())]).astype(np.int64),
        ties["member"].to_numpy(),
    )


def _loose(rows: pl.DataFrame, ties: pl.DataFrame, d: np.ndarray, n: np.ndarray) -> Loose:
    """What a reader believes of the sums that do not add up: see the module."""
    parent, start, member = _flat(ties)
    number = np.repeat(np.arange(len(parent)), np.diff(start))
    place = rows.select(*FAMILY, *PLACE, "breakdown_code")[parent].with_row_index("sum")
    most = {}
    for name, value, hidden in (
        ("d", d, d == HIDDEN),
        ("n", n, n == HIDDEN),
        ("c", d - n, n == HIDDEN),
    ):
        shown = np.where(hidden, 0, value)
        surplus = np.bincount(number, weights=shown[member], minlength=len(parent)).astype(np.int64) - shown[parent]
        full = ~hidden[parent] & (np.bincount(number, weights=hidden[member], minlength=len(parent)) == 0)
        is_all = pl.col("full") & (pl.col("breakdown_code") == ALL)
        here = [*FAMILY, *PLACE]
        seen = place.with_columns(surplus=pl.Series(surplus), full=pl.Series(full)).with_columns(
            of_all=pl.when(is_all).then("surplus").max().over(here),
            least=pl.when("full").then("surplus").min().over(here),
            largest=pl.when("full").then("surplus").max().over(here),
            least_anywhere=pl.when("full").then("surplus").min().over("indicator_code"),
        )
        against = (pl.col("least") < 0) | (pl.col("largest") > pl.col("of_all"))
        against |= pl.col("of_all").is_null() & (pl.lit(name != "d") | (pl.col("least_anywhere") < 0))
        limit = pl.when(against.fill_null(False)).then(HIDDEN).otherwise(pl.col("of_all").fill_null(int(UNLIMITED)))
        most[name] = seen.sort("sum").select(limit.cast(pl.Int64)).to_series().to_numpy()
    # Who is counted in the numerator is one of the people: of these he must believe something first.
    for name in ("n", "c"):
        most[name] = np.where((most["d"] == HIDDEN) | (np.minimum(most["n"], most["c"]) == HIDDEN), HIDDEN, most[name])
    return Loose(parent, start, member, most)


def equations(seen: Figures, believed: np.ndarray | None = None) -> Equations:
    """Unknowns: hidden D, hidden N, C of hidden D, and the differences of nested pairs. believed: which of the loose
    sums are taken to hold (none by default); each adds its surplus of D, of N and of C."""
    d, n = seen.d, seen.n
    at_d, at_n = np.flatnonzero(d == HIDDEN), np.flatnonzero(n == HIDDEN)
    count = len(d)
    var_d, var_n, var_c = (np.full(count, -1) for _ in range(3))
    var_d[at_d] = np.arange(len(at_d))
    var_n[at_n] = len(at_d) + np.arange(len(at_n))
    var_c[at_d] = len(at_d) + len(at_n) + np.arange(len(at_d))
    pairs = np.flatnonzero((n[seen.outer] == HIDDEN) | (n[seen.inner] == HIDDEN))
    first_x = 2 * len(at_d) + len(at_n)
    of_pair = np.full(len(seen.outer), -1)
    of_pair[pairs] = first_x + np.arange(len(pairs))
    low = np.concatenate(
        [
            seen.least_d[at_d],
            seen.n_low[at_n],
            np.zeros(len(at_d) + len(pairs), dtype=np.int64),
        ]
    ).astype(np.int64)
    high = np.concatenate(
        [np.full(len(at_d), UNLIMITED), seen.n_high[at_n], np.full(len(at_d) + len(pairs), UNLIMITED)]
    ).astype(np.int64)

    loose = seen.loose
    believed = np.zeros(0, dtype=np.int64) if believed is None else believed
    size = np.diff(loose.start)[believed]
    entry_of = np.repeat(loose.start[believed] - np.cumsum(size) + size, size) + np.arange(size.sum())
    each = np.arange(len(believed))
    sum_row = np.concatenate([each, np.repeat(each, size), each])
    sum_cell = np.concatenate([loose.parent[believed], loose.member[entry_of]])
    sum_sign = np.concatenate([np.ones(len(each)), -np.ones(len(entry_of)), np.ones(len(each))]).astype(np.int64)
    first_s = first_x + len(pairs)
    most = [np.maximum(loose.most[name][believed], 0) for name in "dnc"]
    low = np.concatenate([low, np.zeros(3 * len(believed), dtype=np.int64)])
    high = np.concatenate([high, *most])
    rated = np.flatnonzero(loose.most["n"][believed] != HIDDEN)  # of which he believes something of N and C too
    in_rated = np.isin(sum_row, rated)

    tie = np.concatenate([np.arange(len(seen.parent)), np.repeat(np.arange(len(seen.parent)), np.diff(seen.start))])
    cell = np.concatenate([seen.parent, seen.member])
    sign = np.concatenate([np.ones(len(seen.parent)), -np.ones(len(seen.member))]).astype(np.int64)
    entry = np.arange(len(at_d))
    every = np.arange(len(seen.outer))
    same = np.flatnonzero(seen.same_d)
    pair = np.concatenate([every, every, every])
    pair_cell = np.concatenate([seen.outer, seen.inner, -np.ones(len(every), dtype=np.int64)])
    pair_sign = np.repeat([1, -1, -1], len(every))
    parts = [
        ("d", tie, var_d[cell], sign, np.where(d[cell] == HIDDEN, 0, d[cell])),
        ("n", tie, var_n[cell], sign, np.where(n[cell] == HIDDEN, 0, n[cell])),
        (
            "c",
            np.tile(entry, 3),
            np.concatenate([var_d[at_d], var_n[at_d], var_c[at_d]]),
            np.repeat([1, -1, -1], len(at_d)),
            np.zeros(3 * len(at_d), dtype=np.int64),
        ),
        (
            "x",
            pair,
            np.where(pair_cell >= 0, var_n[pair_cell], of_pair[pair]),
            pair_sign,
            np.where((pair_cell >= 0) & (n[pair_cell] != HIDDEN), n[pair_cell], 0),
        ),
        (
            "same",
            np.tile(same, 2),
            np.concatenate([var_d[seen.outer[same]], var_d[seen.inner[same]]]),
            np.repeat([1, -1], len(same)),
            np.concatenate([np.where(d[side[same]] == HIDDEN, 0, d[side[same]]) for side in (seen.outer, seen.inner)]),
        ),
    ]
    for kept, of_cell, value, first in (
        (slice(None), var_d, d, first_s),
        (in_rated, var_n, n, first_s + len(believed)),
    ):
        told = value[sum_cell]
        parts.append(
            (
                "s",
                sum_row[kept],
                np.concatenate([of_cell[sum_cell], first + each])[kept],
                sum_sign[kept],
                np.concatenate([np.where(told == HIDDEN, 0, told), np.zeros(len(each), dtype=np.int64)])[kept],
            )
        )
    surplus = first_s + rated
    parts.append(
        (
            "s",
            np.tile(rated, 3),
            np.concatenate([surplus, surplus + len(believed), surplus + 2 * len(believed)]),
            np.repeat([1, -1, -1], len(rated)),
            np.zeros(3 * len(rated), dtype=np.int64),
        )
    )
    rows, columns, values, rights, kinds, of = [], [], [], [], [], []
    number = 0
    for kind, row, column, signs, known in parts:
        size = int(row.max(initial=-1)) + 1
        right = -np.bincount(row, weights=signs * known, minlength=size).astype(np.int64)
        alive = np.zeros(size, dtype=bool)
        alive[row[column >= 0]] = True
        kept = np.cumsum(alive) - 1
        inside = column >= 0
        rows.append(kept[row[inside]] + number)
        columns.append(column[inside])
        values.append(signs[inside])
        rights.append(right[alive])
        kinds.append(np.full(int(alive.sum()), kind))
        of.append(np.flatnonzero(alive))
        number += int(alive.sum())
    matrix = sparse.csr_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(number, len(low)),
        dtype=np.int64,
    )
    matrix.sort_indices()
    kind = np.concatenate(
        [
            np.full(len(at_d), "d"),
            np.full(len(at_n), "n"),
            np.full(len(at_d), "c"),
            np.full(len(pairs), "x"),
            np.full(3 * len(believed), "s"),
        ]
    )
    figure = np.concatenate([at_d, at_n, at_d, seen.outer[pairs], np.tile(loose.parent[believed], 3)])
    return Equations(
        matrix,
        matrix.tocsc(),
        np.concatenate(rights),
        low,
        high,
        kind,
        figure,
        np.concatenate(kinds),
        np.concatenate(of),
    )


def _groups(rows: pl.DataFrame) -> pl.DataFrame:
    """The groups of a breakdown add up to all students of the place."""
    whole = rows.filter(pl.col("breakdown_code") == ALL).select(*FAMILY, *PLACE, parent="figure")
    return (
        rows.filter(pl.col("breakdown_code") != ALL)
        .join(whole, on=[*FAMILY, *PLACE])
        .select(
            tie=pl.format("group {} {}", "parent", "breakdown_code"),
            parent="parent",
            member="figure",
        )
    )


def _levels(rows: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Schools add up to their LEA; LEAs, and whatever no LEA stands above, to the state: the sums of which the rules
    say so, and those of which they do not."""
    leas = rows.filter(pl.col("organization_level") == "lea", pl.col("breakdown_code") == ALL).select(
        *FAMILY, lea="organization_id_state", has_lea=pl.lit(True)
    )
    below = (
        rows.filter(pl.col("organization_level") != "state")
        .join(leas, on=[*FAMILY, "lea"], how="left", maintain_order="left")
        .with_columns(under_lea=(pl.col("organization_level") == "school") & pl.col("has_lea").fill_null(False))
    )
    additive = pl.DataFrame(
        [
            (code, level)
            for code in rules.indicators
            for level in ("school", "lea", "institution", "provider")
            if rules.adds_up(code, level)
        ],
        schema={"indicator_code": pl.String, "organization_level": pl.String},
        orient="row",
    )
    # A sum in which one level does not add up is a loose one.
    parents = rows.select(*FAMILY, *GROUP, "organization_level", "organization_id_state", parent="figure")
    to_lea = below.filter("under_lea").join(
        parents.filter(pl.col("organization_level") == "lea").select(
            *FAMILY, *GROUP, "parent", lea="organization_id_state"
        ),
        on=[*FAMILY, *GROUP, "lea"],
    )
    to_state = below.filter(~pl.col("under_lea")).join(
        parents.filter(pl.col("organization_level") == "state").select(*FAMILY, *GROUP, "parent"),
        on=[*FAMILY, *GROUP],
    )
    names = ["parent", "figure", "indicator_code", "organization_level"]
    ties = pl.concat([to_lea.select(names), to_state.select(names)])
    broken = ties.join(additive, on=["indicator_code", "organization_level"], how="anti").select("parent").unique()
    ties = ties.with_columns(tie=pl.format("level {}", "parent"), member="figure")
    names = ["tie", "parent", "member"]
    return (
        ties.join(broken, on="parent", how="anti").select(names),
        ties.join(broken, on="parent", how="semi").select(names),
    )


def _nested(rows: pl.DataFrame, rules: Rules) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    outers, inners, sames = [], [], []
    d = rows["denominator_count"].fill_null(HIDDEN).to_numpy()
    for inner_code, outer_code in rules.pairs("nested_in"):
        outer, inner = _pairs(rows, [(outer_code, inner_code)])
        both = (d[outer] != HIDDEN) & (d[inner] != HIDDEN)
        same = bool(both.any()) and bool((d[outer] == d[inner])[both].all())
        outers.append(outer)
        inners.append(inner)
        sames.append(np.full(len(outer), same))
    none = np.zeros(0, dtype=np.int64)
    return (
        np.concatenate([none, *outers]),
        np.concatenate([none, *inners]),
        np.concatenate([none.astype(bool), *sames]),
    )


def _pairs(rows: pl.DataFrame, pairs: list[tuple[str, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Figures of the first and of the second indicator of each pair, of the same cohort, place and group."""
    same = ["subject_code", "cohort_year", *PLACE, *GROUP]
    found = [pl.DataFrame(schema={"a": pl.Int64, "b": pl.Int64})]
    for first, second in pairs:
        a = rows.filter(pl.col("indicator_code") == first).select(*same, a="figure")
        b = rows.filter(pl.col("indicator_code") == second).select(*same, b="figure")
        found.append(a.join(b, on=same).select("a", "b").sort("a", "b"))
    both = pl.concat(found)
    return both["a"].to_numpy(), both["b"].to_numpy()
