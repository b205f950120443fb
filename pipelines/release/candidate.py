"""The candidate: tonight's marts as Parquet files with the same bytes whenever their rows are the same.

What belongs here: the export, the candidate's id, the families it consists of.
What does not: judging it (`gate`) or adding release id and dates (`build`).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from pipelines import planner
from pipelines.disclosure.one_way import load_one_way, withhold
from pipelines.disclosure.private.instead import told_privately
from pipelines.errors import MissingFileError, P20wError
from pipelines.progress import track
from pipelines.registers import RegisterError, read_seed
from pipelines.settings import Settings

LONG_MART = "mart_indicator__organization"
LAST_COLUMNS = ("data_as_of", "release_id")  # added at publication, never part of what is compared
AS_COUNTED = "as_counted"  # folder of the candidate's tables before some of their rows were made silent
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")


@dataclass(frozen=True)
class Candidate:
    """id: 64 hex digits over all tables' rows; families: family → name of the mart that holds it."""

    id: str
    families: dict[str, str]
    marts: tuple[str, ...]


def indicator_codes(settings: Settings) -> list[str]:
    """Indicator codes of the register, in its order. Errors: RegisterError for a code that cannot name a view."""
    codes = [row["indicator_code"] for row in read_seed(settings, "registers/indicator.csv")]
    for code in codes:
        if not _NAME.match(code):
            raise RegisterError(
                f"registers/indicator.csv: indicator_code {code!r} may hold lower-case letters, digits and '_' only."
            )
    return codes


def build_candidate(settings: Settings, build_id: str) -> Candidate:
    """Export schema `marts` of the warehouse to `candidate/data/<mart>.parquet` and name what it holds.

    Perturbed rows are silent where an official table is (`disclosure.one_way`), and rows that private statistics
    replace are left out (`disclosure.private.instead`). Rows are ordered by all columns, so that equal tables give
    equal bytes. Opens the warehouse read-only and closes it. Replaces the candidate of an earlier night as a whole.

    Errors: FileNotFoundError when there is no warehouse; ValueError when a mart already has a publication column.
    """
    if not settings.warehouse_file.exists():
        raise MissingFileError(f"There is no warehouse {settings.warehouse_file}: run the night's models first.")
    for left in settings.home.glob(".candidate-*"):  # of a night that was killed here
        remove_tree(left)
    fresh = settings.home / f".candidate-{build_id}"
    (fresh / "data").mkdir(parents=True)
    with duckdb.connect(str(settings.warehouse_file), read_only=True) as con:
        con.execute("SET threads = 1")
        marts = [
            name
            for (name,) in con.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'marts' ORDER BY table_name"
            ).fetchall()
        ]
        for mart in track(marts, "Exporting marts"):
            columns = [row[0] for row in con.execute(f'DESCRIBE marts."{mart}"').fetchall()]
            reserved = set(columns) & set(LAST_COLUMNS)
            if reserved:
                raise P20wError(f"{mart} has the column {', '.join(reserved)}, which only publication may add.")
            export(con, f'SELECT * FROM marts."{mart}"', fresh / "data" / f"{mart}.parquet")
        _tell_once(settings, con, fresh / "data", build_id)
    old = settings.home / f".candidate-{build_id}-old"
    if settings.candidate.exists():
        os.rename(settings.candidate, old)
    os.rename(fresh, settings.candidate)
    remove_tree(old)
    return load_candidate(settings)


def _tell_once(settings: Settings, con: duckdb.DuckDBPyConnection, data: Path, build_id: str) -> None:
    """Empty the perturbed rows that stand where an official table of tonight hides its count, and leave out those that
    private statistics replace. As they were counted they stay in the restricted folder beside: where another official
    table stands in a release, others are silent."""
    tables = {path.stem: pl.read_parquet(path) for path in sorted(data.glob("*.parquet"))}
    told = withhold(tables, load_one_way(settings.seeds))
    for mart, table in told_privately(told, settings.seeds, planner.day_of(build_id)).items():
        if table is not tables[mart]:
            (data.parent / AS_COUNTED).mkdir(exist_ok=True)
            os.rename(data / f"{mart}.parquet", data.parent / AS_COUNTED / f"{mart}.parquet")
            con.register("told", table.to_arrow())
            export(con, "SELECT * FROM told", data / f"{mart}.parquet")
            con.unregister("told")


def as_counted(settings: Settings, mart: str) -> pl.DataFrame | None:
    """A mart of the candidate with no perturbed row made silent; None where the night made none."""
    for folder in (AS_COUNTED, "data"):
        path = settings.candidate / folder / f"{mart}.parquet"
        if path.exists():
            return pl.read_parquet(path)
    return None


def load_candidate(settings: Settings) -> Candidate:
    """The candidate as it lies on disk, with its id computed from the files."""
    files = sorted((settings.candidate / "data").glob("*.parquet"))
    marts = tuple(path.stem for path in files)
    families = {}
    if LONG_MART in marts:
        found = pl.scan_parquet(settings.candidate / "data" / f"{LONG_MART}.parquet").select("indicator_code")
        codes = found.unique().collect()["indicator_code"].to_list()
        families = {code: LONG_MART for code in sorted(set(codes) | set(indicator_codes(settings)))}
    families |= {mart: mart for mart in marts if mart != LONG_MART}
    return Candidate(content_id(files), families, marts)


def all_families(settings: Settings, candidate: Candidate) -> dict[str, str]:
    """Families that must be decided on: those of the candidate and those that the registers promise."""
    promised = {code: LONG_MART for code in indicator_codes(settings)}
    promised |= {row["family"]: row["family"] for row in read_seed(settings, "registers/family.csv")}
    return dict(sorted((promised | candidate.families).items()))


def content_id(files: list[Path]) -> str:
    """64 hex digits over names, columns, types and rows of Parquet files, publication columns left out."""
    return combined_digest({path.stem: table_digest(pl.read_parquet(path)) for path in files})


def combined_digest(tables: dict[str, str]) -> str:
    """One digest of a set of tables from table name → `table_digest`."""
    return hashlib.sha256("".join(f"{name} {tables[name]}\n" for name in sorted(tables)).encode()).hexdigest()


def table_digest(frame: pl.DataFrame) -> str:
    """Digest of a table's columns, types and rows in whatever order, without the publication columns."""
    frame = frame.drop([name for name in LAST_COLUMNS if name in frame.columns])
    frame = frame.sort(frame.columns, nulls_last=True)
    digest = hashlib.sha256(repr([(name, str(dtype)) for name, dtype in frame.schema.items()]).encode())
    digest.update(frame.write_csv(null_value="\\N").encode())
    return digest.hexdigest()


def export(con: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    """Write a query as zstd Parquet, ordered by all columns; the connection must be set to one thread."""
    con.execute(
        f"COPY (SELECT * FROM ({query}) ORDER BY ALL ASC NULLS LAST) TO '{quoted(path)}' "
        "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
    )


def quoted(path: Path) -> str:
    """A path inside single quotes of SQL."""
    return str(path).replace("'", "''")


def remove_tree(path: Path) -> None:
    """Delete a folder of ours even where it is read-only already; nothing happens when it is absent."""
    if not path.exists():
        return
    for folder, _, _ in os.walk(path):
        os.chmod(folder, 0o700)
    shutil.rmtree(path)
