"""The public site of a release: overview, one page an organization, the list of them.

It reads a release's published tables and registers only; what is hidden there is hidden here. Nothing is computed from
them: which rows stand where, and in what words, is all that is decided here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pipelines.progress import track
from pipelines.quality import check_result
from pipelines.reports import charts, words
from pipelines.reports.page import copy_style, slug, write
from pipelines.reports.titles import Titles, seed
from pipelines.settings import Settings

YEARS, OVERVIEW_YEARS = 3, 6
MOST_DISTRICTS = charts.MOST_SERIES - 1  # beside the state; more, and the overview shows the state alone
MOST_BARS = 20
Row = dict[str, object]
Place = tuple[str, str]  # organization level, state id
Key = tuple[str, int, str, str]  # subject, cohort year, breakdown, group

USED = [
    "indicator_code", "subject_code", "school_year", "cohort_year", "organization_level", "organization_id_state",
    "organization_id_nces", "organization_name", "lea_id_state", "lea_name", "breakdown_code", "group_code",
    "denominator_count", "numerator_count", "rate", "rate_label", "value_amount", "value_status", "suppression_reason",
]  # fmt: skip


@dataclass
class Organization:
    """Who a page is about. `page`: path below the site's folder; `figures`: indicator → rows by key."""

    level: str
    id_state: str
    name: str
    id_nces: str
    lea_id_state: str
    lea_name: str
    page: str
    facts: str = ""
    figures: dict[str, dict[Key, Row]] = field(default_factory=lambda: defaultdict(dict))


@dataclass
class Published:
    """What a release publishes, by organization, and the registers that explain it."""

    organizations: dict[Place, Organization]
    titles: Titles
    groups: dict[tuple[str, str], str]
    subjects: dict[tuple[str, str], str]
    known: dict[str, list[int]]
    open: dict[str, list[int]]
    dates: dict[str, tuple[str, str]]
    release_id: str
    data_as_of: str
    held: dict[str, list[str]]
    waivers: dict[str, list[str]]
    cache: Path

    @property
    def stamp(self) -> dict[str, str]:
        return {"release_id": self.release_id, "data_as_of": self.data_as_of}


def build_site(settings: Settings, data_dir: Path, site_dir: Path, gate: dict) -> int:
    """Write the site below `site_dir` from the Parquet files in `data_dir`. Returns the number of pages.

    `gate`: the public decision: held families and waivers print on the pages that they touch.
    """
    published = load(settings, data_dir, gate)
    copy_style(site_dir)
    for organization in track(list(published.organizations.values()), "Organization pages"):
        write_organization(published, organization, site_dir)
    write_list(published, site_dir)
    write_overview(published, site_dir)
    return len(published.organizations) + 2


def load(settings: Settings, data_dir: Path, gate: dict) -> Published:
    """Published rows by organization, and what explains them."""
    table = pl.read_parquet(data_dir / "mart_indicator__organization.parquet")
    stamped = table.height and "release_id" in table.columns
    titles = Titles(settings, data_dir)
    is_known = pl.col("value_status") != "window_open"
    known, not_yet = defaultdict(list), defaultdict(list)
    years = table.group_by("indicator_code", "cohort_year").agg(is_known.any().alias("known"))
    for code, year, any_known in years.sort("indicator_code", "cohort_year").iter_rows():
        (known if any_known else not_yet)[code].append(year)
    return Published(
        organizations=organizations(table, institution_facts(data_dir)),
        titles=titles,
        groups={
            (row["breakdown_code"], row["group_code"]): row["group_name"]
            for row in seed(settings, "reference/student_group.csv")  # breakdowns in the seed's order
        },
        subjects={
            (row["indicator_code"], row["subject_code"]): row["subject_name"]
            for row in seed(settings, "reference/subject.csv")
        },
        known=known,
        open=not_yet,
        dates=dates(table) if stamped else {},
        release_id=table["release_id"][0] if stamped else "candidate",
        data_as_of=str(table["data_as_of"].max()) if stamped else "tonight",
        held=held(gate),
        waivers=waivers_by_family(settings, titles, gate),
        cache=settings.work / "charts",
    )


