"""The quality report: what was expected, what came, what was refused, which published number each failure touches.

Two editions from the same evidence. Restricted: exact counts by collection and submitter, checks, linkage, loss.
Public: nothing that is a function of few people. It names deliveries that are missing (what an agency did), checks
that stop publication (without submitter where they are about rows), and shares of a whole collection in three steps.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl

from pipelines import planner
from pipelines.disclosure.bands import SCALE, share_text
from pipelines.disclosure.policy import Policy, load_policy
from pipelines.intake import calendar, ledger
from pipelines.quality import check_result
from pipelines.registers import read_seed
from pipelines.release.gate import load_thresholds
from pipelines.reports import effects, words
from pipelines.reports.page import write
from pipelines.reports.published import waiver_sentence
from pipelines.reports.titles import Titles
from pipelines.settings import Settings

EDITIONS = ("restricted", "public")
FAILING = ("fail", "error", "skipped")
SECTORS = ("early_childhood", "k12", "postsecondary", "workforce", "child_welfare")
SECTOR_TITLES = {
    "early_childhood": "Early childhood",
    "k12": "K–12",
    "postsecondary": "Postsecondary",
    "workforce": "Workforce",
    "child_welfare": "Child welfare",
    "": "All",
}
MANY = 3  # more senders than these are told by their number
BARS = ("precision", "recall_linkable")  # rates of links that a policy sets a bar for
LINK_STATUSES = ("linked", "not_found", "not_determined", "not_linkable")
# How link errors are told, in the order of the report's columns: method and metric.
LINK_ESTIMATES = {
    ("truth", "precision"): "Right, of pairs found (truth)",
    ("truth", "recall_linkable"): "Found, of linkable pairs (truth)",
    ("clerical_sample", "precision"): "Right, of pairs joined (stewards’ sample)",
    ("clerical_sample", "recall"): "Joined, of pairs that stewards call one person (sample)",
    ("hidden_ssn", "precision"): "Right, of pairs found by names (Social Security number hidden)",
    ("hidden_ssn", "recall"): "Found by names (Social Security number hidden)",
    ("hidden_student_id", "precision"): "Right, of pairs found by names (state student id hidden)",
    ("hidden_student_id", "recall"): "Found by names (state student id hidden)",
    ("capture_recapture", "recall"): "Found, of all pairs (capture and recapture)",
    ("model", "precision"): "Right (the model’s own account)",
    ("model", "recall"): "Found (the model’s own account)",
}
# What a rule demands, where its name alone does not say it.
RULES = {
    "additivity": "Parts add up to their total",
    "partition": "Groups add up to everyone",
    "amount_plausible": "Amounts in dollars are plausible",
    "banded_has_label": "A range names its limits",
    "bounds": "No hidden number can be narrowed down from what is shown",
    "determined": "No hidden number can be worked out from what is shown",
    "inconsistent": "What is shown does not contradict itself",
    "program": "No hidden number can be narrowed down by using everything that is shown at once",
    "residual": "What is left of a total, when its shown parts are taken away, does not tell of few people",
    "breakdowns_present": "Figures are there for every kind of student group",
    "builds": "The table can be computed",
    "certified": "Certified by its sender",
    "groups_still_present": "Every group of the last release is still there",
    "key_unique": "No figure stands twice",
    "unique_key": "No row stands twice",
    "levels_present": "Figures are there for every level, from schools to the state",
    "numerator_within_denominator": "Those with the outcome are not more than all who are counted",
    "organizations_still_present": "Every organization of the last release is still there",
    "row_count_near_last_release": "About as many figures as in the last release",
    "state_denominator_near_last_release": "About as many people counted in the state as in the last release",
    "state_rate_near_last_release": "The state's rate is near that of the last release",
    "suppressed_numerator_hidden": "A hidden figure shows no count",
    "suppressed_rate_hidden": "A hidden figure shows no rate",
    "whole_group_present": "Figures for all students together are there",
}
# Rules that many tables share, with the column that they are about.
COLUMN_RULES = {
    "accepted_values": "{} is one of the agreed values",
    "not_null": "{} is never empty",
    "relationships": "{} refers to something that exists",
    "unique": "{} never stands twice",
}
CONSEQUENCES = {"error": "The numbers it touches wait", "warn": "None: they are published"}
COUNTS = ("derived_count", "accepted_count", "quarantined_count", "duplicate_count")


def build_quality(
    settings: Settings,
    build_id: str,
    out_file: Path,
    edition: str,
    gate: dict,
    today: date,
    release_id: str,
    data_as_of: str,
    data: Path | None = None,
) -> None:
    """Write the report of one build as a page. `gate`: the decision in its public form, as `GateDecision.public`.

    data: folder of the tables that the public edition may tell of, those of its release; without it the candidate's.
    Errors: ValueError for an edition that is none of `EDITIONS`.
    """
    if edition not in EDITIONS:
        raise ValueError(f"The quality report has the editions {', '.join(EDITIONS)}, not {edition!r}.")
    restricted = edition == "restricted"
    data = data or settings.candidate / "data"
    titles = Titles(settings, settings.candidate / "data")
    status = calendar.status(settings, today)
    checks = check_result.read(settings, build_id)
    before = previous_build(settings, build_id)
    policy = load_policy(settings.seeds / "policy" / "protection.csv", planner.day_of(build_id))
    exact = {}
    if restricted:
        exact = {
            "deliveries": deliveries(settings, titles, status, checks),
            "records": records(settings, titles),
            "linkage": linkage(settings),
            "link_groups": link_groups(settings),
            "steward": steward(settings, build_id),
            "linkage_effect": linkage_effect(settings, titles),
            "effect_summary": effect_summary(settings, titles),
            "losses": losses(settings, titles, build_id),
            "perturbed_losses": perturbed_losses(settings, titles, build_id),
            "balance": ledger.ledger_balances(settings),
        }
    write(
        out_file,
        "quality.html",
        restricted=restricted,
        build_id=build_id,
        gate=gate,
        decisions=decisions(titles, gate),
        waivers=[waiver_sentence(titles, each) for each in gate.get("waivers", [])],
        waiver_errors=gate.get("waiver_errors", []),
        late=late(titles, status),
        checks=failures(titles, checks, restricted),
        stopping=stopping(checks),
        news=news(settings, titles, checks, before, restricted),
        before=night(before),
        collections=[] if restricted else collections(settings, titles, status, policy),
        state_losses=[] if restricted else state_losses(settings, titles, build_id, data, policy),
        linked=[] if restricted else linked(settings, data),
        balances=not ledger.ledger_balances(settings),
        availability=availability(settings, titles),
        bars=bars(settings),
        link_columns=list(LINK_ESTIMATES.values()),
        enough_rows=policy.report_minimum_rows,
        shares=[percent(policy.quarantine_low_share), percent(policy.quarantine_high_share)],
        release_id=release_id,
        data_as_of=data_as_of,
        **exact,
    )


# --- both editions ----------------------------------------------------------------------------------------
def decisions(titles: Titles, gate: dict) -> dict:
    """The decision on the whole and on each published table, in words; what is not published first."""
    order = {"refuse": 0, "hold": 1, "publish": 2}
    place = {code: number for number, code in enumerate([*titles.indicators, *titles.families])}
    families = sorted(
        gate.get("families", []),
        key=lambda each: (order[each["decision"]], place.get(each["family"], len(place)), each["family"]),
    )
    return {
        "outcome": gate.get("outcome", ""),
        "reasons": reasons(titles, gate.get("reasons", [])),
        "families": [
            {
                "name": titles.family(each["family"]),
                "decision": each["decision"],
                "words": words.DECISIONS[each["decision"]],
                "years": "all" if each["held_years"] in ("all", None) else words.years(each["held_years"]),
                "reasons": reasons(titles, each["reasons"]),
            }
            for each in families
        ],
    }


def reasons(titles: Titles, given: list[dict]) -> list[str]:
    """Coded reasons as sentences. A submitter is named for what it sent or did not, not for what its rows hold."""
    found: dict[str, tuple[set[int], set[str]]] = defaultdict(lambda: (set(), set()))
    for each in given:
        years, senders = found[reason(titles, each)]
        if each.get("school_year"):
            years.add(each["school_year"])
        if each.get("submitter") and each["code"] in {"delivery_missing_or_failing", "delivery_not_certified"}:
            senders.add(titles.submitter(each["submitter"]))
    told = []
    for text, (years, senders) in found.items():
        who = (
            f", {', '.join(sorted(senders)) if len(senders) <= MANY else f'{len(senders)} senders'}" if senders else ""
        )
        told.append(f"{text}{who}{f' ({words.years(list(years))})' if years else ''}.")
    return told


def reason(titles: Titles, given: dict) -> str:
    """One coded reason in words, without years and senders."""
    families = " and ".join(titles.family(code) for code in (given.get("family") or "").split(";") if code)
    collection = titles.collection(given["collection"]) if given.get("collection") else ""
    checks = [each for each in (given.get("check_id") or "").split(";") if each]
    rules = ", ".join(dict.fromkeys(f"“{check(each)}” ({layer(each)})" for each in checks))
    code = given["code"]
    if code == "linked_family_held":
        return f"Held together with {families}: published alone, the difference of the two could tell about few people"
    if code == "delivery_not_certified":
        return f"A delivery is not certified by its sender yet: {collection}"
    if code == "skipped_because_of_failure":
        failed = f"a check of {families} failed" if families else "a check on which it rests failed"
        return f"Could not be computed this night, because {failed}: {rules}"
    text = words.GATE_REASONS.get(code) or words.sentence_case(code)
    about = [] if code in {"delivery_missing_or_failing", "delivery_below_quality"} else [rules]
    about = ", ".join(filter(None, [*about, collection]))
    return f"{text}: {about}" if about else text


def check(check_id: str) -> str:
    """What a check demands, in words."""
    rule = re.sub(r"__[0-9a-f]{6}$", "", check_id.rsplit(".", 1)[-1])
    kind, _, column = rule.partition("__")
    if column and kind in COLUMN_RULES:
        return COLUMN_RULES[kind].format(words.sentence_case(column))
    return RULES.get(rule) or words.METRICS.get(rule) or words.check(rule)


def night(build_id: str) -> str:
    """The night of a build, as a date; nothing for none."""
    return f"{build_id[:4]}-{build_id[4:6]}-{build_id[6:8]}" if build_id else ""


def late(titles: Titles, status: list[calendar.StatusRow]) -> list[dict]:
    """Deliveries that the calendar expects and that are late or were refused: what agencies did, nobody's data."""
    return [
        {
            "submitter": titles.submitter(row.submitter),
            "package": titles.package(row.package),
            "period": words.period(row.period),
            "status": words.DELIVERY.get(row.status) or words.sentence_case(row.status),
            "due": row.due,
            "message": row.message,
            "touches": touched(titles, row.collections),
        }
        for row in status
        if row.is_late or row.status == "rejected"
    ]


