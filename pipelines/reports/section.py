"""What every section about an indicator says, on whichever page: a cell, the marks, what the indicator means.

What belongs here: what pages of organizations and the overview share. What does not: tables and charts of either.
"""

from __future__ import annotations

from datetime import date

from pipelines.disclosure.policy import Policy
from pipelines.reports import words
from pipelines.reports.published import Published, Row
from pipelines.reports.titles import Titles

NOT_COVERED = "not known yet: the time in which this is counted has not passed, or not every source has sent it."
FEW = "Fewer than {} people: too few for a decision of accountability to rest on."
MEDIAN = "Median of what people with wages in all four quarters of the year earned, not adjusted for prices."


def mark(shown: dict[str, str]) -> str:
    return "≤ and ≥" if shown["status"] == "banded" else shown["text"]


def cell(row: Row | None, kind: str, policy: Policy) -> dict[str, str]:
    """What one cell says: value, median, number of people, and why it is hidden."""
    return {
        **words.value(row, kind, policy.marker),
        "amount": words.amount(row),
        "people": "" if kind == "count" else words.people(row, policy.accountability_minimum),
    }


def explained(published: Published, indicator: dict, level: str, open_years: list[int]) -> dict:
    """What an indicator means, who is counted, where it comes from, and what this release says about it.

    `open_years`: cohorts of which nothing is known yet.
    """
    code, protection = indicator["indicator_code"], indicator["protection"]
    declared = dict(part.split("=") for part in indicator["attribution"].split(";") if "=" in part)
    counted = words.ATTRIBUTIONS.get(declared.get(level, ""), "").format(level=words.LEVELS[level].lower())
    return {
        "code": code,
        "name": indicator["indicator_name"],
        "description": indicator["description"],
        "who_is_counted": f"{indicator['who_is_counted']} {counted}".strip(),
        "facts": [
            ("What is divided", words.without_file_names(indicator["numerator_definition"])),
            ("By what", words.without_file_names(indicator["denominator_definition"])),
            ("Where it comes from", sources(published.titles, indicator)),
            ("Authority", indicator["authority"]),
            ("Reading it", _joined(words.LEADING.get(indicator["leading_or_lagging"]), _direction(indicator))),
            ("Protection", words.PROTECTION.get(protection, "")),
            ("Definition", f"Version {indicator['definition_version']}."),
        ],
        "protection": protection,
        "is_rate": is_rate(indicator),
        "notices": notices(published, code),
        "third_parties": published.third_parties.get(code, []),
        "waivers": published.waivers.get(code, []),
        "not_yet": not_yet(published, indicator, open_years),
    }


def notices(published: Published, family: str) -> list[str]:
    """Why a family is not brought up to date in this release, as of when its figures are, and where others are."""
    first, last = published.dates.get(family, (published.data_as_of, published.data_as_of))
    found = []
    if family in published.held:
        reasons = "; ".join(filter(None, published.held[family]))
        found.append(f"Not brought up to date in this release. {reasons}." if reasons else "Not brought up to date.")
    if family in published.not_revised:
        found.append(
            f"The figures of {words.years(published.not_revised[family])} stay as they were published: a revision "
            "would give away the few people of whom newer data say something else."
        )
    if first != published.data_as_of:
        since = first if first == last else f"{first} to {last}"
        found.append(f"Figures that were not brought up to date are as of {since}.")
    if family in published.private:
        found.append(words.TOLD_PRIVATELY.format(year=published.private[family], table=words.TABLES[words.PRIVATE]))
    return found


def not_yet(published: Published, indicator: dict, open_years: list[int]) -> list[tuple[str, str]]:
    """(school years, sentence) of the cohorts that nothing is known of: when their time ends, or why it is not covered.

    A cohort is published when deliveries cover all the time in which what is counted may happen, from its first day.
    """
    window = published.windows.get(indicator["window_code"])
    if window is None:
        return [(words.years(open_years), NOT_COVERED)] if open_years else []
    known = published.known.get(indicator["indicator_code"], [])
    before = [year for year in open_years if known and year < known[0]]
    found = []
    if before:
        begins = words.month(_day(window, "start", before[0]))
        told = f"deliveries do not cover the whole time in which this is counted, from {begins} on."
        found.append((words.years(before), f"not known: {told}"))
    for year in (year for year in open_years if year not in before):
        closes = _day(window, "end", year)
        has_closed = published.as_of is not None and closes <= published.as_of
        told = f"ended in {words.month(closes)}, but not every source has sent it" if has_closed else ""
        told = told or f"ends in {words.month(closes)}"
        found.append((words.school_year(year), f"not yet: the time in which this is counted {told}."))
    return found


def _day(window: dict[str, str], end: str, cohort_year: int) -> date:
    """First ('start') or last ('end') day of a cohort's window, for awards that fall into the spring of the year."""
    return date.fromisoformat(f"{cohort_year + int(window[f'{end}_year_offset'])}-{window[f'{end}_month_day']}")


def coverage(published: Published, indicator: dict) -> list[dict[str, str]]:
    """How many of a cohort in the state are counted, and who is not: a line a subject, shares in whole percents."""
    lines: dict[str, list[Row]] = {}
    for row in published.coverage.get(indicator["indicator_code"], []):
        lines.setdefault(row["subject_code"], []).append(row)
    return [
        {
            "subject": "" if subject == "all" else subject_name(published, indicator["indicator_code"], subject),
            "year": words.school_year(rows[0]["cohort_year"]),
            "parts": [f"{_whole_percent(row['share'])} {_outcome(row)}" for row in rows],
        }
        for subject, rows in sorted(lines.items())
    ]


def _whole_percent(share: object) -> str:
    return f"{100 * share:.0f}%" if share else "less than 1%"


def _outcome(row: Row) -> str:
    outcome = words.OUTCOMES.get(row["outcome_status"]) or words.sentence_case(row["outcome_status"]).lower()
    code = row["exclusion_code"]
    reason = (words.EXCLUSIONS.get(code) or words.sentence_case(code).lower()) if code else ""
    return f"{outcome}: {reason}" if reason else outcome


def subject_name(published: Published, code: str, subject: str) -> str:
    return published.subjects.get((code, subject)) or words.sentence_case(subject)


def sources(titles: Titles, indicator: dict) -> str:
    read = ", ".join(titles.collection(name) for name in indicator["collections"].split(";"))
    return _joined(f"{read}.", words.CERTIFICATION.get(indicator["certification_rule"]))


def _direction(indicator: dict) -> str:
    return words.DIRECTIONS.get(indicator["direction"], "")


def _joined(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def is_rate(indicator: dict) -> bool:
    return indicator["value_kind"] != "count"