def organizations(table: pl.DataFrame, facts: dict[str, str]) -> dict[Place, Organization]:
    """Organizations by level and id, described by their newest row: state, districts, schools, institutions."""
    found: dict[Place, Organization] = {}
    for row in table.select(USED).sort("school_year", descending=True).iter_rows(named=True):
        level, id_state = row["organization_level"], row["organization_id_state"]
        if level not in words.LEVELS:
            continue
        organization = found.get((level, id_state))
        if organization is None:
            organization = found[(level, id_state)] = Organization(
                level=level,
                id_state=id_state,
                name=row["organization_name"] or id_state,
                id_nces=row["organization_id_nces"] or "",
                lea_id_state=row["lea_id_state"] or "",
                lea_name=row["lea_name"] or "",
                page=f"organizations/{slug(level, id_state)}.html",
                facts=facts.get(id_state, "") if level == "institution" else "",
            )
        key = (row["subject_code"], row["cohort_year"], row["breakdown_code"], row["group_code"])
        organization.figures[row["indicator_code"]][key] = row
    order = list(words.LEVELS)
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0][0]), item[1].name, item[0][1])))


def institution_facts(data_dir: Path) -> dict[str, str]:
    """OPEID → where an institution is and what kind it is, as the table of institutions says."""
    path = data_dir / "mart_institution.parquet"
    if not path.exists():
        return {}
    columns = ("city", "state_abbreviation", "institution_level_code", "institution_control_code")
    facts = {}
    for row in pl.read_parquet(path).iter_rows(named=True):
        place = ", ".join(row[name] for name in columns[:2] if row.get(name))
        kind = ", ".join((row.get(name) or "").replace("_", " ") for name in columns[2:] if row.get(name))
        facts[row["opeid"]] = ". ".join(part for part in (place, kind[:1].upper() + kind[1:]) if part)
    return facts


def dates(table: pl.DataFrame) -> dict[str, tuple[str, str]]:
    """Indicator → first and last date of its data: they differ from the release's where a family is held."""
    spans = table.group_by("indicator_code").agg(
        pl.col("data_as_of").min().alias("first"), pl.col("data_as_of").max().alias("last")
    )
    return {code: (str(first), str(last)) for code, first, last in spans.iter_rows()}


def held(gate: dict) -> dict[str, list[str]]:
    """Family → why it is held or not published, in words."""
    return {
        family["family"]: list(dict.fromkeys(words.GATE_REASONS.get(each["code"], "") for each in family["reasons"]))
        for family in gate.get("families", [])
        if family["decision"] != "publish"
    }


def waivers_by_family(settings: Settings, titles: Titles, gate: dict) -> dict[str, list[str]]:
    """Family → sentences of the waivers that touch it: those of its collections, or of checks that name it.

    A waiver that names no collection, of a check that names no family, touches everything.
    """
    given = gate.get("waivers", [])
    if not given:
        return {}
    results = check_result.read(settings, gate["build_id"]) if gate.get("build_id") else pl.DataFrame()
    found: dict[str, list[str]] = defaultdict(list)
    for waiver in given:
        touched = titles.reading(waiver["collection"])
        if not waiver["collection"] and results.height:
            own = results.filter(pl.col("check_id") == waiver["check_id"])
            names = {name for text in own["family"].drop_nulls() for name in text.split(";")} - {""}
            touched = touched if not names or "*" in names else sorted(names)
        for family in touched:
            found[family].append(waiver_sentence(titles, waiver))
    return found


