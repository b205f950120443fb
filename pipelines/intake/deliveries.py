"""What lies in landing, by content: one delivery is the files of one submitter, package and period.

What belongs here: finding deliveries, hashing them, keeping the copy that a later rebuild reads, certification notes.
What does not: opening a file to read its records (readers), judging them (check) and remembering what became of
them (ledger).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from pipelines.settings import Settings

CERTIFICATION_FILE = "certification.json"
CERTIFICATION_NOTE = '{"status": "certified", "by": "name of the officer", "on": "YYYY-MM-DD"}'
RECEIVED_FOLDER = ".received"
# Names under which transfer programs write a file that is not whole yet.
UNFINISHED_SUFFIXES = (".part", ".partial", ".tmp", ".filepart", ".crdownload")
MANIFEST_SCHEMA = {"path": pl.String, "bytes": pl.Int64, "modified_ns": pl.Int64, "sha256": pl.String}


@dataclass(frozen=True)
class DeliveredFile:
    """One file as sent: name relative to the delivery's folder, content hash, size in bytes."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Certification:
    """Whether a delivery is preliminary or certified, by whom and when; `problem` is a sentence or empty."""

    status: str = "preliminary"
    certified_by: str | None = None
    certified_on: date | None = None
    problem: str = ""


@dataclass(frozen=True)
class Delivery:
    """The files of one submitter, package and period, identified by their content.

    `is_sent_again`: every file has been written anew since the last look, with the content it had.
    """

    submitter: str
    package: str
    period: str
    folder: Path
    files: tuple[DeliveredFile, ...]
    is_sent_again: bool = field(default=False, compare=False)

    @property
    def delivery_id(self) -> str:
        return delivery_id(self.submitter, self.package, self.period, self.files)

    @property
    def data_files(self) -> tuple[DeliveredFile, ...]:
        """The files with records: all but the certification note."""
        return tuple(file for file in self.files if file.name != CERTIFICATION_FILE)

    def describe(self) -> str:
        return f"{self.submitter}/{self.package}/{self.period}"


class ChangedWhileCopied(Exception):
    """A file changed between hashing and copying: the delivery is still being written."""


def delivery_id(submitter: str, package: str, period: str, files: tuple[DeliveredFile, ...]) -> str:
    """First 16 hex digits of sha256 over submitter, package, period and the (name, sha256) of each file."""
    text = json.dumps([submitter, package, period, sorted((file.name, file.sha256) for file in files)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def scan(settings: Settings, wanted: Callable[[str], bool] = lambda package: True) -> list[Delivery]:
    """Every delivery folder of landing with at least one data file, of the packages wanted, in a fixed order.

    A file is hashed only when its size or modification time differs from the manifest in evidence, so that a night
    with nothing new costs a directory listing.
    """
    known = _read_manifest(settings)
    seen = {name: entry for name, entry in known.items() if not wanted(name.split("/")[1])}
    deliveries = []
    for submitter in _folders(settings.landing):
        for package in filter(lambda folder: wanted(folder.name), _folders(submitter)):
            for period in _folders(package):
                files, written_anew = [], []
                for path in _files(period):
                    stat = path.stat()
                    key = path.relative_to(settings.landing).as_posix()
                    before = entry = known.get(key)
                    if entry is None or entry[:2] != (stat.st_size, stat.st_mtime_ns):
                        entry = (stat.st_size, stat.st_mtime_ns, hash_file(path))
                    seen[key] = entry
                    files.append(DeliveredFile(path.relative_to(period).as_posix(), entry[2], entry[0]))
                    written_anew.append(before is not None and before[1] != entry[1] and before[2] == entry[2])
                delivery = Delivery(
                    submitter.name, package.name, period.name, period, tuple(files), bool(files) and all(written_anew)
                )
                if delivery.data_files:
                    deliveries.append(delivery)
    if seen != known:
        _write_manifest(settings, seen)
    return deliveries


def landing_fingerprint(settings: Settings) -> str:
    """Hash of the names, sizes and times of everything in landing; reads no content and writes nothing."""
    digest = hashlib.sha256()
    for submitter in _folders(settings.landing):
        for package in _folders(submitter):
            for period in _folders(package):
                for path in _files(period):
                    stat = path.stat()
                    name = path.relative_to(settings.landing).as_posix()
                    digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def package_folders(settings: Settings) -> set[tuple[str, str]]:
    """The (submitter, package) pairs that have a folder in landing, whether or not it holds a file yet."""
    return {
        (submitter.name, package.name) for submitter in _folders(settings.landing) for package in _folders(submitter)
    }


def received_folder(settings: Settings, delivery: str) -> Path:
    """Where the copy of a delivery lies that every rebuild reads."""
    return settings.landing / RECEIVED_FOLDER / delivery


def receive(settings: Settings, delivery: Delivery) -> Path:
    """Copy a delivery's files to `landing/.received/<delivery_id>/` and return that folder.

    Raises ChangedWhileCopied when a copy's hash is not the one scanned. A folder that exists is whole: the copy is
    made under another name and moved there at the end.
    """
    target = received_folder(settings, delivery.delivery_id)
    if target.exists():
        return target
    temporary = target.with_name(f"{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    for file in delivery.files:
        copy = temporary / file.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(delivery.folder / file.name, copy)
        except FileNotFoundError:
            raise ChangedWhileCopied(_changed(delivery, file)) from None
        if hash_file(copy) != file.sha256:
            shutil.rmtree(temporary, ignore_errors=True)
            raise ChangedWhileCopied(_changed(delivery, file))
    os.replace(temporary, target)
    return target


def _changed(delivery: Delivery, file: DeliveredFile) -> str:
    return (
        f"{delivery.describe()}: {file.name} changed while it was being copied, so the delivery is left for the next "
        "run. Nothing to do if the transfer is still going on."
    )


def read_certification(folder: Path) -> Certification:
    """Read `certification.json` of a delivery. A note that cannot be used leaves the delivery preliminary."""
    path = folder / CERTIFICATION_FILE
    if not path.exists():
        return Certification()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        status = content["status"]
        if status == "preliminary":
            return Certification()
        if status != "certified" or not str(content["by"]).strip():
            raise ValueError
        return Certification("certified", str(content["by"]).strip(), date.fromisoformat(content["on"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Certification(
            problem=f"{CERTIFICATION_FILE} cannot be read as {CERTIFICATION_NOTE}: the delivery counts as preliminary. "
            "Send the delivery again with a corrected note."
        )


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.lower().endswith(UNFINISHED_SUFFIXES):
            continue
        if path.is_dir():
            found.extend(_files(path))
        elif path.is_file():
            found.append(path)
    return found


def _read_manifest(settings: Settings) -> dict[str, tuple[int, int, str]]:
    path = settings.evidence / "landing_manifest.parquet"
    if not path.exists():
        return {}
    rows = pl.read_parquet(path).iter_rows()
    return {name: (size, modified, sha256) for name, size, modified, sha256 in rows}


def _write_manifest(settings: Settings, seen: dict[str, tuple[int, int, str]]) -> None:
    rows = [(name, *entry) for name, entry in sorted(seen.items())]
    write_parquet(
        pl.DataFrame(rows, schema=MANIFEST_SCHEMA, orient="row"), settings.evidence / "landing_manifest.parquet"
    )


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write a Parquet file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    frame.write_parquet(temporary, compression="zstd")
    os.replace(temporary, path)
