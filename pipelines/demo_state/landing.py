"""Writes deliveries in the agencies' own formats, and keeps the truth about each row.

What belongs here: turning a frame of elements (standard codes, real types) into the file that the declared layout
reads: header names, date formats, local codes, encodings, fixed positions. What does not: what the rows say.
The package register and the layouts in seeds/ are the only description of a format; this module runs them backwards.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipelines.settings import Settings

TRUTH_COLUMNS = {
    "submitter": pl.String,
    "package": pl.String,
    "period": pl.String,
    "file_name": pl.String,
    "source_row": pl.Int64,
    "sector": pl.String,
    "true_person_id": pl.Int64,
    "linkable_group": pl.Int64,
}
# What a row lets an agency know about its person, before errors; 0 or -1 stands for "not collected".
LINK_COLUMNS = ("link_ssn", "link_state", "link_local", "link_name", "link_birth", "link_zip")
NSC_ORDER = [
    "Your Unique Identifier",
    "First Name",
    "Middle Initial",
    "Last Name",
    "Name Suffix",
    "Requester Return Field",
    "Record Found Y/N",
    "Search Date",
    "College Code/Branch",
    "College Name",
    "College State",
    "2-year / 4-year",
    "Public / Private",
    "Enrollment Begin",
    "Enrollment End",
    "Enrollment Status",
    "Class Level",
    "Enrollment Major 1",
    "Enrollment CIP 1",
    "Graduated?",
    "Graduation Date",
    "Degree Title",
    "Degree Major 1",
    "Degree CIP 1",
    "College Sequence",
]


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@dataclass
class Landing:
    """The landing folder being filled. `rows` counts source rows of each file, over regions."""

    settings: Settings  # its landing is where files are written, its truth where the truth goes
    rows: dict[tuple[str, str, str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seeds = self.settings.seeds
        self.packages = _read(seeds / "registers" / "package.csv")
        self.layouts: dict[str, list[dict[str, str]]] = {}
        for line in _read(seeds / "crosswalks" / "layout.csv"):
            self.layouts.setdefault(line["layout"], []).append(line)
        elements = _read(seeds / "reference" / "element.csv")
        self.code_sets = {line["element"]: line["code_set"] for line in elements if line.get("code_set")}
        self.local_codes: dict[tuple[str, str], dict[str, str]] = {}
        for line in _read(seeds / "crosswalks" / "code.csv"):
            names = self.local_codes.setdefault((line["code_set"], line["package"]), {})
            names.setdefault(line["standard_code"], line["local_code"])
        self._parquet: dict[Path, pq.ParquetWriter] = {}
        self._pending: list[pl.DataFrame] = []
        self._truth: pq.ParquetWriter | None = None
        self._persons: pq.ParquetWriter | None = None
        self._pairs: list[pl.DataFrame] = []

    # --- files ----------------------------------------------------------------------------------------------
    def write(self, submitter: str, package: str, period: str | int, collection: str, frame: pl.DataFrame) -> None:
        """Append rows of one collection to its file; columns beside the layout's elements are `_person` and link_*."""
        row = next(p for p in self.packages if p["package"] == package and p["collection"] == collection)
        self._append(submitter, row, str(period), self._render(row["layout"], package, frame), frame)

    def write_studenttracker(
        self, submitter: str, period: str | int, found: pl.DataFrame, awards: pl.DataFrame
    ) -> None:
        """The StudentTracker detail file: enrollment, not-found and degree rows of one search in one file."""
        rows = [p for p in self.packages if p["package"] == "nsc_return"]
        layout = {p["collection"]: p["layout"] for p in rows}
        parts = [
            self._render(layout["postsecondary__enrollment"], "nsc_return", found).with_columns(
                pl.lit("N").alias("Graduated?")
            ),
            self._render(layout["postsecondary__award"], "nsc_return", awards).with_columns(
                pl.lit("Y").alias("Graduated?"), pl.lit("Y").alias("Record Found Y/N")
            ),
        ]
        table = pl.concat(parts, how="diagonal")
        table = table.with_columns(
            pl.lit(None, pl.String).alias(name) for name in NSC_ORDER if name not in table.columns
        ).with_columns(pl.when(pl.col("Record Found Y/N") == "Y").then(pl.col("Graduated?")).alias("Graduated?"))
        truth = pl.concat([part.select("_person", *LINK_COLUMNS) for part in (found, awards)])
        order = truth.select(pl.arg_sort_by("_person", maintain_order=True)).to_series()
        self._append(submitter, rows[0], str(period), table[order].select(NSC_ORDER), truth[order])

    def certify(self, submitter: str, package: str, period: str | int, on: str) -> None:
        """Mark a delivery as certified."""
        path = self.folder(submitter, package, str(period)) / "certification.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"status": "certified", "by": f"Data steward of {submitter}", "on": on}) + "\n")

    def folder(self, submitter: str, package: str, period: str) -> Path:
        return self.settings.landing / submitter / package / period

    def _append(
        self, submitter: str, row: dict[str, str], period: str, table: pl.DataFrame, frame: pl.DataFrame
    ) -> None:
        name = row["file_pattern"]
        path = self.folder(submitter, row["package"], period) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        key = (submitter, row["package"], period, name)
        before = self.rows.get(key, 0)
        self.rows[key] = before + table.height
        kind = row["format"]
        if kind == "parquet":
            if path not in self._parquet:
                self._parquet[path] = pq.ParquetWriter(path, table.to_arrow().schema, compression="zstd")
            self._parquet[path].write_table(table.to_arrow())
        else:
            encoding = row["encoding"] or "utf-8"
            if encoding == "utf-8-sig" and before:
                encoding = "utf-8"
            text = io.BytesIO()
            if kind == "fixed_width":
                text.write(("\n".join(table.to_series()) + "\n").encode() if table.height else b"")
            else:
                table.write_csv(
                    text, separator=row["delimiter"] or ",", include_header=key not in self.rows or before == 0
                )
            data = text.getvalue()
            if encoding != "utf-8":
                data = data.decode().encode(encoding)
            with path.open("ab") as handle:
                handle.write(data)
        if "_person" in frame.columns:
            self._pending.append(
                frame.select("_person", *LINK_COLUMNS).with_columns(
                    submitter=pl.lit(submitter),
                    package=pl.lit(row["package"]),
                    period=pl.lit(period),
                    file_name=pl.lit(name),
                    sector=pl.lit(row["sector"]),
                    source_row=pl.int_range(before + 1, before + table.height + 1, dtype=pl.Int64, eager=True),
                )
            )

    # --- formats --------------------------------------------------------------------------------------------
    def _render(self, layout: str, package: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Elements → the agency's columns as text (one column `line` for fixed width)."""
        # Constants are not in the file; an element that is a word of another element's column is written with that one.
        lines = [
            line
            for line in self.layouts[layout]
            if not (line["source"].startswith("=") or "word:" in line["transform"])
        ]
        columns = []
        for line in lines:
            element = line["element"]
            if element in frame.columns:
                columns.append(self._outward(element, line["transform"], package, frame.schema[element]).alias(element))
            else:
                columns.append(pl.lit(None, pl.String).alias(element))
        table = (
            frame.select(columns)
            if frame.height
            else pl.DataFrame(schema={line["element"]: pl.String for line in lines})
        )
        if not lines[0]["source"].replace("-", "").isdigit():
            return table.rename({line["element"]: line["source"].split("|")[0] for line in lines})
        pieces, at = [], 1
        for line in sorted(lines, key=lambda item: int(item["source"].split("-")[0])):
            start, width = (int(part) for part in line["source"].split("-"))
            if start > at:
                pieces.append(pl.lit(" " * (start - at)))
            value = pl.col(line["element"]).fill_null("").str.slice(0, width)
            is_amount = line["element"] == "wage_amount"
            pieces.append(value.str.pad_start(width, " ") if is_amount else value.str.pad_end(width, " "))
            at = start + width
        return table.select(pl.concat_str(pieces).alias("line"))

    def _outward(self, element: str, transform: str, package: str, dtype: pl.DataType) -> pl.Expr:
        """The inverse of a layout's transforms for one element."""
        value = pl.col(element)
        steps = [step.strip().split(":") for step in transform.split(";") if step.strip()]
        named = {step[0]: step[1:] for step in steps}
        if dtype == pl.Boolean:
            yes, no = (named.get("bool", ["true", "false"]) + ["false"])[:2]
            return pl.when(value).then(pl.lit(yes)).when(~value).then(pl.lit(no))
        if "month" in named:
            return value.dt.strftime(":".join(named["month"]))
        if dtype == pl.Date:
            return value.dt.strftime(":".join(named["date"]) if "date" in named else "%Y-%m-%d")
        text = value.cast(pl.String)
        local = self.local_codes.get((self.code_sets.get(element, ""), package))
        if local:
            text = text.replace(local)
        if "map_school_year" in named:
            return pl.concat_str((value - 1).cast(pl.String), pl.lit("-"), text)
        if "lower" in named:
            return text.str.to_titlecase()
        if "digits" in named and element == "ssn":
            return pl.concat_str(
                text.str.slice(0, 3), pl.lit("-"), text.str.slice(3, 2), pl.lit("-"), text.str.slice(5, 4)
            )
        if "digits" in named and "zfill" in named:  # 00990100 -> 009901-00
            return pl.concat_str(text.str.slice(0, 6), pl.lit("-"), text.str.slice(6, 2))
        if "digits" in named:
            return pl.concat_str(text.str.slice(0, 2), pl.lit("-"), text.str.slice(2))
        return text

    # --- truth ----------------------------------------------------------------------------------------------
    def close_region(self) -> None:
        """Work out which rows of each person are linkable to which, and write the truth of the region's rows."""
        if not self._pending:
            return
        table = pl.concat(self._pending)
        self._pending = []
        nodes = table.select("_person", *LINK_COLUMNS).unique(maintain_order=True).with_row_index("node")
        keys = []
        for number, (columns, present) in enumerate(
            (
                (("link_ssn",), pl.col("link_ssn") > 0),
                (("link_state",), pl.col("link_state") > 0),
                (("link_local",), pl.col("link_local") > 0),
                (("link_name", "link_birth"), (pl.col("link_name") > 0) & (pl.col("link_birth") > 0)),
                (("link_name", "link_zip"), (pl.col("link_name") > 0) & (pl.col("link_zip") >= 0)),
            )
        ):
            keys.append(
                nodes.filter(present).select(
                    "node",
                    pl.lit(number).alias("kind"),
                    pl.col("_person"),
                    pl.col(columns[0]).cast(pl.Int64).alias("one"),
                    pl.col(columns[-1]).cast(pl.Int64).alias("two"),
                )
            )
        edges = pl.concat(keys)
        edges = edges.with_columns(key=pl.struct("kind", "_person", "one", "two").rank("dense") - 1)
        left = edges["node"].to_numpy().astype(np.int64)
        right = edges["key"].to_numpy().astype(np.int64) + nodes.height
        size = nodes.height + (int(edges["key"].max()) + 1 if edges.height else 0)
        graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(size, size))
        label = connected_components(graph, directed=False)[1][: nodes.height]
        nodes = nodes.with_columns(component=pl.Series(label))
        nodes = nodes.with_columns(
            linkable_group=pl.col("_person") * 100 + pl.col("component").rank("dense").over("_person").cast(pl.Int64)
        )
        joined = table.join(
            nodes.drop("node", "component"), on=["_person", *LINK_COLUMNS], how="left", maintain_order="left"
        ).rename({"_person": "true_person_id"})
        joined = joined.select(pl.col(name).cast(dtype) for name, dtype in TRUTH_COLUMNS.items())
        if self._truth is None:
            path = self.settings.truth / "record_truth.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._truth = pq.ParquetWriter(path, joined.to_arrow().schema, compression="zstd")
        self._truth.write_table(joined.to_arrow())
        self._pairs.append(linkable_pairs(joined))

    def add_persons(self, persons: pl.DataFrame) -> None:
        """Append a region's persons to person_truth.parquet."""
        if self._persons is None:
            path = self.settings.truth / "person_truth.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._persons = pq.ParquetWriter(path, persons.to_arrow().schema, compression="zstd")
        self._persons.write_table(persons.to_arrow())

    def close(self) -> None:
        """Finish all files and write linkable.parquet."""
        for writer in self._parquet.values():
            writer.close()
        for truth in (self._truth, self._persons):
            if truth is not None:
                truth.close()
        # A person lives in one region, so that the regions' counts add up.
        pairs = pl.concat(self._pairs).group_by("sector_a", "sector_b").agg(pl.sum("person_count", "linkable_count"))
        pairs.sort("sector_a", "sector_b").write_parquet(self.settings.truth / "linkable.parquet")