def touched(titles: Titles, collections: tuple[str, ...]) -> list[str]:
    """Names of the published families that read any of the collections."""
    codes = {code for name in collections for code in titles.reading(name)}
    return [titles.family(code) for code in titles.indicators | titles.families if code in codes]


def failures(titles: Titles, checks: pl.DataFrame, restricted: bool) -> list[dict]:
    """Checks that did not pass, with what they touch. Public: `is_public` only, no counts, no submitter, no message."""
    groups: dict[tuple, list[dict]] = defaultdict(list)
    for row in checks.filter(pl.col("status").is_in((*FAILING, "warn"))).iter_rows(named=True):
        if restricted or is_public(row):
            who = row["submitter"] or ""
            named = who if restricted or is_about_delivery(row) else ""
            family = "" if row["collection"] else row["family"] or ""
            groups[(row["severity"], row["check_id"], row["collection"] or "", named, family)].append(row)
    found = []
    for (severity, check_id, collection, submitter, family), rows in sorted(groups.items()):
        families = [code for code in family.split(";") if code]
        known = [] if families or not collection else titles.reading(collection)
        consequence = CONSEQUENCES[severity]
        if is_certification(check_id):
            known = [code for code in known if titles.indicators.get(code, {}).get("certification_rule") == "certified"]
            consequence = "Official numbers that read it wait" if known else consequence
        effect = [(titles.family(code), *effects.effect(code, collection)) for code in known]
        found.append(
            {
                "check": check(check_id),
                "check_id": check_id if restricted else "",
                "about": titles.collection(collection) if collection else layer(check_id),
                "submitter": titles.submitter(submitter),
                "years": {row["school_year"] for row in rows if row["school_year"]},
                "consequence": consequence,
                "stops": severity == "error",
                "failing": sum(row["failing_count"] or 0 for row in rows) if restricted else None,
                "total": sum(row["total_count"] or 0 for row in rows) if restricted else None,
                "messages": list(dict.fromkeys(row["message"] for row in rows if row["message"]))[:5]
                if restricted
                else [],
                "touches": "every number" if "*" in families else "",
                "families": [titles.family(code) for code in families if code != "*"],
                "effects": effect,
            }
        )
    return [{**row, "years": words.years(list(row["years"]))} for row in merged_families(found)]


