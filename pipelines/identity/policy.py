"""The identity steward's numbers, as they are in force on the day of a build.

Belongs here: reading seeds/policy/identity_parameter.csv and the weights of seeds/policy/match_tier.csv. Does not
belong here: what the numbers do (partition.py, ids.py, the steward's queue).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

from pipelines.errors import P20wError
from pipelines.registers import read_rows, rows_in_force


@dataclass(frozen=True)
class IdentityPolicy:
    """Weights are bits (log2 of how much likelier the evidence is for one person than for two).

    merge_weight, keep_weight: mean bits from which two groups become one person, and down to which one person stays
    one. edge_weight: bits of a scored pair from which its records are solved together. kin_weight: bits, at most, of
    a pair that no tier ties and that looks like kin. other_name_weight: bits, at most, of a pair that no tier ties with
    two given names spelled alike that are each common: borne by the share common_name_share of the records, 0 to 1, and
    by common_name_records of them. review_weight: from which a steward may be asked.
    score_kept_weight: below it a scored pair is forgotten. block_limit: records of which all pairs are compared.
    queue_share: items per record. defer_days: days. generation_years: years between two birth dates from which they
    are no slip of the pen. given_similarity, surname_similarity: Jaro-Winkler similarity, 0 to 1, from which two names
    agree. short_name_length, cut_name_length: letters from which a beginning stands for the name (dbt macro
    identity_guards).
    """

    merge_weight: float
    keep_weight: float
    edge_weight: float
    kin_weight: float
    other_name_weight: float
    common_name_share: float
    common_name_records: int
    review_weight: float
    score_kept_weight: float
    block_limit: int
    queue_share: float
    defer_days: int
    generation_years: int
    given_similarity: float
    surname_similarity: float
    short_name_length: int
    cut_name_length: int

    @property
    def kept_edge_weight(self) -> float:
        """Bits down to which a scored pair holds a person together that it made: as much lower as a mean may be."""
        return self.edge_weight - (self.merge_weight - self.keep_weight)


def load_policy(path: Path, as_of: date) -> IdentityPolicy:
    """The parameters in force on `as_of`: for each the row with the newest effective_date not after it.

    Raises P20wError that names the file, the row and the parameter for one that is unknown, missing or no number.
    """
    kinds = {field.name: field.type for field in fields(IdentityPolicy)}
    for line, row in enumerate(read_rows(path), start=2):
        if row["parameter"] not in kinds:
            raise P20wError(
                f"{path.name}, row {line}: '{row['parameter']}' is no identity parameter. Correct the spelling."
            )
    chosen = {}
    for line, row in rows_in_force(path, "parameter", as_of):
        try:
            chosen[row["parameter"]] = float(row["value"])
        except ValueError:
            raise P20wError(
                f"{path.name}, row {line}: '{row['parameter']}' must have a number, not '{row['value']}'."
            ) from None
    missing = sorted(set(kinds) - set(chosen))
    if missing:
        raise P20wError(f"{path.name}: no value in force on {as_of} for {', '.join(missing)}. Add the row.")
    policy = IdentityPolicy(**{name: int(value) if kinds[name] == "int" else value for name, value in chosen.items()})
    if policy.keep_weight > policy.merge_weight:
        raise P20wError(
            f"{path.name}: keep_weight ({policy.keep_weight:g}) is above merge_weight ({policy.merge_weight:g}): a "
            "person would fall apart on the night after it was made. Lower it."
        )
    return policy


def tiers_in_force(path: Path, as_of: date) -> list[dict[str, str]]:
    """Rows of the match policy as it stands on a day, in its order: of each tier the newest not after it.

    Raises P20wError for a tier or a weight that is no number, and for a tier or a rule of which two rows would count.
    """
    found = []
    taken: set[str] = set()
    for line, row in rows_in_force(path, "tier", as_of):
        try:
            int(row["tier"]), float(row["weight"])
        except ValueError:
            raise P20wError(
                f"{path.name}, row {line}: tier '{row['tier']}' has the weight '{row['weight']}'; both must be numbers."
            ) from None
        for what, name in (("tier", f"{int(row['tier'])}"), ("rule", row["rule"])):
            if name in taken:
                raise P20wError(
                    f"{path.name}, row {line}: {what} {name} would count twice on {as_of}. Give the later row a later "
                    "effective_date, or take one out."
                )
            taken.add(name)
        found.append(row)
    return found


def tier_weights(path: Path, as_of: date) -> dict[int, float]:
    """Bits of each tier of the match policy as it stands on a day. Raises P20wError for a tier without a number."""
    return {int(row["tier"]): float(row["weight"]) for row in tiers_in_force(path, as_of)}
