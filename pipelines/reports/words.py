"""How published values, codes and ids read on a page: plain words, and the reason why a value is hidden.

What belongs here: words. What does not: deciding what is hidden (`disclosure/`, `release/`), and names that a register
or a collection's declaration already holds.
"""

from __future__ import annotations

import calendar
import re
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

# value_status of a row without a number → (mark, what a screen reader says, sentence below the table).
HIDDEN = {
    "suppressed": ("", "not shown", "Not shown, so that nobody can be recognized."),  # the mark is policy
    "window_open": ("…", "not known yet", "Not known yet."),
    "incomplete": ("†", "incomplete", "Incomplete: a delivery that this number needs is missing or failed its checks."),
    "not_applicable": ("–", "does not apply", "Does not apply here, or the source does not hold it."),
    "no_students": ("none", "none", "There was nobody in this group."),
    "withdrawn": ("‡", "withdrawn", "Withdrawn at a revision."),
}
FEW = "few"  # beside a number of people on which no accountability decision may rest
ABSENT = ("–", "nothing published", "Nothing is published here.")
# A group that is small and one hidden to protect a small one read alike: the difference would tell which is small.
REASONS = {
    "": "",
    "small_group": "The group is small, or the number would give away a small group",
    "band": "The exact share would tell about too few people, so a range is shown",
    "few_people_or_employers": "Too few people with a whole year of wages, or too few employers, stand behind it",
    "window_open": "The time in which this is counted has not passed, or not every source has sent it",
}
LEVELS = {"state": "State", "lea": "District", "school": "School", "institution": "Institution", "provider": "Provider"}
BREAKDOWNS = {
    "all": "All",
    "gender": "Gender",
    "race_ethnicity_2007": "Race and ethnicity (federal categories of 2007)",
    "race_ethnicity_2024": "Race and ethnicity (federal categories of 2024)",
    "disability": "Disability",
    "english_learner": "English learners",
    "economic_disadvantage": "Economic disadvantage",
    "homeless": "Homelessness",
    "foster_k12": "Foster care, as schools record it",
    "foster_child_welfare": "Foster care, as the child welfare agency records it",
    "migrant": "Migrant students",
    "gender_x_disability": "Gender and disability",
    "prior_early_childhood": "Early childhood program before kindergarten",
}
ATTRIBUTIONS = {
    "each_school": "Each {level} counts its own students, so that a person may count at several.",
    "once_per_level": "Everyone counts once here, however many schools they attended.",
    "one_school": "Everyone counts at one school only, and once in its district and the state.",
}
CERTIFICATION = {
    "certified": "A year is published once everyone who has to certify what they sent for it has done so.",
    "latest": "The latest delivery is counted, certified by its sender or not.",
}
DIRECTIONS = {"higher_is_better": "Higher is better.", "lower_is_better": "Lower is better.", "neutral": ""}
LEADING = {"leading": "It can still be acted on (a leading indicator).", "lagging": "It tells of an outcome (lagging)."}
PROTECTION = {
    "official": "Numbers are exact where they are shown; those of small groups are hidden or given as a range.",
    "perturbed": "Small random changes protect every number here, so that parts need not add up to their total; "
    "those of small groups are hidden, and so are those of people whose number an official table hides.",
}
DECISIONS = {"publish": "Published", "hold": "Held", "refuse": "Not published"}
GATE_REASONS = {
    "evidence_absent": "Evidence is missing: not every check was run",
    "evidence_unreadable": "The recorded evidence could not be read",
    "disclosure_finding": "A protected number could be worked out",
    "shared_core_failed": "A check failed on people, links or organizations, on which every number rests",
    "skipped_because_of_failure": "It could not be computed this night, because a check before it failed",
    "linked_family_held": "Held together with figures that it is nested in",
    "delivery_missing_or_failing": "A delivery is missing or was refused",
    "delivery_not_certified": "A delivery is not certified by its sender yet",
    "delivery_below_quality": "Too many rows of a delivery are in quarantine",
    "implausible": "The numbers are implausible",
    "release_rule_failed": "A rule of release failed",
    "check_failed": "A check failed",
    "not_in_candidate": "The table was not built",
    "nothing_released_before": "It has to be held, and there is no earlier release to fall back on",
}
CHECKS = {
    "quarantine_share": "Share of rows in quarantine",
    "type_share": "Values of the wrong type",
    "repeated_row": "Rows that repeat another one",
    "other_period": "Rows of another school year",
    "delivered": "Delivered on time",
    "refused": "File refused whole",
    "sent_twice": "Sent twice, unchanged",
    "not_collected": "A file that no collection takes",
    "certification_note": "Certification note that cannot be read",
    "in_force": "An agreement in force",
    "destroy_by": "Destroyed by the agreed date",
    "balance": "Every source record is accounted for",
    "breakdowns_present": "Every breakdown is there",
    "key_conflict": "Rows with the same key that differ",
    "program_coverage": "Every hidden number tried by linear programs",
    "certificate": "Every small number proven to be hidden",
    "told_once": "No figure tells people whom an official table hides",
    "run_results_recorded": "Results of the night's models are there",
}
STATUSES = {"fail": "failed", "error": "could not run", "skipped": "skipped", "warn": "warning"}
DELIVERY = {"late": "Late", "rejected": "Refused", "expected": "Expected", "received": "Received"}
PRIVACY = {
    "direct": "Identifies a person",
    "indirect": "Could help to identify",
    "sensitive": "Sensitive",
    "open": "Open",
}
METRICS = {
    "precision": "Links found that are right",
    "recall_linkable": "Linkable pairs that were found",
    "linkable_share": "True pairs that carry enough to be linked",
    "recall_all": "True pairs that were found",
    "conflict": "Records in conflict with their person",
    "not_determined": "Records left without a person",
    "over_merge_two_birth_dates": "People with two birth dates",
    "over_merge_two_ssns": "People with two Social Security numbers",
    "over_merge_two_student_ids": "People with two state student ids",
    "under_link_ssns": "Social Security numbers on two people",
    "under_link_student_ids": "State student ids on two people",
    "person_count": "People with a record here",
    "record_count": "Distinct records",
    "churn": "Records whose person is another than before this build",
    "unlinkable": "Records that carry nothing to be linked by",
    "wage_bound": "Wage records that follow a person of another sector",
    "wage_ssn_one_digit": "People whose wages came under several Social Security numbers",
    "wage_ssn_two_people": "Social Security numbers of wages that two people of other sectors carry",
    "wage_ssn_unlike_names": "Social Security numbers that wage files give to unlike names",
}
STEWARD_KINDS = {
    "overlay": "One person who may be two",
    "possible_match": "Two persons who may be one",
    "duplicate_id": "State student ids: one with two persons, or two with one",
    "clerical_sample": "Pairs drawn to estimate errors (no part of the queue)",
}
STEWARD_VERDICTS = {"same": "Same person", "distinct": "Distinct people", "defer": "Deferred"}
PRIVATE = "mart_earnings_private"
TABLES = {
    "mart_indicator__organization": "Indicators by organization",
    "mart_transition__early_childhood__kindergarten": "From early childhood programs to kindergarten",
    "mart_transition__high_school__college": "From high school to college",
    "mart_transition__college__work": "From college to work",
    PRIVATE: "Employment and earnings, by differential privacy",
    "mart_institution": "Postsecondary institutions",
    "mart_availability": "What sources hold and lack",
    "mart_coverage": "Who is counted, and who is not",
    "mart_link_quality": "Who could be linked from sector to sector",
}
TOLD_PRIVATELY = (
    "From the cohort of {year} on, how many were found and what they earned is told with random noise that bounds what "
    "anybody's presence can change (differential privacy), in the table “{table}” of this release and nowhere else."
)
# Who stands in a table of flows: (side on which districts or colleges stand, who is counted, title of their tables).
TRANSITIONS = {
    "early_childhood__kindergarten": (
        "destination",
        "Children with a record of kindergarten readiness in {year}, by the early childhood program that the state "
        "recorded for them in the 12 months before they entered.",
        "by district",
    ),
    "high_school__college": (
        "origin",
        "High school graduates of {year} who were found enrolled in college within 12 months, by the first place "
        "where they were found. Graduates who were not found are not listed here: the rates of college-going count "
        "them.",
        "by district",
    ),
    "college__work": (
        "origin",
        "People who received a college award in {year} and have a record that can be linked to wages, by the industry "
        "of their largest employer in the first full calendar year after it. Federal civilian and military jobs, "
        "self-employment and jobs in other states are not in the wage records.",
        "by college",
    ),
}
OUTCOMES = {
    "counted": "counted",
    "no_information": "no information, because no source was asked about them (they stay in the total)",
    "not_determined": "could not be determined",
    "excluded": "left out",
}
EXCLUSIONS = {
    "no_performance_level": "their result tells no performance level",
    "no_result": "the institution sent no result",
    "not_assessed": "they were not assessed to the end",
    "too_few_membership_days": "they were enrolled for too few days",
    "grade_not_covered": "their grade is not counted",
    "no_wage_linkable_record": "none of their records can be linked to wages",
    "wage_name_in_review": "wages were found under another name and are being reviewed",
    "transferred_out": "they moved to a school outside the state’s public schools, with papers",
    "emigrated": "they left the country, with papers",
    "transferred_to_institution": "they moved to an institution with a program of its own, with papers",
    "home_schooled": "they are schooled at home, with papers",
    "died": "they died or cannot attend for good",
}
# Words of a name that keep their small letters, and how long a word in capitals may be to be read as an abbreviation.
SMALL_WORDS = {"and", "at", "for", "in", "of", "on", "the"}
LONGEST_ABBREVIATION = 3
NOT_IN_DIRECTORY = "Not in the directory: "  # how the warehouse names an organization that no directory names
ACRONYMS = {
    "ssn": "Social Security number",
    "nces": "NCES",
    "fips": "FIPS",
    "cip": "CIP",
    "naics": "NAICS",
    "opeid": "OPEID",
    "ein": "EIN",
    "lea": "LEA",
}


