"""What a release publishes, by organization, and what explains it: the one place where pages read a release's tables.

What belongs here: reading published tables, registers and the decision. What does not: which rows stand where on a page
(`organization`, `overview`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from pipelines.disclosure.policy import Policy, load_policy
from pipelines.quality import check_result
from pipelines.registers import read_seed
from pipelines.reports import words
from pipelines.reports.page import slug
from pipelines.reports.titles import Titles
from pipelines.settings import Settings

Row = dict[str, object]
Place = tuple[str, str]  # organization level, state id
Key = tuple[str, int, str, str]  # subject, cohort year, breakdown, group

TRANSITION = "mart_transition__"
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
    is_in_directory: bool = True
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
    not_revised: dict[str, list[int]]  # family → years in which a revision would take away too many figures
    waivers: dict[str, list[str]]
    third_parties: dict[str, list[str]]
    flows: dict[str, list[Row]]  # transition → rows of its newest cohort
    coverage: dict[str, list[Row]]  # indicator → rows of its newest cohort
    private: dict[str, int]  # indicator → first cohort that is told by differential privacy, in a table of its own
    policy: Policy
    windows: dict[str, dict[str, str]]  # window → when what an indicator counts has to happen
    cache: Path

    @property
    def as_of(self) -> date | None:
        """Date of the data; None before a release has one."""
        try:
            return date.fromisoformat(self.data_as_of)
        except ValueError:
            return None

    @property
    def stamp(self) -> dict[str, str]:
        return {"release_id": self.release_id, "data_as_of": self.data_as_of}


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
            for row in read_seed(settings, "reference/student_group.csv")  # breakdowns in the seed's order
        },
        subjects={
            (row["indicator_code"], row["subject_code"]): row["subject_name"]
            for row in read_seed(settings, "reference/subject.csv")
        },
        known=known,
        open=not_yet,
        dates=dates(data_dir, table) if stamped else {},
        release_id=table["release_id"][0] if stamped else "candidate",
        data_as_of=str(table["data_as_of"].max()) if stamped else "tonight",
        held=held(gate),
        not_revised=not_revised(data_dir),
        waivers=waivers_by_family(settings, titles, gate),
        third_parties=third_parties(settings, titles, data_dir),
        flows={code: newest(data_dir / f"{TRANSITION}{code}.parquet") for code in words.TRANSITIONS},
        coverage=coverage(data_dir),
        private=private(data_dir),
        policy=load_policy(
            settings.seeds / "policy" / "protection.csv", table["data_as_of"].max() if stamped else date.today()
        ),
        windows={row["window_code"]: row for row in read_seed(settings, "policy/outcome_window.csv")},
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
                name=words.organization(row["organization_name"] or id_state, level),
                id_nces=row["organization_id_nces"] or "",
                lea_id_state=row["lea_id_state"] or "",
                lea_name=words.organization(row["lea_name"] or "", "lea"),
                page=f"organizations/{slug(level, id_state)}.html",
                facts=facts.get(id_state, "") if level == "institution" else "",
                is_in_directory=not (row["organization_name"] or "").startswith(words.NOT_IN_DIRECTORY),
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


def newest(path: Path) -> list[Row]:
    """Rows of the newest cohort of which a table of flows shows any, larger ones first; none where there is no table.

    Tables of earlier releases do not say of what type an origin or destination is: that is null then.
    """
    if not path.exists():
        return []
    table = pl.read_parquet(path).filter(pl.col("value_status") == "shown")
    types = ("origin_type_code", "destination_type_code")
    table = table.with_columns(pl.lit(None, pl.String).alias(name) for name in types if name not in table.columns)
    table = table.filter(pl.col("cohort_year") == pl.col("cohort_year").max())
    order = ("person_count", "origin_name", "destination_name")
    return table.sort(order, descending=[True, False, False]).to_dicts()


def coverage(data_dir: Path) -> dict[str, list[Row]]:
    """Indicator → rows of its newest cohort that say how many are counted and who is not, larger ones first."""
    path = data_dir / "mart_coverage.parquet"
    if not path.exists():
        return {}
    table = pl.read_parquet(path).filter(pl.col("value_status") == "shown")
    found: dict[str, list[Row]] = defaultdict(list)
    last = table.filter(pl.col("cohort_year") == pl.col("cohort_year").max().over("indicator_code"))
    for row in last.sort("share", "outcome_status", "exclusion_code", descending=[True, False, False]).to_dicts():
        found[row["indicator_code"]].append(row)
    return found


def private(data_dir: Path) -> dict[str, int]:
    """Indicator → its first cohort told by differential privacy, instead of in any other table."""
    path = data_dir / f"{words.PRIVATE}.parquet"
    if not path.exists():
        return {}
    first = pl.read_parquet(path).group_by("indicator_code").agg(pl.col("cohort_year").min())
    return dict(first.iter_rows())


def dates(data_dir: Path, table: pl.DataFrame) -> dict[str, tuple[str, str]]:
    """Family → first and last date of its data: they differ from the release's where a family is held."""
    spans = table.group_by("indicator_code").agg(
        pl.col("data_as_of").min().alias("first"), pl.col("data_as_of").max().alias("last")
    )
    found = {code: (str(first), str(last)) for code, first, last in spans.iter_rows()}
    for path in sorted(data_dir.glob(f"{TRANSITION}*.parquet")):
        days = pl.read_parquet(path, columns=["data_as_of"])["data_as_of"]
        if len(days):
            found[path.stem] = (str(days.min()), str(days.max()))
    return found


