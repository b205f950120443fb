"""Who counts, by the written rules, in the recomputation that the warehouse is held against."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from pipelines.intake.views import polars_type
from pipelines.quality.recompute import graduation, group, outcome, transition, yearly
from pipelines.quality.recompute.cell import cells
from pipelines.quality.recompute.source import Deliveries
from schemas import collections


@pytest.fixture
def deliver(home, tmp_path):
    """deliver(collection=[rows]) → Deliveries; record_key is the person unless `links` says otherwise."""

    def build(links: dict[int, int] | None = None, **given: list[dict]) -> Deliveries:
        files, records = {}, set()
        for name, collection in collections().items():
            schema = {column: polars_type(kind) for column, kind in collection.accepted_columns()}
            rows = [
                {
                    "submitter": "one",
                    "package": "k12_annual",
                    "period": "2024",
                    "certification": "certified",
                    "delivery_id": "d",
                    "source_row": number,
                    **row,
                }
                for number, row in enumerate(given.get(name, []))
            ]
            records |= {row["record_key"] for row in rows if "record_key" in row}
            frame = pl.DataFrame(
                {column: pl.Series(column, [row.get(column) for row in rows], strict=False) for column in schema}
            ).cast(schema)
            files[name] = [tmp_path / f"{name}.parquet"]
            frame.write_parquet(files[name][0])
        links = {record: record for record in records} | (links or {})
        return Deliveries(
            home,
            pl.DataFrame(
                {"record_key": list(links), "person_key": list(links.values())},
                schema={"record_key": pl.Int64, "person_key": pl.Int64},
            ),
            files,
        )

    return build


def outcomes(counted: pl.DataFrame, level: str = "state") -> dict[int, str]:
    """person → numerator, denominator, excluded, open or left out, at one level."""
    said = {}
    for row in counted.filter(pl.col("organization_level") == level).iter_rows(named=True):
        if row["window_open"]:
            said[row["person_key"]] = "open"
        elif row["is_excluded"]:
            said[row["person_key"]] = "excluded"
        elif row["in_numerator"]:
            said[row["person_key"]] = "numerator"
        else:
            said[row["person_key"]] = "denominator" if row["in_denominator"] else "left out"
    return said


def enrolled(person: int, year: int, grade: str = "9", school: str = "S1", **more) -> dict:
    return {
        "record_key": person,
        "school_year": year,
        "grade_level_code": grade,
        "school_id_state": school,
        "lea_id_state": "L1",
        "entry_date": date(year - 1, 8, 20),
        **more,
    }


def cohort_of_2024(people: dict[int, dict]) -> dict[str, list[dict]]:
    """Four years of deliveries, person 99 in each, and each person's last enrollment as given."""
    years = range(2021, 2025)
    return {
        "k12__student": [
            {"record_key": person, "school_year": year, "lea_id_state": "L1", "assigned_cohort_year": 2024}
            for person in (99, *people)
            for year in years
        ],
        "k12__enrollment": [enrolled(99, year) for year in years]
        + [enrolled(person, 2023, "11", **last) for person, last in people.items()],
        "k12__completion": [
            {
                "record_key": 99,
                "school_year": year,
                "school_id_state": "S1",
                "lea_id_state": "L1",
                "diploma_type_code": "00816",
                "completion_date": date(year, 5, 20),
            }
            for year in years
        ],
    }


def left(code: str, document: str | None) -> dict:
    return {
        "exit_withdrawal_type_code": code,
        "exit_documentation_code": document,
        "exit_date": date(2023, 1, 10),
    }


def test_only_a_documented_departure_leaves_the_cohort(deliver):
    given = cohort_of_2024(
        {
            1: left("01909", "receiving_school_record"),
            2: left("01909", "none"),
            3: left("01909", "home_school_letter"),
            4: left("01908", "receiving_school_record"),
            5: left("01927", "other"),
            6: left("01923", "other"),
        }
    )
    said = outcomes(graduation.four_year_graduation(deliver(**given)))
    stays = "denominator"
    assert said == {1: "excluded", 2: stays, 3: stays, 4: stays, 5: stays, 6: "excluded", 99: stays}


