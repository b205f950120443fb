"""Which published official years may change in a release, and which stay as they are.

What belongs here: revision dates, corrections that a law requires, and the limit of what a revision may take away.
What does not: the dates of releases (`clock`), the rows themselves (`build`) and what a changed figure may tell beside
the old one, which the protection of every night has settled already (`pipelines.disclosure.earlier`).

A cohort year is revised as a whole, in all families linked with it, or not at all. A change of few students cannot be
told beside the old figures, so a revision withdraws figures; where it would withdraw more than policy allows, the year
keeps the figures that it has until so much has changed that it can be told. A correction that a law requires has its
own signed path: two officers, a date, the authority. It waits for no date and knows no limit; it hides what must be
hidden like everything else.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta

import polars as pl

from pipelines.disclosure.policy import load_policy
from pipelines.registers import RegisterError, active_officers, day, read_seed
from pipelines.release import clock
from pipelines.settings import Settings

REGISTER = "registers/correction.csv"
_COLUMNS = ("family", "cohort_year", "authority", "reason", "entered_by", "approved_by", "approved_on", "expires_on")
_LONGEST = timedelta(days=366)


@dataclass(frozen=True)
class Correction:
    """One signed correction of a published official year."""

    family: str
    cohort_year: int
    authority: str
    reason: str
    entered_by: str
    approved_by: str
    approved_on: str
    expires_on: str


@dataclass(frozen=True)
class Revision:
    """What may change now. families: of which every year may ('*' = all); corrections: of single years; loss_limit:
    share of a year's figures that a revision may withdraw."""

    families: frozenset[str] = frozenset()
    corrections: tuple[Correction, ...] = ()
    loss_limit: float = 0.0

    def as_dict(self) -> dict:
        """For release.json."""
        return {
            "revised_families": sorted(self.families),
            "corrections": [asdict(correction) for correction in self.corrections],
            "revision_loss_limit": self.loss_limit,
        }

    @staticmethod
    def from_dict(described: dict) -> Revision:
        """What a release.json says was allowed to change."""
        return Revision(
            frozenset(described["revised_families"]),
            tuple(Correction(**row) for row in described["corrections"]),
            described["revision_loss_limit"],
        )

    def scheduled(self, families: set[str]) -> bool:
        """Whether a revision date of any of these families has come."""
        return "*" in self.families or bool(families & self.families)

    def corrected(self, families: set[str]) -> set[int]:
        """Cohort years of these families under a correction."""
        return {correction.cohort_year for correction in self.corrections if correction.family in families}


def revision(settings: Settings, today: date, last_release: date | None) -> Revision:
    """What may change in a release of `today`. Errors: RegisterError that names a malformed row."""
    policy = load_policy(settings.seeds / "policy" / "protection.csv", today)
    return Revision(
        frozenset(clock.revised_families(settings, today, last_release)),
        tuple(_corrections(settings, today)),
        policy.revision_loss_share,
    )


def withdrawn_share(released: pl.DataFrame, fresh: pl.DataFrame, keys: list[str]) -> float:
    """Share of the numerators told in `released` that `fresh` does not tell; 0 where none was told."""
    told = released.filter(pl.col("numerator_count").is_not_null())
    if told.is_empty():
        return 0.0
    kept = fresh.filter(pl.col("numerator_count").is_not_null()).select(keys)
    return told.join(kept, on=keys, how="anti", nulls_equal=True).height / told.height


def _corrections(settings: Settings, today: date) -> list[Correction]:
    """Corrections in force today. A malformed one is an error: a law waits for it."""
    found = []
    official = {
        row["indicator_code"]
        for row in read_seed(settings, "registers/indicator.csv")
        if row.get("protection") == "official"
    }
    for number, row in enumerate(read_seed(settings, REGISTER), start=2):
        place = f"{REGISTER}, line {number}"
        if None in row or any(not (row.get(name) or "").strip() for name in _COLUMNS):
            raise RegisterError(f"{place}: every one of {', '.join(_COLUMNS)} must be filled in.")
        if row["family"] not in official:
            raise RegisterError(f"{place}: '{row['family']}' is no official indicator of registers/indicator.csv.")
        dates = {name: day(row[name], place, name) for name in ("approved_on", "expires_on")}
        if not row["cohort_year"].isdigit():
            raise RegisterError(f"{place}: cohort_year {row['cohort_year']!r} is not a year like 2026.")
        if row["approved_by"] == row["entered_by"]:
            raise RegisterError(
                f"{place}: entered and approved by {row['entered_by']}; another officer must approve it."
            )
        if row["approved_by"] not in active_officers(settings, dates["approved_on"]):
            raise RegisterError(
                f"{place}: approved by {row['approved_by']}, who was no officer in registers/officer.csv on that day."
            )
        if dates["expires_on"] - dates["approved_on"] > _LONGEST:
            raise RegisterError(f"{place}: expires more than a year after its approval on {dates['approved_on']}.")
        if dates["approved_on"] <= today <= dates["expires_on"]:
            fields = {name: row[name].strip() for name in _COLUMNS}
            found.append(Correction(**{**fields, "cohort_year": int(fields["cohort_year"])}))
    return found