def merged_families(rows: list[dict]) -> list[dict]:
    """Rows of one check that differ in the family only, as one row that names them all."""
    found: dict[tuple, dict] = {}
    for row in rows:
        key = (row["check"], row["check_id"], row["about"], row["submitter"], row["consequence"], row["touches"])
        if key not in found or not row["families"]:
            found[(*key, len(found)) if key in found else key] = row
            continue
        first = found[key]
        first["families"] += [name for name in row["families"] if name not in first["families"]]
        first["messages"] = list(dict.fromkeys([*first["messages"], *row["messages"]]))[:5]
        first["years"] |= row["years"]
        if row["failing"] is not None:
            first["failing"] += row["failing"]
            first["total"] += row["total"]
    return list(found.values())


def is_public(row: dict) -> bool:
    """Whether a failing check may be named to everyone: it stops publication, or is about tables or deliveries.

    A warning about rows tells that there is at least one such row, which may be one person's.
    """
    if row["severity"] == "error" and row["status"] != "warn":
        return True
    return row["layer"] == "expectation" or is_about_delivery(row)


def is_about_delivery(row: dict) -> bool:
    """A check of what an agency did (a file that did not come, or was refused), not of what its rows hold."""
    rule = row["check_id"].rsplit(".", 1)[-1]
    return row["layer"] == "intake" and (
        is_certification(row["check_id"]) or rule in {"delivered", "refused", "in_force", "destroy_by", "sent_twice"}
    )