def test_a_student_counts_at_the_last_school_of_the_four_years_and_not_of_the_fifth(deliver):
    given = cohort_of_2024({1: left("01909", "receiving_school_record")})
    given["k12__enrollment"] += [enrolled(1, 2024, "12", "S2"), enrolled(1, 2025, "12", "S3")]
    counted = graduation.four_year_graduation(deliver(**given))
    assert outcomes(counted)[1] == "denominator"
    place = counted.filter((pl.col("person_key") == 1) & (pl.col("organization_level") == "school"))
    assert place["organization_id_state"].to_list() == ["S2"]


def test_diplomas_count_by_kind_date_and_age(deliver):
    given = cohort_of_2024({person: {} for person in range(1, 8)})
    for row in given["k12__student"]:
        row["birth_year"] = 2004 if row["record_key"] != 7 else 2002
    for person, code, day in (
        (1, "00806", date(2023, 5, 20)),
        (2, "00807", date(2024, 8, 31)),
        (3, "00806", date(2024, 9, 1)),
        (4, "00816", date(2024, 5, 20)),
        (5, "00812", date(2024, 5, 20)),
        (6, "00812", date(2025, 5, 20)),
        (7, "00812", date(2025, 5, 20)),
    ):
        given["k12__completion"].append(
            {"record_key": person, "school_year": day.year, "diploma_type_code": code, "completion_date": day}
        )
    said = outcomes(graduation.four_year_graduation(deliver(**given)))
    assert {person for person, what in said.items() if what == "numerator"} == {1, 2, 5, 6}


def test_a_cohort_without_all_its_years_is_open(deliver):
    given = cohort_of_2024({1: {}})
    given["k12__completion"] = [row for row in given["k12__completion"] if row["school_year"] != 2024]
    assert set(outcomes(graduation.four_year_graduation(deliver(**given))).values()) == {"open"}


def attended(person: int, school: str, member: float, absent: float) -> dict:
    return {
        "record_key": person,
        "school_year": 2024,
        "school_id_state": school,
        "lea_id_state": "L1",
        "term_code": "S1",
        "membership_days": member,
        "absence_days": absent,
    }


def test_absence_is_compared_in_whole_thousandths_at_each_school_and_once_above(deliver):
    given = [
        attended(1, "S1", 180, 18),
        attended(2, "S1", 180, 17.999),
        attended(3, "S1", 9.999, 9),
        attended(4, "S1", 82, 45),
        attended(4, "S2", 100, 0),
        attended(5, "S1", 100, 50),
    ]
    counted = yearly.chronic_absenteeism(deliver(k12__attendance=given, k12__enrollment=[enrolled(5, 2024, "PK")]))
    assert outcomes(counted) == {1: "numerator", 2: "denominator", 3: "excluded", 4: "numerator", 5: "excluded"}
    at_s2 = counted.filter(pl.col("organization_id_state") == "S2")
    assert outcomes(at_s2, "school") == {4: "denominator"}


def test_readiness_takes_the_last_result_with_a_level_and_reads_scores_only_without_one(deliver):
    def result(person: int, day: int, level: str | None, score: float | None) -> dict:
        return {
            "record_key": person,
            "school_year": 2024,
            "assessment_code": "KRA",
            "school_id_state": "S1",
            "lea_id_state": "L1",
            "assessment_date": date(2023, 9, day),
            "performance_level_code": level,
            "overall_score": score,
            "package": "readiness",
        }

    given = [
        result(1, 1, "Emerging Readiness", None),
        result(1, 2, "Demonstrating Readiness", 200),
        result(1, 3, None, None),
        result(2, 1, None, 269),
        result(3, 1, None, 270),
        result(4, 1, None, None),
    ]
    counted = yearly.kindergarten_readiness(deliver(early_childhood__kindergarten_readiness=given))
    assert outcomes(counted) == {1: "numerator", 2: "denominator", 3: "numerator", 4: "excluded"}


def graduate(person: int, day: date, school: str = "S1") -> dict:
    return {
        "record_key": person,
        "school_year": day.year + (day.month >= 7),
        "school_id_state": school,
        "lea_id_state": "L1",
        "diploma_type_code": "00806",
        "completion_date": day,
    }