def percent(rate: object) -> str:
    """A share 0–1 as a percentage with one decimal, halves up."""
    return f"{(Decimal(str(rate)) * 100).quantize(Decimal('0.1'), ROUND_HALF_UP)}%"


def count(number: object) -> str:
    """A whole number with thousands separated; nothing for None."""
    return "" if number is None else f"{number:,}"


def school_year(year: int | None) -> str:
    """A spring year as people name the school year: 2026 → 2025–26; nothing for None."""
    return "" if year is None else f"{year - 1}–{year % 100:02d}"


def period(text: str) -> str:
    """A delivery's period: a school year, or a quarter of a calendar year; anything else as it is."""
    if re.fullmatch(r"\d{4}", text):
        return school_year(int(text))
    if quarter := re.fullmatch(r"(\d{4})Q([1-4])", text):
        return f"quarter {quarter[2]} of {quarter[1]}"
    return text


def years(found: list[int]) -> str:
    """School years as spans: 2019, 2020, 2022 → 2018–19 to 2019–20, 2021–22."""
    spans: list[list[int]] = []
    for year in sorted(set(found)):
        if spans and year == spans[-1][1] + 1:
            spans[-1][1] = year
        else:
            spans.append([year, year])
    return ", ".join(
        school_year(first) if first == last else f"{school_year(first)} to {school_year(last)}" for first, last in spans
    )


