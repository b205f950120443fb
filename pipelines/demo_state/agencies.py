"""What each agency would send about one region's people: the reports of all five sectors.

What belongs here: which rows an agency holds in which period, with which identifiers and lasting errors. What does not:
how lives go (people, childhood, schooling, college, work) and how files look (landing).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.demo_state import names
from pipelines.demo_state.childhood import (
    FIRST_EARLY_YEAR,
    Table,
    early_programs,
    foster_care,
    foster_in_year,
    readiness,
)
from pipelines.demo_state.college import CIP, COURSES, IN_STATE, INSTITUTIONS, College, college_years, term_dates
from pipelines.demo_state.geography import (
    FIRST_K12_YEAR,
    FIRST_YEAR,
    LAST_YEAR,
    OUT_OF_STATE,
    STATE_ABBREVIATION,
    STATE_FIPS,
    Employers,
    Region,
)
from pipelines.demo_state.landing import LINK_COLUMNS, Landing
from pipelines.demo_state.people import People, day, make_people, words_frame
from pipelines.demo_state.schooling import NEVER, Outcome, SchoolYear, calendar, new_outcome, school_years
from pipelines.demo_state.work import quarter_of, wage_quarters

RACES = ("is_hispanic", "is_american_indian", "is_asian", "is_black", "is_pacific_islander", "is_white")
MULTIPLE_RACE_YEAR = 2025  # first school year in which districts ask the 2024 federal question
TITLES = {
    "certificate": "CERTIFICATE OF APPLIED STUDY",
    "associate": "ASSOCIATE OF ARTS",
    "bachelor": "BACHELOR OF SCIENCE",
    "master": "MASTER OF SCIENCE",
}
CARE_TYPES = ("family_home", "group_home", "child_home")
SEARCHED_YEARS = 6  # graduates of so many years are in each StudentTracker search


def _dates(days: np.ndarray) -> pl.Series:
    """Days since 1970-01-01 as dates; negative ones are null (nothing here happened before 1970)."""
    days = np.asarray(days)
    series = pl.Series(np.maximum(days, 0).astype(np.int32)).cast(pl.Date)
    return series.set(pl.Series(days < 0), None)


def _texts(values: np.ndarray) -> pl.Series:
    """Text with '' as null."""
    return pl.Series(values.astype(str).tolist(), dtype=pl.String).replace("", None)


def _padded(numbers: np.ndarray, width: int) -> np.ndarray:
    """Numbers as text with leading zeros."""
    return np.char.zfill(numbers.astype(f"U{width}"), width) if len(numbers) else np.empty(0, f"U{width}")


class RegionReports:
    """One region on its way to files."""

    def __init__(
        self,
        region: Region,
        seed: int,
        landing: Landing,
        firms: Employers,
        payroll: np.ndarray,
        enrolled: dict[int, int],
    ):
        self.region, self.seed, self.landing = region, seed, landing
        self.firms, self.payroll, self.enrolled = firms, payroll, enrolled
        self.people: People = make_people(region, seed)
        self.school_ids = np.array([school.school_id for school in region.schools], dtype=object)
        self.lea_ids = np.array(region.lea_ids, dtype=object)
        self.sex = np.where(self.people.is_female, "Female", "Male").astype(object)
        self.coins = np.random.default_rng([seed, 13, region.number]).random((self.people.count, 8))
        self.sex[self.coins[:, 7] < 0.003] = "NonBinary"

    def run(self) -> pl.DataFrame:
        people = self.people
        removals, placements = foster_care(people, self.seed)
        early = early_programs(people, self.seed)
        self._early(early)
        outcome = new_outcome(people, self.seed)
        for year in school_years(people, removals, self.seed, outcome):
            self._school_year(year, early)
        self._care(removals, placements, outcome)
        college = college_years(people, outcome, self.seed)
        self._college(college, outcome)
        self._clearinghouse(college, outcome)
        for index, jobs in wage_quarters(people, outcome, college, self.firms, self.seed):
            self._wages(index, jobs)
        return pl.DataFrame(
            {
                "true_person_id": people.number,
                "family_group": people.region.number * 10**6 + people.family + 1,
                "twin_group": pl.Series(people.twin).replace(0, None),
            },
            schema_overrides={"true_person_id": pl.Int64, "family_group": pl.Int64, "twin_group": pl.Int64},
        ).with_columns(sibling_group=pl.when(pl.len().over("family_group") > 1).then(pl.col("family_group")))

    # --- who a row is about, as an agency holds it -------------------------------------------------------------
    def identity(
        self,
        who: np.ndarray,
        source: str,
        on: np.ndarray | int,
        *,
        ssn: np.ndarray | bool = False,
        state_id: np.ndarray | None = None,
        local: np.ndarray | None = None,
        birth: str = "day",
        home_year: np.ndarray | int | None = None,
        named: bool = True,
    ) -> dict[str, pl.Series]:
        """Identifier columns (with the source's lasting errors), the person and what links without errors.

        `on`: days since 1970 on which the names were taken; `ssn`: whose SSN the source has; `state_id`: numbers, 0 for
        none; `local`: a number of the source's own, 0 for none; `birth`: day, month or none; `home_year`: year of the
        ZIP.
        """
        people, held = self.people, self.people.errors(source)
        n = len(who)
        columns: dict[str, pl.Series] = {}
        clean_surname, stage = people.surname_on(who, on)
        if named:
            columns["given_name"] = words_frame(people, held["given"][who])
            columns["middle_name"] = words_frame(people, held["middle"][who])
            columns["surname"] = words_frame(people, held["surname"][stage, who])
        if birth == "day":
            columns["birth_date"] = _dates(held["birth"][who])
        elif birth == "month":
            columns["birth_month"] = _dates(held["birth"][who])
        columns["sex_code"] = pl.Series(self.sex[who].tolist(), dtype=pl.String)
        has_ssn = (people.ssn[who] > 0) & ssn
        columns["ssn"] = _texts(np.where(has_ssn, _padded(held["ssn"][who], 9), ""))
        numbers = np.zeros(n, np.int64) if state_id is None else state_id
        columns["student_id_state"] = _texts(np.where(numbers > 0, numbers.astype(str), ""))
        zip_index = np.full(n, -1) if home_year is None else people.home(who, home_year)
        if home_year is not None:
            columns["postal_code"] = pl.Series(people.zips[zip_index].tolist(), dtype=pl.String)
        columns["_person"] = pl.Series(people.number[who], dtype=pl.Int64)
        link = (
            has_ssn.astype(np.int64),
            numbers,
            np.zeros(n, np.int64) if local is None else local,
            clean_surname + 1 if named else np.zeros(n, np.int64),
            np.full(n, int(birth == "day")),
            zip_index,
        )
        for name, values in zip(LINK_COLUMNS, link, strict=True):
            columns[name] = pl.Series(values.astype(np.int64))
        return columns

    def races(self, who: np.ndarray, year: int | None = None) -> dict[str, pl.Series]:
        """Race and ethnicity as sent; Middle Eastern counts as white where the question does not offer it."""
        race = self.people.race[who]
        asked = year is not None and year >= MULTIPLE_RACE_YEAR
        columns = {name: pl.Series(race[:, i] | ((i == 5) & race[:, 6] & (not asked))) for i, name in enumerate(RACES)}
        if asked:
            columns["is_middle_eastern"] = pl.Series(race[:, 6])
        return columns

    # --- early childhood -----------------------------------------------------------------------------------------
    def _early(self, early: Table) -> None:
        centers = self.region.centers
        by_lea = [[i for i, center in enumerate(centers) if center[1] == lea] for lea in range(len(self.lea_ids))]
        center_ids = np.array([center[0] for center in centers], dtype=object)
        for program, package, submitter, source in (
            ("head_start", "head_start", "oel", "head_start"),
            ("state_prek", "state_prek", "oel", "state_prek"),
            ("subsidy", "subsidy", "dhs", "subsidy"),
        ):
            for year in range(FIRST_EARLY_YEAR, LAST_YEAR + 1):
                rows = np.flatnonzero((early["program"] == program) & (early["year"] == year))
                who, draw = early["who"][rows], early["draw"][rows]
                number = self.people.number[who]
                local = number * 8 + {"head_start": 1, "state_prek": 2, "subsidy": 3}[program]
                letters = {"head_start": "HS", "state_prek": "PK", "subsidy": "CC"}[program]
                is_subsidy = program == "subsidy"
                base = self.identity(
                    who,
                    source,
                    early["begin"][rows],
                    ssn=(self.coins[who, 0] < 0.45) & is_subsidy,
                    local=local,
                    birth="month" if is_subsidy else "day",
                    home_year=year,
                )
                lea = self.people.homes.lea[self.people.family[who], year - FIRST_YEAR]
                site = np.array(
                    [
                        by_lea[max(int(a), 0)][int(b * len(by_lea[max(int(a), 0)]))]
                        for a, b in zip(lea, draw[:, 0], strict=True)
                    ],
                    int,
                )
                site_ids = center_ids[site] if len(site) else np.array([], dtype=object)
                home_based = is_subsidy & (draw[:, 1] < 0.35)
                open_end = (early["finish"][rows] >= day(LAST_YEAR, 5, 28)) & (year == LAST_YEAR) & (draw[:, 2] < 0.2)
                extra: dict[str, pl.Series] = {
                    "child_id": _texts(np.char.add(letters, _padded((number * 7 + 11), 9))),
                    "entry_date": _dates(early["begin"][rows]),
                    "exit_date": _dates(np.where(open_end, -1, early["finish"][rows])),
                    "organization_id_state": _texts(np.where(home_based, "", site_ids)),
                    "has_disability": pl.Series(draw[:, 3] < 0.09),
                    "is_homeless": pl.Series(draw[:, 3] > 0.97),
                    "weekly_hours": pl.Series(np.where(draw[:, 2] < 0.6, 30, 20).astype(np.int64)),
                    **self.races(who),
                }
                if is_subsidy:
                    extra |= self._subsidy(who, year, early["begin"][rows], home_based, draw)
                self.landing.write(
                    submitter, package, year, "early_childhood__program_enrollment", pl.DataFrame({**base, **extra})
                )

    def _subsidy(
        self, who: np.ndarray, year: int, begin: np.ndarray, home_based: np.ndarray, draw: np.ndarray
    ) -> dict[str, pl.Series]:
        """The ACF-801 elements of a subsidized child."""
        region = self.region.number
        provider = (self.people.home(who, year) * 5 + (draw[:, 0] * 5)).astype(int) + region * 1_000 + 1
        kind = np.where(home_based, np.array(CARE_TYPES, dtype=object)[(draw[:, 0] * 3).astype(int)], "center")
        income = np.round(900 + 1_900 * draw[:, 1]).astype(int)
        county = self.people.homes.lea[self.people.family[who], year - FIRST_YEAR]
        reasons = np.array(
            ["working", "working", "training", "working_and_training", "protective_services", "other"], dtype=object
        )
        return {
            "provider_id": _texts(np.where(home_based, np.char.add("FCC", _padded(provider, 6)), "")),
            "family_county_fips": pl.Series(
                [f"{STATE_FIPS}{2 * int(max(c, 0)) + 1:03d}" for c in county], dtype=pl.String
            ),
            "is_single_parent": pl.Series(draw[:, 2] < 0.7),
            "care_reason_code": _texts(reasons[(draw[:, 3] * 6).astype(int)]),
            "copayment_amount": pl.Series((income * 0.05).astype(int)),
            "assistance_start_month": _dates(begin - 20),
            "monthly_income_amount": pl.Series(income),
            "family_size_count": pl.Series(2 + (draw[:, 0] * 4).astype(int)),
            "care_type_code": _texts(kind),
        }

    # --- K-12 ------------------------------------------------------------------------------------------------------
    def _school_year(self, table: SchoolYear, early: Table) -> None:
        year, people = table.year, self.people
        self.enrolled[year] += len(np.unique(table.spells["who"]))
        usual_lea = people.homes.lea[people.family, FIRST_K12_YEAR - FIRST_YEAR]
        for lea, lea_id in enumerate(self.lea_ids):
            submitter = f"lea_{lea_id}"
            rows = np.flatnonzero(table.students["lea"] == lea)
            who, ids = table.students["who"][rows], table.students["state_id"][rows]
            on = np.full(len(who), day(year - 1, 9, 30))
            first, later = (
                self.identity(who, name, on, state_id=ids, home_year=year) for name in ("k12_first", "k12_later")
            )
            is_first = pl.Series(usual_lea[who] == lea)
            base = {name: _either(is_first, first[name], later[name]) for name in first}
            cohort, nine = table.students["cohort_year"][rows], table.students["first_nine"][rows]
            suffix = people.suffix[who]
            sex = self.sex[who].copy()
            if year < 2024:  # districts could not record it before
                sex = np.where(sex == "NonBinary", np.where(people.is_female[who], "Female", "Male"), sex)
            student = pl.DataFrame(
                {
                    **base,
                    **self.races(who, year),
                    "sex_code": _texts(np.where(self.coins[who, 6] < 0.003, "", sex)),
                    "name_suffix": _texts(np.where(suffix >= 0, np.array(names.SUFFIXES)[np.maximum(suffix, 0)], "")),
                    "assigned_cohort_year": pl.Series(cohort).replace(0, None),
                    "first_entry_grade_nine_year": pl.Series(nine).replace(0, None),
                }
            ).with_columns(school_year=pl.lit(year), lea_id_state=pl.lit(lea_id))
            self.landing.write(submitter, "k12_annual", year, "k12__student", student)

            spells = table.spells
            rows = np.flatnonzero(spells["lea"] == lea)
            grade = spells["grade"][rows]
            frame = pl.DataFrame(
                {
                    **self._number_only(spells["who"][rows], spells["state_id"][rows]),
                    "school_id_state": _texts(self.school_ids[spells["school"][rows]]),
                    "entry_date": _dates(spells["entry"][rows]),
                    "exit_date": _dates(spells["exit"][rows]),
                    "entry_type_code": _texts(spells["entry_type"][rows]),
                    "exit_withdrawal_type_code": _texts(spells["exit_code"][rows]),
                    "exit_documentation_code": _texts(spells["documentation"][rows]),
                    "grade_level_code": _grades(grade),
                }
            ).with_columns(school_year=pl.lit(year), lea_id_state=pl.lit(lea_id), responsibility_code=pl.lit("primary"))
            self.landing.write(submitter, "k12_annual", year, "k12__enrollment", frame)
            self._attendance(table, lea, submitter)

            programs = table.programs
            rows = np.flatnonzero(programs["lea"] == lea)
            frame = pl.DataFrame(
                {
                    **self._number_only(programs["who"][rows], programs["state_id"][rows]),
                    "program_type_code": _texts(programs["program"][rows]),
                    "begin_date": _dates(programs["begin"][rows]),
                    "end_date": _dates(programs["end"][rows]),
                    "source_detail_code": _texts(programs["detail"][rows]),
                }
            ).with_columns(school_year=pl.lit(year), organization_id_state=pl.lit(lea_id))
            self.landing.write(submitter, "k12_annual", year, "k12__program_participation", frame)

            done = table.completions
            rows = np.flatnonzero(done["lea"] == lea)
            frame = pl.DataFrame(
                {
                    **self._number_only(done["who"][rows], done["state_id"][rows]),
                    "school_id_state": _texts(self.school_ids[done["school"][rows]]),
                    "diploma_type_code": _texts(done["diploma"][rows]),
                    "completion_date": _dates(done["day"][rows]),
                }
            ).with_columns(school_year=pl.lit(year), lea_id_state=pl.lit(lea_id))
            self.landing.write(submitter, "k12_annual", year, "k12__completion", frame)
        self._tests(table)
        self._readiness(table, early)

    def _number_only(self, who: np.ndarray, state_id: np.ndarray) -> dict[str, pl.Series]:
        """Identity of rows that carry nothing but the state-assigned student number."""
        zero = pl.Series(np.zeros(len(who), np.int64))
        columns = {
            "student_id_state": pl.Series(state_id).cast(pl.String),
            "_person": pl.Series(self.people.number[who], dtype=pl.Int64),
            **dict.fromkeys(LINK_COLUMNS, zero),
        }
        return columns | {"link_state": pl.Series(state_id), "link_zip": pl.Series(np.full(len(who), -1, np.int64))}

    def _attendance(self, table: SchoolYear, lea: int, submitter: str) -> None:
        attendance, spells, year = table.attendance, table.spells, table.year
        rows = np.flatnonzero(spells["lea"][attendance["spell"]] == lea)
        spell, term = attendance["spell"][rows], attendance["term"][rows]
        days = calendar(year)
        begins, ends = np.array([days[0], days[90]]), np.array([days[89], days[179]])
        frame = pl.DataFrame(
            {
                **self._number_only(spells["who"][spell], spells["state_id"][spell]),
                "school_id_state": _texts(self.school_ids[spells["school"][spell]]),
                "term_code": _texts(np.where(term == 0, "S1", "S2")),
                "membership_days": pl.Series(attendance["membership"][rows] // 1000),
                "absence_days": pl.Series(attendance["absence"][rows] / 1000),
                "term_begin_date": _dates(begins[term]),
                "term_end_date": _dates(ends[term]),
            }
        ).with_columns(school_year=pl.lit(year), lea_id_state=pl.lit(str(self.lea_ids[lea])))
        self.landing.write(submitter, "k12_annual", year, "k12__attendance", frame)

    def _tests(self, table: SchoolYear) -> None:
        tests, year = table.tests, table.year
        who = tests["who"]
        local = self.people.number[who] * 8 + 6
        frame = pl.DataFrame(
            {
                **self.identity(who, "assessment", day(year, 4, 1), state_id=tests["state_id"], local=local),
                "student_id_local": _texts(np.char.add("L", _padded(self.people.number[who], 9))),
                "assessment_result_id": pl.Series(
                    [f"{year}-{self.region.number}-{i}" for i in range(len(who))], dtype=pl.String
                ),
                "subject_code": _texts(np.where(tests["subject"] == "ela", "reading", "mathematics")),
                "administration_date": _dates(tests["day"]),
                "grade_level_code": _grades(tests["grade"]),
                "school_id_state": _texts(self.school_ids[tests["school"]]),
                "lea_id_state": _texts(self.lea_ids[tests["lea"]]),
                "scale_score": pl.Series(tests["score"]),
                "performance_level_code": _texts(np.char.add("level_", tests["level"].astype(str))),
                "is_proficient": pl.Series(tests["level"] >= 3),
            }
        ).with_columns(
            school_year=pl.lit(year),
            assessment_code=pl.lit("state_summative"),
            middle_name=pl.col("middle_name").str.slice(0, 1),
        )
        self.landing.write("sea", "state_assessment", year, "k12__assessment_result", frame)

    def _readiness(self, table: SchoolYear, early: Table) -> None:
        children, year = table.kindergartners, table.year
        attended = np.zeros(self.people.count, bool)
        attended[early["who"][(early["year"] == year - 1)]] = True
        result = readiness(self.people, children["who"], attended[children["who"]], year, self.seed)
        rows = np.flatnonzero(result["taken"])
        who = children["who"][rows]
        known = np.where(self.coins[who, 1] < 0.97, children["state_id"][rows], 0)
        local = self.people.number[who] * 8 + 5
        whole = result["complete"][rows]
        frame = pl.DataFrame(
            {
                **self.identity(who, "readiness", result["day"][rows], state_id=known, local=local),
                "student_id_local": _texts(np.char.add("R", _padded(self.people.number[who], 9))),
                "school_id_state": _texts(self.school_ids[children["school"][rows]]),
                "lea_id_state": _texts(self.lea_ids[children["lea"][rows]]),
                "assessment_date": _dates(result["day"][rows]),
                "overall_score": _numbers(result["score"][rows], whole),
                "performance_level_code": _texts(np.where(whole, result["level"][rows], "")),
                "completion_status_code": _texts(np.where(whole, "complete", "incomplete")),
                "social_foundations_score": _numbers(result["domains"][rows, 0], whole),
                "language_literacy_score": _numbers(result["domains"][rows, 1], whole),
                "mathematics_score": _numbers(result["domains"][rows, 2], whole),
                "physical_development_score": pl.Series(result["domains"][rows, 3]),
            }
        ).with_columns(school_year=pl.lit(year), assessment_code=pl.lit("KRA"))
        self.landing.write("sea", "readiness", year, "early_childhood__kindergarten_readiness", frame)

    # --- child welfare ---------------------------------------------------------------------------------------------
    def _care(self, removals: Table, placements: Table, outcome: Outcome) -> None:
        """An episode or placement is sent with the year in which it began, with its end as known today."""
        people = self.people
        today = day(LAST_YEAR, 6, 30)
        for year in range(FIRST_K12_YEAR, LAST_YEAR + 1):
            who = np.flatnonzero(foster_in_year(people, removals, year))
            number = people.number[who] * 8 + 4
            known = np.where((self.coins[who, 2] < 0.10) & outcome.was_enrolled[who], people.state_id[who], 0)
            frame = pl.DataFrame(
                {
                    **self.identity(
                        who,
                        "child_welfare",
                        day(year - 1, 7, 1),
                        ssn=self.coins[who, 3] < 0.62,
                        state_id=known,
                        local=number,
                        home_year=year,
                    ),
                    **self.races(who),
                    **self._child(who),
                }
            ).with_columns(school_year=pl.lit(year))
            self.landing.write("dhs", "child_welfare", year, "child_welfare__client", frame)
            rows = _begun_in(removals["begin"], year)
            who, finish = removals["who"][rows], removals["finish"][rows]
            over = finish <= today
            reason = np.where(removals["reason"][rows] == "relative", "living_with_relative", removals["reason"][rows])
            place = {"parent": "parent_household", "relative": "relative_household", "other": "other_household"}
            frame = pl.DataFrame(
                {
                    **self._child_only(who),
                    "removal_date": _dates(removals["begin"][rows]),
                    "removal_transaction_date": _dates(removals["begin"][rows] + 3),
                    "environment_at_removal_code": pl.Series(
                        [place[e] for e in removals["environment"][rows]], dtype=pl.String
                    ),
                    "exit_date": _dates(np.where(over, finish, -1)),
                    "exit_transaction_date": _dates(np.where(over, finish + 5, -1)),
                    "exit_reason_code": _texts(np.where(over, reason, "")),
                }
            )
            self.landing.write("dhs", "child_welfare", year, "child_welfare__removal", frame)
            rows = _begun_in(placements["begin"], year)
            finish = placements["finish"][rows]
            homes = {"relative": "relative", "licensed": "nonrelative", "therapeutic": "therapeutic", None: None}
            living = np.where(
                placements["living"][rows] == "institution", "residential_treatment", placements["living"][rows]
            )
            frame = pl.DataFrame(
                {
                    **self._child_only(placements["who"][rows]),
                    "placement_date": _dates(placements["begin"][rows]),
                    "placement_end_date": _dates(np.where(finish <= today, finish, -1)),
                    "living_arrangement_code": _texts(living),
                    "foster_home_type_code": pl.Series(
                        [homes[h] for h in placements["home_type"][rows]], dtype=pl.String
                    ),
                }
            )
            self.landing.write("dhs", "child_welfare", year, "child_welfare__placement", frame)

    def _child(self, who: np.ndarray) -> dict[str, pl.Series]:
        number = self.people.number[who]
        return {"child_record_number": _texts(np.char.add("CW", _padded((number * 13 + 7), 10)))}

    def _child_only(self, who: np.ndarray) -> dict[str, pl.Series]:
        columns = self._number_only(who, np.zeros(len(who), np.int64))
        columns.pop("student_id_state")
        return columns | {"link_local": pl.Series(self.people.number[who] * 8 + 4)} | self._child(who)

    # --- college -------------------------------------------------------------------------------------------------
    def _college_identity(
        self, who: np.ndarray, institution: np.ndarray, on: np.ndarray, outcome: Outcome
    ) -> dict[str, pl.Series]:
        number = self.people.number[who] * 100 + institution
        known = np.where((self.coins[who, 4] < 0.30) & (outcome.was_enrolled[who]), outcome.state_id[who], 0)
        columns = self.identity(who, "college", on, ssn=self.coins[who, 5] < 0.87, state_id=known, local=number)
        opeids = np.array([row[0] for row in INSTITUTIONS], dtype=object)[institution]
        return columns | {
            "institution_id": _texts(opeids),
            "student_id_institution": _texts(np.char.add("A", _padded((self.people.number[who] * 3 + institution), 9))),
        }

    def _college(self, college: College, outcome: Outcome) -> None:
        info = np.array([row[:5] for row in INSTITUTIONS], dtype=object)
        for year in range(FIRST_YEAR, LAST_YEAR + 1):
            terms = college.terms
            rows = np.flatnonzero((terms["year"] == year) & (terms["institution"] < len(IN_STATE)))
            who, place, term = terms["who"][rows], terms["institution"][rows], terms["term"][rows]
            begins, ends = np.array([term_dates(year, t) for t in (0, 1)]).T
            frame = pl.DataFrame(
                {
                    **self._college_identity(who, place, begins[term], outcome),
                    "term_begin_date": _dates(begins[term]),
                    "term_end_date": _dates(ends[term]),
                    "enrollment_status_code": _texts(terms["status"][rows]),
                    "institution_level_code": _texts(info[place, 2]),
                    "institution_control_code": _texts(
                        np.where(info[place, 3] == "private", "private_nonprofit", info[place, 3])
                    ),
                    "institution_name": _texts(info[place, 1]),
                    "class_level_code": _class_level(terms["progress"][rows]),
                    "cip_code": _texts(np.array(CIP, dtype=object)[terms["cip"][rows]]),
                }
            ).with_columns(state_abbreviation=pl.lit(STATE_ABBREVIATION))
            self.landing.write("che", "postsecondary", year, "postsecondary__enrollment", frame)
            awards = college.awards
            rows = np.flatnonzero(_in_year(awards["day"], year) & (awards["institution"] < len(IN_STATE)))
            frame = pl.DataFrame(
                {
                    **self._college_identity(
                        awards["who"][rows], awards["institution"][rows], awards["day"][rows], outcome
                    ),
                    "award_date": _dates(awards["day"][rows]),
                    "credential_level_code": _texts(awards["level"][rows]),
                    "cip_code": _texts(np.array(CIP, dtype=object)[awards["cip"][rows]]),
                    "degree_title": pl.Series(
                        [TITLES[level].title() for level in awards["level"][rows]], dtype=pl.String
                    ),
                }
            )
            self.landing.write("che", "postsecondary", year, "postsecondary__award", frame)
            courses = college.courses
            rows = np.flatnonzero(courses["year"] == year)
            who, term = courses["who"][rows], courses["term"][rows]
            frame = pl.DataFrame(
                {
                    **self._college_identity(who, courses["institution"][rows], begins[term], outcome),
                    "course_code": _texts(np.array(COURSES, dtype=object)[courses["course"][rows]]),
                    "term_code": _texts(np.where(term == 0, f"{year - 1}FA", f"{year}SP")),
                    "term_begin_date": _dates(begins[term]),
                    "credits_attempted": pl.Series(np.full(len(rows), 3)),
                    "course_result_code": _texts(courses["result"][rows]),
                    "has_disability": pl.Series(self.coins[who, 7] > 0.92),
                }
            ).with_columns(  # the course file has no state number
                link_state=pl.lit(0, pl.Int64)
            )
            self.landing.write("che", "postsecondary", year, "postsecondary__course_result", frame)

    def _clearinghouse(self, college: College, outcome: Outcome) -> None:
        """One StudentTracker search a year over the graduates of the years before it, for the terms of that year."""
        info = np.array([row[:5] for row in INSTITUTIONS], dtype=object)
        states = np.array([STATE_ABBREVIATION] * len(IN_STATE) + [row[4] for row in OUT_OF_STATE], dtype=object)
        reports = np.array([row[0] != "09900800" for row in INSTITUTIONS])  # one college does not take part
        blocked = self.coins[:, 7] > 0.992  # students who blocked their records: not found, though they may be enrolled
        diploma = np.isin(outcome.diploma, ("00806", "00807", "00812", "00816"))
        graduated = 1970 + np.where(outcome.day < NEVER, outcome.day / 365.2425, 0).astype(int)
        for year in range(FIRST_YEAR, LAST_YEAR + 1):
            asked = diploma & (outcome.day < day(year - 1, 9, 1)) & (graduated >= year - SEARCHED_YEARS)
            terms = college.terms
            rows = np.flatnonzero(
                (terms["year"] == year) & asked[terms["who"]] & reports[terms["institution"]] & ~blocked[terms["who"]]
            )
            who, place, term = terms["who"][rows], terms["institution"][rows], terms["term"][rows]
            missing = asked.copy()
            missing[who] = False
            nobody = np.flatnonzero(missing)
            begins, ends = np.array([term_dates(year, t) for t in (0, 1)]).T
            found = pl.DataFrame(
                {
                    **self._searched(who, outcome),
                    "institution_id": _texts(info[place, 0]),
                    "institution_name": _texts(info[place, 1]),
                    "state_abbreviation": _texts(states[place]),
                    "institution_level_code": _texts(info[place, 2]),
                    "institution_control_code": _texts(info[place, 3]),
                    "term_begin_date": _dates(begins[term]),
                    "term_end_date": _dates(ends[term]),
                    "enrollment_status_code": _texts(terms["status"][rows]),
                    "class_level_code": _class_level(terms["progress"][rows]),
                    "cip_code": _texts(np.array(CIP, dtype=object)[terms["cip"][rows]]),
                }
            ).with_columns(is_record_found=pl.lit(True), search_date=pl.lit(None, pl.Date))
            none = pl.DataFrame(self._searched(nobody, outcome)).with_columns(is_record_found=pl.lit(False))
            both = pl.concat([found, none], how="diagonal").with_columns(
                search_date=_search_date(year), _order=pl.int_range(pl.len())
            )
            awards = college.awards
            rows = np.flatnonzero(
                _in_year(awards["day"], year)
                & asked[awards["who"]]
                & reports[awards["institution"]]
                & ~blocked[awards["who"]]
            )
            who, place = awards["who"][rows], awards["institution"][rows]
            degrees = pl.DataFrame(
                {
                    **self._searched(who, outcome),
                    "institution_id": _texts(info[place, 0]),
                    "award_date": _dates(awards["day"][rows]),
                    "degree_title": pl.Series([TITLES[level] for level in awards["level"][rows]], dtype=pl.String),
                    "cip_code": _texts(np.array(CIP, dtype=object)[awards["cip"][rows]]),
                }
            )
            self.landing.write_studenttracker("sea", year, both.drop("_order"), degrees)

    def _searched(self, who: np.ndarray, outcome: Outcome) -> dict[str, pl.Series]:
        columns = self.identity(who, "nsc", outcome.day[who], state_id=outcome.state_id[who], birth="none")
        columns["middle_name"] = columns["middle_name"].str.slice(0, 1)
        return columns

    # --- work ----------------------------------------------------------------------------------------------------
    def _wages(self, index: int, jobs: Table) -> None:
        year, quarter = quarter_of(index)
        people, firms = self.people, self.firms
        who, employer = jobs["who"], jobs["employer"]
        self.payroll[index] += np.bincount(employer, minlength=len(firms.name))
        # An employer learns of a new surname about half a year late.
        base = self.identity(
            who, "wage", np.full(len(who), day(year, quarter * 3 - 2, 1) - 180), ssn=True, birth="none"
        )
        wrong = (people.number[who] * 31 + employer * 17) % 1009 < 9  # a slip lasts as long as the job
        digit = 10 ** ((people.number[who] + employer) % 5)
        ssn = people.ssn[who]
        slipped = np.where((ssn // digit) % 10 < 9, ssn + digit, ssn - digit)
        initials = employer % 10 == 3
        frame = pl.DataFrame(base).with_columns(
            ssn=_texts(_padded(np.where(wrong, slipped, ssn), 9)),
            given_name=pl.when(pl.Series(initials))
            .then(pl.col("given_name").str.slice(0, 1))
            .otherwise(pl.col("given_name")),
            middle_name=pl.col("middle_name").str.slice(0, 1),
            link_name=pl.lit(0, pl.Int64),
            state_fips=pl.lit(STATE_FIPS),
            employer_unit=pl.lit("00001"),
            wage_year=pl.lit(year),
            wage_quarter=pl.lit(quarter),
            employer_account_number=_texts(firms.account[employer]),
            ein=_texts(firms.ein[employer]),
            wage_amount=pl.Series(jobs["amount"]),
        )
        plain = {name: names.plain(name) for name in {*frame["given_name"].to_list(), *frame["surname"].to_list()}}
        frame = frame.with_columns(
            pl.col("given_name").replace_strict(plain, return_dtype=pl.String),
            pl.col("surname").replace_strict(plain, return_dtype=pl.String),
            pl.col("middle_name")
            .str.replace_many(["Á", "É", "Í", "Ö", "Ó"], ["A", "E", "I", "O", "O"])
            .str.to_uppercase(),
        )
        self.landing.write("dol", "wages", f"{year}Q{quarter}", "workforce__wage", frame)


def _either(choose_first: pl.Series, first: pl.Series, second: pl.Series) -> pl.Series:
    return pl.select(pl.when(choose_first).then(first).otherwise(second)).to_series()


def _grades(grade: np.ndarray) -> pl.Series:
    codes = ["KG", *(f"{g:02d}" for g in range(1, 13))]
    return pl.Series([codes[g] for g in grade], dtype=pl.String)


def _numbers(values: np.ndarray, given: np.ndarray) -> pl.Series:
    return pl.select(pl.when(pl.Series(given)).then(pl.Series(values))).to_series()


def _class_level(progress: np.ndarray) -> pl.Series:
    levels = np.array(["first_year", "second_year", "third_year", "fourth_year", "graduate"], dtype=object)
    return _texts(levels[np.select([progress <= 2, progress <= 4, progress <= 6, progress <= 9], [0, 1, 2, 3], 4)])


def _search_date(year: int) -> pl.Expr:
    return pl.lit(f"{year}-06-20").str.to_date()


def _in_year(days: np.ndarray, year: int) -> np.ndarray:
    return (days >= day(year - 1, 7, 1)) & (days <= day(year, 6, 30))


def _begun_in(days: np.ndarray, year: int) -> np.ndarray:
    """Rows that began in a school year; the first year also takes what began before it."""
    first = year == FIRST_K12_YEAR
    return np.flatnonzero((days <= day(year, 6, 30)) & ((days >= day(year - 1, 7, 1)) | first))