def is_certification(check_id: str) -> bool:
    """A check of whether the delivery in use is certified."""
    return check_id.startswith("intake.") and check_id.endswith(".certified")


def layer(check_id: str) -> str:
    """What a check that names no collection is about, in words."""
    parts = check_id.split(".")
    first = {
        "expectation": "Published tables",
        "disclosure": "Protection",
        "linkage": "Linkage",
        "warehouse": "Warehouse",
        "intake": "Deliveries",
        "release": "Release",
    }.get(parts[0], words.sentence_case(parts[0]))
    if len(parts) < 3 or parts[0] != "warehouse":
        return first
    return f"{first}: {words.sentence_case(re.sub(r'^(dim|fct|brg|stg|ind|int|cube|mart)_', '', parts[1])).lower()}"


def stopping(checks: pl.DataFrame) -> int:
    """How many of the checks that stop publication did not pass. (How many were run depends on rows: some checks are
    recorded only where a row fails.)"""
    return checks.filter((pl.col("severity") == "error") & pl.col("status").is_in(FAILING)).height


def previous_build(settings: Settings, build_id: str) -> str:
    """The build to compare with: the last complete one, else the newest earlier one on which a decision was made."""
    last = planner.last_good(settings)
    if last is not None and last["build_id"] != build_id:
        return last["build_id"]
    decided = (path.stem for path in (settings.evidence / "gate").glob("*.json"))
    earlier = [each for each in decided if each < build_id and check_result.folder(settings, each).is_dir()]
    return max(earlier, default="")


def news(settings: Settings, titles: Titles, checks: pl.DataFrame, before: str, restricted: bool) -> list[str]:
    """What fails now and did not at the build before, and the reverse; public: checks as they are listed publicly."""
    if not before:
        return []

    def lines(frame: pl.DataFrame) -> set[str]:
        found = set()
        for row in frame.filter(pl.col("status").is_in((*FAILING, "warn"))).iter_rows(named=True):
            if restricted or is_public(row):
                named = restricted or is_about_delivery(row)
                about = titles.collection(row["collection"]) if row["collection"] else layer(row["check_id"])
                parts = [check(row["check_id"]), about, titles.submitter(row["submitter"]) if named else ""]
                found.add(", ".join(filter(None, parts)))
        return found

    now, then = lines(checks), lines(check_result.read(settings, before))
    return [f"New: {each}." for each in sorted(now - then)] + [f"Mended: {each}." for each in sorted(then - now)]


def availability(settings: Settings, titles: Titles) -> list[dict]:
    """What sources lack, from the candidate's table of availability."""
    path = settings.candidate / "data" / "mart_availability.parquet"
    if not path.exists():
        return []
    table = pl.read_parquet(path).filter(pl.col("status") != "available")
    grouped = (
        table.group_by("source", "collection", "missing")
        .agg(pl.col("indicator_code").unique().sort(), pl.col("school_year").unique())
        .sort("source", "collection", "missing")
    )
    return [
        {
            "source": titles.submitter(row["source"]),
            "collection": titles.collection(row["collection"]),
            "missing": row["missing"],
            "years": words.years([year for year in row["school_year"] if year]),
            "families": [titles.family(code) for code in row["indicator_code"] if code],
        }
        for row in grouped.iter_rows(named=True)
    ]


# --- public edition ---------------------------------------------------------------------------------------
def collections(settings: Settings, titles: Titles, status: list[calendar.StatusRow], policy: Policy) -> list[dict]:
    """By collection: how many of the expected deliveries are in, and the share of rows in quarantine, coded."""
    counts = in_use(settings).group_by("collection").agg(pl.col(*COUNTS).sum())
    rows = {row["collection"]: row for row in counts.iter_rows(named=True)}
    expected = delivered_by(status, lambda row, name: name)
    return [
        {
            "collection": titles.collection(name),
            "expected": expected[name]["expected"],
            "received": expected[name]["received"],
            "coded": coded(rows[name]["quarantined_count"], rows[name]["derived_count"], policy)
            if name in rows
            else "no rows",
        }
        for name in sorted(set(rows) | set(expected))
    ]


def coded(failing: int, total: int, policy: Policy) -> str:
    """A share of rows in quarantine, in steps that no single row of a small collection can be read from."""
    if total < policy.report_minimum_rows:
        return "too few rows to say"
    share, low, high = failing / total, policy.quarantine_low_share, policy.quarantine_high_share
    if share <= low:
        return f"up to {percent(low)}"
    return f"up to {percent(high)}" if share <= high else f"over {percent(high)}"


def percent(share: float) -> str:
    return share_text(round(share * SCALE))


# What an earlier release told and a revision withdrew is as hidden as what was never told.
HIDDEN = ("suppressed", "withdrawn")


