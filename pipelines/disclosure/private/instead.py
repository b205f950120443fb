"""What is silent where earnings are told by differential privacy: every other statistic of the same wage records.

What belongs here: which rows of which marts count wage records, and leaving them out. What does not: the private rows
themselves (earnings), and the proof (`told_once`, which shares no code with this file).

Which rows count the same records. All of them whose register row reads the collection of wages, whether or not their
indicator is told privately itself: somebody with a diploma and a college award has one wage record that both count.
- Indicators that read wages, from the first private cohort year on: their count of people found and their median are
  of the records themselves, and their denominator leaves out people for what a wage record says (a name in review).
- Coverage of these indicators: how many were counted and how many were not, by the same records.
- Flows that read wages: those found and not found, by industry, in the same years.
- Links with the workforce, in every year: "linked" there says that a person has a wage record of any year, these
  included.
Availability of deliveries and tables of enrollment count no wage record, and stay.

A cohort year before the first private one keeps what was told of it. The wages of a calendar year are counted in two
cohorts that meet in it and, by the second year after an award, in later ones: somebody with two awards may stand in a
cohort told the old way and in a private one. The loss that is told is of what is told from the first cohort year on.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from pipelines.disclosure.private.policy import load_private
from pipelines.registers import read_rows

MART = "mart_earnings_private"
RECORDS, SECTOR = "workforce__wage", "workforce"


def told_privately(tables: dict[str, pl.DataFrame], seeds: Path, as_of: date) -> dict[str, pl.DataFrame]:
    """The marts without the rows that private statistics replace on `as_of`. A table without such a row is returned as
    it is, and so is every table where no row of policy is in force."""
    private = load_private(seeds, as_of)
    if not private:
        return tables
    first = min(each.first_cohort_year for each in private.values())
    indicators = _readers(seeds / "registers" / "indicator.csv", "indicator_code")
    marts = _readers(seeds / "registers" / "family.csv", "family") - {MART}
    kept = dict(tables)
    for mart, table in tables.items():
        columns = set(table.columns)
        if {"indicator_code", "cohort_year"} <= columns and mart != MART:
            counts = pl.col("indicator_code").is_in(sorted(indicators)) & (pl.col("cohort_year") >= first)
        elif mart not in marts:
            continue
        elif {"sector_code", "other_sector_code"} <= columns:
            counts = (pl.col("sector_code") == SECTOR) | (pl.col("other_sector_code") == SECTOR)
        elif "cohort_year" in columns:
            counts = pl.col("cohort_year") >= first
        else:  # nobody knows how it counts wages: fail closed
            counts = pl.lit(True)
        left = table.filter(~counts.fill_null(True))
        if left.height < table.height:
            kept[mart] = left
    return kept


def _readers(path: Path, name: str) -> set[str]:
    """Names of the register's rows that read the collection of wages."""
    return {row[name] for row in read_rows(path) if RECORDS in (row.get("collections") or "").split(";")}