def term(person: int, begin: date, end: date, status: str | None = "F", found: bool = True) -> dict:
    return {
        "record_key": person,
        "is_record_found": found,
        "institution_id": "00100000",
        "term_begin_date": begin,
        "term_end_date": end,
        "enrollment_status_code": status,
        "package": "postsecondary",
        "school_year": 2025,
    }


def test_college_terms_count_when_they_touch_the_window(deliver):
    given = [
        term(1, date(2024, 6, 1), date(2024, 8, 15)),
        term(2, date(2024, 6, 1), date(2024, 8, 14)),
        term(3, date(2024, 10, 31), date(2024, 12, 20)),
        term(4, date(2024, 11, 1), date(2024, 12, 20)),
        term(5, date(2024, 8, 20), date(2024, 12, 20), "W"),
        term(6, date(2024, 8, 20), date(2024, 12, 20), None),
        term(7, date(2024, 8, 20), date(2024, 12, 20), found=False),
    ]
    deliveries = deliver(
        k12__completion=[graduate(person, date(2024, 5, 20)) for person in range(1, 9)], postsecondary__enrollment=given
    )
    said = outcomes(outcome.college_going(deliveries, "college_fall"))
    assert {person for person, what in said.items() if what == "numerator"} == {1, 3, 6}
    assert len(said) == 8 and "open" not in said.values()
    assert set(outcomes(outcome.college_going(deliveries, "college_12_month")).values()) == {"open"}


def test_a_search_before_the_end_of_the_window_leaves_it_open(deliver):
    searched = {**term(1, date(2024, 8, 20), date(2024, 12, 20)), "package": "nsc_return"}
    for day, expected in ((date(2024, 10, 30), "open"), (date(2024, 10, 31), "numerator")):
        deliveries = deliver(
            k12__completion=[graduate(1, date(2024, 5, 20))],
            postsecondary__enrollment=[{**searched, "search_date": day}],
        )
        assert outcomes(outcome.college_going(deliveries, "college_fall")) == {1: expected}


def college(identifier: str, place: str | None = None, level: str = "institution") -> dict:
    return {
        "organization_id_state": identifier,
        "organization_level_code": level,
        "school_year": 2024,
        "state_abbreviation": place,
        "organization_name": identifier,
    }


def flows(frame: pl.DataFrame, *columns: str) -> dict[tuple, int]:
    return {row[:-1]: row[-1] for row in frame.select(*columns, "person_count").iter_rows()}


def test_a_graduate_flows_to_the_first_institution_and_to_its_kind(deliver):
    def seen(person: int, month: int, institution: str, level: str | None, control: str, place: str) -> dict:
        return {
            **term(person, date(2024, month, 1), date(2024, 12, 20)),
            "institution_id": institution,
            "institution_level_code": level,
            "institution_control_code": control,
            "state_abbreviation": place,
        }

    given = [
        seen(1, 9, "U1", "2-year", "public", "CO"),  # the directory says WY, and stands above what is printed
        seen(2, 9, "U2", "less-than-2-year", "public", "WY"),
        seen(3, 9, "U3", "4-year", "private", "CO"),
        seen(3, 10, "U1", "2-year", "public", "CO"),
        seen(4, 9, "U4", None, "public", "WY"),
        {**term(6, date(2025, 6, 1), date(2025, 8, 14)), "institution_id": "U2", "school_year": 2025},
        {**term(7, date(2025, 9, 1), date(2025, 12, 14)), "institution_id": "U2", "school_year": 2026},
    ]
    deliveries = deliver(
        shared__organization=[college("SEA", "WY", "state"), college("L1", None, "lea"), college("U1", "WY")],
        k12__completion=[graduate(person, date(2024, 5, 20)) for person in range(1, 8)],
        postsecondary__enrollment=given,
    )
    found = transition.college(deliveries)
    by_type = ("destination_type_code", "destination_code")
    expected = {
        ("institution", "U1"): 1,
        ("institution", "U2"): 2,
        ("institution", "U3"): 1,
        ("institution", "U4"): 1,
        ("institution_kind", "kind:public_2_year"): 3,
        ("institution_kind", "kind:out_of_state_private_4_year"): 1,
        ("institution_kind", "kind:not_known"): 1,
    }
    assert flows(found.filter(pl.col("origin_code") == "L1"), *by_type) == expected
    assert flows(found.filter(pl.col("origin_type_code") == "state"), *by_type) == expected


