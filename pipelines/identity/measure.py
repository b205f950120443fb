"""How right the links are, by pair of sectors.

Belongs here: precision and recall where the truth is known (the synthetic state), and on any data the counts that
betray errors: persons with two numbers, numbers in two persons. Does not belong here: mending them (policy tiers,
stewards).

A record is a distinct identifier tuple (record_key). Pairs of records are counted from group sizes, never listed.
"""

from __future__ import annotations

import csv

import polars as pl

from pipelines.identity.run import write_exchange
from pipelines.identity.vault import open_vault
from pipelines.quality import check_result
from pipelines.settings import Settings

QUALITY = {
    "sector_a": pl.String,
    "sector_b": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "numerator": pl.Int64,
    "denominator": pl.Int64,
}

RATES = ("precision", "recall_linkable")  # judged by sector pair, where the truth is known


def measure_links(settings: Settings, build_id: str) -> pl.DataFrame:
    """Write and return exchange/link_quality.parquet: sector_a, sector_b, metric, value, numerator, denominator.

    Metrics by sector pair, with truth: precision, recall_linkable, recall_all, linkable_share. By sector
    (sector_b empty): record_count, person_count; over all (both empty): over_merge_* and under_link_*, not_determined.
    value = numerator / denominator (null where the denominator is 0). Check results go to quality (source `linkage`).
    Raises FileNotFoundError when identity has not run.
    """
    bridge = pl.read_parquet(settings.exchange / "brg_record_person.parquet")
    rows = _counts(bridge) + _suspicions(settings, bridge)
    units = _truth_units(settings, bridge)
    if units is not None:
        rows += pair_rates(units)
    quality = pl.DataFrame(rows, schema=QUALITY, orient="row").sort("metric", "sector_a", "sector_b")
    write_exchange(quality, settings.exchange / "link_quality.parquet")
    check_result.record(settings, build_id, "linkage", link_checks(settings, quality, units is not None))
    return quality


def pair_rates(units: pl.DataFrame) -> list[tuple]:
    """Precision and recall by sector pair. units: sector, person_key, true_person_id, linkable_group; one row a record.

    Two records are a true pair when they share true_person_id, a linkable pair when they also share linkable_group,
    a found pair when they share person_key. A sector with itself counts pairs of different records.
    """
    found = _pairs(units, ["person_key"])
    true = _pairs(units, ["true_person_id"])
    linkable = _pairs(units, ["true_person_id", "linkable_group"])
    found_true = _pairs(units, ["person_key", "true_person_id"])
    found_linkable = _pairs(units, ["person_key", "true_person_id", "linkable_group"])
    rows = []
    for pair in sorted(set(found) | set(true)):
        rows += [
            _row(pair, "precision", found_true.get(pair, 0), found.get(pair, 0)),
            _row(pair, "recall_linkable", found_linkable.get(pair, 0), linkable.get(pair, 0)),
            _row(pair, "recall_all", found_true.get(pair, 0), true.get(pair, 0)),
            _row(pair, "linkable_share", linkable.get(pair, 0), true.get(pair, 0)),
        ]
    return rows


