"""Whether an agreement lets a delivery in today.

What belongs here: reading `seeds/registers/agreement.csv` and finding the line that covers a source and its
collections. What does not: what an agreement lets out (release) and its place in the inventory (reports).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase

from pipelines.errors import P20wError
from pipelines.settings import Settings


@dataclass(frozen=True)
class Agreement:
    """One agreement: whom it covers (a submitter, or a pattern such as `lea_*`), for which collections, how long."""

    agreement_id: str
    source: str
    collections: tuple[str, ...]
    starts_on: date
    expires_on: date
    destroy_by: date | None

    def covers(self, submitter: str, collection: str) -> bool:
        return fnmatchcase(submitter, self.source) and any(fnmatchcase(collection, p) for p in self.collections)


def read_agreements(settings: Settings) -> list[Agreement]:
    """The register's lines. Raises ValueError with a sentence that names the agreement whose dates cannot be read."""
    agreements = []
    with (settings.seeds / "registers" / "agreement.csv").open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            try:
                dates = [date.fromisoformat(row[name]) for name in ("starts_on", "expires_on")]
                destroy_by = date.fromisoformat(row["destroy_by"]) if row["destroy_by"] else None
            except ValueError:
                raise P20wError(
                    f"agreement.csv, agreement {row['agreement_id']}: starts_on, expires_on and destroy_by must be "
                    "dates as YYYY-MM-DD (destroy_by may be blank)."
                ) from None
            patterns = tuple(part.strip() for part in row["collections"].split(";") if part.strip())
            agreements.append(Agreement(row["agreement_id"], row["source"], patterns, *dates, destroy_by))
    return agreements


def refusal(agreements: list[Agreement], submitter: str, collections: set[str], today: date) -> str:
    """Why a delivery that feeds these collections may not come in today; empty when it may."""
    for collection in sorted(collections):
        covering = [agreement for agreement in agreements if agreement.covers(submitter, collection)]
        if not covering:
            return (
                f"No agreement in the agreement register covers {collection} from {submitter}. "
                "Sign one and add its line, or take the files back."
            )
        if not any(agreement.starts_on <= today <= agreement.expires_on for agreement in covering):
            newest = max(covering, key=lambda agreement: agreement.expires_on)
            state = f"expired on {newest.expires_on}" if newest.expires_on < today else f"starts on {newest.starts_on}"
            return (
                f"Agreement {newest.agreement_id} with {submitter}, which covers {collection}, {state}. "
                "Nothing more is taken in until the register has one that is in force."
            )
    return ""