def wage(person: int, year: int, quarter: int, amount: int) -> dict:
    return {
        "record_key": person,
        "wage_year": year,
        "wage_quarter": quarter,
        "wage_amount": amount,
        "employer_key": 1,
        "package": "wages",
        "school_year": year,
    }


def test_earnings_need_four_quarters_and_nobody_without_a_number_or_in_review_counts(deliver, home):
    wages = [wage(9, 2025, quarter, 1) for quarter in range(1, 5)]
    wages += [wage(1, 2025, quarter, 5_000) for quarter in range(1, 5)] + [wage(1, 2025, 1, 300)]
    wages += [wage(2, 2025, quarter, 5_000) for quarter in range(1, 4)] + [wage(3, 2025, 1, 0)]
    # Wages under the numbers of 1 and 6 but other names: 1 was found anyway, of 6 nothing can be said.
    wages += [wage(71, 2025, 1, 900), wage(76, 2025, 1, 900)]
    searched = {**term(4, date(2024, 8, 20), date(2024, 12, 20), found=False), "package": "nsc_return"}
    deliveries = deliver(
        k12__completion=[graduate(person, date(2024, 5, 20)) for person in range(1, 7)],
        workforce__wage=wages,
        postsecondary__enrollment=[searched, term(5, date(2024, 8, 20), date(2024, 12, 20))],
    )
    home.exchange.mkdir(parents=True)
    numbered = {1, 2, 3, 5, 6, 9, 71, 76}
    pl.DataFrame(
        {"record_key": sorted(numbered | {4}), "has_ssn": [key in numbered for key in sorted(numbered | {4})]}
    ).write_parquet(home.exchange / "brg_record_person.parquet")
    pl.DataFrame({"record_key": [71, 76], "candidate_person_key": [1, 6], "reason": "name"}).write_parquet(
        home.exchange / "link_not_determined.parquet"
    )
    counted = outcome.employment_after_high_school(deliveries, "employment_year_1")
    said = {1: "numerator", 2: "numerator", 3: "denominator", 4: "left out", 5: "denominator", 6: "left out"}
    assert outcomes(counted) == said
    amounts = dict(counted.filter(pl.col("organization_level") == "state").select("person_key", "amount").iter_rows())
    assert amounts == {1: 20_300, 2: None, 3: None, 4: None, 5: None, 6: None}
    assert set(outcomes(outcome.employment_after_high_school(deliveries, "employment_year_2")).values()) == {"open"}


def test_work_is_the_industry_of_the_employer_that_paid_most_or_none_found(deliver, home):
    def award(person: int, institution: str, day: date) -> dict:
        return {"record_key": person, "school_year": 2022, "institution_id": institution, "award_date": day}

    def quarter(employer: int, year: int, number: int, naics: str | None) -> dict:
        return {"employer_key": employer, "wage_year": year, "wage_quarter": number, "naics_code": naics}

    paid = {1: [(30, 900), (31, 600), (31, 500)], 2: [(32, 100)], 3: [(30, 0)], 9: [(30, 1)]}
    wages = [
        {**wage(person, 2023, number % 4 + 1, amount), "employer_key": employer}
        for person, jobs in paid.items()
        for number, (employer, amount) in enumerate(jobs)
    ] + [{**wage(9, 2023, number, 1), "employer_key": 30} for number in range(1, 5)]
    deliveries = deliver(
        shared__organization=[college("SEA", "WY", "state")],
        postsecondary__award=[award(person, "U1", date(2022, 5, 20)) for person in (1, 2, 3)],
        workforce__wage=wages,
        workforce__employer=[
            quarter(30, 2023, 1, "236115"),
            quarter(31, 2022, 4, "236115"),
            quarter(31, 2023, 1, "622110"),
            quarter(32, 2023, 1, None),
        ],
    )
    home.exchange.mkdir(parents=True)
    pl.DataFrame({"record_key": [1, 2, 3, 9], "has_ssn": True}).write_parquet(
        home.exchange / "brg_record_person.parquet"
    )
    pl.DataFrame(schema={"record_key": pl.Int64, "candidate_person_key": pl.Int64}).write_parquet(
        home.exchange / "link_not_determined.parquet"
    )
    found = transition.work(deliveries)
    expected = {("industry", "62"): 1, ("industry", "industry_not_known"): 1, ("not_found", "not_found"): 1}
    for origin in ("institution", "state"):
        own = found.filter(pl.col("origin_type_code") == origin)
        assert flows(own, "destination_type_code", "destination_code") == expected, origin