def month(day: date) -> str:
    """A month and its year: August 2027."""
    return f"{calendar.month_name[day.month]} {day.year}"


def organization(name: str, level: str) -> str:
    """An organization's name; one that no directory names is read from its id: OPEN_UNIVERSITY_UK, 00110."""
    if not name.startswith(NOT_IN_DIRECTORY):
        return name
    code = name.removeprefix(NOT_IN_DIRECTORY).strip()
    parts = re.split(r"[_\s]+", code)
    if not re.search(r"[A-Za-z]{2}", code):
        return f"{LEVELS.get(level, 'Organization')} {code}"
    return " ".join(_capitalized(part, number == 0) for number, part in enumerate(parts))


def _capitalized(word: str, is_first: bool) -> str:
    if word.lower() in SMALL_WORDS and not is_first:
        return word.lower()
    return word if word.isupper() and len(word) <= LONGEST_ABBREVIATION else word[:1].upper() + word[1:].lower()


def value(row: dict | None, value_kind: str, marker: str) -> dict[str, str]:
    """Text, spoken words, status and explanation of one published row; no row reads as nothing published.

    marker: what stands for a hidden figure, by policy.
    """
    if row is None:
        mark, spoken, sentence = ABSENT
        return {"text": mark, "spoken": spoken, "status": "absent", "why": sentence}
    status = row["value_status"]
    reason = REASONS.get(row.get("suppression_reason") or "", "")
    if status not in {"shown", "banded"}:
        mark, spoken, _ = HIDDEN.get(status, ("–", sentence_case(status), ""))
        mark = marker if status == "suppressed" else mark
        return {"text": mark, "spoken": spoken, "status": status, "why": explanation(status, reason)}
    if status == "banded":
        return {"text": row["rate_label"], "spoken": "", "status": status, "why": f"{reason}." if reason else ""}
    number = row["numerator_count"] if value_kind == "count" else row["rate"]
    if number is None:
        mark, spoken, sentence = HIDDEN["not_applicable"]
        return {"text": mark, "spoken": spoken, "status": "not_applicable", "why": sentence}
    text = count(number) if value_kind == "count" else percent(number)
    return {"text": text, "spoken": "", "status": status, "why": ""}


