"""A slow, exact reader of small published tables, and small tables to read. Shares no code with the product.

Ranks are taken in fractions, intervals by integer programs over D and N together.
"""

from __future__ import annotations

import csv
from datetime import date
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
from scipy.optimize import Bounds as Box
from scipy.optimize import LinearConstraint, milp

from pipelines.disclosure.bands import Bands, load_bands
from pipelines.disclosure.policy import Policy, load_policy
from pipelines.disclosure.protect import MILLIONTHS, rows

DAY = date(2026, 11, 21)
SEEDS = Path(__file__).resolve().parents[3] / "seeds" / "policy"
POLICY = load_policy(SEEDS / "protection.csv", DAY)
BANDS = load_bands(SEEDS / "rate_band.csv", POLICY, DAY)
# A small n keeps small tables interesting: with n = 10 everything in them would be hidden.
SMALL = Policy(3, 3, 2, "hideable", 3, 0.8, 0.1, 500, 3, 40, 24, 8, 12, 0.1, 0.05, "*")
PLAIN = {"presolve": False}  # HiGHS's presolve calls some programs infeasible that are not
SMALL_BANDS = Bands(*(np.array([value], dtype=np.int64) for value in (3, np.iinfo(np.int64).max, 3400, 6600)))


def rank_determined(rows: list[dict[int, int]], unknown: list[int]) -> set[int]:
    """Unknowns that the equations (coefficients by unknown) fix, by exact elimination."""
    position = {cell: i for i, cell in enumerate(unknown)}
    matrix = [[Fraction(row.get(cell, 0)) for cell in unknown] for row in rows]
    pivots: list[int] = []
    at = 0
    for column in range(len(position)):
        found = next((r for r in range(at, len(matrix)) if matrix[r][column]), None)
        if found is None:
            continue
        matrix[at], matrix[found] = matrix[found], matrix[at]
        head = matrix[at][column]
        matrix[at] = [value / head for value in matrix[at]]
        for other in range(len(matrix)):
            if other != at and matrix[other][column]:
                factor = matrix[other][column]
                matrix[other] = [a - factor * b for a, b in zip(matrix[other], matrix[at], strict=True)]
        pivots.append(column)
        at += 1
    return {unknown[p] for r, p in enumerate(pivots) if sum(1 for value in matrix[r] if value) == 1}