def _pairs(units: pl.DataFrame, group: list[str]) -> dict[tuple[str, str], int]:
    """Number of unordered pairs of records in the same group, by sector pair."""
    sizes = units.group_by(*group, "sector").agg(n=pl.len().cast(pl.Int64))
    joined = sizes.join(sizes, on=group, suffix="_b").filter(pl.col("sector") <= pl.col("sector_b"))
    counted = (
        joined.with_columns(
            pairs=pl.when(pl.col("sector") == pl.col("sector_b"))
            .then(pl.col("n") * (pl.col("n") - 1) // 2)
            .otherwise(pl.col("n") * pl.col("n_b"))
        )
        .group_by("sector", "sector_b")
        .agg(pl.col("pairs").sum())
    )
    return {(a, b): pairs for a, b, pairs in counted.iter_rows() if pairs}


def _row(pair: tuple[str, str], metric: str, numerator: int, denominator: int) -> tuple:
    return (*pair, metric, numerator / denominator if denominator else None, numerator, denominator)


def _counts(bridge: pl.DataFrame) -> list[tuple]:
    rows = []
    for sector, records, persons in (
        bridge.group_by("sector").agg(pl.len(), pl.col("person_key").n_unique().alias("persons")).sort("sector").rows()
    ):
        rows += [
            _row((sector, ""), "record_count", records, bridge.height),
            _row((sector, ""), "person_count", persons, bridge["person_key"].n_unique()),
        ]
    return rows


def _suspicions(settings: Settings, bridge: pl.DataFrame) -> list[tuple]:
    """Persons with two numbers or birth dates, numbers in two persons, records that follow nobody; counts only."""
    with open_vault(settings) as con:
        identifiers = con.execute(
            "SELECT record_key, ssn, student_id_state, birth_date FROM vault.staging.stg_identity__record"
        ).pl()
    frame = bridge.select("record_key", "person_key").join(identifiers, on="record_key")
    rows = []
    for column, plural in (("ssn", "ssns"), ("student_id_state", "student_ids"), ("birth_date", "birth_dates")):
        known = frame.filter(pl.col(column).is_not_null()).select("person_key", column).unique()
        persons = known.group_by("person_key").len()
        rows.append(
            _row(("", ""), f"over_merge_two_{plural}", persons.filter(pl.col("len") > 1).height, persons.height)
        )
        if column != "birth_date":
            numbers = known.group_by(column).len()
            rows.append(
                _row(("", ""), f"under_link_{plural}", numbers.filter(pl.col("len") > 1).height, numbers.height)
            )
    waiting = pl.read_parquet(settings.exchange / "link_not_determined.parquet")["record_key"].n_unique()
    conflicts = pl.read_parquet(settings.exchange / "identity_conflict.parquet").height
    rows.append(_row(("", ""), "not_determined", waiting, bridge.height))
    rows.append(_row(("", ""), "conflict", conflicts, bridge.height))
    return rows


def _truth_units(settings: Settings, bridge: pl.DataFrame) -> pl.DataFrame | None:
    """One row per record and true person behind it; None where no truth or nothing accepted is at hand."""
    truth_file = settings.truth / "record_truth.parquet"
    ledger_file = settings.evidence / "ledger_collection.parquet"
    if not truth_file.exists() or not ledger_file.exists():
        return None
    # Which file of its delivery an accepted row came from; a collection fed by several files cannot be told apart.
    files = (
        pl.read_parquet(ledger_file, columns=["delivery_id", "file_name", "collection"])
        .unique()
        .group_by("delivery_id", "collection")
        .agg(pl.col("file_name").first(), files=pl.len())
        .filter(pl.col("files") == 1)
    )
    frames = []
    for path in sorted(settings.accepted.glob("*/*.parquet")):
        if path.name == "_empty.parquet" or "record_key" not in pl.read_parquet_schema(path):
            continue
        frames.append(
            pl.read_parquet(
                path, columns=["record_key", "submitter", "package", "period", "delivery_id", "source_row"]
            ).with_columns(collection=pl.lit(path.parent.name))
        )
    if not frames:
        return None
    place = ["submitter", "package", "period", "file_name", "source_row"]
    truth = pl.read_parquet(truth_file)
    if "linkable_group" not in truth.columns:
        truth = truth.with_columns(linkable_group=pl.col("true_person_id"))
    joined = (
        pl.concat(frames)
        .join(files, on=["delivery_id", "collection"])
        .join(truth.select(*place, "true_person_id", "linkable_group"), on=place)
        .select("record_key", "true_person_id", "linkable_group")
        .unique()
    )
    # A record delivered in several contexts keeps the smallest group: its identifiers are the same in all of them.
    units = joined.group_by("record_key", "true_person_id").agg(pl.col("linkable_group").min())
    units = units.join(bridge.select("record_key", "person_key", "sector"), on="record_key")
    return units if units.height else None


def link_checks(settings: Settings, quality: pl.DataFrame, truth_is_known: bool) -> list[dict]:
    """One check result per sector pair and rate; the bar is policy (seeds/policy/check_threshold.csv).

    Without truth nobody can say how many links are right: precision and recall are then recorded as not applicable.
    """
    with (settings.seeds / "policy" / "check_threshold.csv").open(newline="") as handle:
        bars = {row["check_id"]: float(row["maximum_share"]) for row in csv.DictReader(handle)}
    rows = []
    if not truth_is_known:
        rows = [
            {
                "check_id": f"linkage.brg_record_person.{metric}",
                "layer": "linkage",
                "category": "linkage",
                "severity": "warn",
                "status": "not_applicable",
                "family": "",
                "message": "Whose records these are is known for a synthetic state only.",
            }
            for metric in RATES
        ]
    for a, b, metric, value, numerator, denominator in quality.iter_rows():
        if metric not in RATES and not metric.startswith(("over_", "under_")):
            continue
        rate = metric in RATES
        check_id = f"linkage.brg_record_person.{metric}"
        failing = denominator - numerator if rate else numerator
        bar = bars.get(check_id)
        if bar is None or not denominator:
            status = "not_applicable"
        else:
            status = "pass" if failing <= bar * denominator else "fail"
        between = f" between {a} and {b}" if a else ""
        shown = "none to judge" if value is None else f"{value:.4f}"
        limit = "no bar is set" if bar is None else f"bar {1 - bar if rate else bar:.4f}"
        rows.append(
            {
                "check_id": check_id,
                "layer": "linkage",
                "category": "linkage",
                "severity": "warn",
                "status": status,
                "failing_count": failing,
                "total_count": denominator,
                "family": "",
                "message": f"{metric.replace('_', ' ').capitalize()}{between}: {shown} ({limit}).",
            }
        )
    return rows
