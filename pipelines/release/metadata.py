"""What describes a release: where it came from, its dictionary, its data package, its checksums.

What belongs here: files about files. What does not: rows of data (`build`) and pages (`pipelines.reports`).
"""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
from datetime import date
from pathlib import Path

import polars as pl
import yaml

from pipelines.settings import Settings

CHECKSUMS = "checksums.sha256"
DICTIONARY_COLUMNS = ("table_name", "column_name", "data_type", "description")
# The two columns that publication adds; every other description comes from the mart's own declaration.
_OWN_COLUMNS = {
    "data_as_of": "Date of the deliveries that this row was computed from; earlier than the release where it is kept.",
    "release_id": "The release that this file belongs to.",
}
NOT_A_CHECKOUT = "not a checkout"
MODIFIED = "+modified"
_CODE = {"pipelines": (".py", ".sql"), "schemas": (".py",), "dbt_project": (".sql", ".yml")}
_MADE_BY_DBT = {"target", "logs"}
_FRICTIONLESS = {pl.String: "string", pl.Boolean: "boolean", pl.Date: "date", pl.Float64: "number"}


def dictionary(settings: Settings, folder: Path) -> list[dict[str, str]]:
    """One row for each column of each table in `folder`/data, with the description declared in the mart's yml."""
    described = column_descriptions(settings)
    rows = []
    for path in sorted((folder / "data").glob("*.parquet")):
        for name, dtype in pl.read_parquet_schema(path).items():
            rows.append(
                {
                    "table_name": path.stem,
                    "column_name": name,
                    "data_type": _type_name(dtype),
                    "description": _OWN_COLUMNS.get(name) or described.get((path.stem, name), ""),
                }
            )
    return rows


def column_descriptions(settings: Settings) -> dict[tuple[str, str], str]:
    """(mart, column) → description, from the yml files of `dbt_project/models/marts`."""
    found = {}
    for path in sorted((settings.dbt_dir / "models" / "marts").rglob("*.yml")):
        for model in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("models", []):
            for column in model.get("columns", []):
                found[(model["name"], column["name"])] = " ".join((column.get("description") or "").split())
    return found


def write_dictionary(path: Path, rows: list[dict[str, str]]) -> None:
    """Write `dictionary.csv`."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, DICTIONARY_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_data_package(folder: Path, release_id: str, released_on: date) -> None:
    """Write the Frictionless `datapackage.json` for every CSV file of the release."""
    described = {}
    with (folder / "dictionary.csv").open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            described[(row["table_name"], row["column_name"])] = row["description"]
    resources = []
    for path in sorted([*(folder / "csv").glob("*.csv"), *folder.glob("*.csv")]):
        table = folder / "data" / f"{path.stem}.parquet"
        if path.parent.name == "csv" and table.exists():
            schema = pl.read_parquet_schema(table)
        else:
            with path.open(newline="", encoding="utf-8") as handle:
                schema = dict.fromkeys(next(csv.reader(handle)), pl.String)
        resources.append(
            {
                "name": path.stem.replace("__", "-").replace("_", "-"),
                "title": path.stem,
                "type": "table",
                "path": path.relative_to(folder).as_posix(),
                "scheme": "file",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "bytes": path.stat().st_size,
                "hash": f"sha256:{sha256(path)}",
                "schema": {
                    "fields": [
                        {
                            "name": name,
                            "type": _frictionless_type(dtype),
                            "description": described.get((path.stem, name), ""),
                        }
                        for name, dtype in schema.items()
                    ],
                    "missingValues": [""],
                },
            }
        )
    package = {
        "name": f"p20w-{release_id}",
        "title": "Statewide longitudinal education data, de-identified",
        "version": release_id,
        "created": f"{released_on.isoformat()}T00:00:00Z",
        "resources": resources,
    }
    write_json(folder / "datapackage.json", package)


def write_checksums(folder: Path) -> None:
    """Write `checksums.sha256` over every other file of the release (readable by `sha256sum -c`)."""
    lines = [
        f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != CHECKSUMS
    ]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def read_checksums(folder: Path) -> dict[str, str]:
    """Relative path → sha256 as noted at publication."""
    pairs = (line.split("  ", 1) for line in (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines())
    return {name: digest for digest, name in pairs}


def provenance(settings: Settings) -> dict:
    """Where tonight's numbers come from, for everyone: code, libraries, seeds, registry, position in the ledger."""
    return {
        "git_commit": git_commit(settings.root),
        "code_sha256": code_digest(settings.root),
        "lock_sha256": lock_digest(settings.root),
        "seed_sha256": seed_digests(settings),
        "registry_build": registry_build(settings),
        "ledger_position": len(list(settings.release_ledger.glob("r*.parquet"))),
    }


def git_commit(root: Path) -> str:
    """Commit of the checkout, with `MODIFIED` where files differ from it; `NOT_A_CHECKOUT` outside a repository."""

    def run(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()

    try:
        commit = run("rev-parse", "--verify", "HEAD")
        return f"{commit}{MODIFIED}" if run("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.SubprocessError):
        return NOT_A_CHECKOUT


def code_digest(root: Path) -> str:
    """Digest of the code and models that make a release's tables; it is the same with and without a checkout."""
    digest = hashlib.sha256()
    for folder, suffixes in _CODE.items():
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root)
            if path.suffix in suffixes and not _MADE_BY_DBT.intersection(name.parts):
                digest.update(f"{name.as_posix()} {sha256(path)}\n".encode())
    return digest.hexdigest()


def lock_digest(root: Path) -> str:
    """Digest of the list of libraries."""
    return sha256(root / "requirements.lock")


def seed_digests(settings: Settings) -> dict[str, str]:
    """Digest of each file of registers, policies and reference data."""
    return {path.relative_to(settings.seeds).as_posix(): sha256(path) for path in sorted(settings.seeds.rglob("*.csv"))}


def delivery_ids(settings: Settings) -> list[str]:
    """Ids of the deliveries in use, from intake's ledger."""
    ledger = settings.evidence / "ledger.parquet"
    if not ledger.exists():
        return []
    in_use = pl.read_parquet(ledger).filter(pl.col("status") == "accepted")
    return sorted(in_use["delivery_id"].unique().to_list())


def registry_build(settings: Settings) -> str:
    """Newest build that changed who is the same person, '' before there is any link."""
    links = settings.exchange / "brg_record_person.parquet"
    if not links.exists():
        return ""
    return pl.scan_parquet(links).select(pl.col("valid_from_build").max()).collect().item() or ""


def read_release(folder: Path) -> dict:
    """`release.json` of a release folder."""
    return json.loads((folder / "release.json").read_text(encoding="utf-8"))


def write_json(path: Path, content: dict) -> None:
    """JSON with a fixed layout."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _type_name(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision},{dtype.scale})"
    if dtype.is_integer():
        return "integer"
    return {"String": "text", "Boolean": "boolean", "Date": "date"}.get(str(dtype), str(dtype).lower())


def _frictionless_type(dtype: pl.DataType | type[pl.DataType]) -> str:
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    return _FRICTIONLESS.get(dtype, "string")
