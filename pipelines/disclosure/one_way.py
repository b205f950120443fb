"""Each population is told in one way only: perturbed figures are silent wherever an official table is.

What belongs here: which perturbed rows count people of an official table (registers and reference seeds), and emptying
those that stand where the official count is not told. What does not: which official counts are told (suppress), the
noise (dbt macro cell_key), and the proof that it was done (`told_once`, which shares no code with this file).

Why this is enough. Let x be the official counts and y the perturbed counts of the same people or of some of them, cell
by cell. A row of y is shown only where x is told. Whatever a reader computes from y about official counts is a sum
a*y over cells that are told; the same sum a*x over the official table is known to him exactly. All others of a
breakdown shown, the people of the hidden cells together follow from `all`, from x without noise and from y with it;
but the official pattern never leaves a cell alone: hidden cells stand in groups that protect each other (certified
over groups, levels and indicators), y is hidden at every one of them, and so y speaks of the same groups, never of
one of their members. What y adds is who of those told is not counted in it, and that is told with noise alone.
Other definitions of the same group (two roll-ups of race, two of foster care) and programs that nearly are a group
follow the group they could be read as. Where `all` of an organization is hidden, nothing is told there.

In time: a candidate follows the pattern of its own night, a release the official rows that stand in it, which are
frozen until a dated revision: tonight's pattern of a year that keeps its old rows is told by nothing. An official year
that waits for certified deliveries is not there yet, and in-year figures do not wait with it: they follow the pattern
that the night found for it. Where certified counts later lead to another pattern, a figure released before may stand
where the table then hides; to make in-year figures wait instead, hold them with the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.disclosure.linked import COUNTS_PEOPLE_OF, codes
from pipelines.errors import P20wError
from pipelines.registers import read_rows

LONG = "mart_indicator__organization"
COVERAGE, LINK_QUALITY = "mart_coverage", "mart_link_quality"
ALL = "all"
PLACE = ["cohort_year", "organization_level", "organization_id_state"]
CELL = ["official_code", *PLACE, "breakdown_code", "group_code"]
# What a row without numbers already says of itself; it stays.
SILENT = ("window_open", "incomplete", "withdrawn")
NUMBERS = ("denominator_count", "numerator_count", "rate", "rate_low", "rate_high", "value_amount", "value_unit")
# Flows whose people are those of one official cell: the columns of its place, and the official number they add up to.
FLOWS = {
    "mart_transition__early_childhood__kindergarten": (
        "destination_type_code",
        "destination_code",
        "denominator_count",
    ),
    "mart_transition__high_school__college": ("origin_type_code", "origin_code", "numerator_count"),
}


@dataclass(frozen=True)
class OneWay:
    """Who counts whom.

    official: official indicator codes. indicators, marts: perturbed indicator or mart -> official codes.
    group: (breakdown, group) -> the official breakdown and group that nearly the same people are in.
    subject: (indicator, subject) -> the same for a whole subject.
    """

    official: frozenset[str]
    indicators: dict[str, list[str]]
    marts: dict[str, list[str]]
    group: dict[tuple[str, str], tuple[str, str]]
    subject: dict[tuple[str, str], tuple[str, str]]


def load_one_way(seeds: Path) -> OneWay:
    """Read the registers and reference seeds. Errors: P20wError where counts_people_of names no official indicator, or
    stands beside an official one."""
    register = read_rows(seeds / "registers" / "indicator.csv")
    official = frozenset(row["indicator_code"] for row in register if row.get("protection") == "official")
    indicators, marts = {}, {}
    for file, name, found in (("indicator.csv", "indicator_code", indicators), ("family.csv", "family", marts)):
        for row in register if file == "indicator.csv" else read_rows(seeds / "registers" / file):
            counted = codes(row, COUNTS_PEOPLE_OF)
            if not counted:
                continue
            unknown = sorted(set(counted) - official)
            if unknown or row[name] in official:
                wrong = ", ".join(unknown) or "another table"
                raise P20wError(
                    f"registers/{file}: {COUNTS_PEOPLE_OF} of {row[name]} names {wrong}. It stands beside perturbed "
                    "figures only, and names official indicators."
                )
            found[row[name]] = counted
    return OneWay(
        official,
        indicators,
        marts,
        _definitions(read_rows(seeds / "reference" / "student_group.csv"), "breakdown_code", "group_code"),
        _definitions(read_rows(seeds / "reference" / "subject.csv"), "indicator_code", "subject_code"),
    )


def withhold(
    tables: dict[str, pl.DataFrame], one_way: OneWay, pattern: pl.DataFrame | None = None
) -> dict[str, pl.DataFrame]:
    """The marts with every perturbed row empty, or gone, that stands where an official count beside it is not told.

    tables: marts by name; pattern: the official rows that say what is told, by default those of the long mart. Rows of
    the long mart keep their place and read `suppressed`, for the one reason that all small groups have; flows, coverage
    and link quality have no row for what is not shown. A table without such a row is returned as it is.
    """
    long = tables.get(LONG)
    if long is None:
        return dict(tables)
    official = long.filter(pl.col("protection") == "official") if pattern is None else pattern
    official = official.rename({"indicator_code": "official_code"})
    hidden = official.filter(pl.col("denominator_count").is_null()).select(CELL).unique()
    hidden_numerator = official.filter(pl.col("numerator_count").is_null()).select(CELL).unique()
    kept = dict(tables)
    kept[LONG] = _long(long, hidden, one_way)
    for mart, (level, code, number) in FLOWS.items():
        if mart in tables:
            rows = tables[mart].with_row_index("row")
            at = {"cohort_year": "cohort_year", "organization_level": level, "organization_id_state": code}
            keys = rows.select("row", **{name: pl.col(column) for name, column in at.items()})
            keys = keys.join(_official(one_way.marts.get(mart, [])), how="cross")
            kept[mart] = _without(rows, _hit(keys, hidden_numerator if number == "numerator_count" else hidden, {}))
    if COVERAGE in tables:
        rows = tables[COVERAGE].with_row_index("row")
        own = {code: [code] for code in one_way.official}
        keys = rows.join(_told_by(own | one_way.indicators), on="indicator_code")
        kept[COVERAGE] = _without(rows, _hit(keys, hidden, {"organization_level": pl.lit("state")}))
    if LINK_QUALITY in tables:
        rows = tables[LINK_QUALITY].with_row_index("row")
        keys = (
            rows.filter(pl.col("sector_code") == "k12")
            .rename({"school_year": "cohort_year"})
            .join(_official(one_way.marts.get(LINK_QUALITY, [])), how="cross")
            .with_columns(organization_level=pl.lit("state"))
        )
        own = {"breakdown_code": pl.col("breakdown_code"), "group_code": pl.col("group_code")}
        kept[LINK_QUALITY] = _without(rows, _hit(keys, hidden, {}) | _hit(keys, hidden, own))
    return kept


def _long(long: pl.DataFrame, hidden: pl.DataFrame, one_way: OneWay) -> pl.DataFrame:
    rows = long.with_row_index("row")
    keys = (
        rows.filter((pl.col("protection") == "perturbed") & ~pl.col("value_status").is_in(SILENT))
        .select("row", "indicator_code", "subject_code", *PLACE, "breakdown_code", "group_code")
        .join(_told_by(one_way.indicators), on="indicator_code")
    )
    own = {"breakdown_code": pl.col("breakdown_code"), "group_code": pl.col("group_code")}
    withheld = _hit(keys, hidden, {}) | _hit(keys, hidden, own)
    for names, mapping in (
        (("breakdown_code", "group_code"), one_way.group),
        (("indicator_code", "subject_code"), one_way.subject),
    ):
        other = pl.DataFrame(
            [(*key, *value) for key, value in sorted(mapping.items())],
            schema=dict.fromkeys([*names, "other_breakdown", "other_group"], pl.String),
            orient="row",
        )
        read_as = {"breakdown_code": pl.col("other_breakdown"), "group_code": pl.col("other_group")}
        withheld |= _hit(keys.join(other, on=list(names)), hidden, read_as)
    if not withheld:
        return long
    silent = pl.col("row").is_in(sorted(withheld))
    empty = [pl.when(~silent).then(pl.col(name)).alias(name) for name in NUMBERS]
    said = [
        pl.when(silent).then(pl.lit(word)).otherwise(pl.col(name)).alias(name)
        for name, word in (("value_status", "suppressed"), ("suppression_reason", "small_group"))
    ]
    return rows.with_columns(*empty, *said).drop("row")


def _hit(keys: pl.DataFrame, hidden: pl.DataFrame, read_as: dict[str, pl.Expr]) -> set[int]:
    """Rows of which the official cell is hidden. Without breakdown and group in `read_as`, the cell of all people; the
    columns of the place that `keys` lacks are not compared (the state is one)."""
    cell = keys.with_columns(**({"breakdown_code": pl.lit(ALL), "group_code": pl.lit(ALL)} | read_as))
    on = [name for name in CELL if name in cell.columns]
    return set(cell.join(hidden, on=on, how="semi")["row"].to_list())


def _told_by(counted: dict[str, list[str]]) -> pl.DataFrame:
    pairs = [(code, official) for code, of in sorted(counted.items()) for official in of]
    return pl.DataFrame(pairs, schema={"indicator_code": pl.String, "official_code": pl.String}, orient="row")


def _official(counted: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"official_code": counted}, schema={"official_code": pl.String})


def _without(rows: pl.DataFrame, withheld: set[int]) -> pl.DataFrame:
    return rows.filter(~pl.col("row").is_in(sorted(withheld))).drop("row")


def _definitions(rows: list[dict[str, str]], *names: str) -> dict[tuple[str, str], tuple[str, str]]:
    found = {}
    for row in rows:
        other = (row.get("other_definition_breakdown_code") or "", row.get("other_definition_group_code") or "")
        if all(other):
            found[tuple(row[name] for name in names)] = other
    return found
