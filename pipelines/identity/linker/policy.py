"""The linker's named numbers.

What belongs here: numbers by name, and the day on which the linker reads policy. What does not: choosing rows by date
(registers.py) and what a row means (candidate.py, model.py, run.py).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from pipelines.registers import rows_in_force


def today() -> date:
    """Today in UTC, in which builds are dated: the day whose policy a table outside any build is linked by."""
    return datetime.now(UTC).date()


def parameters(path: Path, as_of: date) -> dict[str, float]:
    """The linker's numbers by name (seeds/policy/link_parameter.csv), as they are in force."""
    return {row["parameter"]: float(row["value"]) for _, row in rows_in_force(path, "parameter", as_of)}