def audit(declaration, published, n_min: int, width: int) -> list[str]:
    """What a reader learns of truly small cells. True counts only choose whom to look at."""
    relation, nesting = declaration.relation, declaration.nesting
    cells = len(declaration.d)
    ties = [
        (
            int(relation.parent[t]),
            relation.member[relation.relation == t].tolist(),
            int(relation.residual_d[t]),
            int(relation.residual_n[t]),
            bool(relation.in_numerator[t]),
        )
        for t in range(relation.count)
    ]
    problems = []
    hidden = {"d": {i for i in range(cells) if published.d[i] < 0}}
    hidden["n"] = {i for i in range(cells) if published.n[i] < 0 and published.d[i] != 0}
    true = {"d": declaration.d, "n": declaration.n, "c": declaration.d - declaration.n}
    small_d = [i for i in hidden["d"] if 1 <= true["d"][i] < n_min]
    small_n = [i for i in hidden["n"] if true["d"][i] > 0 and min(true["n"][i], true["c"][i]) < n_min]
    for name, small in (("d", small_d), ("n", small_n)):
        sums = []
        for parent, members, _, _, in_n in ties:
            if name == "n" and not in_n:
                continue
            row = {cell: -1 for cell in members if cell in hidden[name]}
            if parent in hidden[name]:
                row[parent] = 1
            sums.append(row)
        fixed = rank_determined(sums, sorted(hidden[name]))
        problems += [f"{name}{cell} is determined" for cell in small if cell in fixed]

    # Sums of hidden members below a shown parent.
    for parent, members, _, _, in_n in ties:
        closed = [cell for cell in members if cell in hidden["d"]]
        # Of n together one may be the reader: he knows that the others are fewer.
        if closed and parent not in hidden["d"] and 1 <= sum(true["d"][closed]) <= n_min:
            problems.append(f"{'insider' if sum(true['d'][closed]) == n_min else 'residual'} of people below {parent}")
        closed = [cell for cell in members if cell in hidden["n"]]
        if closed and in_n and published.n[parent] >= 0 and published.d[parent] > 0:
            for name in ("n", "c"):
                if sum(true[name][closed]) < n_min:
                    problems.append(f"residual of {name} below {parent}")
    # Pairs whose difference is about people, as columns of (D, N): N minus N of a nesting, D minus N of an overlap.
    pairs = [(cells + a, cells + b) for a, b in zip(nesting.outer, nesting.inner, strict=True)]
    pairs += [(a, cells + b) for a, b in zip(declaration.overlap.whole, declaration.overlap.part, strict=True)]
    seen_cells = np.concatenate([published.d, published.n])
    truth = np.concatenate([true["d"], true["n"]]).astype(np.int64)
    small_x = [i for i, (a, b) in enumerate(pairs) if 1 <= abs(truth[a] - truth[b]) < n_min]
    for i in small_x:
        a, b = pairs[i]
        if seen_cells[a] >= 0 and seen_cells[b] >= 0:
            problems.append(f"difference of the pair {a}, {b}")

    # Integer intervals over all D and N together. Shown values are bounds that meet.
    low = np.zeros(2 * cells)
    high = np.full(2 * cells, 10_000.0)
    surely = np.broadcast_to(published.least_d, cells)
    for i in range(cells):
        if published.d[i] >= 0:
            low[i] = high[i] = published.d[i]
            if published.n[i] < 0:
                low[cells + i], high[cells + i] = published.n_low[i], published.n_high[i]
        else:
            low[i] = surely[i]
        if published.n[i] >= 0:
            low[cells + i] = high[cells + i] = published.n[i]
    lines, least, most = [], [], []

    def line(entries, from_, to):
        row = np.zeros(2 * cells)
        for column, value in entries:
            row[column] += value
        lines.append(row)
        least.append(from_)
        most.append(to)

    for i in range(cells):
        line([(i, 1), (cells + i, -1)], 0, np.inf)
    for parent, members, residual_d, residual_n, in_n in ties:
        line([(parent, 1), *((m, -1) for m in members)], residual_d, residual_d)
        if in_n:
            line([(cells + parent, 1), *((cells + m, -1) for m in members)], residual_n, residual_n)
    for outer, inner, both in zip(nesting.outer, nesting.inner, nesting.in_denominator, strict=True):
        line([(cells + outer, 1), (cells + inner, -1)], 0, np.inf)
        if both:
            line([(outer, 1), (inner, -1)], 0, np.inf)
    constraint = LinearConstraint(np.array(lines), least, most)
    # Every table found that fits what was published is a table the reader cannot exclude. It says something of every
    # cell at once, so an extreme is only looked for where the tables seen so far leave a cell in doubt.
    told = np.array(lines) @ truth
    fits = (low <= truth).all() and (truth <= high).all() and (least <= told).all() and (told <= most).all()
    assert fits, "what was published contradicts the truth"
    plus, minus = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))

    def every(table):
        """D, N, C and the differences of one table."""
        return np.concatenate([table, table[:cells] - table[cells:], table[plus] - table[minus]])

    seen_low, seen_high = every(truth), every(truth)
    place = {"d": 0, "n": cells, "c": 2 * cells, "x": 3 * cells}

    def look(objective):
        box, whole = Box(low, high), np.ones(2 * cells)
        outcome = milp(objective, constraints=constraint, bounds=box, integrality=whole, options=PLAIN)
        assert outcome.x is not None, "no table fits what was published"
        found = np.rint(outcome.x).astype(np.int64)
        sums = np.array(lines) @ found
        assert (low <= found).all() and (found <= high).all() and (least <= sums).all() and (sums <= most).all()
        np.minimum(seen_low, every(found), out=seen_low)
        np.maximum(seen_high, every(found), out=seen_high)

    def interval(name, cell, enough):
        """Least and most the cell (of "x": the pair) can be, or a part of that which is already `enough`."""
        at = place[name] + cell
        objective = np.zeros(2 * cells)
        if name == "x":
            objective[plus[cell]], objective[minus[cell]] = 1.0, -1.0
        else:
            objective[cell if name != "n" else cells + cell] = 1.0
        if name == "c":
            objective[cells + cell] = -1.0
        for sign in (-1.0, 1.0):
            if enough(seen_low[at], seen_high[at]):
                break
            look(sign * objective)
        return seen_low[at], seen_high[at]

    for cell in small_d:
        at_least, at_most = interval("d", cell, lambda a, b: b >= n_min and b - a + 1 >= width)
        if at_most < n_min:
            problems.append(f"d{cell} is surely below n")
        if at_most - at_least + 1 < width:
            problems.append(f"d{cell} is narrow")
    for cell in small_n:
        for name in ("n", "c"):
            at_least, at_most = interval(name, cell, lambda a, b: b - a + 1 >= width)
            if at_most - at_least + 1 < width and true[name][cell] < n_min:
                problems.append(f"{name}{cell} is narrow")
    for i in small_x:
        at_least, at_most = interval("x", i, lambda a, b: b - a + 1 >= width)
        if at_most - at_least + 1 < width:
            problems.append(f"difference of the pair {pairs[i]} is narrow")
    return problems


