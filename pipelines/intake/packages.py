"""The package register: which files of which package feed which collections.

What belongs here: reading `seeds/registers/package.csv` for the rest of intake, and the form in which a package sends
a collection: with identifiers, or with keyed tokens in their place. What does not: reading the files.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from fnmatch import fnmatch

from pipelines.errors import P20wError
from pipelines.settings import Settings
from schemas import Collection, collections

# What `identifiers` says of a package that may not send them.
TOKENS = "tokens"


@dataclass(frozen=True)
class PackageRow:
    """One line of the register: files of `package` that match `file_pattern` feed `collection`.

    `identifiers`: `tokens` where keyed tokens come in place of identifiers, else empty.
    """

    package: str
    title: str
    sector: str
    collection: str
    file_pattern: str
    load: str
    identifiers: str

    def takes(self, file_name: str) -> bool:
        return fnmatch(file_name.rsplit("/", 1)[-1].lower(), self.file_pattern.lower())


def packages(settings: Settings) -> dict[str, list[PackageRow]]:
    """The register's lines by package. Raises P20wError for a line whose `load` is not `full` or whose `identifiers`
    are neither blank nor `tokens`.

    A full delivery replaces the one before it. Deliveries of changes only (`delta`) are not taken in yet: added up
    or replaced in the wrong way they would miscount silently.
    """
    found: dict[str, list[PackageRow]] = {}
    with (settings.seeds / "registers" / "package.csv").open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            line = PackageRow(*(row[name].strip() for name in PackageRow.__dataclass_fields__))
            if line.load != "full":
                raise P20wError(
                    f"package.csv: package {line.package} declares load {line.load!r}; only full deliveries are taken "
                    "in. Agree with the submitter on full deliveries and write full."
                )
            declared_form(collections().get(line.collection), line.identifiers, line.package)
            found.setdefault(line.package, []).append(line)
    return found


def declared_form(collection: Collection | None, identifiers: str, package: str) -> Collection | None:
    """The collection as a line of the register says that it is sent. Raises P20wError for an unknown form."""
    if identifiers not in ("", TOKENS):
        raise P20wError(
            f"package.csv: package {package} declares identifiers {identifiers!r}. Leave it blank, or write {TOKENS} "
            "where keyed tokens come in place of identifiers."
        )
    return collection.as_tokens() if collection is not None and identifiers == TOKENS else collection


def sent_form(settings: Settings, collection: Collection, package: str | None) -> Collection:
    """The collection as this package sends it; as declared where no package is given or known."""
    for line in packages(settings).get(package or "", []):
        if line.collection == collection.name:
            return declared_form(collection, line.identifiers, line.package)
    return collection


def sector_of(lines: list[PackageRow]) -> str:
    """The sector that takes a package in: that of its first line; `shared` where the package is not declared."""
    return lines[0].sector if lines else "shared"
