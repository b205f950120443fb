"""Rows as delivered: accepted files in use, local codes translated, each row with its person.

Belongs here: reading, translating, following links, and the directory of organizations. Does not belong here: any
rule of an indicator.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import polars as pl

from pipelines.intake.views import active_files
from pipelines.settings import Settings

ORIGIN = ("submitter", "package", "period", "certification", "delivery_id", "source_row")


@dataclass(frozen=True)
class Deliveries:
    """Active accepted files of one installation under one set of links (record_key, person_key)."""

    settings: Settings
    links: pl.DataFrame
    files: dict[str, list[Path]]
    _kept: dict = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def active(cls, settings: Settings, links: pl.DataFrame) -> Deliveries:
        """The deliveries in use: accepted and not superseded."""
        return cls(settings, links.select(pl.col("record_key", "person_key").cast(pl.Int64)), active_files(settings))

    def rows(self, collection: str, *columns: str) -> pl.DataFrame:
        """The named columns of every active row of a collection, plus ORIGIN and, for people, person_key.

        Codes are the standard ones of seeds/crosswalks/code.csv; a code without a translation is standard already.
        A record that no link names is a person of its own (a negative key), so that nobody vanishes.
        """
        kept = self._kept.get((collection, columns))
        if kept is not None:
            return kept
        files = self.files[collection]
        present = pl.read_parquet_schema(files[0])
        has_person = "record_key" in present
        wanted = [*columns, *(["record_key"] if has_person else []), *ORIGIN]
        frame = pl.read_parquet(files, columns=list(dict.fromkeys(wanted)))
        for column in columns:
            code_set = self.code_sets.get(column)
            if code_set:
                frame = self._translate(frame, column, code_set)
        if has_person:
            frame = frame.join(self.links, on="record_key", how="left").with_columns(
                pl.coalesce("person_key", -pl.col("record_key")).alias("person_key")
            )
        self._kept[(collection, columns)] = frame
        return frame

    def policy(self, name: str) -> list[dict[str, str]]:
        """Rows of a seed as text, for example `policy/absence_day`."""
        with (self.settings.seeds / f"{name}.csv").open(newline="", encoding="utf-8") as handle:
            return list(csv.DictReader(handle))

    @cached_property
    def code_sets(self) -> dict[str, str]:
        """Element → its code set, for elements that have one."""
        return {row["element"]: row["code_set"] for row in self.policy("reference/element") if row["code_set"]}

    @cached_property
    def _crosswalk(self) -> pl.DataFrame:
        return pl.DataFrame(self.policy("crosswalks/code")).select(
            "code_set", "package", pl.col("local_code"), "standard_code"
        )

    def _translate(self, frame: pl.DataFrame, column: str, code_set: str) -> pl.DataFrame:
        table = (
            self._crosswalk.filter(pl.col("code_set") == code_set)
            .select("package", pl.col("local_code").alias(column), "standard_code")
            .unique(["package", column])
        )
        if table.is_empty():
            return frame
        return (
            frame.join(table, on=["package", column], how="left", maintain_order="left")
            .with_columns(pl.coalesce("standard_code", column).alias(column))
            .drop("standard_code")
        )

    # --- organizations --------------------------------------------------------------------------------
    @cached_property
    def directory(self) -> pl.DataFrame:
        """Newest directory row of each organization: organization_id_state, level, parent, opeid."""
        return (
            self.rows(
                "shared__organization",
                "organization_id_state",
                "school_year",
                "organization_level_code",
                "parent_organization_id_state",
                "opeid",
            )
            .sort("school_year", "delivery_id", "source_row")
            .unique(["organization_id_state", "organization_level_code"], keep="last", maintain_order=True)
        )

    @cached_property
    def state_id(self) -> str:
        """The state's own identifier; STATE where no directory names one."""
        named = self.directory.filter(pl.col("organization_level_code") == "state")["organization_id_state"]
        return named[-1] if len(named) else "STATE"

    @cached_property
    def lea_of_school(self) -> pl.DataFrame:
        """School → district by the directory: school_id_state, directory_lea."""
        leas = self.level_ids("lea")
        return self.directory.filter(
            (pl.col("organization_level_code") == "school") & pl.col("parent_organization_id_state").is_in(leas)
        ).select(
            pl.col("organization_id_state").alias("school_id_state"),
            pl.col("parent_organization_id_state").alias("directory_lea"),
        )

    def level_ids(self, level: str) -> list[str]:
        """Identifiers the directory lists at a level."""
        return self.directory.filter(pl.col("organization_level_code") == level)["organization_id_state"].to_list()

    def with_lea(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Fill lea_id_state from the directory where the row names only its school."""
        if "lea_id_state" not in frame.columns:
            frame = frame.with_columns(lea_id_state=pl.lit(None, pl.String))
        return (
            frame.join(self.lea_of_school, on="school_id_state", how="left", maintain_order="left")
            .with_columns(pl.coalesce("lea_id_state", "directory_lea").alias("lea_id_state"))
            .drop("directory_lea")
        )

    def with_institution(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Replace an OPEID in institution_id by the directory's own identifier of that institution."""
        institutions = self.directory.filter(pl.col("organization_level_code") == "institution")
        own = set(institutions["organization_id_state"])
        by_opeid = {
            opeid: identifier
            for identifier, opeid in institutions.select("organization_id_state", "opeid").iter_rows()
            if opeid and opeid not in own
        }
        return frame.with_columns(pl.col("institution_id").replace(by_opeid))


def school_year_of(date: pl.Expr) -> pl.Expr:
    """Spring year of the July to June that holds a date."""
    return (date.dt.year() + (date.dt.month() >= 7).cast(pl.Int32)).cast(pl.Int32)