def state_losses(settings: Settings, titles: Titles, build_id: str, data: Path, policy: Policy) -> list[dict]:
    """What protection hides of each indicator at state level, and what each choice of policy hides, in three steps.

    The whole is of the tables of `data`; choices are told apart where random changes protect. In official tables which
    figure is small and which only protects one must not be told, not even by shares.
    """
    path = data / "mart_indicator__organization.parquet"
    if not path.exists():
        return []
    told = pl.col("value_status").is_in(("shown", "banded", "no_students"))
    hidden = pl.col("value_status").is_in(HIDDEN)
    table = (
        pl.read_parquet(path)
        .filter(pl.col("organization_level") == "state", hidden | told)
        .group_by("indicator_code")
        .agg((hidden.sum() / pl.len()).alias("hidden"))
    )
    shares = dict(table.iter_rows())
    choices: dict[str, dict] = {}
    loss = settings.evidence / "disclosure" / f"{build_id}__loss.parquet"
    if loss.exists():
        counted = pl.read_parquet(loss).filter(pl.col("organization_level") == "state")
        counted = counted.group_by("indicator_code").agg(pl.col(pl.Int64).sum())
        choices = {row["indicator_code"]: row for row in counted.iter_rows(named=True)}
    return [
        {
            "name": titles.family(code),
            "coded": step(shares[code], policy),
            **{
                name: step(choices[code][name] / choices[code][whole], policy)
                if choices.get(code, {}).get(whole)
                else "–"
                for name, whole in (("small", "cells"), ("official", "cells"), ("median_employers", "median_cells"))
            },
        }
        for code in titles.indicators
        if code in shares
    ]


def step(share: float, policy: Policy) -> str:
    """A share in words that no single figure can be read from."""
    low, high = policy.loss_low_share, policy.loss_high_share
    if share <= low:
        return f"few: up to {percent(low)}"
    return f"some: up to {percent(high)}" if share <= high else f"most: over {percent(high)}"


def linked(settings: Settings, data: Path) -> list[dict]:
    """For each two sectors the newest year of the published table of links: a line a student group, with how many of
    the people in one sector were linked to the other; groups that are too small have no line."""
    path = data / "mart_link_quality.parquet"
    if not path.exists():
        return []
    table = pl.read_parquet(path)
    everyone = table.filter(pl.col("breakdown_code") == "all", pl.col("link_status") == "linked")
    newest = everyone.group_by("sector_code", "other_sector_code").agg(pl.col("school_year").max())
    shown = table.join(newest, on=["sector_code", "other_sector_code", "school_year"], how="semi")
    order = {(row["breakdown_code"], row["group_code"]): number for number, row in enumerate(groups(settings))}
    found: dict[tuple, dict] = {}
    for row in shown.iter_rows(named=True):
        pair = found.setdefault(
            (row["sector_code"], row["other_sector_code"]), {"year": row["school_year"], "rows": {}}
        )
        place = (row["breakdown_code"], row["group_code"])
        line = pair["rows"].setdefault(
            place, {"name": row["group_name"], "breakdown": words.breakdown(place[0]), **dict.fromkeys(LINK_STATUSES)}
        )
        line[row["link_status"]] = row["person_count"]
    place = {sector: number for number, sector in enumerate(SECTORS)}
    return [
        {
            "name": f"From {SECTOR_TITLES[a]} to {SECTOR_TITLES[b]}",
            "year": words.school_year(pair["year"]),
            "rows": [pair["rows"][key] for key in sorted(pair["rows"], key=lambda key: order.get(key, len(order)))],
        }
        for (a, b), pair in sorted(found.items(), key=lambda item: [place[sector] for sector in item[0]])
    ]


def groups(settings: Settings) -> list[dict[str, str]]:
    """Student groups of every breakdown, in the order of the seed."""
    return read_seed(settings, "reference/student_group.csv")


# --- restricted edition -----------------------------------------------------------------------------------
def in_use(settings: Settings) -> pl.DataFrame:
    """Derived rows by file of the deliveries in use, with submitter and package."""
    lines = ledger.read(settings).filter(pl.col("status") == "accepted")
    return ledger.read(settings, "ledger_collection").join(
        lines.select("delivery_id", "submitter", "package").unique(), on="delivery_id", how="inner"
    )


def delivered_by(status: list[calendar.StatusRow], key: Callable) -> dict:
    """Deliveries that are due or in, received and late, under `key(row, collection)`; not those that may still come."""
    found: dict = defaultdict(lambda: {"expected": 0, "received": 0, "late": 0})
    for row in status:
        for name in row.collections:
            line = found[key(row, name)]
            line["expected"] += row.late_after is not None and (row.status != "expected" or row.is_late)
            line["received"] += row.received_build is not None and row.status not in {"rejected", "late"}
            line["late"] += row.is_late
    return found


