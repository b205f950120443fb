"""The element registry: every column that may arrive, born once in `seeds/reference/element.csv`.

What belongs here: reading that register, the code sets, and the crosswalk of local codes.
What does not: which collection uses an element (the collection files) and what a package calls it (layouts).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SEEDS = Path(__file__).resolve().parents[1] / "seeds"

DTYPES = ("text", "integer", "decimal", "date", "month", "boolean")
PRIVACY_CLASSES = ("direct", "indirect", "sensitive", "open")

# Elements that a package without identifiers sends in their place; the rest of the name is the key that is hashed.
TOKEN_PREFIX = "token_"

# DuckDB's type of each dtype, as it stands in accepted files. A month stays text, `YYYY-MM`.
DUCKDB_TYPES = {
    "text": "VARCHAR",
    "integer": "INTEGER",
    "decimal": "DECIMAL(12,3)",
    "date": "DATE",
    "month": "VARCHAR",
    "boolean": "BOOLEAN",
}


@dataclass(frozen=True)
class Element:
    """One column: its type, meaning, CEDS id (where one exists) and privacy class.

    `identity_field` is the column of the vault's identity record that it feeds, `key_map` the kind of key minted
    for it, `code_set` the list of codes it takes; each is empty where there is none.
    """

    name: str
    dtype: str
    definition: str
    ceds_id: str
    privacy_class: str
    identity_field: str
    key_map: str
    code_set: str

    @property
    def is_direct(self) -> bool:
        """True when the value may live in the landing zone and the vault only."""
        return self.privacy_class == "direct"

    @property
    def duckdb_type(self) -> str:
        return DUCKDB_TYPES[self.dtype]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a seed file, every value stripped text. Raises FileNotFoundError when the seed is missing."""
    with path.open(newline="", encoding="utf-8") as handle:
        return [{key: (value or "").strip() for key, value in row.items()} for row in csv.DictReader(handle)]


def read_elements(seeds: Path = SEEDS) -> dict[str, Element]:
    """The register of elements by name. Raises ValueError on an unknown type or privacy class."""
    elements = {}
    for row in read_rows(seeds / "reference" / "element.csv"):
        row["name"] = row.pop("element")
        element = Element(**row)
        if element.dtype not in DTYPES or element.privacy_class not in PRIVACY_CLASSES:
            raise ValueError(
                f"element.csv, element {element.name}: dtype must be one of {', '.join(DTYPES)} and privacy_class one "
                f"of {', '.join(PRIVACY_CLASSES)}."
            )
        if element.name in elements:
            raise ValueError(f"element.csv names {element.name} twice; an element is declared once.")
        elements[element.name] = element
    return elements


ELEMENTS: dict[str, Element] = read_elements()


@cache
def code_sets(seeds: Path = SEEDS) -> dict[str, frozenset[str]]:
    """Standard codes of each code set."""
    sets: dict[str, set[str]] = {}
    for row in read_rows(seeds / "reference" / "code_set.csv"):
        sets.setdefault(row["code_set"], set()).add(row["code"])
    return {name: frozenset(codes) for name, codes in sets.items()}


@cache
def local_codes(seeds: Path = SEEDS) -> dict[tuple[str, str], dict[str, str]]:
    """(code set, package) → {local code: standard code}."""
    crosswalk: dict[tuple[str, str], dict[str, str]] = {}
    for row in read_rows(seeds / "crosswalks" / "code.csv"):
        crosswalk.setdefault((row["code_set"], row["package"]), {})[row["local_code"]] = row["standard_code"]
    return crosswalk


def allowed_codes(code_set: str, package: str | None = None, seeds: Path = SEEDS) -> frozenset[str]:
    """Codes a package may send for a code set: the standard ones and its own local ones.

    Without a package (a submitter checking one collection) every package's local codes are allowed.
    """
    local = {
        code
        for (name, owner), codes in local_codes(seeds).items()
        if name == code_set and package in (None, owner)
        for code in codes
    }
    return code_sets(seeds).get(code_set, frozenset()) | local
