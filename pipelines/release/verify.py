"""Is a release still what was published? Compared with its own checksums, descriptions and decision.

What belongs here: reading a release and naming what is wrong. What does not: repairing it; an earlier release can be
made current instead.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import duckdb
import polars as pl

from pipelines.release.build import year_column
from pipelines.release.candidate import LONG_MART, table_digest
from pipelines.release.metadata import CHECKSUMS, read_checksums, read_release, sha256
from pipelines.settings import Settings


def verify(settings: Settings, release_id: str | None = None) -> list[str]:
    """One sentence for each thing wrong with a release (default: the current one); empty when it is whole."""
    from pipelines.release.publish import current

    shown = current(settings)
    if release_id is None and shown is None:
        return ["There is no current release."]
    folder = shown if release_id is None else settings.releases / release_id
    if not (folder / CHECKSUMS).exists():
        return [f"There is no release {folder.name}; `p20w release list` names those that are kept."]
    problems = _files(folder)
    if problems:
        return problems  # descriptions of changed files would only repeat it
    described = read_release(folder)
    tables = {path.stem: pl.read_parquet(path) for path in sorted((folder / "data").glob("*.parquet"))}
    return _tables(folder, described, tables) + _data_package(folder, tables) + _decision(folder, described, tables)


def _files(folder: Path) -> list[str]:
    expected = read_checksums(folder)
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {CHECKSUMS}
    problems = [f"{name} is missing from {folder.name}." for name in sorted(expected.keys() - present)]
    problems += [f"{name} is in {folder.name} but was not published." for name in sorted(present - expected.keys())]
    problems += [
        f"{name} differs from what was published in {folder.name}."
        for name in sorted(expected.keys() & present)
        if sha256(folder / name) != expected[name]
    ]
    return problems


def _tables(folder: Path, described: dict, tables: dict[str, pl.DataFrame]) -> list[str]:
    problems = []
    if sorted(tables) != sorted(described["tables"]):
        problems.append("release.json names other tables than data/ holds.")
    with duckdb.connect(str(folder / "p20w.duckdb"), read_only=True) as con:
        stored = {name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        for mart, table in tables.items():
            digest = table_digest(table)
            if digest != described["tables"].get(mart, {}).get("digest"):
                problems.append(f"data/{mart}.parquet holds other rows than release.json describes.")
            if mart not in stored or table_digest(con.execute(f'SELECT * FROM "{mart}"').pl()) != digest:
                problems.append(f"p20w.duckdb holds other rows of {mart} than data/{mart}.parquet.")
            if set(table["release_id"].unique().to_list()) - {folder.name}:
                problems.append(f"data/{mart}.parquet names another release than {folder.name}.")
    return problems


def _data_package(folder: Path, tables: dict[str, pl.DataFrame]) -> list[str]:
    package = json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))
    problems = []
    for resource in package["resources"]:
        path = folder / resource["path"]
        if not path.exists():
            problems.append(f"datapackage.json names {resource['path']}, which is not there.")
            continue
        if resource["hash"] != f"sha256:{sha256(path)}" or resource["bytes"] != path.stat().st_size:
            problems.append(f"datapackage.json describes other bytes of {resource['path']}.")
        with path.open(newline="", encoding="utf-8") as handle:
            header = next(csv.reader(handle))
        if header != [field["name"] for field in resource["schema"]["fields"]]:
            problems.append(f"datapackage.json describes other columns of {resource['path']}.")
    missing = {f"csv/{mart}.csv" for mart in tables} - {resource["path"] for resource in package["resources"]}
    problems += [f"datapackage.json does not describe {name}." for name in sorted(missing)]
    return problems


def _decision(folder: Path, described: dict, tables: dict[str, pl.DataFrame]) -> list[str]:
    """Whether the rows agree with gate.json: refused families are absent, held years are old or incomplete."""
    gate = json.loads((folder / "gate.json").read_text(encoding="utf-8"))
    problems = []
    if gate["outcome"] != "publish":
        problems.append("gate.json refuses this release.")
    if gate["candidate_id"] != described["candidate_id"] or gate["build_id"] != described["build_id"]:
        problems.append("gate.json is about another candidate than release.json.")
    decided = {family["family"]: family for family in gate["families"]}
    for mart, table in tables.items():
        names = table["indicator_code"].unique().to_list() if mart == LONG_MART else [mart]
        for name in sorted(names):
            family = decided.get(name)
            rows = table.filter(pl.col("indicator_code") == name) if mart == LONG_MART else table
            if family is None or (family["decision"] == "refuse" and not rows.is_empty()):
                problems.append(f"{name} has rows, but gate.json does not let it be published.")
            elif family["decision"] == "hold":
                problems += _held(name, rows, family["held_years"], described["years"])
    return problems


def _held(name: str, rows: pl.DataFrame, years: list[int] | str, origins: list[dict]) -> list[str]:
    column = year_column(rows.columns)
    problems = []
    for line in origins:
        if line["family"] != name or (years != "all" and line["year"] not in years):
            continue
        of_year = rows if column is None else rows.filter(pl.col(column).eq_missing(pl.lit(line["year"])))
        shows_numbers = line["origin"] == "incomplete" and bool(set(of_year["value_status"]) - {"incomplete"})
        if line["origin"] not in ("held", "incomplete") or shows_numbers:
            problems.append(f"{name} has new rows of {line['year'] or 'all years'}, which gate.json holds.")
    return problems
