"""What each published column may say: that it is declared, and that none tells of what its row hides.

What belongs here: looking at every table column by column. What does not: what the figures of official tables say
together (attack), and whether the columns of one row agree (figures.contradictions).

The attack reckons with certain columns of the long mart. Any other number must be empty wherever its row hides a count:
whatever it is, as a control limit or a rank, it was computed of people, and nobody has asked what it gives away. Words
and codes may stand there as long as they are the same for whatever they are declared to describe.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from pipelines.disclosure.stranger.figures import FAMILY, GROUP, MART, PLACE, SAID
from pipelines.disclosure.stranger.rules import Rules

COUNTS = {"denominator_count": "count", "numerator_count": "part"}
# Columns of official rows whose constraint the attack reckons with (figures), by what they must be declared as.
RECKONED = COUNTS | {"rate": "share", "rate_low": "band", "rate_high": "band", "rate_label": "band"}
# What only describes a figure, and the columns of the long mart that settle what it says of one indicator's year.
DESCRIBES = {"measure": [], "time": [], "place": PLACE, "group": GROUP, "status": ["value_status"], "provenance": []}
YEARS = (1900, 2200)


def undeclared(folder: Path, rules: Rules) -> list[str]:
    """Sentences about columns of any table that nobody has declared, or that tell more than they are declared to, and
    about small counts that stand in a table, however it is protected."""
    found = []
    for path in sorted((folder / "data").glob("*.parquet")):
        says = rules.says(path.stem)
        frame = pl.read_parquet(path)
        found += [
            f"{path.stem} has the column {name}: what it says of people is not declared in registers/statistic.csv."
            for name in frame.columns
            if name not in says
        ]
        counts = [name for name in frame.columns if says.get(name) == "count"]
        parts = [name for name in frame.columns if says.get(name) == "part"]
        if counts and "protection" not in frame.columns:
            found.append(f"{path.stem} tells counts and does not say how they are protected.")
        for name in counts + parts:
            few = frame.filter(pl.col(name).cast(pl.Float64, strict=False).is_between(1, rules.minimum - 1)).height
            if few:
                found.append(f"{path.stem} tells {name} of fewer than {rules.minimum} in {few} rows.")
        found += _beside_hidden(path.stem, frame, says)
    return found


def _beside_hidden(table: str, frame: pl.DataFrame, says: dict[str, str]) -> list[str]:
    """Sentences about columns that say something in rows that hide a count; in a table without counts every row does,
    as other tables may count its people."""
    is_mart = table == MART
    reckoned = {name for name, said in RECKONED.items() if is_mart and says.get(name) == said}
    counts = [name for name in frame.columns if name in COUNTS] if is_mart else []
    counts = counts or [name for name in frame.columns if says.get(name) in ("count", "part")]
    hides = frame.filter(pl.any_horizontal(pl.col(counts).is_null())) if counts else frame
    # Of other rows than these the attack reads nothing.
    read = (pl.col("protection") == "official") & pl.col("value_status").is_in(SAID)
    perturbed = pl.col("protection") == "perturbed"
    found = []
    for name in frame.columns:
        said = says.get(name)
        if said is None:
            continue
        told = pl.col(name).is_not_null() & (pl.col(name).cast(pl.String, strict=False) != "")
        if said in DESCRIBES and _is_words(frame[name], said):
            keys = [*FAMILY, *DESCRIBES[said]]
            if is_mart and name not in keys:
                differ = hides.filter(told).group_by(keys).agg(pl.col(name).n_unique()).filter(pl.col(name) > 1).height
                if differ:
                    found.append(
                        f"{table}.{name} is declared as {said} and differs between rows of the same {', '.join(keys)} "
                        f"that hide a count ({differ} times): leave it empty there, or do not publish it."
                    )
            continue
        if name in reckoned:
            told &= ~read if name not in COUNTS else ~(read | perturbed)
        rows = hides.filter(told).height
        if rows:
            found.append(
                f"{table}.{name}, declared as {said}, is told in {rows} rows that hide a count, and the attack does "
                "not reckon with it: leave it empty where a count of its row is hidden, or do not publish it."
            )
    return found


def _is_words(column: pl.Series, said: str) -> bool:
    """Whether it holds words, codes or dates; years where it is declared as time."""
    if said == "time" and column.dtype.is_integer():
        return bool(column.is_between(*YEARS).all())
    return not column.dtype.is_numeric()