def deliveries(
    settings: Settings, titles: Titles, status: list[calendar.StatusRow], checks: pl.DataFrame
) -> list[dict]:
    """By collection, then submitter: expected, received, late, rows of each kind, checks failed, numbers touched."""
    counts = {
        (row["collection"], row["submitter"]): row
        for row in in_use(settings).group_by("collection", "submitter").agg(pl.col(*COUNTS).sum()).iter_rows(named=True)
    }
    expected = delivered_by(status, lambda row, name: (name, row.submitter))
    failed: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: {"failed": 0, "warned": 0})
    for row in checks.filter(pl.col("status").is_in((*FAILING, "warn"))).iter_rows(named=True):
        if row["collection"] and row["submitter"]:
            is_failed = row["severity"] == "error" and row["status"] in FAILING
            failed[(row["collection"], row["submitter"])]["failed" if is_failed else "warned"] += 1
    blocks: dict[str, list[dict]] = defaultdict(list)
    for name, submitter in sorted(set(counts) | set(expected) | set(failed)):
        row = counts.get((name, submitter), dict.fromkeys(COUNTS, 0))
        blocks[name].append(
            {
                "submitter": titles.submitter(submitter),
                "code": submitter,
                **expected[(name, submitter)],
                **{key: row[key] for key in COUNTS},
                "share": words.percent(row["quarantined_count"] / row["derived_count"]) if row["derived_count"] else "",
                **failed[(name, submitter)],
            }
        )
    return [
        {
            "collection": titles.collection(name),
            "code": name,
            "rows": rows,
            "effects": [(titles.family(code), *effects.effect(code, name)) for code in titles.reading(name)],
        }
        for name, rows in blocks.items()
    ]


def records(settings: Settings, titles: Titles) -> list[dict]:
    """Source records of the deliveries in use, by submitter and package: the ledger's equation."""
    lines = ledger.read(settings).filter(pl.col("status") == "accepted")
    columns = ["delivered_count", *ledger.COUNTS]
    table = (
        lines.group_by("submitter", "package")
        .agg(pl.len().alias("files"), pl.col(*columns).sum())
        .sort("submitter", "package")
    )
    return [
        {**row, "submitter": titles.submitter(row["submitter"]), "package": titles.package(row["package"])}
        for row in table.iter_rows(named=True)
    ]


def linkage(settings: Settings) -> dict:
    """Link quality by sector pair beside the bars, and the other measures."""
    path = settings.exchange / "link_quality.parquet"
    if not path.exists():
        return {"pairs": [], "others": []}
    pairs: dict[tuple[str, str], dict] = {}
    others = []
    for row in pl.read_parquet(path).iter_rows(named=True):
        name = [SECTOR_TITLES.get(row[side]) or words.sentence_case(row[side]) for side in ("sector_a", "sector_b")]
        if row["sector_a"] and row["sector_b"]:
            pairs.setdefault((row["sector_a"], row["sector_b"]), {"name": " and ".join(dict.fromkeys(name))})[
                row["metric"]
            ] = row
        else:
            others.append({**row, "name": name[0], "words": words.METRICS.get(row["metric"], row["metric"])})
    least = bars(settings)
    for pair in pairs.values():
        for metric in BARS:
            value = pair[metric]["value"] if metric in pair else None
            pair[f"{metric}_reached"] = None if value is None or least[metric] is None else value >= least[metric]
    order = {sector: number for number, sector in enumerate(SECTORS)}
    keys = sorted(pairs, key=lambda pair: [order.get(sector, len(order)) for sector in pair])
    return {"pairs": [pairs[key] for key in keys], "others": others}


def link_groups(settings: Settings) -> dict:
    """Link quality by student group and by sector pair, all years together, and the group that links worst in words.

    groups, pairs: lines with one text per column of `LINK_ESTIMATES`; waiting: people whose wages are not determined.
    """
    from pipelines.identity.measure import worst_group

    path = settings.exchange / "link_quality_group.parquet"
    if not path.exists():
        return {"groups": [], "pairs": [], "waiting": [], "worst": ""}
    table = pl.read_parquet(path).filter(pl.col("school_year").is_null())
    names = {(row["breakdown_code"], row["group_code"]): row["group_name"] for row in groups(settings)}

    def told(rows: list[dict]) -> list[str]:
        by = {(row["method"], row["metric"]): row for row in rows}
        return [estimate(by.get(column)) for column in LINK_ESTIMATES]

    by_group: dict[tuple, list[dict]] = defaultdict(list)
    by_pair: dict[tuple, list[dict]] = defaultdict(list)
    waiting = []
    for row in table.iter_rows(named=True):
        place, pair = (row["breakdown_code"], row["group_code"]), (row["sector_a"], row["sector_b"])
        if row["metric"] == "not_determined" and pair[1] == "workforce" and row["denominator"]:
            waiting.append((place, pair[0], int(row["numerator"]), int(row["denominator"])))
        elif row["method"] != "count" and pair == ("", ""):
            by_group[place].append(row)
        elif row["method"] != "count" and place == ("all", "all"):
            by_pair[pair].append(row)
    order = {key: number for number, key in enumerate(names)}
    place_of = {sector: number for number, sector in enumerate(SECTORS)}

    def labeled(place: tuple[str, str]) -> dict[str, str]:
        return {"name": names.get(place, words.sentence_case(place[1])), "breakdown": words.breakdown(place[0])}

    worst = worst_group(settings, pl.read_parquet(path), planner.policy_day(settings))
    return {
        "groups": [
            {**labeled(key), "cells": told(by_group[key])}
            for key in sorted(by_group, key=lambda key: order.get(key, len(order)))
        ],
        "pairs": [
            {"name": " and ".join(dict.fromkeys(SECTOR_TITLES[sector] for sector in key)), "cells": told(by_pair[key])}
            for key in sorted(by_pair, key=lambda key: [place_of[sector] for sector in key])
        ],
        "waiting": [
            {**labeled(place), "sector": SECTOR_TITLES[sector], "number": number, "of": of}
            for place, sector, number, of in sorted(
                waiting, key=lambda row: (place_of[row[1]], order.get(row[0], len(order)))
            )
        ],
        "worst": worst_words(worst, names),
    }


