"""The one place where results of checks are kept: append-only Parquet by build id.

What belongs here: the shape of a result, writing it, reading it back.
What does not: making checks (each room makes its own) and deciding on them (`pipelines.release.gate`).

Layout: `evidence/check_result/<build_id>/<source>.parquet`. A second recording of the same source in one build gets
`<source>__2.parquet`: nothing is overwritten.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from pipelines.errors import P20wError
from pipelines.settings import Settings

LAYERS = ("intake", "warehouse", "linkage", "disclosure", "expectation", "release")
CATEGORIES = ("conformance", "completeness", "plausibility", "linkage", "disclosure")
SEVERITIES = ("error", "warn")
STATUSES = ("pass", "warn", "fail", "not_applicable", "error", "skipped")

SCHEMA = {
    "build_id": pl.String,
    "check_id": pl.String,
    "layer": pl.String,
    "category": pl.String,
    "severity": pl.String,
    "status": pl.String,
    "failing_count": pl.Int64,
    "total_count": pl.Int64,
    "collection": pl.String,
    "submitter": pl.String,
    "school_year": pl.Int64,
    "family": pl.String,
    "message": pl.String,
    "cause": pl.String,
    "input_fingerprint": pl.String,
    "recorded_at": pl.Datetime("us", "UTC"),
}
_REQUIRED = ("check_id", "layer", "category", "severity", "status")
_ALLOWED = {"layer": LAYERS, "category": CATEGORIES, "severity": SEVERITIES, "status": STATUSES}
_SAFE_NAME = re.compile(r"^[A-Za-z0-9_.\-]+$")


def folder(settings: Settings, build_id: str) -> Path:
    """Folder of one build's results (made on first writing)."""
    if not _SAFE_NAME.match(build_id):
        raise P20wError(f"Build id {build_id!r} may hold letters, digits, '.', '-' and '_' only.")
    return settings.evidence / "check_result" / build_id


def record(settings: Settings, build_id: str, source: str, rows: Sequence[Mapping[str, object]]) -> Path:
    """Append the results of one source (`intake`, `disclosure`, `dbt_warehouse`, …) to this build's evidence.

    Each row needs check_id, layer, category, severity, status; the other columns of `SCHEMA` may be absent and
    become 0 (counts), '' (message) or null. An empty list is recorded too: it says that the source ran.
    `family` may name several families as a `;`-list, or `*` for all of them; null = not known, '' = none is touched.
    `cause`: of a skipped check, the ids of the failed checks that stopped it, as a `;`-list; otherwise ''.
    `total_count` is null where a check cannot know it. `input_fingerprint`: what exactly was checked (expectations
    give the candidate's id); '' where the build id says enough.

    Errors: ValueError when a row has an unknown column, layer, category, severity or status.
    """
    if not _SAFE_NAME.match(source):
        raise P20wError(f"Source {source!r} of check results may hold letters, digits, '.', '-' and '_' only.")
    now = datetime.now(UTC)
    complete = []
    for number, row in enumerate(rows, start=1):
        unknown = set(row) - set(SCHEMA)
        if unknown:
            raise P20wError(f"Check result {number} of {source} has unknown columns: {', '.join(sorted(unknown))}.")
        for name in _REQUIRED:
            if not row.get(name):
                raise P20wError(f"Check result {number} of {source} lacks {name}.")
        for name, allowed in _ALLOWED.items():
            if row[name] not in allowed:
                raise P20wError(
                    f"Check result {row['check_id']} of {source} has {name} {row[name]!r}; "
                    f"allowed: {', '.join(allowed)}."
                )
        complete.append(
            {
                **dict.fromkeys(SCHEMA),
                "failing_count": 0,
                "total_count": 0,
                "message": "",
                "cause": "",
                "input_fingerprint": "",
                **row,
                "build_id": build_id,
                "recorded_at": now,
            }
        )
    frame = pl.DataFrame(complete, schema=SCHEMA)
    path = _free_name(folder(settings, build_id), source)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    frame.write_parquet(temporary, compression="zstd")
    os.replace(temporary, path)
    return path


def read(settings: Settings, build_id: str) -> pl.DataFrame:
    """All results recorded under this build id, in the columns of `SCHEMA`; empty when there are none."""
    return _load(_files(folder(settings, build_id)))


def sources(settings: Settings, build_id: str) -> set[str]:
    """Names of the sources recorded under this build id."""
    return {_source(path) for path in _files(folder(settings, build_id))}


def from_dbt(settings: Settings, build_id: str, phase: str, run_results_path: Path, manifest_path: Path) -> Path:
    """Record what one dbt call found; see `pipelines.quality.dbt_results`."""
    from pipelines.quality import dbt_results

    return dbt_results.record_phase(settings, build_id, phase, run_results_path, manifest_path)


def _files(of_build: Path) -> list[Path]:
    return sorted(path for path in of_build.glob("*.parquet") if not path.name.startswith("."))


def _source(path: Path) -> str:
    return re.sub(r"__\d+$", "", path.stem)


def _free_name(of_build: Path, source: str) -> Path:
    path, number = of_build / f"{source}.parquet", 1
    while path.exists():
        number += 1
        path = of_build / f"{source}__{number}.parquet"
    return path


def _load(paths: Sequence[Path]) -> pl.DataFrame:
    if not paths:
        return pl.DataFrame(schema=SCHEMA)
    frames = [pl.read_parquet(path) for path in paths]
    found = pl.concat([pl.DataFrame(schema=SCHEMA), *frames], how="diagonal_relaxed").select(list(SCHEMA)).cast(SCHEMA)
    return found.with_columns(pl.col("cause").fill_null(""))  # results recorded before the column existed lack it
