"""The page “From one stage to the next”: where the newest cohort of each transition comes from or goes to.

What belongs here: which flows stand in which table and picture, and where a page of an organization points to. What
does not: reading the tables (`published`) and their words (`words`).
"""

from __future__ import annotations

from pathlib import Path

from pipelines.reports import charts, words
from pipelines.reports.page import slug, write
from pipelines.reports.published import TRANSITION, Organization, Published, Row
from pipelines.reports.section import notices

PAGE = "transitions/index.html"
KIND = "institution_kind"
MOST_BARS = 15  # of a picture; the table below it has every flow
SIDES = {"origin": "destination", "destination": "origin"}


def write_transitions(published: Published, site_dir: Path) -> None:
    sections = [section(published, code) for code in words.TRANSITIONS]
    write(
        site_dir / PAGE,
        "transitions.html",
        root="../",
        sections=[each for each in sections if each["year"]],
        empty=[each["name"] for each in sections if not each["year"]],
        **published.stamp,
    )


def section(published: Published, code: str) -> dict:
    """One transition: the state's flows with a picture, then those of each district or college."""
    family, rows = f"{TRANSITION}{code}", published.flows[code]
    place, sentence, by = words.TRANSITIONS[code]
    name, year = words.table(family), words.school_year(rows[0]["cohort_year"]) if rows else ""
    of_state = listings([row for row in rows if is_state(published, row, place)])
    of_places = listings([row for row in rows if not is_state(published, row, place)])
    anchored: set[str] = set()
    return {
        "code": code,
        "name": name,
        "year": year,
        "who": sentence.format(year=year),
        "by": by,
        "first_column": "From" if place == "destination" else "To",
        **picture(published, name, year, of_state, place),
        "state": [(said, [line(row, place) for row in some]) for said, some in of_state],
        "places": [(said, groups(published, code, some, anchored)) for said, some in of_places],
        "is_twice": len(of_state) > 1 or len(of_places) > 1,
        "notices": notices(published, family),
        "third_parties": published.third_parties.get(family, []),
        "waivers": published.waivers.get(family, []),
    }


def picture(published: Published, name: str, year: str, of_state: list[tuple[str, list[Row]]], place: str) -> dict:
    """Bars of the state's largest flows, in the first of its lists; nothing where no flow of the state is published."""
    if not of_state:
        return {"chart": "", "chart_of": ""}
    said, rows = of_state[0]
    points = [(each["name"], "", each["count"]) for each in (line(row, place) for row in rows[:MOST_BARS])]
    chart_of = ", ".join(filter(None, ("Number of people in the state", year, said)))
    label = f"{name}. {chart_of}. The figures are in the table below."
    return {"chart": charts.bars(points, label, False, published.cache), "chart_of": chart_of}


def listings(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """(words, rows) of each list to show: by kind of institution, and by name. A person stands once in each."""
    kinds = [row for row in rows if row["destination_type_code"] == KIND]
    named = [row for row in rows if row["destination_type_code"] != KIND]
    given = [("by kind of institution", kinds), ("by institution" if kinds else "", named)]
    return [(said, some) for said, some in given if some]


def groups(published: Published, code: str, rows: list[Row], anchored: set[str]) -> list[dict]:
    """The flows of each district or college, by name. Where one stands first on the page it has an anchor."""
    place = words.TRANSITIONS[code][0]
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[f"{place}_code"], []).append(row)
    named = []
    for id_state, own in found.items():
        organization = organization_of(published, id_state)
        anchor = slug(code, id_state)
        named.append(
            {
                "name": organization.name if organization else words.organization(own[0][f"{place}_name"], ""),
                "page": organization.page if organization else "",
                "anchor": "" if anchor in anchored else anchor,
                "lines": [line(row, place) for row in own],
            }
        )
        anchored.add(anchor)
    return sorted(named, key=lambda each: each["name"])


def line(row: Row, place: str) -> dict:
    """One flow as it stands below its place: the other side's name, and the number of people."""
    other = words.organization(row[f"{SIDES[place]}_name"], "institution")
    return {"name": other, "count": row["person_count"], "text": words.count(row["person_count"])}


def links(published: Published, organization: Organization) -> list[dict[str, str]]:
    """Where an organization's page points to: its own flows, or else the transition in which it is the other side."""
    found = []
    for code, (place, _, _) in words.TRANSITIONS.items():
        rows = published.flows[code]
        target = ""
        if organization.level == "state":
            target = code if rows else ""
        elif organization.level in {"lea", "institution"}:
            if any(row[f"{place}_code"] == organization.id_state for row in rows):
                target = slug(code, organization.id_state)
            elif any(row[f"{SIDES[place]}_code"] == organization.id_state for row in rows):
                target = code
        if target:
            found.append({"title": words.table(f"{TRANSITION}{code}"), "page": f"{PAGE}#{target}"})
    return found


def is_state(published: Published, row: Row, place: str) -> bool:
    """Whether a row tells of the whole state; where an older table does not say so, its id is the state's."""
    declared = row[f"{place}_type_code"]
    return declared == "state" if declared else ("state", row[f"{place}_code"]) in published.organizations


def organization_of(published: Published, id_state: str) -> Organization | None:
    places = (published.organizations.get((level, id_state)) for level in ("lea", "institution"))
    return next((each for each in places if each), None)