def estimate(row: dict | None) -> str:
    """A share with its interval, in percent; a dash where nothing is known."""
    if row is None or row["value"] is None:
        return "–"
    value = f"{100 * row['value']:.2f}"
    return value if row["low"] is None else f"{value} ({100 * row['low']:.1f}–{100 * row['high']:.1f})"


def worst_words(worst: dict | None, names: dict[tuple[str, str], str]) -> str:
    """The group whose names link worst, as a sentence; empty where no group has enough pairs."""
    if worst is None:
        return ""
    place = (worst["breakdown_code"], worst["group_code"])
    how = {
        "truth": "{} of the pairs of records that can be linked were found",
        "hidden_ssn": "names and birth dates alone find {} of the pairs that a Social Security number proves",
        "hidden_student_id": "names and birth dates alone find {} of the pairs that a state student id proves",
    }[worst["method"]]
    percent = f"{100 * worst['value']:.2f}%"
    return (
        f"Links are found least for this student group: {names.get(place, place[1])}, by "
        f"{words.breakdown(place[0]).lower()}. There, "
        f"{how.format(percent)}. What is said of this group rests on weaker evidence than what "
        "is said of others."
    )


def bars(settings: Settings) -> dict[str, float | None]:
    """The least share that links must reach by sector pair, from the policy; None where it sets none."""
    # Of two lines for one check the first counts.
    largest = dict(reversed(load_thresholds(settings, planner.policy_day(settings))))
    found = {metric: largest.get(f"linkage.brg_record_person.{metric}") for metric in BARS}
    return {metric: None if share is None else round(1 - share, 6) for metric, share in found.items()}


def effect_summary(settings: Settings, titles: Titles) -> list[dict]:
    """For every indicator of the register, the largest difference that linkage errors make to a state figure.

    cohorts: how many figures were compared (0 where the indicator has none of the state as a whole).
    """
    rows: dict[str, list[dict]] = defaultdict(list)
    for row in linkage_effect(settings, titles):
        rows[row["indicator_code"]].append(row)
    found = []
    for code in titles.indicators if rows else ():
        compared = [row for row in rows[code] if row["difference"] is not None]
        largest = max(compared, key=lambda row: abs(row["difference"]), default=None)
        people = max(rows[code], key=lambda row: abs(row["found_denominator"] - row["true_denominator"]), default=None)
        found.append(
            {
                "name": titles.family(code),
                "cohorts": len(rows[code]),
                "different": sum(
                    1 for row in rows[code] if row["difference"] or row["found_denominator"] != row["true_denominator"]
                ),
                "largest": largest,
                "people": people,
            }
        )
    return found


def steward(settings: Settings, build_id: str) -> dict[str, list[dict]]:
    """What waits for the identity steward, by kind of question, and how many verdicts who gave; counts only.

    days: how long the oldest item has waited, None where none waits. share: items that wait, of all records.
    """
    queue, verdicts = (settings.exchange / f"steward_{name}.parquet" for name in ("queue", "verdict"))
    if not queue.exists() or not verdicts.exists():
        return {"kinds": [], "verdicts": []}
    day = planner.day_of(build_id)
    kinds = []
    for row in pl.read_parquet(queue).iter_rows(named=True):
        waiting = row["open_count"] + row["deferred_count"]
        kinds.append(
            {
                **row,
                "name": words.STEWARD_KINDS.get(row["kind"]) or words.sentence_case(row["kind"]),
                "days": (day - row["oldest_on"]).days if row["oldest_on"] else None,
                "share": f"{100 * waiting / row['record_count']:.3f}%" if row["record_count"] else "",
            }
        )
    return {
        "kinds": kinds,
        "verdicts": [
            {**row, "words": words.STEWARD_VERDICTS.get(row["verdict"]) or words.sentence_case(row["verdict"])}
            for row in pl.read_parquet(verdicts).iter_rows(named=True)
        ],
    }