def held(gate: dict) -> dict[str, list[str]]:
    """Family → why it is held or not published, in words."""
    return {
        family["family"]: list(dict.fromkeys(words.GATE_REASONS.get(each["code"], "") for each in family["reasons"]))
        for family in gate.get("families", [])
        if family["decision"] != "publish"
    }


def not_revised(data_dir: Path) -> dict[str, list[int]]:
    """Family → years that a revision left as they were; none before a release has been put together."""
    path = data_dir.parent / "release.json"
    found: dict[str, list[int]] = defaultdict(list)
    for row in json.loads(path.read_text(encoding="utf-8"))["years"] if path.exists() else []:
        if row["origin"] == "not_revised":
            found[row["family"]].append(row["year"])
    return found


def third_parties(settings: Settings, titles: Titles, data_dir: Path) -> dict[str, list[str]]:
    """Family → whose files of third parties it reads, under which license: these are not this state's people."""
    path = data_dir / "mart_availability.parquet"
    packages: dict[str, dict[str, None]] = defaultdict(dict)
    for row in read_seed(settings, "registers/third_party_delivery.csv"):
        packages[row["submitter"]][row["package"]] = None
    if not path.exists() or not packages:
        return {}
    remarks = defaultdict(list)
    for row in read_seed(settings, "registers/package.csv"):
        first = row["institution_note"].split(". ")[0].rstrip(".")
        if first and first not in remarks[(row["package"], row["collection"])]:
            remarks[(row["package"], row["collection"])].append(first)
    found: dict[str, list[str]] = defaultdict(list)
    read = pl.read_parquet(path).filter(pl.col("status") == "available", pl.col("source").is_in(list(packages)))
    for source, collection, code in (
        read.select("source", "collection", "indicator_code").unique().sort(pl.all()).iter_rows()
    ):
        own = [each for package in packages[source] for each in remarks[(package, collection)]]
        told = "; ".join(words.without_codes(each) for each in own)
        sentence = f"{titles.submitter(source)}, {titles.license(source)}. {told}"
        sentence = sentence.strip().rstrip(".") + "."
        tables = [name for name in titles.reading(collection) if name in titles.families]
        for family in (code, *tables):
            if sentence not in found[family]:
                found[family].append(sentence)
    return found


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
