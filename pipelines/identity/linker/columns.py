"""Which column of a table means what: the map that `p20w link --columns` reads.

What belongs here: reading and judging the map. What does not: reading the table's values (standard.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from pipelines.errors import P20wError

ROLES = (
    "record_id",
    "source",
    "given_name",
    "middle_name",
    "surname",
    "full_name",
    "birth_date",
    "sex",
    "ssn",
    "state_id",
    "number",
    "street_number",
    "address",
    "city",
    "postal_code",
    "state",
    "birth_place",
    "occupation",
)
# A record that has nothing but these names nobody.
NOT_IDENTIFYING = {"record_id", "source", "sex", "state", "occupation"}


@dataclass(frozen=True)
class ColumnMap:
    """Columns of a table by role; a role may be spread over several columns. `duplicate_free`: sources, by the values
    of the source column, that name nobody twice."""

    columns: dict[str, tuple[str, ...]]
    duplicate_free: tuple[str, ...] = field(default=())

    @property
    def record_id(self) -> str:
        return self.columns["record_id"][0]


def read_map(path: Path) -> ColumnMap:
    """Read a map from a YAML file; every mistake is a sentence that names the entry. Raises P20wError."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise P20wError(f"There is no column map {path}. Give the path of a YAML file with --columns.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        where = f", near line {place.line + 1}" if place else ""
        raise P20wError(f"The column map {path.name} is not YAML in UTF-8{where}.") from None
    if not isinstance(content, dict):
        raise P20wError(
            f"The column map {path.name} must say `role: column` line by line, such as `surname: last_name`."
        )
    duplicate_free = content.pop("duplicate_free", []) or []
    unknown = sorted(set(map(str, content)) - set(ROLES))
    if unknown:
        raise P20wError(
            f"The column map {path.name} names roles that are not known: {', '.join(unknown)}. Known are: "
            f"{', '.join(ROLES)} and duplicate_free."
        )
    columns = {role: _names(path, role, value) for role, value in content.items() if value is not None}
    if len(columns.get("record_id", ())) != 1:
        raise P20wError(
            f"The column map {path.name} must name one column for record_id, which is different in every row."
        )
    if not set(columns) - NOT_IDENTIFYING:
        raise P20wError(f"The column map {path.name} names no column that tells people apart, such as surname or ssn.")
    if not isinstance(duplicate_free, list):
        raise P20wError(
            f"In the column map {path.name} duplicate_free must be a list of sources, such as [k12, wages]."
        )
    if duplicate_free and "source" not in columns:
        raise P20wError(f"The column map {path.name} lists duplicate_free sources but names no column for source.")
    return ColumnMap(columns, tuple(str(each).strip() for each in duplicate_free))


def _names(path: Path, role: str, value: object) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(name, str | int) for name in listed):
        raise P20wError(f"In the column map {path.name} {role} must be a column or a list of columns.")
    return tuple(str(name).strip() for name in listed)