def linkage_effect(settings: Settings, titles: Titles) -> list[dict]:
    """What linkage error does to each state figure, where the truth is known (the synthetic state)."""
    path = settings.evidence / "linkage_effect.parquet"
    if not path.exists():
        return []
    rows = []
    for row in pl.read_parquet(path).iter_rows(named=True):
        if row["found_rate"] is None and row["true_rate"] is None:
            continue
        both = row["found_rate"] is not None and row["true_rate"] is not None
        rows.append(
            {
                **row,
                "name": titles.family(row["indicator_code"]),
                "subject": "" if row.get("subject_code") in (None, "all") else words.sentence_case(row["subject_code"]),
                "year": words.school_year(row["cohort_year"]),
                "difference": row["found_rate"] - row["true_rate"] if both else None,
            }
        )
    return sorted(rows, key=lambda row: (row["name"], row["subject"], row["cohort_year"]))


def losses(settings: Settings, titles: Titles, build_id: str) -> dict[str, list[dict]]:
    """Cells of official tables that protection hides, by indicator and level, and by group; by what hides them:
    minimum_count (small), sums with those (partners), interval_width and zero_rule (room), decoy_share (decoys)."""
    path = settings.evidence / "disclosure" / f"{build_id}.parquet"
    if not path.exists() or not {"value_status", "is_decoy", "is_hidden_for_room"} <= set(pl.read_parquet_schema(path)):
        return {"levels": [], "groups": []}
    frame = pl.read_parquet(path)
    status = pl.col("value_status")
    is_small = pl.col("is_primary_denominator") | pl.col("is_primary_numerator")
    is_decoy = ~is_small & pl.col("is_decoy")
    is_late = ~is_small & ~is_decoy & pl.col("is_hidden_for_room")
    told_less = status.is_in(HIDDEN) | (status == "banded")
    counted = [
        pl.len().alias("cells"),
        (status == "shown").sum().alias("shown"),
        (status == "banded").sum().alias("banded"),
        status.is_in(HIDDEN).sum().alias("hidden"),
        (told_less & is_small).sum().alias("small"),
        (told_less & is_decoy).sum().alias("decoys"),
        (told_less & ~is_small & ~is_decoy & ~is_late).sum().alias("partners"),
        (told_less & is_late).sum().alias("room"),
        status.is_in(("no_students", "window_open")).sum().alias("others"),
        pl.col("denominator_count").filter(status.is_in(HIDDEN)).sum().alias("hidden_people"),
    ]
    by_level = frame.group_by("indicator_code", "organization_level").agg(counted)
    by_group = frame.group_by("organization_level", "breakdown_code").agg(counted)
    levels = list(words.LEVELS)

    def described(row: dict) -> dict:
        told = row["shown"] + row["banded"] + row["hidden"]
        share = words.percent(row["hidden"] / told) if told else ""
        return {**row, "level": words.LEVELS[row["organization_level"]], "share": share}

    def place(row: dict) -> int:
        return levels.index(row["organization_level"])

    return {
        "levels": [
            {**described(row), "name": titles.family(row["indicator_code"])}
            for row in sorted(by_level.iter_rows(named=True), key=lambda row: (row["indicator_code"], place(row)))
        ],
        "groups": [
            {**described(row), "name": words.breakdown(row["breakdown_code"])}
            for row in sorted(by_group.iter_rows(named=True), key=lambda row: (place(row), row["breakdown_code"]))
        ],
    }


def perturbed_losses(settings: Settings, titles: Titles, build_id: str) -> dict[str, list[dict]]:
    """Cells and people of perturbed figures that protection hides, by the choice that hides them, like `losses`."""
    path = settings.evidence / "disclosure" / f"{build_id}__loss.parquet"
    if not path.exists():
        return {"levels": [], "groups": []}
    frame = pl.read_parquet(path)
    levels = list(words.LEVELS)

    def told(keys: list[str], name: Callable[[dict], str], order: Callable[[dict], tuple]) -> list[dict]:
        rows = frame.group_by(keys).agg(pl.col(pl.Int64).sum()).iter_rows(named=True)
        return [
            {
                **row,
                "name": name(row),
                "level": words.LEVELS[row["organization_level"]],
                "share": words.percent((row["small"] + row["official"]) / row["cells"]),
                "people_share": words.percent((row["people_small"] + row["people_official"]) / row["people"]),
            }
            for row in sorted(rows, key=order)
        ]

    return {
        "levels": told(
            ["indicator_code", "organization_level"],
            lambda row: titles.family(row["indicator_code"]),
            lambda row: (row["indicator_code"], levels.index(row["organization_level"])),
        ),
        "groups": told(
            ["organization_level", "breakdown_code"],
            lambda row: words.breakdown(row["breakdown_code"]),
            lambda row: (levels.index(row["organization_level"]), row["breakdown_code"]),
        ),
    }
