"""How right the links are, by pair of sectors, student group and school year.

Belongs here: precision and recall where the truth is known (the synthetic state), on any data the counts that betray
errors (persons with two numbers, numbers in two persons, churn), who could be linked and who was, and the bars. Does
not belong here: estimates without truth (estimate.py) and mending errors (policy tiers, stewards).

A record is a distinct identifier tuple (record_key). Pairs of records are counted from group sizes, never listed.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from pipelines import planner
from pipelines.identity import estimate, wages
from pipelines.identity.linker.group import components
from pipelines.identity.policy import load_policy
from pipelines.identity.registry import read_bridge, write_exchange
from pipelines.identity.student_group import BREAKDOWNS, NOT_REPORTED, person_groups, used_years
from pipelines.identity.vault import open_vault
from pipelines.quality import check_result
from pipelines.registers import rows_in_force
from pipelines.settings import Settings

QUALITY = {
    "sector_a": pl.String,
    "sector_b": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "numerator": pl.Int64,
    "denominator": pl.Int64,
}

GROUP_QUALITY = {
    "sector_a": pl.String,
    "sector_b": pl.String,
    "school_year": pl.Int32,
    "breakdown_code": pl.String,
    "group_code": pl.String,
    "method": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "numerator": pl.Float64,
    "denominator": pl.Float64,
    "people": pl.Int64,
    "truth": pl.Float64,
}

RATES = ("precision", "recall_linkable")  # judged by sector pair, where the truth is known
WORST_GROUP = "recall_worst_group"  # the smallest recall_linkable of any student group
# Breakdowns by which links are judged; the other ones are crossings of these, or of too few people.
COUNTED = ("is_linkable", "is_linked", "is_waiting")


def measure_links(settings: Settings, build_id: str) -> pl.DataFrame:
    """Write and return exchange/link_quality.parquet: sector_a, sector_b, metric, value, numerator, denominator; write
    exchange/link_quality_group.parquet as well (see measure_groups).

    Metrics by sector pair, with truth: precision, recall_linkable, recall_all, linkable_share. By sector
    (sector_b empty): record_count, person_count, churn; over all (both empty): over_merge_* and under_link_*,
    not_determined, unlinkable, wage_*.
    value = numerator / denominator (null where the denominator is 0). Check results go to quality (source `linkage`).
    Raises FileNotFoundError when identity has not run.
    """
    bridge = read_bridge(settings)
    rows = _counts(bridge) + _suspicions(settings, bridge, build_id)
    units = _truth_units(settings, bridge)
    if units is not None:
        rows += pair_rates(units)
    quality = pl.DataFrame(rows, schema=QUALITY, orient="row").sort("metric", "sector_a", "sector_b")
    write_exchange(quality, settings.exchange / "link_quality.parquet")
    day = planner.day_of(build_id)
    groups = measure_groups(settings, bridge, units, day)
    write_exchange(groups, settings.exchange / "link_quality_group.parquet")
    checks = link_checks(settings, quality, units is not None, day) + group_checks(settings, groups, day)
    if units is not None:
        checks += share_checks(settings, linkable_shares(settings, units), day)
    check_result.record(settings, build_id, "linkage", checks)
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


def _suspicions(settings: Settings, bridge: pl.DataFrame, build_id: str) -> list[tuple]:
    """Persons with two numbers or birth dates, numbers in two persons, records that follow nobody or moved; counts."""
    with open_vault(settings) as con:
        identifiers = con.execute(
            "SELECT record_key, ssn, student_id_state, birth_date, ssn IS NULL AND student_id_state IS NULL AND NOT"
            " (given_name IS NOT NULL AND surname IS NOT NULL AND (birth_date IS NOT NULL OR birth_month IS NOT NULL"
            " OR postal_code IS NOT NULL)) AS is_unlinkable FROM vault.staging.stg_identity__record"
        ).pl()
        # Records whose person is another than before this build; a new record has no person to leave.
        moved = con.execute(
            "SELECT record_key FROM vault.person_link GROUP BY record_key HAVING arg_max(valid_from_build, link_number)"
            " = ? AND max(person_key) <> min(person_key) AND arg_max(person_key, link_number) <>"
            " arg_max(person_key, link_number) FILTER (valid_from_build <> ?)",
            [build_id, build_id],
        ).pl()
        known = con.execute(
            "SELECT DISTINCT record_key FROM vault.person_link WHERE valid_from_build <> ?", [build_id]
        ).pl()
        policy = load_policy(settings.seeds / "policy" / "identity_parameter.csv", planner.day_of(build_id))
        wage_rows = wages.clean_up(con, bridge, policy.surname_similarity)
    frame = bridge.select("record_key", "person_key").join(identifiers, on="record_key")
    rows = []
    for column, plural in (("ssn", "ssns"), ("student_id_state", "student_ids"), ("birth_date", "birth_dates")):
        stated = frame.filter(pl.col(column).is_not_null()).select("person_key", column).unique()
        persons = stated.group_by("person_key").len()
        rows.append(
            _row(("", ""), f"over_merge_two_{plural}", persons.filter(pl.col("len") > 1).height, persons.height)
        )
        if column != "birth_date":
            numbers = stated.group_by(column).len()
            rows.append(
                _row(("", ""), f"under_link_{plural}", numbers.filter(pl.col("len") > 1).height, numbers.height)
            )
    waiting = pl.read_parquet(settings.exchange / "link_not_determined.parquet")["record_key"].n_unique()
    conflicts = pl.read_parquet(settings.exchange / "identity_conflict.parquet").height
    rows.append(_row(("", ""), "not_determined", waiting, bridge.height))
    rows.append(_row(("", ""), "conflict", conflicts, bridge.height))
    rows.append(_row(("", ""), "unlinkable", int(identifiers["is_unlinkable"].sum()), identifiers.height))
    rows += [_row(("", ""), *row) for row in wage_rows]
    before = bridge.join(known, on="record_key", how="semi")
    for (sector,), own in before.group_by(["sector"]):
        rows.append(_row((sector, ""), "churn", own.join(moved, on="record_key", how="semi").height, own.height))
    return rows


# --- by student group and school year --------------------------------------------------------------------------
def measure_groups(settings: Settings, bridge: pl.DataFrame, units: pl.DataFrame | None, day: date) -> pl.DataFrame:
    """Link quality by sector pair x student group x school year, columns GROUP_QUALITY.

    units: as `pair_rates` takes them, with record_key; None without truth. Both sectors empty: all pairs together;
    school_year null: all years; breakdown 'all': everyone. Methods and metrics:
    count (people; sector_a is where they are in the year, sector_b where they are looked for): linkable of all,
    linked and not_determined of the linkable; truth (pairs of records): precision, recall_linkable, linkable_share;
    hidden_ssn, hidden_student_id, capture_recapture, clerical_sample, model: precision and recall as `estimate` makes
    them, `truth` beside where it is known. The year of a pair is the first in which both of its records are used. A
    pair of two groups counts in both. Estimates by year are of all sectors together.
    """
    from pipelines.intake.views import active_files

    used = used_years(active_files(settings), bridge)
    groups, profiles = _profiles(person_groups(settings, bridge.select("record_key", "person_key"), used))
    frames = [_by_group(_people(settings, used, bridge, groups), profiles, ["numerator", "denominator"])]
    first_year = used.group_by("record_key").agg(pl.col("school_year").min())
    records = (
        bridge.select("record_key", "person_key")
        .join(groups, on="person_key", how="left")
        .join(first_year, on="record_key", how="left")
        .with_columns(pl.col("profile").fill_null(-1))
    )
    truth = pl.DataFrame(schema={"record_key": pl.Int64, "true_person_id": pl.Int64})
    if units is not None:
        truth = units.sort("true_person_id").unique("record_key", keep="first").select("record_key", "true_person_id")
        # The groups of a true person are those that its K-12 records have, whomever they were linked to.
        own = (
            truth.join(records.filter(pl.col("profile") >= 0), on="record_key")
            .join(bridge.filter(pl.col("sector") == "k12").select("record_key"), on="record_key", how="semi")
            .group_by("true_person_id")
            .agg(pl.col("profile").min())
        )
        pairs = _true_pairs(
            units.join(own, on="true_person_id", how="left")
            .join(first_year, on="record_key", how="left")
            .with_columns(pl.col("profile").fill_null(-1))
        )
        frames.append(_by_group(pairs, profiles, ["numerator", "denominator"]))
    with open_vault(settings) as con:
        most = int(measure_policy(settings, day)["estimate_records"])
        sums = estimate.estimates(con, settings, records.join(truth, on="record_key", how="left"), most, day)
    if sums.height:
        estimated = _by_group(sums, profiles, list(estimate.SUMS), totals=False)
        needed = measure_policy(settings, day)["judgements_needed"]
        frames.append(
            estimate.rates(estimated).with_columns(
                pl.when((pl.col("method") != "clerical_sample") | (pl.col("people") >= needed))
                .then(pl.col("value", "low", "high"))
                .name.keep()
            )
        )
    found = pl.concat([*frames, pl.DataFrame(schema=GROUP_QUALITY)], how="diagonal_relaxed")
    share = pl.when(pl.col("denominator") > 0).then(pl.col("numerator") / pl.col("denominator"))
    exact = pl.col("method").is_in(("count", "truth"))
    return (
        found.with_columns(value=pl.when(exact).then(share).otherwise(pl.col("value")))
        .select(*GROUP_QUALITY)
        .cast(GROUP_QUALITY)
        .sort("method", "metric", "sector_a", "sector_b", "school_year", "breakdown_code", "group_code")
    )


def measure_policy(settings: Settings, day: date) -> dict[str, float]:
    """Parameter -> number of seeds/policy/link_measure.csv, as it stands on a day."""
    path = settings.seeds / "policy" / "link_measure.csv"
    return {row["parameter"]: float(row["value"]) for _, row in rows_in_force(path, "parameter", day)}


def _profiles(groups: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(person_key, profile), and profile with its groups: pairs are counted once for each combination of groups."""
    profiles = groups.select(BREAKDOWNS).unique().sort(BREAKDOWNS).with_row_index("profile")
    profiles = profiles.with_columns(pl.col("profile").cast(pl.Int64))
    nobody = pl.DataFrame({"profile": [-1], **dict.fromkeys(BREAKDOWNS, NOT_REPORTED)})
    return (
        groups.join(profiles, on=BREAKDOWNS).select("person_key", "profile"),
        pl.concat([profiles, nobody], how="vertical_relaxed"),
    )


