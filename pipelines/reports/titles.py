"""Names that registers, declarations and the directory hold, found by code: indicators, collections, packages, senders.

What belongs here: looking a title up. What does not: words that are nobody's register (`words`).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

import schemas
from pipelines.registers import read_seed
from pipelines.reports import words
from pipelines.settings import Settings

LEA_PREFIX = "lea_"


class Titles:
    """Titles by code. An unknown code reads as words."""

    def __init__(self, settings: Settings, data_dir: Path | None = None):
        """`data_dir`: published or candidate tables, from which districts have their names."""
        self.indicators = {row["indicator_code"]: row for row in read_seed(settings, "registers/indicator.csv")}
        self.families = {row["family"]: row for row in read_seed(settings, "registers/family.csv")}
        self.collections = {name: each.title for name, each in schemas.collections().items()}
        self.packages = {row["package"]: row["title"] for row in read_seed(settings, "registers/package.csv")}
        self._agreements = read_seed(settings, "registers/agreement.csv")
        self._leas = lea_names(data_dir) if data_dir else {}

    def family(self, code: str) -> str:
        """A published family: an indicator's name, or a table's title."""
        return self.indicators[code]["indicator_name"] if code in self.indicators else words.table(code)

    def collection(self, name: str | None) -> str:
        return self.collections.get(name or "") or words.sentence_case(name or "")

    def package(self, name: str) -> str:
        return self.packages.get(name) or words.sentence_case(name)

    def submitter(self, code: str | None) -> str:
        """Who sends: a district by its name, an agency as its agreement names it."""
        if not code:
            return ""
        if code.startswith(LEA_PREFIX):
            number = code.removeprefix(LEA_PREFIX)
            return self._leas.get(number) or f"District {number}"
        named = next((row["parties"] for row in self._agreements if row["source"] == code), "")
        return named.split(";")[-1].strip() or words.sentence_case(code)

    def license(self, source: str) -> str:
        """Under what a source may be used, as its agreement says."""
        return next((row["exception"] for row in self._agreements if row["source"] == source), "")

    def reading(self, collection: str | None) -> list[str]:
        """Codes of the published families that read a collection; every family where none is named."""
        registered = {**self.families, **self.indicators}
        if not collection:
            return list(registered)
        return [code for code, row in registered.items() if collection in (row.get("collections") or "").split(";")]


def lea_names(data_dir: Path) -> dict[str, str]:
    """State id → name of the local education agencies in a folder of tables."""
    path = data_dir / "mart_indicator__organization.parquet"
    if not path.exists():
        return {}
    rows = (
        pl.scan_parquet(path)
        .filter(pl.col("organization_level") == "lea")
        .sort("school_year")
        .group_by("organization_id_state", maintain_order=True)
        .agg(pl.col("organization_name").last())
        .collect()
    )
    return {id_state: words.organization(name or id_state, "lea") for id_state, name in rows.iter_rows()}
