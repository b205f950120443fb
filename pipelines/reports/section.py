"""What every section about an indicator says, on whichever page: a cell, the marks, what the indicator means.

What belongs here: what pages of organizations and the overview share. What does not: tables and charts of either.
"""

from __future__ import annotations

from pipelines.reports import words
from pipelines.reports.published import Published, Row
from pipelines.reports.titles import Titles

MEDIAN = "Median of what people with wages in all four quarters of the year earned, not adjusted for prices."


def mark(shown: dict[str, str]) -> str:
    return "≤ and ≥" if shown["status"] == "banded" else shown["text"]


def cell(row: Row | None, kind: str) -> dict[str, str]:
    """What one cell says: value, median, number of people, and why it is hidden."""
    return {
        **words.value(row, kind),
        "amount": words.amount(row),
        "people": "" if kind == "count" else words.people(row),
    }


def explained(published: Published, indicator: dict, level: str) -> dict:
    """What an indicator means, who is counted, where it comes from, and what this release says about it."""
    code, protection = indicator["indicator_code"], indicator["protection"]
    declared = dict(part.split("=") for part in indicator["attribution"].split(";") if "=" in part)
    counted = words.ATTRIBUTIONS.get(declared.get(level, ""), "").format(level=words.LEVELS[level].lower())
    first, last = published.dates.get(code, (published.data_as_of, published.data_as_of))
    notices = []
    if code in published.held:
        reasons = "; ".join(filter(None, published.held[code]))
        notices.append(f"Not brought up to date in this release. {reasons}." if reasons else "Not brought up to date.")
    if first != published.data_as_of:
        since = first if first == last else f"{first} to {last}"
        notices.append(f"Figures that were not brought up to date are as of {since}.")
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
        "notices": notices,
        "third_parties": published.third_parties.get(code, []),
        "waivers": published.waivers.get(code, []),
        "open": words.years(published.open.get(code, [])),
    }


def sources(titles: Titles, indicator: dict) -> str:
    read = ", ".join(titles.collection(name) for name in indicator["collections"].split(";"))
    return _joined(f"{read}.", words.CERTIFICATION.get(indicator["certification_rule"]))


def _direction(indicator: dict) -> str:
    return words.DIRECTIONS.get(indicator["direction"], "")


def _joined(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def is_rate(indicator: dict) -> bool:
    return indicator["value_kind"] != "count"