def _by_group(counted: pl.DataFrame, profiles: pl.DataFrame, sums: list[str], totals: bool = True) -> pl.DataFrame:
    """Sums over profiles as sums over the groups of each breakdown; with `totals` also over all years and all sectors.

    counted: sector_a, sector_b, school_year, method, metric, profile, profile_b and the sums.
    """
    key = ["sector_a", "sector_b", "school_year", "method", "metric"]
    if totals:
        every = pl.lit(None, pl.Int32).alias("school_year")
        nowhere = [pl.lit("").alias("sector_a"), pl.lit("").alias("sector_b")]
        # People are counted once over the years by who counts them; pairs have one year, so that years add up.
        pairs = counted.filter(pl.col("method") != "count")
        counted = pl.concat(
            [counted, pairs.with_columns(every), pairs.with_columns(nowhere), pairs.with_columns(every, *nowhere)]
        )
    counted = counted.group_by(*key, "profile", "profile_b").agg(pl.col(sums).sum())
    whole = counted.group_by(key).agg(pl.col(sums).sum())
    frames = [whole.with_columns(breakdown_code=pl.lit("all"), group_code=pl.lit("all"))]
    for breakdown in BREAKDOWNS:
        group = profiles.select("profile", group_code=breakdown)
        both = counted.join(group, on="profile").join(
            group.rename({"profile": "profile_b", "group_code": "group_b"}), on="profile_b"
        )
        second = both.filter(pl.col("group_code") != pl.col("group_b")).with_columns(group_code="group_b")
        frames.append(
            pl.concat([both, second])
            .group_by(*key, "group_code")
            .agg(pl.col(sums).sum())
            .with_columns(breakdown_code=pl.lit(breakdown))
        )
    return pl.concat(frames, how="diagonal")