GROUP = pl.DataFrame(
    [("all", "all"), ("gender", "f"), ("gender", "m"), ("gender", "x"), ("disability", "y"), ("disability", "z")],
    schema=["breakdown_code", "group_code"],
    orient="row",
)


def register(
    *codes: str,
    attribution: str = "one_school",
    nested_in: dict[str, str] | None = None,
    overlaps: dict[str, str] | None = None,
) -> pl.DataFrame:
    """Register rows of indicators broken down by gender and disability."""
    nested_in, overlaps = nested_in or {}, overlaps or {}
    return pl.DataFrame(
        [
            (code, "all;gender;disability", attribution, nested_in.get(code, ""), overlaps.get(code, ""))
            for code in codes
        ],
        schema=["indicator_code", "breakdowns", "attribution", "nested_in", "numerator_overlaps"],
        orient="row",
    )


def organization(leas: int, schools: int) -> pl.DataFrame:
    """One state, `leas` LEAs, `schools` schools each."""
    rows = [(900, "state", "STATE", None)]
    for lea in range(leas):
        rows.append((100 + lea, "lea", f"L{lea}", None))
        rows += [(lea * 10 + school, "school", f"S{lea}{school}", 100 + lea) for school in range(schools)]
    return pl.DataFrame(
        rows,
        schema={
            "organization_key": pl.Int64,
            "organization_level": pl.String,
            "organization_id_state": pl.String,
            "lea_key": pl.Int64,
        },
        orient="row",
    )


def cube(people: list[tuple[str, int, str, str, bool]]) -> pl.DataFrame:
    """Exact counts of (indicator_code, school, gender, disability, in numerator) at school, LEA and state."""
    rows = []
    for code, school, gender, disability, yes in people:
        for place in (school, 100 + school // 10, 900):
            for breakdown, group in (("all", "all"), ("gender", gender), ("disability", disability)):
                rows.append((code, "all", place, 2026, 2026, breakdown, group, 1, int(yes)))
    key = [
        "indicator_code",
        "subject_code",
        "organization_key",
        "school_year",
        "cohort_year",
        "breakdown_code",
        "group_code",
    ]
    types = dict.fromkeys(key, pl.String) | dict.fromkeys(["organization_key", "school_year", "cohort_year"], pl.Int64)
    frame = pl.DataFrame(
        rows, schema=types | {"denominator_count": pl.Int64, "numerator_count": pl.Int64}, orient="row"
    )
    return frame.group_by(key).agg(pl.col("denominator_count", "numerator_count").sum()).sort(key)


def mart_rows(protected, bands: Bands, places: pl.DataFrame) -> pl.DataFrame:
    """The rows of a protected table as the mart tells them."""
    lea = places.select(pl.col("organization_key").alias("lea_key"), lea_id_state="organization_id_state")
    return (
        rows(protected, bands)
        .join(places.join(lea, on="lea_key", how="left"), on="organization_key")
        .with_columns(
            *((pl.col(name) / 1_000_000).round(6).cast(pl.Decimal(9, 6)) for name in MILLIONTHS),
            value_amount=pl.lit(None, pl.Int64),
            protection=pl.lit("official"),
            data_as_of=pl.lit(DAY),
        )
        .drop("organization_key", "lea_key")
    )


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a small CSV file."""
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))
