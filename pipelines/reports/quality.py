"""The quality report: what was expected, what came, what was refused, which published number each failure touches.

Two editions from the same evidence. Restricted: exact counts by collection and submitter, linkage, loss. Public:
states and coded shares only, because counts by submitter are counts of people.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

import schemas
from pipelines import planner
from pipelines.intake import calendar, ledger
from pipelines.quality import check_result
from pipelines.reports.page import write
from pipelines.reports.site import seed
from pipelines.settings import Settings

EDITIONS = ("restricted", "public")
FAILING = ("fail", "error", "skipped", "warn")


def build_quality(
    settings: Settings,
    build_id: str,
    out_file: Path,
    edition: str,
    gate: dict,
    today: date,
    release_id: str,
    data_as_of: str,
) -> None:
    """Write the report of one build as a page. `gate`: the decision, public or exact as the edition asks."""
    if edition not in EDITIONS:
        raise ValueError(f"The quality report has the editions {EDITIONS}, not {edition!r}.")
    checks = check_result.read(settings, build_id)
    restricted = edition == "restricted"
    write(
        out_file,
        "quality.html",
        restricted=restricted,
        build_id=build_id,
        gate=gate,
        deliveries=deliveries(settings, today, restricted),
        late=late(settings, today),
        failures=failures(settings, checks, restricted),
        news=news(settings, build_id, checks),
        links=links(settings) if restricted else [],
        linkage_effect=linkage_effect(settings) if restricted else [],
        losses=losses(settings, build_id) if restricted else [],
        balance=ledger.ledger_balances(settings),
        availability=availability(settings),
        titles={name: each.title for name, each in schemas.collections().items()},
        release_id=release_id,
        data_as_of=data_as_of,
    )


def deliveries(settings: Settings, today: date, restricted: bool) -> list[dict]:
    """By collection and submitter (restricted) or by collection (public): delivered, accepted, quarantined."""
    lines = ledger.read(settings).filter(pl.col("status") == "accepted")
    counts = ledger.read(settings, "ledger_collection").join(
        lines.select("delivery_id", "submitter", "package").unique(), on="delivery_id", how="inner"
    )
    if not counts.height:
        return []
    by = ["collection", "submitter"] if restricted else ["collection"]
    grouped = (
        counts.group_by(by)
        .agg(pl.col("derived_count", "accepted_count", "quarantined_count", "duplicate_count").sum())
        .sort(by)
    )
    rows = []
    for row in grouped.iter_rows(named=True):
        share = row["quarantined_count"] / row["derived_count"] if row["derived_count"] else 0.0
        rows.append({**row, "submitter": row.get("submitter", ""), "share": share, "coded": coded(share)})
    return rows


def coded(share: float) -> str:
    """A share of quarantined rows, coarse enough for anyone to read."""
    if share == 0:
        return "none"
    if share <= 0.005:
        return "up to 0.5%"
    return "up to 5%" if share <= 0.05 else "over 5%"


def late(settings: Settings, today: date) -> list[calendar.StatusRow]:
    """Deliveries that the calendar expects and that are late or were rejected."""
    return [row for row in calendar.status(settings, today) if row.status in {"late", "rejected"}]


def failures(settings: Settings, checks: pl.DataFrame, restricted: bool) -> list[dict]:
    """Failed checks with what they touch. The public edition names check, collection and family, no counts."""
    names = {row["indicator_code"]: row["indicator_name"] for row in seed(settings, "registers/indicator.csv")}
    reads = {row["indicator_code"]: row["collections"].split(";") for row in seed(settings, "registers/indicator.csv")}
    rows = []
    for row in checks.filter(pl.col("status").is_in(FAILING)).sort("severity", "check_id").iter_rows(named=True):
        touched = [each for each in (row["family"] or "").split(";") if each]
        if not touched and row["collection"]:
            touched = [code for code, collections in reads.items() if row["collection"] in collections]
        rows.append(
            {
                "check_id": row["check_id"],
                "collection": row["collection"] or "",
                "submitter": row["submitter"] or "",
                "severity": row["severity"],
                "status": row["status"],
                "message": row["message"] if restricted else "",
                "failing": row["failing_count"] if restricted else None,
                "total": row["total_count"] if restricted else None,
                "touches": [names.get(each, each) for each in touched],
            }
        )
    return rows


def news(settings: Settings, build_id: str, checks: pl.DataFrame) -> list[str]:
    """Checks that fail now and did not at the last complete build, and the reverse."""
    last = planner.last_good(settings)
    if last is None or last["build_id"] == build_id:
        return []
    before = check_result.read(settings, last["build_id"])

    def failing(frame: pl.DataFrame) -> set[str]:
        rows = frame.filter(pl.col("status").is_in(FAILING)).iter_rows(named=True)
        return {" · ".join(filter(None, (row["check_id"], row["collection"], row["submitter"]))) for row in rows}

    now, then = failing(checks), failing(before)
    return [f"New: {each}" for each in sorted(now - then)] + [f"Mended: {each}" for each in sorted(then - now)]


def links(settings: Settings) -> list[dict]:
    """Link quality by sector pair, as measured."""
    path = settings.exchange / "link_quality.parquet"
    return list(pl.read_parquet(path).iter_rows(named=True)) if path.exists() else []


def linkage_effect(settings: Settings) -> list[dict]:
    """What linkage error does to each indicator, where the truth is known (the synthetic state)."""
    path = settings.evidence / "linkage_effect.parquet"
    return list(pl.read_parquet(path).iter_rows(named=True)) if path.exists() else []


def losses(settings: Settings, build_id: str) -> list[dict]:
    """Cells hidden by disclosure control, by indicator and level: what protection costs."""
    path = settings.evidence / "disclosure" / f"{build_id}.parquet"
    if not path.exists():
        return []
    frame = pl.read_parquet(path)
    if "value_status" not in frame.columns:
        return []
    table = (
        frame.group_by("indicator_code", "organization_level")
        .agg(
            pl.len().alias("cells"),
            (pl.col("value_status") == "shown").sum().alias("shown"),
            (pl.col("value_status") == "banded").sum().alias("banded"),
            (pl.col("value_status") == "suppressed").sum().alias("hidden"),
        )
        .sort("indicator_code", "organization_level")
    )
    return list(table.iter_rows(named=True))


def availability(settings: Settings) -> list[dict]:
    """What sources lack, from the candidate's availability mart."""
    path = settings.candidate / "data" / "mart_availability.parquet"
    if not path.exists():
        return []
    table = pl.read_parquet(path).filter(pl.col("status") != "available")
    return list(
        table.group_by("source", "collection", "indicator_code", "status", "missing")
        .agg(pl.col("school_year").min().alias("first"), pl.col("school_year").max().alias("last"))
        .sort("source", "collection", "indicator_code")
        .iter_rows(named=True)
    )
