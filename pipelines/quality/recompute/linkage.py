"""What linkage error does to the published numbers: the same indicators with true links and with found ones.

Belongs here: true links of the synthetic state, and the comparison for the restricted quality report. Does not belong
here: precision and recall of links (`pipelines.identity.measure`).
"""

from __future__ import annotations

import os

import polars as pl

from pipelines.quality.recompute.run import found_links, recompute
from pipelines.settings import Settings

PLACE = ["submitter", "package", "period", "file_name", "source_row"]
CELL_KEY = ["indicator_code", "subject_code", "cohort_year"]


def true_links(settings: Settings) -> pl.DataFrame:
    """record_key → the true person behind it (person_key = true_person_id), by delivery, file and row.

    Equal identifiers share a record key; where two people do, the one with more rows has it. Errors:
    FileNotFoundError without truth.
    """
    truth_file = settings.truth / "record_truth.parquet"
    if not truth_file.exists():
        raise FileNotFoundError(f"There is no {truth_file}: true links exist for a synthetic state only.")
    truth = pl.read_parquet(truth_file).select(*PLACE, "true_person_id")
    ledger = pl.read_parquet(settings.evidence / "ledger_collection.parquet")
    files = (
        ledger.select("collection", "delivery_id", "file_name")
        .unique()
        # A row number says which row only where one file of the delivery feeds the collection.
        .filter(pl.len().over("collection", "delivery_id") == 1)
    )
    found = []
    for folder in sorted(path for path in settings.accepted.iterdir() if path.is_dir()):
        paths = [path for path in sorted(folder.glob("*.parquet")) if path.name != "_empty.parquet"]
        if not paths or "record_key" not in pl.read_parquet_schema(paths[0]):
            continue
        rows = pl.read_parquet(
            paths, columns=["record_key", "submitter", "package", "period", "delivery_id", "source_row"]
        )
        own = files.filter(pl.col("collection") == folder.name).drop("collection")
        found.append(
            rows.join(own, on="delivery_id").join(truth, on=PLACE).select("record_key", person_key="true_person_id")
        )
    if not found:
        return pl.DataFrame(schema={"record_key": pl.Int64, "person_key": pl.Int64})
    return (
        pl.concat(found)
        .group_by("record_key", "person_key")
        .agg(rows=pl.len())
        .sort("record_key", "rows", "person_key", descending=[False, True, False])
        .unique("record_key", keep="first", maintain_order=True)
        .select("record_key", "person_key")
    )


def linkage_effect(settings: Settings, build_id: str) -> pl.DataFrame:
    """Write and return evidence/linkage_effect.parquet: state rates with found and with true links, everyone.

    Columns: build_id, indicator_code, subject_code, cohort_year, found_rate, true_rate (0 to 1, null without a
    denominator), found_denominator, true_denominator (people). Errors: FileNotFoundError without truth.
    """
    found = recompute(settings, found_links(settings), state_only=True)
    true = recompute(settings, true_links(settings), state_only=True)
    effect = (
        _rates(found, "found")
        .join(_rates(true, "true"), on=CELL_KEY, how="full", coalesce=True)
        .select(
            pl.lit(build_id).alias("build_id"),
            *CELL_KEY,
            "found_rate",
            "true_rate",
            pl.col("found_denominator", "true_denominator").fill_null(0),
        )
        .sort(CELL_KEY)
    )
    path = settings.evidence / "linkage_effect.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    effect.write_parquet(temporary, compression="zstd")
    os.replace(temporary, path)
    return effect


def _rates(cells: pl.DataFrame, name: str) -> pl.DataFrame:
    return cells.filter(~pl.col("window_open")).select(
        *CELL_KEY,
        pl.when(pl.col("denominator_count") > 0)
        .then(pl.col("numerator_count") / pl.col("denominator_count"))
        .alias(f"{name}_rate"),
        pl.col("denominator_count").alias(f"{name}_denominator"),
    )