def test_a_median_is_rounded_half_up_to_the_unit():
    counted = pl.DataFrame(
        {
            "subject_code": "all",
            "organization_level": "state",
            "organization_id_state": "STATE",
            "person_key": [1, 2],
            "group_year": 2024,
            "cohort_year": 2024,
            "in_denominator": True,
            "in_numerator": True,
            "is_excluded": False,
            "window_open": False,
            "amount": [20_000, 20_500],
        }
    )
    found = cells("x", counted, counted.select("person_key", "group_year"), ["all"], 500, 3)
    assert found["amount_median_rounded"].to_list() == [20_500]


@pytest.mark.parametrize("people", range(1, 13))
@pytest.mark.parametrize("pool", [1, 2, 3, 4, 5])
def test_a_median_is_the_mean_of_at_least_so_many_people_in_the_middle(people, pool):
    amounts = [1_000 * position**2 for position in range(people)]
    counted = pl.DataFrame(
        {
            "subject_code": "all", "organization_level": "state", "organization_id_state": "STATE",
            "person_key": list(range(people)), "group_year": 2024, "cohort_year": 2024, "in_denominator": True,
            "in_numerator": True, "is_excluded": False, "window_open": False, "amount": amounts[::-1],
        }
    )  # fmt: skip
    middle = list(amounts)
    while len(middle) - 2 >= pool:  # one from either end, as long as enough are left
        middle = middle[1:-1]
    found = cells("x", counted, counted.select("person_key", "group_year"), ["all"], 1, pool)
    assert found["amount_median_rounded"].to_list() == [int(sum(middle) / len(middle) + 0.5)]


def test_a_result_with_a_policy_counts_by_it_and_one_without_as_sent(deliver):
    def result(person: int, code: str, level: str | None, sent: bool | None, score: float | None = None) -> dict:
        return {
            "record_key": person,
            "school_year": 2024,
            "assessment_code": code,
            "subject_code": "english",
            "school_id_state": "S1",
            "lea_id_state": "L1",
            "administration_date": date(2024, 4, 1),
            "performance_level_code": level,
            "is_proficient": sent,
            "scale_score": score,
        }

    given = [
        result(1, "state_summative", "level_3", False),
        result(2, "state_summative", "level_2", True),
        result(3, "STAAR", "masters", True),
        result(4, "STAAR", None, None),
        result(5, "ACT", None, False, 18),
        result(6, "ACT", None, None, 17),
    ]
    counted = yearly.assessment_proficiency(deliver(k12__assessment_result=given))
    assert outcomes(counted) == {
        1: "numerator",
        2: "denominator",
        3: "numerator",
        4: "left out",
        5: "numerator",
        6: "denominator",
    }


def test_a_district_record_stands_at_the_enrolling_school_and_without_enrollment_there_is_no_denominator(deliver):
    def record(person: int, lea: str) -> dict:
        return {
            "record_key": person,
            "school_year": 2024,
            "program_type_code": "migrant",
            "organization_id_state": lea,
            "begin_date": date(2023, 9, 1),
        }

    deliveries = deliver(
        k12__enrollment=[enrolled(1, 2024), enrolled(2, 2024)],
        k12__program_participation=[record(1, "L1"), record(1, "L1"), record(3, "L2")],
    )
    counted = yearly.program_participation(deliveries)
    assert outcomes(counted, "school") == {1: "numerator", 2: "denominator"}
    silent = counted.filter(pl.col("organization_id_state") == "L2")
    assert silent.select("in_denominator", "in_numerator").rows() == [(False, True)]


