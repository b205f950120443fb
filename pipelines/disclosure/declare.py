"""Declare the official tables: which cells exist, which sums and nestings tie them together.

What belongs here: completing the cube with the zero cells of declared groups, and writing every tie that a reader
may use as an equation. What does not: hiding (suppress) and attacking (detect). What is not declared here is not
published: a table without equations would be protected against nobody.

Every cell has a denominator D (who is counted), a numerator N and a complement C = D - N. A tie ("relation") reads
    parent = sum of members + residual
for D and for N, hence for C. The residual is 0 where levels or groups add up, else a constant that the reader is
assumed to know (a student counted at two schools, a school outside every LEA). A nesting says that the people of the
inner cell are people of the outer one; outer minus inner is a number of people that nobody publishes.
An overlap says that the D of one indicator counts, but for a few, the people in the N of another: graduates in time
against recipients of a diploma of that year. Who is only on one side follows from no equation, as the few on the other
side are not known; yet a reader who takes them for none would read a small group, so the difference is guarded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.disclosure.linked import NESTING, OVERLAP, codes
from pipelines.errors import P20wError

ALL = "all"
# A parent comes before its members in every order we print or break ties by.
LEVEL_RANK = {"state": 0, "lea": 1, "institution": 2, "provider": 2, "school": 2}
FAMILY = ["indicator_code", "subject_code", "cohort_year"]
# The same place in another indicator of the same cohort.
PLACE = ["subject_code", "cohort_year", "organization_key", "breakdown_code", "group_code"]
CELL = [*FAMILY, "organization_key", "breakdown_code", "group_code"]


@dataclass(frozen=True)
class Relation:
    """All relations in flat form. `parent`, `kind`, residuals: (relations,). `relation`, `member`: (memberships,).

    `parent` and `member` are positions in Declaration.cells. Where `in_numerator` is False the tie holds for D only.
    """

    parent: np.ndarray
    kind: np.ndarray
    residual_d: np.ndarray
    residual_n: np.ndarray
    in_numerator: np.ndarray
    relation: np.ndarray
    member: np.ndarray

    @property
    def count(self) -> int:
        return len(self.parent)


@dataclass(frozen=True)
class Nesting:
    """`inner` (pairs,) is contained in `outer` (pairs,), person by person. `in_denominator`: D nests too, not equal."""

    outer: np.ndarray
    inner: np.ndarray
    in_denominator: np.ndarray


@dataclass(frozen=True)
class Overlap:
    """The D of cell `whole` (pairs,) counts mostly the people in the N of cell `part` (pairs,); neither contains."""

    whole: np.ndarray
    part: np.ndarray


NO_OVERLAP = Overlap(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class Declaration:
    """Cells in canonical order with their exact counts, and what ties them together.

    cells: CELL columns, organization_level, organization_id_state, school_year, family (index), level_rank,
    denominator_count, numerator_count. `problem`: one row per broken declaration (rule, indicator_code, message).
    """

    cells: pl.DataFrame
    relation: Relation
    nesting: Nesting
    overlap: Overlap
    problem: list[dict[str, str]]

    @property
    def d(self) -> np.ndarray:
        return self.cells["denominator_count"].to_numpy().astype(np.int64)

    @property
    def n(self) -> np.ndarray:
        return self.cells["numerator_count"].to_numpy().astype(np.int64)


def declare(
    cube: pl.DataFrame, organization: pl.DataFrame, group: pl.DataFrame, indicator: pl.DataFrame
) -> Declaration:
    """Cells, relations and nestings of the official families in `cube`.

    cube: the columns of cubes.cube_indicator, official indicators with a closed window only.
    organization: organization_key, organization_level, organization_id_state, lea_key (of schools).
    group: breakdown_code, group_code. indicator: indicator_code, breakdowns, attribution, nested_in,
    numerator_overlaps (register).
    Raises ValueError when a cell appears twice, has no directory entry, or counts more in N than in D.
    """
    cells = _cells(cube, organization, group, indicator)
    problem: list[dict[str, str]] = []
    parts = [
        _group_relation(cells, problem),
        *_crossed_relation(cells, problem),
        _level_relation(cells, organization, indicator, problem),
    ]
    nesting, equal = _nesting(cells, indicator)
    relation = _assemble([*parts, equal], cells)
    return Declaration(cells, relation, nesting, _overlap(cells, indicator), problem)


def from_table(
    cells: pl.DataFrame,
    sums: list[tuple[int, list[int]]],
    nestings: list[tuple[int, int]] | None = None,
    overlaps: list[tuple[int, int]] | None = None,
) -> Declaration:
    """A declaration written by hand: cells with denominator_count and numerator_count, sums (parent, members),
    nestings (outer, inner) and overlaps (whole, part) by row.

    For linked tables that are not organization x group, such as the ones agencies send to have checked.
    """
    frame = cells.with_columns(
        level_rank=pl.lit(0, pl.Int64),
        breakdown_code=pl.lit(""),
        label=pl.lit("cell ") + pl.int_range(pl.len()).cast(pl.String),
    )
    members = pl.DataFrame(
        {
            "tie": [i for i, (_, children) in enumerate(sums) for _ in children],
            "parent": [parent for parent, children in sums for _ in children],
            "member": [child for _, children in sums for child in children],
        },
        schema={"tie": pl.Int64, "parent": pl.Int64, "member": pl.Int64},
    )
    pairs = nestings or []
    nesting = Nesting(
        np.array([outer for outer, _ in pairs], dtype=np.int64),
        np.array([inner for _, inner in pairs], dtype=np.int64),
        np.ones(len(pairs), dtype=bool),
    )
    part = members.with_columns(kind=pl.lit("sum"), in_numerator=pl.lit(True))
    whole_part = np.array(overlaps or np.zeros((0, 2)), dtype=np.int64)
    return Declaration(frame, _assemble([part], frame), nesting, Overlap(whole_part[:, 0], whole_part[:, 1]), [])


# --- cells ------------------------------------------------------------------------------------------------


def _cells(
    cube: pl.DataFrame, organization: pl.DataFrame, group: pl.DataFrame, indicator: pl.DataFrame
) -> pl.DataFrame:
    counts = cube.select(*CELL, "school_year", "denominator_count", "numerator_count")
    twice = counts.filter(counts.select(CELL).is_duplicated())
    if twice.height:
        names = ", ".join(sorted(twice["indicator_code"].unique().to_list()))
        raise P20wError(
            f"The cube has the same cell more than once for {names} (more than one organization role or school year "
            "in one cohort). One published row must be one cell: give each its own indicator."
        )
    wrong = counts.filter((pl.col("numerator_count") > pl.col("denominator_count")) | (pl.col("numerator_count") < 0))
    if wrong.height:
        names = ", ".join(sorted(wrong["indicator_code"].unique().to_list()))
        raise P20wError(f"The cube counts more people in the numerator than in the denominator of {names}.")

    whole = counts.filter((pl.col("breakdown_code") == ALL) & (pl.col("group_code") == ALL))
    site = whole.select(*FAMILY, "organization_key", pl.col("school_year").alias("site_year"))
    stray = counts.join(site, on=[*FAMILY, "organization_key"], how="anti")
    if stray.height:
        names = ", ".join(sorted(stray["indicator_code"].unique().to_list()))
        raise P20wError(f"The cube of {names} has group cells of an organization without its 'all' cell.")

    # The groups of a family: those declared for a breakdown that occurs in it at all, and those that occur anyway.
    # A breakdown that no source of the family delivers is left out as a whole: its zeros would be inventions.
    declared = indicator.select("indicator_code", pl.col("breakdowns").str.split(";").alias("breakdown_code")).explode(
        "breakdown_code"
    )
    occurring = counts.select(*FAMILY, "breakdown_code").unique()
    members = (
        occurring.join(declared, on=["indicator_code", "breakdown_code"], how="semi")
        .join(group.select("breakdown_code", "group_code"), on="breakdown_code")
        .select(*FAMILY, "breakdown_code", "group_code")
    )
    members = pl.concat([members, counts.select(*FAMILY, "breakdown_code", "group_code")]).unique()
    cells = (
        site.join(members, on=FAMILY)
        .join(counts, on=CELL, how="left")
        .with_columns(
            pl.col("denominator_count").fill_null(0).cast(pl.Int64),
            pl.col("numerator_count").fill_null(0).cast(pl.Int64),
            school_year=pl.coalesce("school_year", "site_year"),
        )
        .drop("site_year")
        .join(
            organization.select("organization_key", "organization_level", "organization_id_state"),
            on="organization_key",
            how="left",
        )
    )
    lost = cells.filter(pl.col("organization_level").is_null())
    if lost.height:
        names = ", ".join(sorted(lost["indicator_code"].unique().to_list()))
        raise P20wError(f"The cube of {names} has organizations that dim_organization does not have.")
    # Canonical order: the same cube in any row order is the same declaration, hence the same pattern.
    cells = (
        cells.with_columns(
            level_rank=pl.col("organization_level").replace_strict(LEVEL_RANK, default=3, return_dtype=pl.Int64),
            is_all=(pl.col("breakdown_code") == ALL),
        )
        .sort(
            [
                *FAMILY,
                "level_rank",
                "organization_level",
                "organization_id_state",
                "organization_key",
                "is_all",
                "breakdown_code",
                "group_code",
            ],
            descending=[False] * 7 + [True, False, False],
        )
        .drop("is_all")
        .with_row_index("cell")
        .with_columns(
            pl.col("cell").cast(pl.Int64),
            family=pl.struct(FAMILY).rank("dense").cast(pl.Int64) - 1,
            label=pl.format(
                "{} {} {}, {} {}, {} {}",
                "indicator_code",
                "subject_code",
                "cohort_year",
                "organization_level",
                "organization_id_state",
                "breakdown_code",
                "group_code",
            ),
        )
    )
    return cells


# --- relations --------------------------------------------------------------------------------------------


def _group_relation(cells: pl.DataFrame, problem: list[dict[str, str]]) -> pl.DataFrame:
    """Within an organization the groups of each breakdown add up to 'all'. A crossed breakdown adds up too."""
    parent = cells.filter(pl.col("breakdown_code") == ALL).select(
        "family", "organization_key", pl.col("cell").alias("parent")
    )
    part = (
        cells.filter(pl.col("breakdown_code") != ALL)
        .join(parent, on=["family", "organization_key"])
        .select("parent", "breakdown_code", pl.col("cell").alias("member"))
        .with_columns(tie=pl.struct("parent", "breakdown_code").rank("dense").cast(pl.Int64), kind=pl.lit("group"))
    )
    _must_add_up(part, cells, "partition", "the groups of a breakdown do not add up to 'all'", problem)
    return part.select("tie", "parent", "member", "kind").with_columns(in_numerator=pl.lit(True))


def _crossed_relation(cells: pl.DataFrame, problem: list[dict[str, str]]) -> list[pl.DataFrame]:
    """A crossed breakdown a_x_b with groups a__b adds up to each group of a and of b where they are published."""
    crossed = cells.filter(pl.col("breakdown_code").str.contains("_x_", literal=True))
    parts = []
    for side in (0, 1):
        member = crossed.select(
            "family",
            "organization_key",
            pl.col("breakdown_code").str.splitn("_x_", 2).struct[side].alias("breakdown_code"),
            pl.col("group_code").str.splitn("__", 2).struct[side].alias("group_code"),
            pl.col("cell").alias("member"),
            pl.col("breakdown_code").alias("crossed"),
        )
        part = (
            member.join(
                cells.select("family", "organization_key", "breakdown_code", "group_code", parent="cell"),
                on=["family", "organization_key", "breakdown_code", "group_code"],
            )
            .with_columns(tie=pl.struct("parent", "crossed").rank("dense").cast(pl.Int64), kind=pl.lit("crossed"))
            .select("tie", "parent", "member", "kind")
        )
        _must_add_up(part, cells, "partition", "crossed groups do not add up to the group they divide", problem)
        parts.append(part.with_columns(in_numerator=pl.lit(True)))
    return parts


def _level_relation(
    cells: pl.DataFrame, organization: pl.DataFrame, indicator: pl.DataFrame, problem: list[dict[str, str]]
) -> pl.DataFrame:
    """Schools against their LEA, and whatever has no LEA cell, with the LEAs, against the state.

    Where the register declares a level that does not add up (each_school, once_per_level) the tie stays, with a
    constant residual that the reader is assumed to know.
    """
    site = cells.filter(pl.col("breakdown_code") == ALL).select("family", "organization_key", "organization_level")
    state = site.filter(pl.col("organization_level") == "state").select(
        "family", pl.col("organization_key").alias("state_key")
    )
    lea = site.filter(pl.col("organization_level") == "lea").select(
        "family", pl.col("organization_key").alias("lea_key"), has_lea=pl.lit(True)
    )
    above = (
        site.filter(pl.col("organization_level") != "state")
        .join(organization.select("organization_key", "lea_key"), on="organization_key", how="left")
        .join(lea, on=["family", "lea_key"], how="left")
        .join(state, on="family", how="left")
        .with_columns(
            parent_key=pl.when((pl.col("organization_level") == "school") & pl.col("has_lea"))
            .then("lea_key")
            .otherwise("state_key")
        )
        .filter(pl.col("parent_key").is_not_null() & (pl.col("parent_key") != pl.col("organization_key")))
        .select("family", "organization_key", "parent_key")
    )
    # One tie per parent cell: its members are the LEAs and the schools that no LEA stands between.
    part = (
        cells.join(above, on=["family", "organization_key"])
        .select("family", "parent_key", "breakdown_code", "group_code", member="cell", level="organization_level")
        .join(
            cells.select(
                "family",
                "breakdown_code",
                "group_code",
                "indicator_code",
                pl.col("organization_key").alias("parent_key"),
                pl.col("cell").alias("parent"),
            ),
            on=["family", "parent_key", "breakdown_code", "group_code"],
        )
        .with_columns(tie=pl.col("parent"), kind=pl.lit("level"))
    )
    attribution = {row["indicator_code"]: _attribution(row["attribution"]) for row in indicator.to_dicts()}
    additive = pl.Series(
        [
            attribution.get(code, {}).get(level, "one_school") == "one_school"
            for code, level in zip(part["indicator_code"], part["level"], strict=True)
        ],
        dtype=pl.Boolean,
    )
    _must_add_up(part.filter(additive), cells, "additivity", "levels declared one_school do not add up", problem)
    return part.select("tie", "parent", "member", "kind").with_columns(in_numerator=pl.lit(True))


def _attribution(text: str | None) -> dict[str, str]:
    """'school=each_school;lea=once_per_level' -> {'school': 'each_school', ...}; one word holds for every level."""
    parts = [part.strip() for part in (text or "").split(";") if part.strip()]
    if len(parts) == 1 and "=" not in parts[0]:
        return dict.fromkeys(LEVEL_RANK, parts[0])
    return dict(part.split("=", 1) for part in parts)


def _must_add_up(
    part: pl.DataFrame, cells: pl.DataFrame, rule: str, sentence: str, problem: list[dict[str, str]]
) -> None:
    """Report ties that were declared additive and are not (counts of ties only, no figure)."""
    if not part.height:
        return
    size = cells.select(pl.col("cell"), "denominator_count", "numerator_count", "indicator_code")
    broken = (
        part.join(size, left_on="member", right_on="cell")
        .group_by("tie", "parent")
        .agg(pl.col("denominator_count", "numerator_count").sum())
        .join(size, left_on="parent", right_on="cell", suffix="_parent")
        .filter(
            (pl.col("denominator_count") != pl.col("denominator_count_parent"))
            | (pl.col("numerator_count") != pl.col("numerator_count_parent"))
        )
    )
    for code, count in broken.group_by("indicator_code").len().sort("indicator_code").iter_rows():
        problem.append(
            {"rule": rule, "indicator_code": code, "count": count, "message": f"{code}: {sentence} in {count} places."}
        )


def _assemble(parts: list[pl.DataFrame], cells: pl.DataFrame) -> Relation:
    """Number the ties of all parts and compute their residuals."""
    frames, offset = [], 0
    for part in parts:
        part = part.sort("tie", "member").with_columns(relation=pl.col("tie").rank("dense").cast(pl.Int64) - 1 + offset)
        offset += part["relation"].n_unique()
        frames.append(part.select("relation", "parent", "member", "kind", "in_numerator"))
    flat = pl.concat(frames)
    head = flat.unique("relation", keep="first", maintain_order=True).sort("relation")
    relation, member = flat["relation"].to_numpy(), flat["member"].to_numpy()
    parent = head["parent"].to_numpy()
    d, n = (cells[c].to_numpy().astype(np.int64) for c in ("denominator_count", "numerator_count"))

    def residual(value: np.ndarray) -> np.ndarray:
        total = np.bincount(relation, weights=value[member], minlength=len(parent)) if len(parent) else np.zeros(0)
        return value[parent] - total.astype(np.int64)

    return Relation(
        parent,
        head["kind"].to_numpy().astype(str),
        residual(d),
        residual(n),
        head["in_numerator"].to_numpy(),
        relation,
        member,
    )


# --- nestings ---------------------------------------------------------------------------------------------


def nested_pairs(indicator: pl.DataFrame) -> list[tuple[str, str]]:
    """(outer, inner) indicator codes by the register's nested_in, what follows from them included, sorted.

    Raises ValueError where indicators are nested in a circle.
    """
    direct = {row["indicator_code"]: set(codes(row, NESTING)) for row in indicator.to_dicts()}

    def outer(code: str, path: tuple[str, ...]) -> set[str]:
        if code in path:
            raise P20wError(f"indicator.csv: nested_in goes round in a circle: {' in '.join([*path, code])}.")
        found = set(direct.get(code, set()))
        for above in direct.get(code, set()):
            found |= outer(above, (*path, code))
        return found

    return sorted((above, code) for code in direct for above in outer(code, ()))


def _nesting(cells: pl.DataFrame, indicator: pl.DataFrame) -> tuple[Nesting, pl.DataFrame]:
    """Nested cells of the same cohort, and equality of D where both indicators count the same people.

    Raises ValueError where an inner cell is larger than its outer one: then the declaration is wrong.
    """
    parts = []
    for outer_code, inner_code in nested_pairs(indicator):
        outer, inner = (
            cells.filter(pl.col("indicator_code") == code).select(*PLACE, name, d, n)
            for code, name, d, n in (
                (
                    outer_code,
                    pl.col("cell").alias("outer"),
                    pl.col("denominator_count").alias("outer_d"),
                    pl.col("numerator_count").alias("outer_n"),
                ),
                (
                    inner_code,
                    pl.col("cell").alias("inner"),
                    pl.col("denominator_count").alias("inner_d"),
                    pl.col("numerator_count").alias("inner_n"),
                ),
            )
        )
        pair = inner.join(outer, on=PLACE)
        if not pair.height:
            continue
        if pair.filter((pl.col("inner_n") > pl.col("outer_n")) | (pl.col("inner_d") > pl.col("outer_d"))).height:
            raise P20wError(
                f"indicator.csv says that {inner_code} is nested in {outer_code}, but the cube counts more people "
                f"in the inner one. Correct nested_in or the indicator."
            )
        same = pair.filter(pl.col("inner_d") != pl.col("outer_d")).height == 0
        parts.append(pair.select("outer", "inner", in_denominator=pl.lit(not same)))
    schema = {"outer": pl.Int64, "inner": pl.Int64, "in_denominator": pl.Boolean}
    flat = pl.concat([pl.DataFrame(schema=schema), *parts]).sort("outer", "inner")
    nesting = Nesting(*(flat[c].to_numpy() for c in schema))
    equal = flat.filter(~pl.col("in_denominator")).select(
        tie=pl.int_range(pl.len()), parent="outer", member="inner", kind=pl.lit("same"), in_numerator=pl.lit(False)
    )
    return nesting, equal


def _overlap(cells: pl.DataFrame, indicator: pl.DataFrame) -> Overlap:
    """Cells of the same place and cohort of indicators that the register declares as overlapping."""
    code = cells["indicator_code"]
    known = set(indicator["indicator_code"].to_list())
    parts = [pl.DataFrame(schema={"whole": pl.Int64, "part": pl.Int64})]
    for row in indicator.sort("indicator_code").to_dicts():
        for other in codes(row, OVERLAP):
            if other not in known:
                raise P20wError(
                    f"indicator.csv: numerator_overlaps of {row['indicator_code']} names '{other}', which is no "
                    "official indicator. Correct the code."
                )
            part = cells.filter(code == row["indicator_code"]).select(*PLACE, part="cell")
            whole = cells.filter(code == other).select(*PLACE, whole="cell")
            parts.append(part.join(whole, on=PLACE).select("whole", "part"))
    pair = pl.concat(parts).sort("whole", "part")
    return Overlap(pair["whole"].to_numpy(), pair["part"].to_numpy())
