"""Which official families belong together, by what the register of indicators declares.

What belongs here: reading `nested_in` and `numerator_overlaps` of seeds/registers/indicator.csv as links between
families, and the name of the column that tells who counts whom again. What does not: what a link protects (declare,
suppress, detect, one_way) and what follows for a release (release).
Only the standard library is imported, so that whoever decides on families can ask without loading the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NESTING = "nested_in"
OVERLAP = "numerator_overlaps"
# Of a perturbed family: the official indicators whose people it counts again, some or all of them (one_way).
COUNTS_PEOPLE_OF = "counts_people_of"


def codes(row: Mapping[str, str | None], column: str) -> list[str]:
    """The indicator codes of a `;`-separated register column; none where the column is empty or absent."""
    return [part.strip() for part in (row.get(column) or "").split(";") if part.strip()]


def linked_families(
    official: Iterable[Mapping[str, str | None]], by: tuple[str, ...] = (NESTING, OVERLAP)
) -> dict[str, set[str]]:
    """Indicator code -> the codes linked with it, itself included, directly or through others.

    official: rows of the register (indicator_code and the columns of `by`). Links count in both directions and only
    between rows given: a link to an indicator that is not among them is left out.
    by: the columns that link; by default nestings and overlaps. Tables of a cohort year that are nested leave together.
    """
    rows = {row["indicator_code"]: row for row in official}
    group = {code: {code} for code in rows}
    for code, row in rows.items():
        for column in by:
            for other in codes(row, column):
                if other in rows and group[other] is not group[code]:
                    merged = group[code] | group[other]
                    for member in merged:
                        group[member] = merged
    return {code: set(members) for code, members in group.items()}
