"""The package register: which files of which package feed which collections.

What belongs here: reading `seeds/registers/package.csv` for the rest of intake. What does not: reading the files.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from fnmatch import fnmatch

from pipelines.errors import P20wError
from pipelines.settings import Settings


@dataclass(frozen=True)
class PackageRow:
    """One line of the register: files of `package` that match `file_pattern` feed `collection`."""

    package: str
    title: str
    sector: str
    collection: str
    file_pattern: str
    load: str

    def takes(self, file_name: str) -> bool:
        return fnmatch(file_name.rsplit("/", 1)[-1].lower(), self.file_pattern.lower())


def packages(settings: Settings) -> dict[str, list[PackageRow]]:
    """The register's lines by package. Raises ValueError for a line whose `load` is not `full`.

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
            found.setdefault(line.package, []).append(line)
    return found


def sector_of(lines: list[PackageRow]) -> str:
    """The sector that takes a package in: that of its first line; `shared` where the package is not declared."""
    return lines[0].sector if lines else "shared"