def linkable_pairs(record_truth: pl.DataFrame) -> pl.DataFrame:
    """Linkable persons by sector pair, from record_truth.

    Two rows of one person are linkable when they share `linkable_group`. Returns sector_a, sector_b (a before b in the
    alphabet), person_count (persons with rows in both), linkable_count (persons with a group that has rows in both).
    """
    nodes = record_truth.select("true_person_id", "sector", "linkable_group").unique()
    persons = nodes.select("true_person_id", "sector").unique()
    both = persons.join(persons, on="true_person_id", suffix="_b").filter(pl.col("sector") < pl.col("sector_b"))
    linked = nodes.join(nodes, on=["true_person_id", "linkable_group"], suffix="_b").filter(
        pl.col("sector") < pl.col("sector_b")
    )
    linked = linked.select("true_person_id", "sector", "sector_b").unique()
    pair = ["sector", "sector_b"]
    return (
        both.group_by(pair)
        .agg(person_count=pl.len())
        .join(linked.group_by(pair).agg(linkable_count=pl.len()), on=pair, how="left")
        .with_columns(pl.col("linkable_count").fill_null(0), pl.col("person_count").cast(pl.Int64))
        .with_columns(pl.col("linkable_count").cast(pl.Int64))
        .rename({"sector": "sector_a", "sector_b": "sector_b"})
        .sort("sector_a", "sector_b")
    )