def group_of(deliveries: Deliveries, breakdown: str, year: int = 2024, *evidence: int) -> dict[int, str | None]:
    people = deliveries.links.select("person_key", group_year=pl.lit(year, pl.Int32)).unique()
    years = pl.DataFrame({"school_year": list(evidence or [year])}, schema={"school_year": pl.Int32})
    found = group.groups(deliveries, people, people.join(years, how="cross"), {breakdown})
    return dict(found.select("person_key", breakdown).iter_rows())


@pytest.mark.parametrize(
    ("chosen", "by_2007", "by_2024"),
    [
        (["is_hispanic", "is_white"], "hispanic", "two_or_more"),
        (["is_hispanic"], "hispanic", "hispanic"),
        (["is_asian", "is_black"], "two_or_more", "two_or_more"),
        (["is_middle_eastern"], "white", "middle_eastern"),
        (["is_middle_eastern", "is_white"], "white", "two_or_more"),
        ([], None, None),
    ],
)
def test_race_and_ethnicity_roll_up_by_both_standards(deliver, chosen, by_2007, by_2024):
    deliveries = deliver(k12__student=[{"record_key": 1, "school_year": 2024, **dict.fromkeys(chosen, True)}])
    assert group_of(deliveries, "race_ethnicity_2007") == {1: by_2007}
    assert group_of(deliveries, "race_ethnicity_2024") == {1: by_2024}


def test_the_last_certified_statement_up_to_the_year_holds_and_before_any_the_first_after(deliver):
    def said(person: int, year: int, code: str, certification: str = "certified") -> dict:
        return {"record_key": person, "school_year": year, "sex_code": code, "certification": certification}

    deliveries = deliver(
        k12__student=[said(1, 2022, "M"), said(1, 2024, "F"), said(2, 2025, "X"), said(3, 2024, "M", "preliminary")],
        k12__assessment_result=[
            {**said(3, 2024, "F"), "package": "state_assessment"},
            {**said(1, 2024, "M"), "package": "state_assessment"},
        ],
    )
    assert group_of(deliveries, "gender", 2023) == {1: "male", 2: "nonbinary", 3: "female"}
    assert group_of(deliveries, "gender", 2024) == {1: "female", 2: "nonbinary", 3: "female"}


def test_a_named_student_is_yes_a_reporting_district_says_no_and_silence_says_nothing(deliver):
    def record(person: int, program: str, detail: str | None = None, year: int = 2024) -> dict:
        return {
            "record_key": person,
            "school_year": year,
            "program_type_code": program,
            "source_detail_code": detail,
            "organization_id_state": "L1",
        }

    deliveries = deliver(
        k12__student=[
            {"record_key": person, "school_year": 2024, "lea_id_state": lea}
            for person, lea in ((1, "L1"), (2, "L1"), (3, "L2"), (4, "L1"))
        ],
        k12__program_participation=[
            record(1, "special_education"),
            record(1, "english_learner"),
            record(1, "former_english_learner"),
            record(4, "section_504"),
            record(4, "special_education", year=2022),
        ],
        postsecondary__course_result=[{"record_key": 3, "school_year": 2024, "has_disability": True}],
    )
    assert group_of(deliveries, "disability") == {1: "yes", 2: "no", 3: "yes", 4: "no"}
    assert group_of(deliveries, "english_learner") == {1: "current", 2: "no", 3: None, 4: "no"}
    assert group_of(deliveries, "disability", 2024, 2022, 2023, 2024)[4] == "yes"