def _people(settings: Settings, used: pl.DataFrame, bridge: pl.DataFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """People by sector and year who can be linked to another sector, were linked, or are not determined.

    A person can be linked to a sector that knows Social Security numbers when one is on any of the person's records,
    and to one that knows birth dates when one is on any; whoever is linked could be.
    """
    with open_vault(settings) as con:
        known = con.execute(
            "SELECT record_key, ssn IS NOT NULL AS has_ssn, birth_month IS NOT NULL AS has_birth"
            " FROM vault.staging.stg_identity__record"
        ).pl()
    records = bridge.select("record_key", "person_key", "sector").join(known, on="record_key")
    flags = pl.col("has_ssn", "has_birth").any()
    person = records.group_by("person_key").agg(flags, sectors=pl.col("sector").unique().sort().str.join(";"))
    collected = records.group_by(sector_b="sector").agg(flags.name.prefix("collects_"))
    review = pl.read_parquet(settings.exchange / "link_not_determined.parquet")
    waiting = (
        wages.not_determined(bridge, review)["person_key"]
        if "candidate_person_key" in review.columns
        else pl.Series(dtype=pl.Int64)
    )
    where = used.join(bridge.select("record_key", "person_key"), on="record_key").rename({"sector": "sector_a"})
    every = pl.lit(None, pl.Int32).alias("school_year")
    where = pl.concat(
        [
            where.select("person_key", "sector_a", "school_year"),
            where.select("person_key", "sector_a", every),
        ]
    ).unique()
    linked = pl.col("sectors").str.split(";").list.contains(pl.col("sector_b"))
    alike = ["sector_a", "school_year", "profile", "sectors", "has_ssn", "has_birth", "is_waiting"]
    sought = (
        where.join(person, on="person_key")
        .join(groups, on="person_key", how="left")
        .with_columns(pl.col("profile").fill_null(-1), is_waiting=pl.col("person_key").is_in(waiting.implode()))
        .group_by(alike)
        .agg(people=pl.len())
        .join(collected, how="cross")
        .filter(pl.col("sector_a") != pl.col("sector_b"))
        .with_columns(
            is_linked=linked,
            is_linkable=linked
            | (pl.col("has_ssn") & pl.col("collects_has_ssn"))
            | (pl.col("has_birth") & pl.col("collects_has_birth")),
            is_waiting=(pl.col("sector_b") == "workforce") & pl.col("is_waiting"),
        )
        .group_by("sector_a", "sector_b", "school_year", "profile")
        .agg(pl.col("people").sum(), *((pl.col(name) * pl.col("people")).sum() for name in COUNTED))
        .with_columns(profile_b="profile", method=pl.lit("count"))
    )
    counted = [
        sought.select(
            "sector_a", "sector_b", "school_year", "method", "profile", "profile_b",
            metric=pl.lit(metric), numerator=pl.col(above).cast(pl.Float64), denominator=pl.col(below).cast(pl.Float64),
        )
        for metric, above, below in (
            ("linkable", "is_linkable", "people"),
            ("linked", "is_linked", "is_linkable"),
            ("not_determined", "is_waiting", "is_linkable"),
        )
    ]  # fmt: skip
    return pl.concat(counted)


def _true_pairs(units: pl.DataFrame) -> pl.DataFrame:
    """Pairs found, true and linkable by sector pair, year and the profiles of both records' true persons."""
    key = ["sector_a", "sector_b", "school_year", "profile", "profile_b"]
    counts = {
        name: _profile_pairs(units, group).rename({"pairs": name})
        for name, group in (
            ("found", ["person_key"]),
            ("true", ["true_person_id"]),
            ("linkable", ["true_person_id", "linkable_group"]),
            ("found_true", ["person_key", "true_person_id"]),
            ("found_linkable", ["person_key", "true_person_id", "linkable_group"]),
        )
    }
    joined = counts.pop("found")
    for frame in counts.values():
        joined = joined.join(frame, on=key, how="full", coalesce=True, nulls_equal=True)
    joined = joined.with_columns(pl.exclude(key).fill_null(0).cast(pl.Float64))
    return pl.concat(
        [
            joined.select(*key, method=pl.lit("truth"), metric=pl.lit(metric), numerator=above, denominator=below)
            for metric, above, below in (
                ("precision", "found_true", "found"),
                ("recall_linkable", "found_linkable", "linkable"),
                ("linkable_share", "linkable", "true"),
            )
        ]
    )


def _profile_pairs(units: pl.DataFrame, group: list[str]) -> pl.DataFrame:
    """Unordered pairs of records in the same group, counted from sizes: a sector's own pairs and those of two."""
    cell = ["sector", "school_year", "profile"]
    sizes = units.group_by(*group, *cell).agg(n=pl.len().cast(pl.Int64)).with_row_index("cell")
    joined = sizes.join(sizes, on=group, suffix="_b").filter(
        (pl.col("sector") < pl.col("sector_b"))
        | ((pl.col("sector") == pl.col("sector_b")) & (pl.col("cell") <= pl.col("cell_b")))
    )
    return (
        joined.select(
            sector_a="sector",
            sector_b="sector_b",
            school_year=pl.max_horizontal("school_year", "school_year_b"),
            profile="profile",
            profile_b="profile_b",
            pairs=pl.when(pl.col("cell") == pl.col("cell_b"))
            .then(pl.col("n") * (pl.col("n") - 1) // 2)
            .otherwise(pl.col("n") * pl.col("n_b")),
        )
        .group_by("sector_a", "sector_b", "school_year", "profile", "profile_b")
        .agg(pl.col("pairs").sum())
        .filter(pl.col("pairs") > 0)
    )


# --- the linkable share, computed from what was delivered ----------------------------------------------------------
def linkable_shares(settings: Settings, units: pl.DataFrame) -> pl.DataFrame:
    """sector_a, sector_b, own, generator: the share of people with records in both sectors who can be linked.

    Own: from the identifiers as delivered and the true person, by the definition alone: a path of the person's records
    in which each step shares a number, or two of name, birth date and ZIP with the name among them. Errors are not to
    count, so that numbers, dates and names that differ by a slip are the same. Generator: linkable.parquet, from
    before the errors. A pair of sectors without people has no row.
    """
    with open_vault(settings) as con:
        con.register("unit", units.select("record_key", "true_person_id").unique().to_arrow())
        nodes = con.execute(
            "SELECT unit.true_person_id, record.* FROM unit JOIN vault.staging.stg_identity__record AS record"
            " USING (record_key) ORDER BY unit.true_person_id, record.record_key"
        ).pl()
        con.register("node", nodes.with_row_index("node").to_arrow())
        slip = "damerau_levenshtein(a.{0}, b.{0}) <= 1"
        edges = con.execute(
            "SELECT a.node AS a, b.node AS b FROM node AS a JOIN node AS b ON a.true_person_id = b.true_person_id"
            " AND a.node < b.node WHERE "
            + slip.format("ssn")
            + " OR "
            + slip.format("student_id_state")
            + " OR (a.sector = b.sector AND a.local_id_issuer = b.local_id_issuer AND a.local_id = b.local_id)"
            " OR ((a.given_root = b.given_root OR a.given_initial = b.given_initial"
            "   OR jaro_winkler_similarity(a.given_name, b.given_name) >= 0.8)"
            "  AND (list_has_any(a.surname_tokens, b.surname_tokens)"
            "   OR jaro_winkler_similarity(a.surname, b.surname) >= 0.8)"
            "  AND (a.birth_month IS NOT NULL AND b.birth_month IS NOT NULL OR a.postal_code = b.postal_code))"
        ).fetchnumpy()
    nodes = nodes.with_columns(linkable_group=pl.Series(components(nodes.height, edges["a"], edges["b"])))
    own = _shared_people(nodes.select("sector", "true_person_id", "linkable_group").unique())
    generator = pl.read_parquet(settings.truth / "linkable.parquet").with_columns(
        generator=pl.col("linkable_count") / pl.col("person_count")
    )
    return own.join(generator, on=["sector_a", "sector_b"]).select(
        "sector_a", "sector_b", "own", "generator", people="person_count"
    )


def _shared_people(nodes: pl.DataFrame) -> pl.DataFrame:
    """Share of people with nodes in both sectors who have a linkable group with nodes in both."""
    pairs = nodes.join(nodes, on="true_person_id", suffix="_b").filter(pl.col("sector") < pl.col("sector_b"))
    return (
        pairs.group_by(sector_a="sector", sector_b="sector_b", true_person_id="true_person_id")
        .agg(is_linkable=(pl.col("linkable_group") == pl.col("linkable_group_b")).any())
        .group_by("sector_a", "sector_b")
        .agg(own=pl.col("is_linkable").mean())
        .sort("sector_a", "sector_b")
    )


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
    paths = [
        path
        for path in sorted(settings.accepted.glob("*/*.parquet"))
        if path.name != "_empty.parquet" and "record_key" in pl.read_parquet_schema(path)
    ]
    if not paths:
        return None
    truth = pl.read_parquet(truth_file)
    if "linkable_group" not in truth.columns:
        truth = truth.with_columns(linkable_group=pl.col("true_person_id"))
    place = ["submitter", "package", "period", "file_name"]
    told = truth.select(*place, "source_row", "true_person_id", "linkable_group").partition_by(
        place, as_dict=True, include_key=False
    )
    file_name = {(delivery, collection): name for delivery, collection, name, _ in files.iter_rows()}
    # File by file, because a large state's rows do not fit side by side.
    found = [
        truth.clear().select(
            record_key=pl.lit(0, pl.Int64), true_person_id="true_person_id", linkable_group="linkable_group"
        )
    ]
    for path in paths:
        rows = pl.read_parquet(path, columns=["record_key", "source_row", "submitter", "package", "period"])
        of = (*rows.select("submitter", "package", "period").row(0), file_name.get((path.stem, path.parent.name)))
        if of in told:
            found.append(
                rows.join(told[of], on="source_row").select("record_key", "true_person_id", "linkable_group").unique()
            )
    joined = pl.concat(found).unique()
    # A record delivered in several contexts keeps the smallest group: its identifiers are the same in all of them.
    units = joined.group_by("record_key", "true_person_id").agg(pl.col("linkable_group").min())
    units = units.join(bridge.select("record_key", "person_key", "sector"), on="record_key")
    return units if units.height else None


def link_checks(settings: Settings, quality: pl.DataFrame, truth_is_known: bool, day: date) -> list[dict]:
    """One check result per sector pair and rate; the bar is the policy of `day` (check_threshold.csv).

    Without truth nobody can say how many links are right: precision and recall are then recorded as not applicable.
    """
    bars = _bars(settings, day)
    rows = []
    if not truth_is_known:
        rows = [
            _check(metric, "not_applicable", "Whose records these are is known for a synthetic state only.")
            for metric in RATES
        ]
    for a, b, metric, value, numerator, denominator in quality.iter_rows():
        if metric not in RATES and not metric.startswith(("over_", "under_")):
            continue
        rate = metric in RATES
        failing = denominator - numerator if rate else numerator
        bar = bars.get(_check_id(metric))
        if bar is None or not denominator:
            status = "not_applicable"
        else:
            status = "pass" if failing <= bar * denominator else "fail"
        between = f" between {a} and {b}" if a else ""
        shown = "none to judge" if value is None else f"{value:.4f}"
        limit = "no bar is set" if bar is None else f"bar {1 - bar if rate else bar:.4f}"
        message = f"{metric.replace('_', ' ').capitalize()}{between}: {shown} ({limit})."
        rows.append(_check(metric, status, message, failing, denominator))
    return rows


def worst_group(settings: Settings, groups: pl.DataFrame, day: date) -> dict | None:
    """The student group whose names link worst: the row of `groups` (GROUP_QUALITY) with the smallest share of pairs
    found, over all sectors and years; None where no group has enough pairs.

    Judged by truth where it is known, otherwise by what names alone find of the pairs that a hidden Social Security
    number or state student id proves. `not_reported` is no group.
    """
    needed = measure_policy(settings, day)["group_pairs_needed"]
    rows = groups.filter(
        (pl.col("sector_a") == "")
        & pl.col("school_year").is_null()
        & (pl.col("breakdown_code") != "all")
        & (pl.col("group_code") != NOT_REPORTED)
        & (pl.col("denominator") >= needed)
    )
    for method, metric in (("truth", "recall_linkable"), ("hidden_ssn", "recall"), ("hidden_student_id", "recall")):
        own = rows.filter((pl.col("method") == method) & (pl.col("metric") == metric))
        if own.height:
            return own.sort("value", "breakdown_code", "group_code").row(0, named=True)
    return None


def group_checks(settings: Settings, groups: pl.DataFrame, day: date) -> list[dict]:
    """Whether the student group that links worst reaches the bar of the policy; named in the message."""
    worst = worst_group(settings, groups, day)
    if worst is None or worst["method"] != "truth":
        message = "No student group has enough pairs whose truth is known."
        return [_check(WORST_GROUP, "not_applicable", message)]
    bar = _bars(settings, day).get(_check_id(WORST_GROUP))
    total = int(worst["denominator"])
    failing = total - int(worst["numerator"])
    status = "not_applicable" if bar is None else "pass" if failing <= bar * total else "fail"
    limit = "no bar is set" if bar is None else f"bar {1 - bar:.4f}"
    message = (
        f"Of all student groups, links of {worst['group_code']} ({worst['breakdown_code']}) are found least: "
        f"{worst['value']:.4f} ({limit})."
    )
    return [_check(WORST_GROUP, status, message, failing, total)]


def share_checks(settings: Settings, shares: pl.DataFrame, day: date) -> list[dict]:
    """Whether the linkable share computed from the deliveries is the generator's own, by sector pair.

    shares: sector_a, sector_b, own, generator, people.
    """
    bar = _bars(settings, day).get(_check_id("linkable_share"))
    rows = []
    for a, b, own, generator, people in shares.select("sector_a", "sector_b", "own", "generator", "people").iter_rows():
        apart = abs(own - generator)
        # One person more or less is no difference of method, however few there are.
        near = bar is not None and apart <= max(bar, 1.5 / people) + 1e-9
        status = "not_applicable" if bar is None else "pass" if near else "fail"
        message = (
            f"Linkable share between {a} and {b}: {own:.4f} by the deliveries, {generator:.4f} by the generator "
            f"({'no bar is set' if bar is None else f'at most {bar:.4f} apart'})."
        )
        rows.append(_check("linkable_share", status, message, round(apart * people), people))
    return rows


def _bars(settings: Settings, day: date) -> dict[str, float]:
    """Check id -> the share that may fail, of the checks that the policy names in full."""
    path = settings.seeds / "policy" / "check_threshold.csv"
    return {row["check_id"]: float(row["maximum_share"]) for _, row in rows_in_force(path, "check_id", day)}


def _check_id(metric: str) -> str:
    return f"linkage.brg_record_person.{metric}"


def _check(metric: str, status: str, message: str, failing: int | None = None, total: int | None = None) -> dict:
    counts = {} if total is None else {"failing_count": failing, "total_count": total}
    return {
        "check_id": _check_id(metric),
        "layer": "linkage",
        "category": "linkage",
        "severity": "warn",
        "status": status,
        "family": "",
        "message": message,
        **counts,
    }
