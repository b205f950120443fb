"""What was shown when: one Parquet file a release, and a line for each thing done to releases. Nothing is changed.

What belongs here: recording and reading that history, and which deliveries each release read (restricted: the id of a
delivery comes from its content, so that whoever holds a file could tell from a public list that it is the one).
What does not: the protected rows themselves; they stay in the release folders, which later releases repeat them from.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from pipelines.errors import P20wError
from pipelines.release.build import PUBLISHED, year_column
from pipelines.release.candidate import LONG_MART
from pipelines.release.metadata import read_release
from pipelines.release.revision import Correction, Standing
from pipelines.settings import Settings

KEY_REFERENCE = "vault.secret.suppression"  # where the key that broke ties in suppression is kept, never the key
SCHEMA = {
    "release_id": pl.String,
    "released_on": pl.Date,
    "build_id": pl.String,
    "family": pl.String,
    "mart": pl.String,
    "year": pl.Int64,
    "origin": pl.String,
    "protection": pl.String,
    "data_as_of": pl.Date,
    "value_status": pl.String,
    "cell_count": pl.Int64,
    "key_reference": pl.String,
}
# Origins by which a release made up its mind about a year; held and frozen ones leave a revision date as it is.
DECIDED = ("new", "not_revised")
_RELEASE_ID = re.compile(r"^r(\d{4})(\d{2})(\d{2})-[0-9a-f]{8}$")


def append(settings: Settings, release: Path) -> None:
    """Record a release from its own folder; does nothing when it is recorded already."""
    path = settings.release_ledger / f"{release.name}.parquet"
    if path.exists():
        return
    described = read_release(release)
    frames = [_rows(release, described, table) for table in sorted((release / "data").glob("*.parquet"))]
    settings.release_ledger.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    pl.concat([pl.DataFrame(schema=SCHEMA), *frames]).write_parquet(temporary, compression="zstd")
    os.replace(temporary, path)


def read(settings: Settings) -> pl.DataFrame:
    """All recorded releases in the columns of `SCHEMA`."""
    files = sorted(settings.release_ledger.glob("r*.parquet"))
    return pl.concat([pl.DataFrame(schema=SCHEMA), *(pl.read_parquet(path) for path in files)])


def recorded(settings: Settings) -> set[str]:
    """Ids of the releases that were shown."""
    return {path.stem for path in settings.release_ledger.glob("r*.parquet")}


def standing(settings: Settings, shown: Path | None) -> Standing:
    """What became of the official years ever published. shown: folder of the current release, which is recorded; None
    before the first. Errors: P20wError when a release that the current one follows is gone."""
    if shown is None:
        return Standing()
    line = [read_release(shown)]
    while previous := line[-1]["previous_release"]:
        if not (settings.releases / previous).exists():
            raise P20wError(
                f"{line[-1]['release_id']} followed {previous}, whose folder is gone from {settings.releases}. What "
                "may be revised follows from it: restore the folder from a backup."
            )
        line.append(read_release(settings.releases / previous))
    key = ["family", "year"]
    told = (
        read(settings)
        .filter((pl.col("protection") == "official") & pl.col("value_status").is_in(PUBLISHED))
        .select(*key, "mart", "origin", "release_id", "released_on", "build_id")
        .unique()
        .sort("released_on", "build_id", *key, nulls_last=True)
    )
    in_line = pl.col("release_id").is_in([described["release_id"] for described in line])
    own = told.filter(in_line)
    elsewhere = told.filter(~in_line).join(own, on=key, how="anti", nulls_equal=True, maintain_order="left")
    day, is_decided = pl.col("released_on"), pl.col("origin").is_in(DECIDED)
    # What the line only repeats was decided on in a release that was taken back.
    decided = told.group_by(key).agg(
        pl.coalesce(day.filter(in_line & is_decided).max(), day.filter(is_decided).max(), day.min())
    )
    newest = elsewhere.filter(pl.col("mart") == LONG_MART).group_by(key, maintain_order=True).agg(pl.last("release_id"))
    return Standing(
        {(family, year): last for family, year, last in decided.iter_rows()},
        {(family, year): release_id for family, year, release_id in newest.iter_rows()},
        frozenset(Correction(**row) for described in line for row in described["corrections"]),
    )


def log(settings: Settings, event: str, release_id: str, previous: str, by: str) -> None:
    """Append one line to `release_ledger/event.jsonl`: published, published_again or rolled_back."""
    settings.release_ledger.mkdir(parents=True, exist_ok=True)
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "event": event,
        "release_id": release_id,
        "previous": previous,
        "by": by,
    }
    with (settings.release_ledger / "event.jsonl").open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(line) + "\n")
        handle.flush()
        os.fsync(handle.fileno())


def keep_deliveries(settings: Settings, release_id: str, delivery_ids: list[str]) -> dict:
    """Keep the ids of the deliveries that a release reads, in `delivery/<release_id>.json`.

    Returns what `release.json` may say about them: their number, and a digest salted with a secret that is kept
    beside the ids. Nobody can try files against it; whoever may read the ledger can prove that its list is the one.
    """
    kept = {"salt": secrets.token_hex(32), "delivery_ids": sorted(delivery_ids)}
    path = _deliveries_file(settings, release_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(kept, indent=1) + "\n")
    os.replace(temporary, path)
    return {"delivery_count": len(delivery_ids), "delivery_digest": _digest(kept)}


def deliveries(settings: Settings, described: dict) -> list[str]:
    """Ids of the deliveries that a release read. described: its `release.json`. Errors: P20wError when the list is not
    kept, or is not the one that the release was published with."""
    release_id = described["release_id"]
    path = _deliveries_file(settings, release_id)
    if not path.exists():
        raise P20wError(f"The list of deliveries that {release_id} read is not kept: it cannot be built again.")
    kept = json.loads(path.read_text())
    if _digest(kept) != described["delivery_digest"]:
        raise P20wError(
            f"The list of deliveries kept for {release_id} is not the one it was published with: restore {path} from "
            "a backup of the release ledger."
        )
    return kept["delivery_ids"]


def released_on(release_id: str) -> date:
    """Date inside a release id. Errors: ValueError when it is no release id."""
    found = _RELEASE_ID.match(release_id)
    if not found:
        raise P20wError(f"{release_id!r} is not a release id like r20270615-0123abcd.")
    return date(*(int(part) for part in found.groups()))


def _deliveries_file(settings: Settings, release_id: str) -> Path:
    return settings.release_ledger / "delivery" / f"{release_id}.json"


def _digest(kept: dict) -> str:
    return hashlib.sha256("\n".join([kept["salt"], *kept["delivery_ids"]]).encode()).hexdigest()


def _rows(release: Path, described: dict, table: Path) -> pl.DataFrame:
    """Ledger rows of one table of a release."""
    mart = table.stem
    frame = pl.read_parquet(table)
    year = year_column(frame.columns)
    family = pl.col("indicator_code") if mart == LONG_MART else pl.lit(mart)
    keys = [
        family.alias("family"),
        (pl.col(year) if year else pl.lit(None)).cast(pl.Int64).alias("year"),
        *(
            (pl.col(name) if name in frame.columns else pl.lit("")).alias(name)
            for name in ("protection", "value_status")
        ),
        pl.col("data_as_of"),
    ]
    names = ["family", "year", "protection", "value_status", "data_as_of"]
    counted = frame.select(keys).group_by(names).len("cell_count")
    origins = pl.DataFrame(
        [row for row in described["years"] if row["mart"] == mart],
        schema={"family": pl.String, "mart": pl.String, "year": pl.Int64, "origin": pl.String},
    )
    return (
        counted.join(origins.drop("mart"), on=["family", "year"], how="left", nulls_equal=True)
        .with_columns(
            pl.lit(described["release_id"]).alias("release_id"),
            pl.lit(date.fromisoformat(described["released_on"])).alias("released_on"),
            pl.lit(described["build_id"]).alias("build_id"),
            pl.lit(mart).alias("mart"),
            pl.lit(KEY_REFERENCE).alias("key_reference"),
            pl.col("cell_count").cast(pl.Int64),
        )
        .select(list(SCHEMA))
        .cast(SCHEMA)
        .sort("family", "year", "protection", "value_status", "data_as_of")
    )
