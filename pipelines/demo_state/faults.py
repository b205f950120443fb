"""Faults that real deliveries have, planted on request in a landing folder.

What belongs here: spoiling finished deliveries and keeping the truth in step. What does not: making deliveries.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.demo_state.geography import LAST_YEAR
from pipelines.errors import MissingFileError, P20wError
from pipelines.settings import Settings

FAULTS = ("late_file", "duplicate_delivery", "shifted_columns", "district_missing", "preliminary")
REPEATED_ROWS = 20
NEWEST = str(LAST_YEAR)


@dataclass(frozen=True)
class Planted:
    """What was done: the delivery (submitter, package, period), the file ('' for all) and the source records it
    touches."""

    fault: str
    submitter: str
    package: str
    period: str
    file_name: str
    records: int


def plant(settings: Settings, fault: str) -> Planted:
    """Plant one fault in settings.landing and bring settings.truth in step; planting it again changes nothing more.

    late_file: the newest state assessment is not there. duplicate_delivery: the newest readiness files come once more,
    unchanged, and the first district's newest enrollment file repeats its first 20 rows at its end. shifted_columns:
    in the last district but one's newest enrollment file every value stands one column to the right of its header.
    district_missing: the newest annual collection of the last district is not there. preliminary: the newest annual
    collection of the first district comes without its certification.
    Raises ValueError for another name and FileNotFoundError when the file to spoil, or the truth, is not there.
    """
    if fault == "late_file":
        return _remove(settings, fault, "sea", "state_assessment")
    if fault == "district_missing":
        return _remove(settings, fault, _districts(settings)[-1], "k12_annual")
    if fault == "duplicate_delivery":
        return _duplicate(settings)
    if fault == "shifted_columns":
        return _shift(settings)
    if fault == "preliminary":
        return _uncertify(settings)
    raise P20wError(f"Unknown fault {fault}: choose from {', '.join(FAULTS)}.")


def _districts(settings: Settings) -> list[str]:
    found = sorted(path.name for path in settings.landing.glob("lea_*") if path.is_dir())
    if not found:
        raise MissingFileError(f"{settings.landing} holds no district's deliveries: make the synthetic state first.")
    return found


def _remove(settings: Settings, fault: str, submitter: str, package: str) -> Planted:
    records = _records(settings, submitter, package)
    shutil.rmtree(settings.landing / submitter / package / NEWEST, ignore_errors=True)
    if records:
        _save(settings, _truth(settings).filter(~_newest(submitter, package)))
    return Planted(fault, submitter, package, NEWEST, "", records)


def _duplicate(settings: Settings) -> Planted:
    again = settings.landing / "sea" / "readiness" / NEWEST
    for path in sorted(again.iterdir()):
        _replace(path, path.read_bytes())
    lea = _districts(settings)[0]
    period = NEWEST
    path = settings.landing / lea / "k12_annual" / period / "enrollment.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    repeated = lines[1 : 1 + REPEATED_ROWS]
    if lines[-len(repeated) :] != repeated:
        _replace(path, b"".join([*lines, *repeated]))
        truth = _truth(settings)
        here = truth.filter(_newest(lea, "k12_annual") & (pl.col("file_name") == "enrollment.csv"))
        extra = here.filter(pl.col("source_row") <= len(repeated)).with_columns(pl.col("source_row") + len(lines) - 1)
        _save(settings, pl.concat([truth, extra]))
    return Planted("duplicate_delivery", lea, "k12_annual", period, "enrollment.csv", len(repeated))


def _shift(settings: Settings) -> Planted:
    lea = _districts(settings)[-2]
    period = NEWEST
    path = settings.landing / lea / "k12_annual" / period / "enrollment.csv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    if rows and not rows[0].startswith(","):
        shifted = ["," + row.rsplit(",", 1)[0] for row in rows]
        _replace(path, ("\n".join([header, *shifted]) + "\n").encode())
    return Planted("shifted_columns", lea, "k12_annual", period, "enrollment.csv", len(rows))


def _uncertify(settings: Settings) -> Planted:
    lea = _districts(settings)[0]
    records = _records(settings, lea, "k12_annual")
    (settings.landing / lea / "k12_annual" / NEWEST / "certification.json").unlink(missing_ok=True)
    return Planted("preliminary", lea, "k12_annual", NEWEST, "", records)


def _newest(submitter: str, package: str) -> pl.Expr:
    """Whether a row of the truth belongs to the newest delivery of a package."""
    return (pl.col("submitter") == submitter) & (pl.col("package") == package) & (pl.col("period") == NEWEST)


def _records(settings: Settings, submitter: str, package: str) -> int:
    found = _truth(settings).filter(_newest(submitter, package)).select(pl.len()).collect(engine="streaming")
    return int(found.item())


def _truth(settings: Settings) -> pl.LazyFrame:
    """The truth of every row, read as it is needed: that of a large state does not fit in memory."""
    path = settings.truth / "record_truth.parquet"
    if not path.exists():
        raise MissingFileError(f"{path} is not there: make the synthetic state before a fault is planted in it.")
    return pl.scan_parquet(path)


def _save(settings: Settings, truth: pl.LazyFrame) -> None:
    temporary = settings.truth / "record_truth.parquet.new"
    truth.sink_parquet(temporary, compression="zstd")
    os.replace(temporary, settings.truth / "record_truth.parquet")


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(content)
    os.replace(temporary, path)
