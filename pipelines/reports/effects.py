"""What a row that is missing does to a published number, where that is known.

It follows from how each indicator counts (`dbt_project/models/indicators`). A row in quarantine and a row that was
never delivered are the same to a number. What is not listed reads as not known: a new indicator needs no line here.
"""

from __future__ import annotations

LOWER, HIGHER, EITHER, SAME = "lower", "higher", "either way", "unchanged"
NOT_KNOWN = (EITHER, "Which way the number moves is not known.")

_LEAVES = "The person leaves numerator and denominator: which way the rate moves depends on who is missing."
_GROUP = "The person stays in the total and moves to “not reported” in group figures."
_GRADUATE_LEAVES = "A graduate who is not found leaves the denominator: the rate moves either way."
_NOT_ENROLLED = "The numerator shrinks: a graduate counts as not found enrolled. The rate is too low."
_NOT_EMPLOYED = "The numerator shrinks: a person counts as not found in covered employment. The rate is too low."
_INDUSTRY = "Rate and median stay; the industry of the work is not known."
_FLOW = "The flow is too small, or the person is counted with another origin or destination."

_AFTER_HIGH_SCHOOL = {
    "k12__completion": (EITHER, _GRADUATE_LEAVES),
    "k12__student": (SAME, _GROUP),
    "workforce__wage": (LOWER, _NOT_EMPLOYED),
    "workforce__employer": (SAME, _INDUSTRY),
}
_AFTER_COLLEGE = {
    "postsecondary__award": (EITHER, _LEAVES),
    "workforce__wage": (LOWER, _NOT_EMPLOYED),
    "workforce__employer": (SAME, _INDUSTRY),
}
_COLLEGE_GOING = {
    "k12__completion": (EITHER, _GRADUATE_LEAVES),
    "k12__student": (SAME, _GROUP),
    "postsecondary__enrollment": (LOWER, _NOT_ENROLLED),
}

EFFECTS: dict[str, dict[str, tuple[str, str]]] = {
    "kindergarten_readiness": {
        "early_childhood__kindergarten_readiness": (EITHER, _LEAVES),
        "early_childhood__program_enrollment": (
            SAME,
            "The total stays; the child moves from its program to “none found in state programs”.",
        ),
        "k12__student": (SAME, _GROUP),
    },
    "chronic_absenteeism": {
        "k12__attendance": (EITHER, "Days of membership and absence are missing: the rate moves either way."),
        "k12__enrollment": (EITHER, "The grade is not known: a child in pre-kindergarten may be counted."),
        "k12__student": (SAME, _GROUP),
    },
    "four_year_graduation": {
        "k12__completion": (LOWER, "The numerator shrinks: a graduate counts as not graduated. The rate is too low."),
        "k12__enrollment": (
            HIGHER,
            "The denominator shrinks: a student without any enrollment leaves the cohort. The rate is too high, unless "
            "graduates are missing. Where only the transfer out is missing, the student stays in it.",
        ),
        "k12__student": (EITHER, "The cohort year follows from enrollments, and groups are not reported."),
    },
    "college_going_fall": _COLLEGE_GOING,
    "college_going_12_month": _COLLEGE_GOING,
    "college_going_16_month": _COLLEGE_GOING,
    "employment_year_1_after_high_school": _AFTER_HIGH_SCHOOL,
    "employment_year_2_after_high_school": _AFTER_HIGH_SCHOOL,
    "employment_year_1_after_college": _AFTER_COLLEGE,
    "employment_year_2_after_college": _AFTER_COLLEGE,
    "course_completion": {
        "postsecondary__course_result": (EITHER, "The result leaves numerator and denominator."),
    },
    "program_participation": {
        "k12__program_participation": (LOWER, "The count is too small."),
        "k12__enrollment": (HIGHER, "The denominator shrinks: the share of students in a program is too high."),
        "k12__student": (SAME, _GROUP),
    },
    "assessment_proficiency": {
        "k12__assessment_result": (EITHER, _LEAVES),
        "k12__student": (SAME, _GROUP),
    },
}


def effect(family: str, collection: str) -> tuple[str, str]:
    """(direction, sentence) of a missing row of `collection` for a published family."""
    if collection == "shared__organization":
        return SAME, "The organization has no name and no district: figures stay, under its id."
    if family.startswith("mart_transition__"):
        return LOWER, _FLOW
    return EFFECTS.get(family, {}).get(collection, NOT_KNOWN)