def explanation(status: str, reason: str = "") -> str:
    """The sentence for a hidden value. `reason`: words of `REASONS`, added where they say more."""
    sentence = HIDDEN[status][2] if status in HIDDEN else f"{sentence_case(status)}."
    return f"{sentence} {reason}." if reason else sentence


def amount(row: dict | None) -> str:
    """The median of a row in dollars, or an empty text."""
    return "" if row is None or row.get("value_amount") is None else f"${row['value_amount']:,}"


def people(row: dict | None, few: int) -> str:
    """The number of people behind a row, or an empty text; nobody needs no number. Below `few` it says so."""
    number = None if row is None else row.get("denominator_count")
    return "" if not number else f"{count(number)}, {FEW}" if number < few else count(number)


def sentence_case(code: str) -> str:
    """A code as words: `every_named_organization` → Every named organization."""
    words = " ".join(ACRONYMS.get(word, word) for word in re.split(r"[_|\s]+", code.strip()))
    return words[:1].upper() + words[1:]


def without_file_names(text: str) -> str:
    """A register's text in which a policy file reads as the policy: `policy absence_day.csv` → policy “absence day”."""
    return re.sub(r"\b(?:policy )?([a-z_]+)\.csv", lambda found: f"policy “{found[1].replace('_', ' ')}”", text)


def without_codes(text: str) -> str:
    """A register's text in which column names read as words."""
    return re.sub(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b", lambda found: found[0].replace("_", " "), text)


def check(check_id: str) -> str:
    """A check in words, without the table it is about: the register and the collection name that."""
    rule = check_id.rsplit(".", 1)[-1]
    return CHECKS.get(rule) or sentence_case(rule)


def breakdown(code: str) -> str:
    return BREAKDOWNS.get(code) or sentence_case(code)


def table(family: str) -> str:
    """A published table's title. Indicators have theirs in the register."""
    return TABLES.get(family) or sentence_case(family.removeprefix("mart_").replace("__", " to "))
