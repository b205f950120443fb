"""What earlier releases told of tonight's official cells: an old value counts as known for ever.

What belongs here: reading the official rows of every release ever shown, laying them beside tonight's cells, and the
values that a reader can compare a cell with. What does not: what follows for the pattern (suppress) and the attack
(detect, certify).

Who compares two releases reads the difference: 41 graduates in June and 42 in December are one student whose outcome
is known. So a figure is told again only where it is what was told before, or differs by n people or more, and what was
once hidden stays hidden: an old partner that were shown would give away whom it hid. The same holds between tables
that count nearly the same people, whenever each was released. And where a group came or went since, nobody or everybody
of whom is in the numerator, the new numerator would say so of each of them: it is not told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.disclosure.declare import Declaration
from pipelines.errors import P20wError
from pipelines.settings import Settings

MART = "mart_indicator__organization"
CELL = [
    "indicator_code",
    "subject_code",
    "cohort_year",
    "organization_level",
    "organization_id_state",
    "breakdown_code",
    "group_code",
]
# Statuses that say something of the people in a cell; elsewhere (window_open, incomplete) nothing was told.
TOLD = ("shown", "banded", "suppressed", "no_students", "withdrawn")
ROW = {
    "version": pl.Int64,
    "indicator_code": pl.String,
    "subject_code": pl.String,
    "cohort_year": pl.Int64,
    "organization_level": pl.String,
    "organization_id_state": pl.String,
    "breakdown_code": pl.String,
    "group_code": pl.String,
    "denominator_count": pl.Int64,
    "numerator_count": pl.Int64,
    "value_status": pl.String,
}
NOT_TOLD = -1


@dataclass(frozen=True)
class Earlier:
    """Earlier versions beside tonight's cells, and the values to compare them with.

    versions: one pair (d, n) of arrays (cells,) for each earlier version, NOT_TOLD where it told nothing. absent: one
    array (cells,) for each: places that it did not know, where nobody was counted then.
    hidden_d, hidden_n, unbanded: (cells,) what some version hid: the denominator, the numerator, and its band too.
    cell, variable, value: (comparisons,) a value that a reader may hold against `variable` (d, n or c = d - n) of a
    cell: what was told of the cell itself, or of a cell of an overlapping or nested table.
    """

    versions: list[tuple[np.ndarray, np.ndarray]]
    hidden_d: np.ndarray
    hidden_n: np.ndarray
    unbanded: np.ndarray
    cell: np.ndarray
    variable: np.ndarray
    value: np.ndarray
    absent: list[np.ndarray] = field(default_factory=list)

    def apart(self, d: np.ndarray, n: np.ndarray) -> np.ndarray:
        """How far tonight's value is from each value it can be held against. Shape (comparisons,)."""
        own = {"d": d, "n": n, "c": d - n}
        return np.select(
            [self.variable == name for name in own],
            [np.abs(value[self.cell] - self.value) for value in own.values()],
            0,
        )

    def known(self, d: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Denominators and numerators that some version told with tonight's very value, (cells,) each: whoever sees
        that nothing changed around such a cell has it, hidden or not."""
        known_d, known_n = np.zeros(len(d), dtype=bool), np.zeros(len(d), dtype=bool)
        for told_d, told_n in self.versions:
            same = (told_d != NOT_TOLD) & (told_d == d)
            known_d |= same
            known_n |= same & (told_n != NOT_TOLD) & (told_n == n)
        return known_d, known_n

    def one_sided(self, d: np.ndarray, n: np.ndarray, minimum: int) -> np.ndarray:
        """Cells to which `minimum` people or more came, or from which they went, since some version that told both
        counts, while the numerator, or the rest, is what it was: whoever knows who they are knows what each of them
        did. (cells,) Not where some version told tonight's counts too: nothing new is said."""
        found = np.zeros(len(d), dtype=bool)
        for told_d, told_n in self.versions:
            both = (told_d != NOT_TOLD) & (told_n != NOT_TOLD) & (np.abs(d - told_d) >= minimum)
            found |= both & ((n == told_n) | (d - n == told_d - told_n))
        return found & ~self.known(d, n)[1]


def nothing_earlier(cells: int) -> Earlier:
    """What is known before the first release."""
    none = np.zeros(cells, dtype=bool)
    return Earlier([], none, none, none, np.zeros(0, np.int64), np.zeros(0, "U1"), np.zeros(0, np.int64))


def read_earlier(settings: Settings, build_id: str) -> pl.DataFrame:
    """Official rows that releases of builds before `build_id` told, in the columns of ROW: for each family and year
    the versions that differ, oldest first.

    Errors: P20wError when a release that the ledger knows is gone: what it told could not be kept out of differences.
    """
    frames: list[pl.DataFrame] = []
    seen: set[tuple[str, int, int]] = set()
    for version, path in enumerate(_releases_before(settings, build_id)):
        rows = (
            pl.scan_parquet(path)
            .filter((pl.col("protection") == "official") & pl.col("value_status").is_in(TOLD))
            .select([name for name in ROW if name != "version"])
            .collect()
            .with_columns(version=pl.lit(version))
            .select(list(ROW))
            .cast(ROW)
        )
        contents = rows.group_by("indicator_code", "cohort_year").agg(
            content=pl.struct(pl.exclude("version")).hash().sum()
        )
        fresh = [row for row in contents.rows() if row not in seen]
        seen.update(fresh)
        kept = pl.DataFrame(
            [row[:2] for row in fresh], schema={"indicator_code": pl.String, "cohort_year": pl.Int64}, orient="row"
        )
        frames.append(rows.join(kept, on=["indicator_code", "cohort_year"], how="semi"))
    return pl.concat([pl.DataFrame(schema=ROW), *frames])


def beside(declaration: Declaration, rows: pl.DataFrame) -> Earlier:
    """`rows` (ROW) laid beside the cells of `declaration`; rows of cells that no longer exist have nothing to tell."""
    count = len(declaration.d)
    cells = declaration.cells.select(*(pl.col(name).cast(ROW[name]) for name in CELL), "cell")
    found = rows.join(cells, on=CELL, nulls_equal=True).sort("version", "cell")
    at = found["cell"].to_numpy()
    d = found["denominator_count"].fill_null(NOT_TOLD).to_numpy()
    n = found["numerator_count"].fill_null(NOT_TOLD).to_numpy()
    status = found["value_status"].to_numpy()
    hidden_d, hidden_n, unbanded = (np.zeros(count, dtype=bool) for _ in range(3))
    hidden_d[at[d == NOT_TOLD]] = True
    hidden_n[at[n == NOT_TOLD]] = True
    unbanded[at[(n == NOT_TOLD) & (status != "banded")]] = True
    versions, absent = [], []
    number = found["version"].to_numpy()
    level = ["indicator_code", "subject_code", "cohort_year", "organization_level"]
    for version in np.unique(number):
        mine = number == version
        told = tuple(np.full(count, NOT_TOLD, dtype=np.int64) for _ in range(2))
        for values, value in zip(told, (d, n), strict=True):
            values[at[mine]] = value[mine]
        versions.append(told)
        known = rows.filter(pl.col("version") == version)
        new = cells.join(known, on=level, how="semi", nulls_equal=True).join(
            known, on=[*level, "organization_id_state"], how="anti", nulls_equal=True
        )
        absent.append(np.isin(np.arange(count), new["cell"].to_numpy()))
    return Earlier(versions, hidden_d, hidden_n, unbanded, *_comparisons(declaration, versions), absent)


def _comparisons(
    declaration: Declaration, versions: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct (cell, variable, value): what each cell can be held against."""
    nesting, overlap = declaration.nesting, declaration.overlap
    own = np.arange(len(declaration.d))
    parts = []
    for d, n in versions:
        c = np.where((d >= 0) & (n >= 0), d - n, NOT_TOLD)
        for cell, variable, value in (
            (own, "d", d),
            (own, "n", n),
            (own, "c", c),
            # Of tables that count nearly the same people, whichever came out first.
            (overlap.whole, "d", n[overlap.part]),
            (overlap.part, "n", d[overlap.whole]),
            (nesting.outer, "n", n[nesting.inner]),
            (nesting.inner, "n", n[nesting.outer]),
            (nesting.outer[nesting.in_denominator], "d", d[nesting.inner[nesting.in_denominator]]),
            (nesting.inner[nesting.in_denominator], "d", d[nesting.outer[nesting.in_denominator]]),
        ):
            told = value >= 0
            parts.append(
                pl.DataFrame({"cell": cell[told], "value": value[told]}, schema={"cell": pl.Int64, "value": pl.Int64})
                .unique()
                .with_columns(variable=pl.lit(variable))
            )
    empty = pl.DataFrame(schema={"cell": pl.Int64, "value": pl.Int64, "variable": pl.String})
    distinct = pl.concat([empty, *parts]).unique().sort("cell", "variable", "value")
    return (
        distinct["cell"].to_numpy(),
        distinct["variable"].to_numpy().astype("U1"),
        distinct["value"].to_numpy(),
    )


def _releases_before(settings: Settings, build_id: str) -> list[Path]:
    """The long mart of each release that the ledger knows from builds before this one, oldest first."""
    found = []
    for record in sorted(settings.release_ledger.glob("r*.parquet")):
        made_by = pl.scan_parquet(record).select("build_id").head(1).collect()["build_id"].to_list()
        if not made_by or made_by[0] >= build_id:
            continue
        folder = settings.releases / record.stem
        if not folder.exists():
            raise P20wError(
                f"Release {record.stem} was shown, but its folder is gone from {settings.releases}. What it told must "
                "not be told again with a small difference: restore the folder from a backup."
            )
        path = folder / "data" / f"{MART}.parquet"
        if path.exists():
            found.append((made_by[0], record.stem, path))
    return [path for _, _, path in sorted(found)]