def waiver_sentence(titles: Titles, waiver: dict) -> str:
    about = ", ".join(
        part
        for part in (
            words.check(waiver["check_id"]),
            titles.collection(waiver["collection"]) if waiver["collection"] else "",
            titles.submitter(waiver["submitter"]),
        )
        if part
    )
    return (
        f"{about}. {_sentence(waiver['reason'])} Effect on numbers: {_sentence(waiver['effect_on_numbers'])} "
        f"Approved by {waiver['approved_by'].replace('_', ' ')} on {waiver['approved_on']} ({waiver['meeting']}), "
        f"until {waiver['expires_on']}."
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


# --- one organization -------------------------------------------------------------------------------------
def write_organization(published: Published, organization: Organization, site_dir: Path) -> None:
    lea = published.organizations.get(("lea", organization.lea_id_state))
    state = next((each for each in published.organizations.values() if each.level == "state"), None)
    above = [each for each in (lea, state) if each is not None and each is not organization]
    sections = []
    for code in published.titles.indicators:
        section = indicator_section(published, organization, code, above)
        if section:
            sections.append(section)
    write(
        site_dir / organization.page,
        "organization.html",
        root="../",
        organization=organization,
        level=words.LEVELS[organization.level],
        above=above,
        below=below(published, organization),
        sections=sections,
        glance=[section["glance"] for section in sections if section["glance"]],
        columns=[organization.name, *(each.name for each in above)],
        **published.stamp,
    )


def below(published: Published, organization: Organization) -> dict | None:
    """What belongs to an organization: a district's schools; the state's districts and institutions."""
    every = published.organizations.values()
    if organization.level == "lea":
        members = [each for each in every if each.level == "school" and each.lea_id_state == organization.id_state]
        title = "Schools of this district"
    elif organization.level == "state":
        members, title = [each for each in every if each.level in {"lea", "institution"}], "Districts and institutions"
    else:
        members, title = [], ""
    return {"title": title, "members": members} if members else None


def indicator_section(
    published: Published, organization: Organization, code: str, above: list[Organization]
) -> dict | None:
    """One indicator of one organization: three years by group, beside its district and the state."""
    indicator, own = published.titles.indicators[code], organization.figures.get(code)
    if not own:
        return None
    years = page_years(published, code, own)
    columns = [own, *(each.figures.get(code, {}) for each in above)]
    has_figures = [True, *(bool(each) for each in columns[1:])]
    columns = [each for each, there in zip(columns, has_figures, strict=True) if there]
    names = [each.name for each, there in zip([organization, *above], has_figures, strict=True) if there]
    table = Table(published, indicator, columns, years)
    subjects = table.subjects()
    main, by_group = table.rows([("", subject, "all", "all") for subject in subjects]), []
    for row, subject in zip(main, subjects, strict=True):
        row["name"] = "All" if subject == "all" else table.subject_name(subject)
        blocks = table.blocks(subject)
        if blocks:
            by_group.append({"name": "" if subject == "all" else row["name"], "blocks": blocks})
    return {
        **explained(published, indicator, organization.level),
        "years": [words.school_year(year) for year in years],
        "columns": names,
        "first_column": "Students" if subjects == ["all"] else "What",
        "main": main,
        "by_group": by_group,
        "bars": bars(names, main[0]["cells"], len(years)) if subjects == ["all"] and _is_rate(indicator) else [],
        "glance": glance(indicator, main[0]["cells"], years, has_figures) if subjects == ["all"] else None,
        "notes": table.notes(),
        "newest": words.school_year(years[-1]) if years else "",
    }


def page_years(published: Published, code: str, own: dict[Key, Row]) -> list[int]:
    """The newest years that are known anywhere in the release; an organization without any of them has its own last."""
    mine = {key[1] for key in own}
    newest = published.known.get(code, [])[-YEARS:]
    if mine & set(newest):
        return newest
    return sorted(mine & set(published.known.get(code, [])))[-YEARS:] or sorted(mine)[:YEARS]


class Table:
    """Rows of cells for one indicator: years of the organization, then the same years of its district and state."""

    def __init__(self, published: Published, indicator: dict, columns: list[dict[Key, Row]], years: list[int]):
        self.published, self.indicator, self.columns, self.years = published, indicator, columns, years
        self.seen: dict[tuple[str, str], None] = {}

    def subjects(self) -> list[str]:
        """Subjects with a row of the organization in these years, by name."""
        found = {key[0] for key in self.columns[0] if key[1] in self.years}
        return sorted(found, key=self.subject_name)

    def subject_name(self, subject: str) -> str:
        return self.published.subjects.get((self.indicator["indicator_code"], subject)) or words.sentence_case(subject)

    def rows(self, lines: Iterable[tuple[str, str, str, str]]) -> list[dict]:
        """A row of cells for each (name, subject, breakdown, group)."""
        return [{"name": name, "cells": self._cells(subject, *group)} for name, subject, *group in lines]

    def blocks(self, subject: str) -> list[dict]:
        """A block a breakdown; groups without anybody in any of the cells are left out."""
        there = {key[2:] for key in self.columns[0] if key[0] == subject and key[1] in self.years}
        blocks: dict[str, list[dict]] = {}
        for breakdown, group in self._ordered(there):
            found = [rows.get((subject, year, breakdown, group)) for rows in self.columns for year in self.years]
            if all(row is None or row["value_status"] == "no_students" for row in found):
                continue
            name = self.published.groups.get((breakdown, group)) or words.sentence_case(group)
            blocks.setdefault(breakdown, []).append({"name": name, "cells": [self._cell(row) for row in found]})
        return [{"name": words.breakdown(code), "rows": rows} for code, rows in blocks.items()]

    def _ordered(self, there: set[tuple[str, str]]) -> list[tuple[str, str]]:
        declared = [pair for pair in self.published.groups if pair in there]
        return [pair for pair in [*declared, *sorted(there - set(declared))] if pair[0] != "all"]

    def _cells(self, subject: str, breakdown: str, group: str) -> list[dict]:
        return [self._cell(rows.get((subject, year, breakdown, group))) for rows in self.columns for year in self.years]

    def _cell(self, row: Row | None) -> dict[str, str]:
        shown = cell(row, self.indicator["value_kind"])
        if shown["why"]:
            self.seen.setdefault((mark(shown), shown["why"]))
        if shown["amount"]:
            self.seen.setdefault(("$", MEDIAN))
        return shown

    def notes(self) -> list[tuple[str, str]]:
        """(mark, sentence) for the marks that stand in this table."""
        order = [each[0] for each in words.HIDDEN.values()]
        return sorted(self.seen, key=lambda note: order.index(note[0]) if note[0] in order else len(order))


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
        "is_rate": _is_rate(indicator),
        "notices": notices,
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


def _is_rate(indicator: dict) -> bool:
    return indicator["value_kind"] != "count"


def bars(names: list[str], cells: list[dict], width: int) -> list[dict]:
    """Bars of the newest year, all students; empty when the organization's own value is hidden."""
    found = []
    for number, name in enumerate(names):
        shown = cells[number * width + width - 1] if width else None
        if shown and shown["status"] == "shown":
            found.append({"name": name, "text": shown["text"], "share": float(shown["text"].rstrip("%"))})
        elif number == 0:
            return []
    return found


def glance(indicator: dict, cells: list[dict], years: list[int], has_figures: list[bool]) -> dict | None:
    """The newest year of an indicator in one line: the organization, then those above it, in the page's order."""
    if not years:
        return None
    newest = iter(cells[len(years) - 1 :: len(years)])
    empty = cell(None, indicator["value_kind"])
    return {
        "code": indicator["indicator_code"],
        "name": indicator["indicator_name"],
        "year": words.school_year(years[-1]),
        "cells": [next(newest) if there else empty for there in has_figures],
    }


# --- the list and the overview ----------------------------------------------------------------------------
def write_list(published: Published, site_dir: Path) -> None:
    schools: dict[str, list[Organization]] = defaultdict(list)
    for organization in published.organizations.values():
        if organization.level == "school":
            schools[organization.lea_id_state].append(organization)
    titles = {"state": "State", "lea": "Districts and their schools", "institution": "Colleges and universities"}
    titles["provider"] = "Providers"
    groups = []
    for level, title in titles.items():
        members = [each for each in published.organizations.values() if each.level == level]
        if members:
            entries = [
                {"organization": each, "schools": schools.pop(each.id_state, []) if level == "lea" else []}
                for each in members
            ]
            groups.append({"name": title, "entries": entries})
    alone = [{"organization": each, "schools": []} for left in schools.values() for each in left]
    if alone:
        groups.append({"name": "Schools of no district", "entries": alone})
    write(site_dir / "organizations.html", "organizations.html", groups=groups, **published.stamp)


def write_overview(published: Published, site_dir: Path) -> None:
    sections = [overview_section(published, code) for code in track(list(published.titles.indicators), "Charts")]
    state = next((each for each in published.organizations.values() if each.level == "state"), None)
    counts = [
        (title, sum(each.level == level for each in published.organizations.values()))
        for level, title in (("lea", "districts"), ("school", "schools"), ("institution", "colleges and universities"))
    ]
    write(
        site_dir / "index.html",
        "index.html",
        sections=sections,
        state=state,
        counts=[(title, number) for title, number in counts if number],
        **published.stamp,
    )


def overview_section(published: Published, code: str) -> dict:
    """An indicator's chart and its figures: the state and its districts over years, or its subjects."""
    indicator = published.titles.indicators[code]
    kind = indicator["value_kind"]
    years = published.known.get(code, [])[-OVERVIEW_YEARS:]
    series, subjects = overview_series(published, code, years)
    rows = [{"name": name, "cells": [cell(each.get(year), kind) for year in years]} for name, each in series]
    labels = [words.school_year(year) for year in years]
    level = "institution" if not any(each.figures.get(code) for each in _at(published, "state")) else "state"
    notes: dict[tuple[str, str], None] = {}
    for shown in (shown for row in rows for shown in row["cells"]):
        if shown["why"]:
            notes.setdefault((mark(shown), shown["why"]))
        if shown["amount"]:
            notes.setdefault(("$", MEDIAN))
    return {
        **explained(published, indicator, level),
        **overview_chart(published, indicator, series, years, subjects),
        "first_column": "What" if subjects else "Where",
        "years": labels,
        "rows": rows,
        "notes": list(notes),
    }


def overview_series(published: Published, code: str, years: list[int]) -> tuple[list[tuple[str, dict[int, Row]]], bool]:
    """(name, rows by year) of what the overview shows, in order, and whether these are subjects.

    The state and its districts; subjects in the state; where an indicator has no state figures, its institutions (and
    their subjects), those with a figure to show first.
    """
    places = _at(published, "state")
    if not any(each.figures.get(code) for each in places):
        places = [each for each in _at(published, "institution") if each.figures.get(code)]
    elif len(_at(published, "lea")) <= MOST_DISTRICTS:
        places = places + _at(published, "lea")
    has_subjects = any(key[0] != "all" for each in places for key in each.figures.get(code, ()))
    if has_subjects:
        places = [each for each in places if each.level != "lea"]
    found: dict[str, dict[int, Row]] = {}
    for each in places:
        for (subject, year, breakdown, _), row in each.figures.get(code, {}).items():
            if breakdown != "all" or year not in years:
                continue
            name = each.name
            if has_subjects:
                subject_name = published.subjects.get((code, subject)) or words.sentence_case(subject)
                name = subject_name if len(places) == 1 else f"{each.name}: {subject_name}"
            found.setdefault(name, {})[year] = row
    if has_subjects:
        kind = published.titles.indicators[code]["value_kind"]
        telling = [name for name in sorted(found) if any(number(row, kind) is not None for row in found[name].values())]
        found = {name: found[name] for name in (telling or sorted(found))[:MOST_BARS]}
    elif places and places[0].level == "institution":
        found = dict(list(found.items())[:MOST_BARS])
    return list(found.items()), has_subjects


def _at(published: Published, level: str) -> list[Organization]:
    return [each for each in published.organizations.values() if each.level == level]


def overview_chart(
    published: Published, indicator: dict, series: list[tuple[str, dict[int, Row]]], years: list[int], subjects: bool
) -> dict[str, str]:
    """The chart of an overview section: lines over years, or bars of the newest year where there are subjects."""
    kind, name = indicator["value_kind"], indicator["indicator_name"]
    what = "Share" if kind != "count" else "Number of students"
    if subjects or len(series) > charts.MOST_SERIES:
        year = max((y for _, rows in series for y in years if number(rows.get(y), kind) is not None), default=None)
        points = [(label, "", number(rows.get(year), kind)) for label, rows in series]
        points = [point for point in points if point[2] is not None]
        chart_of = f"{what} in {words.school_year(year)}"
        if not points:
            return {"chart": "", "chart_of": ""}
        label = f"{name}. {chart_of}. The figures are in the table below."
        return {"chart": charts.bars(points, label, kind != "count", published.cache), "chart_of": chart_of}
    points = [
        (label, words.school_year(year), number(rows.get(year), kind)) for label, rows in series for year in years
    ]
    drawn = {point[0] for point in points if point[2] is not None}
    points = [point for point in points if point[0] in drawn]
    if not points:
        return {"chart": "", "chart_of": ""}
    chart_of = f"{what} by school year"
    label = f"{name}. {chart_of}. The figures are in the table below."
    return {"chart": charts.trend(points, label, kind != "count", published.cache), "chart_of": chart_of}


def number(row: Row | None, kind: str) -> float | None:
    """The number of a row that is shown as one."""
    if row is None or row["value_status"] != "shown":
        return None
    value = row["numerator_count"] if kind == "count" else row["rate"]
    return None if value is None else float(value)