def test_an_episode_of_foster_care_says_yes_for_every_year_that_it_touches(deliver):
    def episode(record: int, period: str, begin: date, end: date | None) -> dict:
        return {
            "record_key": record,
            "period": period,
            "school_year": begin.year + (begin.month >= 7),
            "removal_date": begin,
            "exit_date": end,
        }

    deliveries = deliver(
        links={9: 3},
        k12__student=[{"record_key": person, "school_year": year} for person in (1, 4) for year in range(2021, 2026)],
        child_welfare__removal=[
            episode(1, "2022", date(2022, 5, 1), None),
            episode(2, "2022", date(2021, 5, 1), date(2021, 8, 1)),
            episode(3, "2022", date(2022, 2, 1), None),
            episode(9, "2023Q3", date(2022, 2, 1), date(2022, 6, 30)),
        ],
    )
    # The agency reported 2022 and 2024: it says no in these years only, of the students whom it does not name.
    expected = {
        2021: {1: None, 2: "yes", 3: None, 4: None},
        2022: {1: "yes", 2: "yes", 3: "yes", 4: "no"},
        2023: {1: "yes", 2: None, 3: None, 4: None},
        2024: {1: "yes", 2: None, 3: None, 4: "no"},
        2025: {1: None, 2: None, 3: None, 4: None},
    }
    for year, said in expected.items():
        assert group_of(deliveries, "foster_child_welfare", year) == said, year


def test_thirty_days_of_one_enrollment_in_the_year_before_kindergarten_count(deliver):
    def spell(person: int, program: str, begin: date, end: date | None) -> dict:
        return {
            "record_key": person,
            "program_type_code": program,
            "entry_date": begin,
            "exit_date": end,
            "period": "2023",
            "birth_year": 2018,
        }

    people = range(1, 8)
    deliveries = deliver(
        k12__enrollment=[enrolled(person, 2024, "K") for person in people],
        k12__student=[{"record_key": 7, "school_year": 2024, "birth_year": 2018}],
        early_childhood__program_enrollment=[
            spell(1, "head_start", date(2023, 3, 1), date(2023, 3, 30)),
            spell(2, "head_start", date(2023, 3, 1), date(2023, 3, 29)),
            spell(3, "subsidy", date(2022, 1, 1), date(2022, 9, 17)),
            spell(4, "state_prek", date(2022, 9, 1), date(2023, 5, 1)),
            spell(4, "subsidy", date(2022, 9, 1), date(2023, 5, 1)),
            spell(5, "subsidy", date(2023, 6, 1), None),
        ],
    )
    found = dict(group.prior_early_childhood(deliveries).iter_rows())
    assert found == {
        1: "head_start",
        2: "none_found",
        3: "none_found",
        4: "multiple",
        5: "subsidy",
        6: "not_determined",
        7: "none_found",
    }


def test_a_child_flows_from_its_program_to_the_district_and_to_the_state(deliver):
    def result(person: int) -> dict:
        return {
            "record_key": person,
            "school_year": 2024,
            "assessment_code": "KRA",
            "school_id_state": "S1",
            "lea_id_state": "L1",
            "performance_level_code": "Emerging Readiness",
            "package": "readiness",
            "birth_year": 2018,
        }

    program = {
        "record_key": 1,
        "school_year": 2023,
        "program_type_code": "head_start",
        "entry_date": date(2022, 9, 1),
        "exit_date": date(2023, 5, 1),
    }
    deliveries = deliver(
        shared__organization=[college("SEA", "WY", "state"), college("L1", None, "lea")],
        early_childhood__kindergarten_readiness=[result(1), result(2)],
        early_childhood__program_enrollment=[program],
    )
    assert flows(transition.kindergarten(deliveries), "origin_code", "destination_type_code", "destination_code") == {
        ("head_start", "lea", "L1"): 1,
        ("head_start", "state", "SEA"): 1,
        ("none_found", "lea", "L1"): 1,
        ("none_found", "state", "SEA"): 1,
    }


def test_a_record_without_a_link_is_a_person_of_its_own(deliver):
    deliveries = deliver(k12__attendance=[attended(1, "S1", 180, 18), attended(2, "S1", 180, 18)])
    alone = Deliveries(deliveries.settings, deliveries.links.filter(pl.col("record_key") == 1), deliveries.files)
    assert outcomes(yearly.chronic_absenteeism(alone)) == {1: "numerator", -2: "numerator"}
