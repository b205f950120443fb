"""Which published official years may change in a release, and which stay as they are.

What belongs here: revision dates, corrections that a law requires, and the limit of what a revision may take away.
What does not: the dates of releases (`clock`), the rows themselves (`build`) and what a changed figure may tell beside
the old one, which the protection of every night has settled already (`pipelines.disclosure.earlier`).

A cohort year is revised as a whole, in all families linked with it, or not at all. A change of few students cannot be
told beside the old figures, so a revision withdraws figures; where it would withdraw more than policy allows, the year
keeps the figures that it has until so much has changed that it can be told on a later revision date. A date counts for
each year by itself: a year that is held on that day, or was revised in a release that was taken back, is revised in the
next release. A correction that a law requires has its own signed path: two officers, a date, the authority. It waits
for no date and knows no limit; it hides what must be hidden like everything else. The first release in which it changes
figures spends it: a second change needs a second signed row. Rules that ask more than those of the current release open
every year at once and without limit: what is too small by them may not stand any longer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
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
class Standing:
    """What became of the official years ever published, in the line of releases that led to the current one.

    decided: (family, cohort year) → day of the release that last told it anew or decided against its revision;
    taken_back: (family, cohort year) → the newest release that told it, where no release of the line did, because those
    that did were taken back; corrections: those by which releases of the line changed figures.
    """

    decided: dict[tuple[str, int | None], date] = field(default_factory=dict)
    taken_back: dict[tuple[str, int | None], str] = field(default_factory=dict)
    corrections: frozenset[Correction] = frozenset()


@dataclass(frozen=True)
class Revision:
    """What may change now.

    open_years: (family, cohort year) for which a revision date has come; corrections: of single years; loss_limit:
    share of a year's figures that a revision on a date may withdraw; is_stricter: the rules ask more than those of the
    current release, so that every year may change; taken_back: (family, cohort year, release) of years that stand as
    that release told them, though the current one has nothing of them.
    """

    open_years: frozenset[tuple[str, int | None]] = frozenset()
    corrections: tuple[Correction, ...] = ()
    loss_limit: float = 0.0
    is_stricter: bool = False
    taken_back: tuple[tuple[str, int | None, str], ...] = ()

    def as_dict(self) -> dict:
        """For release.json."""
        years = sorted(self.open_years, key=lambda each: (each[0], each[1] or 0))
        return {
            "open_years": [list(each) for each in years],
            "corrections": [asdict(correction) for correction in self.corrections],
            "revision_loss_limit": self.loss_limit,
            "stricter_rules": self.is_stricter,
            "taken_back": [list(each) for each in self.taken_back],
        }

    @staticmethod
    def from_dict(described: dict) -> Revision:
        """What a release.json says was allowed to change."""
        return Revision(
            frozenset(tuple(each) for each in described["open_years"]),
            tuple(Correction(**row) for row in described["corrections"]),
            described["revision_loss_limit"],
            described["stricter_rules"],
            tuple(tuple(each) for each in described["taken_back"]),
        )

    def scheduled(self, families: set[str]) -> set[int | None]:
        """Cohort years of these families for which a revision date of any of them has come."""
        return {year for family, year in self.open_years if family in families}

    def corrected(self, families: set[str]) -> set[int]:
        """Cohort years of these families under a correction."""
        return {correction.cohort_year for correction in self.corrections if correction.family in families}


def revision(
    settings: Settings, today: date, standing: Standing, groups: dict[str, set[str]], is_stricter: bool
) -> Revision:
    """What may change in a release of `today`. Errors: RegisterError that names a malformed row.

    groups: official family → those linked with it, itself included: a date of one is a date of all; is_stricter:
    whether the rules ask more than the current release's did.
    """
    policy = load_policy(settings.seeds / "policy" / "protection.csv", today)
    dates = clock.revision_dates(settings, today)
    open_years = {
        (family, year)
        for (family, year), decided in standing.decided.items()
        if any(dates.get(other, decided) > decided for other in {"*", family, *groups.get(family, ())})
    }
    return Revision(
        frozenset(open_years),
        tuple(each for each in _corrections(settings, today) if each not in standing.corrections),
        policy.revision_loss_share,
        is_stricter,
        tuple((family, year, release_id) for (family, year), release_id in standing.taken_back.items()),
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
        row = {name: row[name].strip() for name in _COLUMNS}
        if row["family"] not in official:
            raise RegisterError(f"{place}: '{row['family']}' is no official indicator of registers/indicator.csv.")
        dates = {name: day(row[name], place, name) for name in ("approved_on", "expires_on")}
        if not row["cohort_year"].isdigit():
            raise RegisterError(f"{place}: cohort_year {row['cohort_year']!r} is not a year like 2026.")
        if row["approved_by"] == row["entered_by"]:
            raise RegisterError(
                f"{place}: entered and approved by {row['entered_by']}; another officer must approve it."
            )
        officers = active_officers(settings, dates["approved_on"])
        for column, did in (("entered_by", "entered"), ("approved_by", "approved")):
            if row[column] not in officers:
                raise RegisterError(
                    f"{place}: {did} by {row[column]}, who was no officer in registers/officer.csv on "
                    f"{dates['approved_on']}, the day of approval; two officers must sign."
                )
        if dates["expires_on"] < dates["approved_on"]:
            raise RegisterError(
                f"{place}: expires on {dates['expires_on']}, before its approval on {dates['approved_on']}; "
                "correct one of the two dates."
            )
        if dates["expires_on"] - dates["approved_on"] > _LONGEST:
            raise RegisterError(f"{place}: expires more than a year after its approval on {dates['approved_on']}.")
        if dates["approved_on"] <= today <= dates["expires_on"]:
            found.append(Correction(**{**row, "cohort_year": int(row["cohort_year"])}))
    return found
