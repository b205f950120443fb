"""How wrong the links are where nobody knows the truth: estimates by design, each with an interval.

Belongs here: leaving one identifier out and judging by it, capture-recapture between numbers and names, the clerical
sample and its estimator, and the model's own account. Does not belong here: what truth tells (measure.py), the tool
with which a steward judges a sample, and mending anything.

A pair is two records of `vault.staging.stg_identity__record`. Wage records have no birth date and link through one
number alone, so that no estimate but the clerical one speaks of them.
"""

from __future__ import annotations

import math
from datetime import date

import duckdb
import polars as pl

from pipelines import planner
from pipelines.identity import registry, student_group
from pipelines.identity.policy import tier_weights
from pipelines.settings import Settings

Z = 1.959964  # of a 95% interval
LARGEST_GROUP = 100  # records with one number; more are a placeholder or a shelter, and prove nobody

ESTIMATE = {
    "sector_a": pl.String,
    "sector_b": pl.String,
    "school_year": pl.Int32,
    "profile": pl.Int64,
    "profile_b": pl.Int64,
    "method": pl.String,
    "metric": pl.String,
}
# Sums over pairs from which `rates` makes every estimate; a few groups' sums add up to those of a larger one.
SUMS = ("numerator", "denominator", "first", "second", "both", "people", "true_numerator", "true_denominator")

SAMPLE = {
    "record_key_a": pl.Int64,
    "record_key_b": pl.Int64,
    "stratum": pl.String,
    "is_linked": pl.Boolean,
    "inclusion_probability": pl.Float64,
}


def wilson(share: float, trials: float) -> tuple[float, float]:
    """The 95% interval of a share seen in `trials` independent trials; (0, 1) where there were none."""
    if trials <= 0:
        return 0.0, 1.0
    spread = Z * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials))
    middle, scale = share + Z * Z / (2 * trials), 1 + Z * Z / trials
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def chapman(first: int, second: int, both: int, pairs_per_person: float = 1.0) -> tuple[float, float, float]:
    """How many there are, low and high (95%), when one list found `first`, another `second`, and `both` are on both.

    Chapman's estimator. What neither list has is taken as log-normal, so that the low end never falls below what was
    found. Pairs of one person are no independent catches: variance grows by `pairs_per_person`.
    """
    total = (first + 1) * (second + 1) / (both + 1) - 1
    found = first + second - both
    variance = (first + 1) * (second + 1) * (first - both) * (second - both) / ((both + 1) ** 2 * (both + 2))
    unseen = max(total - found, 0.0)
    if unseen == 0 or variance == 0:
        # One list holds all of the other: how sure it finds, the smaller list tells as so many trials without a miss.
        smaller = min(first, second)
        least = wilson(both / smaller, smaller / pairs_per_person)[0] if smaller else 0.0
        return total, float(found), found / least if least > 0 else math.inf
    spread = math.exp(Z * math.sqrt(math.log(1 + variance * pairs_per_person / unseen**2)))
    # Pairs come whole: less than one that is unseen may be none.
    return total, float(found + math.floor(unseen / spread)), float(found + math.ceil(unseen * spread))


def estimates(
    con: duckdb.DuckDBPyConnection, settings: Settings, units: pl.DataFrame, most: int, day: date
) -> pl.DataFrame:
    """Sums of every method by sector pair and by school year, for profiles of student groups.

    con: an open vault after identity. units: record_key, person_key, profile (a number for a combination of student
    groups), school_year (the first in which the record is used) and true_person_id (null where unknown), one row a
    record. At most about `most` records are compared with all others: a sample by record, the same every night.
    day: whose policy counts.
    Returns ESTIMATE and SUMS. `people`: the persons behind the pairs. `true_*`: what the truth says of the same sum,
    null where it is unknown. `first`, `second`, `both`: the two lists of capture-recapture; elsewhere `first` is the
    sum of squared weights of a clerical sample, `second` the numerator if a hidden number that speaks against what all
    evidence joined is itself the error. Both sectors empty: all pairs of sectors together; school_year null: all years.
    `rates` turns rows into shares.
    """
    con.register("measured_unit", units.to_arrow())
    try:
        _compared(con, max(1, math.ceil(units.height / max(most, 1))))
        frames = [_captured(con, dimensions) for dimensions in ("sectors", "years", "whole")]
        frames += [_model(con, settings, dimensions, day) for dimensions in ("sectors", "whole")]
        frames += [_clerical(con, dimensions) for dimensions in ("sectors", "whole")]
    finally:
        con.unregister("measured_unit")
        con.execute("DROP TABLE IF EXISTS temp.compared; DROP TABLE IF EXISTS temp.measured")
    return pl.concat([frame for frame in frames if frame.height] or [_nothing()], how="vertical_relaxed")


def rates(sums: pl.DataFrame) -> pl.DataFrame:
    """value, low, high, truth beside rows of SUMS of any grouping: shares from 0 to 1, null without evidence."""
    rows = []
    for row in sums.iter_rows(named=True):
        value = low = high = None
        if row["method"] == "capture_recapture" and row["both"]:
            sizes = chapman(
                row["first"], row["second"], row["both"], max(1.0, row["denominator"] / max(row["people"], 1))
            )
            # What anything found is there: links by other evidence than the two lists too.
            total, least, most = (max(size, row["denominator"]) for size in sizes)
            value, low, high = (min(1.0, row["numerator"] / size) for size in (total, most, least))
        elif row["method"] != "capture_recapture" and row["denominator"]:
            value = min(1.0, row["numerator"] / row["denominator"])
            if row["method"] != "model":  # the model's own account has no interval: it knows of no error of its own
                trials = min(row["people"], row["denominator"])
                if row["method"] == "clerical_sample":  # Kish: as many even judgements as these are worth
                    trials = row["denominator"] ** 2 / row["first"]
                low, high = wilson(value, trials)
                if row["method"].startswith("hidden_"):
                    high = wilson(max(value, min(1.0, row["second"] / row["denominator"])), trials)[1]
        truth = row["true_numerator"] / row["true_denominator"] if row["true_denominator"] else None
        rows.append({"value": value, "low": low, "high": high, "truth": truth})
    schema = dict.fromkeys(("value", "low", "high", "truth"), pl.Float64)
    return sums.with_columns(pl.DataFrame(rows, schema=schema).get_columns())


# --- pairs by numbers, by names, by person and by truth ------------------------------------------------------------
def _compared(con: duckdb.DuckDBPyConnection, one_of: int) -> None:
    """Table compared: one row a pair of records that carry full name and birth date, with who says that it is one
    person: its numbers, its names, the registry, the truth.

    A pair is in the sample when the one of its records that comes first in the order of hashes is.
    """
    con.execute(
        "CREATE OR REPLACE TEMP TABLE measured AS SELECT record.record_key, record.sector, record.ssn,"
        " record.student_id_state, record.given_root, record.surname_tokens, record.birth_date, record.postal_code,"
        " record.middle_initial, record.sex_code, record.name_suffix, unit.person_key, unit.profile, unit.school_year,"
        " unit.true_person_id, hash(record.record_key::TEXT || '|estimate') AS place"
        " FROM vault.staging.stg_identity__record AS record JOIN measured_unit AS unit USING (record_key)"
        " WHERE record.sector <> 'workforce' AND record.given_root IS NOT NULL AND record.surname IS NOT NULL"
        " AND record.birth_date IS NOT NULL"
    )
    order = f"x.place < y.place AND x.place % {one_of} = 0"
    common = (
        f"{order} AND (x.sex_code IS NULL OR y.sex_code IS NULL OR x.sex_code = y.sex_code)"
        " AND (x.name_suffix IS NULL OR y.name_suffix IS NULL OR x.name_suffix = y.name_suffix)"
    )
    by_number = " UNION ALL ".join(
        f"SELECT x.record_key AS a, y.record_key AS b, 'number' AS how FROM measured AS x JOIN measured AS y"
        f" ON x.{number} = y.{number} AND {order} WHERE x.{number} NOT IN"
        f" (SELECT {number} FROM measured WHERE {number} IS NOT NULL GROUP BY 1 HAVING count(*) > {LARGEST_GROUP})"
        for number in ("ssn", "student_id_state")
    )
    # Names, birth date and ZIP only; a number that speaks against a pair is heard by the judge, not here.
    by_name = (
        "SELECT x.record_key, y.record_key, 'name' FROM token AS x JOIN token AS y ON x.given_root = y.given_root"
        f" AND x.word = y.word AND x.birth_date = y.birth_date AND {common} AND (x.postal_code = y.postal_code"
        " OR x.middle_initial IS NULL OR y.middle_initial IS NULL OR x.middle_initial = y.middle_initial)"
        " UNION ALL SELECT x.record_key, y.record_key, 'name' FROM measured AS x JOIN measured AS y"
        " ON x.given_root = y.given_root AND x.birth_date = y.birth_date AND x.postal_code = y.postal_code"
        f" AND x.middle_initial = y.middle_initial AND {common}"
    )
    by_whole = " UNION ALL ".join(
        f"SELECT x.record_key, y.record_key, '{how}' FROM measured AS x JOIN measured AS y ON x.{key} = y.{key}"
        f" AND {order}"
        for key, how in (("person_key", "person"), ("true_person_id", "truth"))
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE compared AS WITH token AS (SELECT *, unnest(surname_tokens) AS word FROM"
        f" measured), said AS ({by_number} UNION ALL {by_name} UNION ALL {by_whole}),"
        " pair AS (SELECT a, b, bool_or(how = 'name') AS is_name, bool_or(how = 'person') AS is_found,"
        " bool_or(how = 'truth') AS is_true FROM said GROUP BY a, b)"
        " SELECT pair.*, least(x.sector, y.sector) AS sector_a, greatest(x.sector, y.sector) AS sector_b,"
        " greatest(x.school_year, y.school_year) AS school_year, x.profile, y.profile AS profile_b, x.person_key,"
        " x.ssn IS NOT NULL AND y.ssn IS NOT NULL AS has_ssn,"
        " x.student_id_state IS NOT NULL AND y.student_id_state IS NOT NULL AS has_student_id,"
        " coalesce(damerau_levenshtein(x.ssn, y.ssn) <= 1, false) AS is_ssn,"
        " coalesce(x.student_id_state = y.student_id_state, false) AS is_student_id,"
        # A number that a stranger typed is no catch: something else of the two has to agree.
        " (coalesce(x.ssn = y.ssn, false) OR coalesce(x.student_id_state = y.student_id_state, false)) AND"
        " (x.birth_date = y.birth_date OR x.given_root = y.given_root"
        " OR list_has_any(x.surname_tokens, y.surname_tokens)) AS is_number,"
        # Two different valid numbers of one kind, and no agreement of another.
        " (coalesce(damerau_levenshtein(x.ssn, y.ssn) > 1, false)"
        " OR coalesce(x.student_id_state <> y.student_id_state, false))"
        " AND NOT coalesce(damerau_levenshtein(x.ssn, y.ssn) <= 1, false)"
        " AND NOT coalesce(x.student_id_state = y.student_id_state, false) AS is_contradicted,"
        " x.true_person_id IS NOT NULL AND y.true_person_id IS NOT NULL AS is_known"
        " FROM pair JOIN measured AS x ON pair.a = x.record_key JOIN measured AS y ON pair.b = y.record_key"
    )


_DIMENSIONS = {
    "sectors": "sector_a, sector_b, NULL::INTEGER AS school_year",
    "years": "'' AS sector_a, '' AS sector_b, school_year",
    "whole": "'' AS sector_a, '' AS sector_b, NULL::INTEGER AS school_year",
}


def _captured(con: duckdb.DuckDBPyConnection, dimensions: str) -> pl.DataFrame:
    """Sums of the methods that compare what numbers say with what names say."""
    parts = []
    # The judge errs too. Where all evidence together joins, another Social Security number may be a wrong one; a second
    # state student id is routine, so that it proves nobody two people and only the low end of precision is told.
    for number, doubt in (("ssn", "is_found"), ("student_id", "true")):
        within = f"has_{number}"
        for metric, chosen, agreed, true_chosen, true_agreed, doubted in (
            ("recall", f"is_{number}", "is_name", "is_true", "is_name", "false"),
            ("precision", "is_name", f"is_{number}", "is_name", "is_true", doubt),
        ):
            parts.append(
                _sum(
                    f"hidden_{number}",
                    metric,
                    f"count(*) FILTER ({chosen} AND {agreed})",
                    f"count(*) FILTER ({chosen})",
                    ("0", f"count(*) FILTER ({chosen} AND ({agreed} OR {doubted}))", "0"),
                    f"count(DISTINCT person_key) FILTER ({chosen})",
                    f"count(*) FILTER ({true_chosen} AND {true_agreed} AND is_known)",
                    f"count(*) FILTER ({true_chosen} AND is_known)",
                    within,
                )
            )
    parts.append(
        _sum(
            "capture_recapture",
            "recall",
            "count(*) FILTER (is_found)",
            "count(*) FILTER (is_number OR is_name OR is_found)",
            ("count(*) FILTER (is_number)", "count(*) FILTER (is_name)", "count(*) FILTER (is_number AND is_name)"),
            "count(DISTINCT person_key) FILTER (is_number OR is_name OR is_found)",
            "count(*) FILTER (is_true AND is_found AND is_known)",
            "count(*) FILTER (is_true AND is_known)",
            # Two different valid numbers are names that agree by accident, or a second number: no pair to catch.
            "(has_ssn OR has_student_id) AND NOT is_contradicted",
        )
    )
    return con.execute(
        " UNION ALL ".join(
            f"SELECT {_DIMENSIONS[dimensions]}, profile, profile_b, {sums} FROM compared WHERE {within} GROUP BY ALL"
            for sums, within in parts
        )
    ).pl()


def _sum(method, metric, numerator, denominator, lists, people, true_numerator, true_denominator, within):
    first, second, both = lists
    return (
        f"'{method}' AS method, '{metric}' AS metric, ({numerator})::DOUBLE AS numerator,"
        f" ({denominator})::DOUBLE AS denominator, {first} AS first, {second} AS second, {both} AS both,"
        f" {people} AS people, {true_numerator} AS true_numerator, {true_denominator} AS true_denominator",
        within,
    )


# --- what the model says of itself ----------------------------------------------------------------------------------
def _model(con: duckdb.DuckDBPyConnection, settings: Settings, dimensions: str, day: date) -> pl.DataFrame:
    """Expected shares by the weights alone: right pairs among those joined, joined ones among right pairs."""
    weights = tier_weights(settings.seeds / "policy" / "match_tier.csv", day)
    con.register("tier_weight", pl.DataFrame({"tier": list(weights), "weight": list(weights.values())}).to_arrow())
    try:
        return con.execute(
            "WITH evidence AS (SELECT record_key_a AS a, record_key_b AS b, max(weight) AS weight FROM ("
            " SELECT record_key_a, record_key_b, tier_weight.weight FROM vault.linkage.int_linkage__pair AS pair"
            " JOIN tier_weight ON CAST(pair.tier AS BIGINT) = tier_weight.tier UNION ALL"
            " SELECT record_key_a, record_key_b, weight FROM vault.pair_score) GROUP BY a, b),"
            " judged AS (SELECT least(ra.sector, rb.sector) AS sector_a, greatest(ra.sector, rb.sector) AS sector_b,"
            " greatest(ua.school_year, ub.school_year) AS school_year, ua.profile, ub.profile AS profile_b,"
            " ua.person_key = ub.person_key AS is_found, ua.true_person_id = ub.true_person_id AS is_true,"
            # Beyond these the power of two says nothing more.
            " 1 / (1 + pow(2, -greatest(least(evidence.weight, 60), -60))) AS probability"
            " FROM evidence JOIN measured_unit AS ua ON evidence.a = ua.record_key"
            " JOIN measured_unit AS ub ON evidence.b = ub.record_key"
            " JOIN vault.staging.stg_identity__record AS ra ON evidence.a = ra.record_key"
            " JOIN vault.staging.stg_identity__record AS rb ON evidence.b = rb.record_key)"
            + " UNION ALL ".join(
                f" SELECT {_DIMENSIONS[dimensions]}, profile, profile_b, 'model' AS method, '{metric}' AS metric,"
                " coalesce(sum(probability) FILTER (is_found), 0) AS numerator,"
                f" coalesce({denominator}, 0)::DOUBLE AS denominator, 0 AS first, 0 AS second, 0 AS both, count(*) AS"
                " people, count(*) FILTER (is_found AND is_true) AS true_numerator,"
                f" count(*) FILTER ({chosen} AND is_true IS NOT NULL) AS true_denominator FROM judged GROUP BY ALL"
                for metric, denominator, chosen in (
                    ("precision", "count(*) FILTER (is_found)", "is_found"),
                    ("recall", "sum(probability)", "is_true"),
                )
            )
        ).pl()
    finally:
        con.unregister("tier_weight")


# --- the clerical sample -----------------------------------------------------------------------------------------
def draw_sample(con: duckdb.DuckDBPyConnection, settings: Settings, size: int, build_id: str) -> pl.DataFrame:
    """About `size` pairs for a steward to judge: record_key_a, record_key_b, stratum, is_linked, inclusion_probability.

    con: an open vault after identity. Every pair that the tiers or the model put forward can be drawn, joined
    (`is_linked`) or not; strata are rule x weight x student group (race and ethnicity of the person's K-12 records).
    Each stratum gives by the square root of its size, at least two where it has them: rare rules and small groups are
    judged too. The same build gives the same sample.
    """
    weights = tier_weights(settings.seeds / "policy" / "match_tier.csv", planner.day_of(build_id))
    present = con.execute(f"SELECT * FROM {registry.PRESENT_LINK}").pl()
    groups = student_group.person_groups(settings, present).select("person_key", group="race_ethnicity_2007")
    con.register("tier_weight", pl.DataFrame({"tier": list(weights), "weight": list(weights.values())}).to_arrow())
    con.register("person_group", groups.to_arrow())
    try:
        frame = con.execute(
            f"WITH person AS {registry.PRESENT_LINK}, evidence AS (SELECT record_key_a, record_key_b,"
            " arg_max(rule, weight) AS rule, max(weight) AS weight FROM"
            " (SELECT record_key_a, record_key_b, rule, tier_weight.weight"
            " FROM vault.linkage.int_linkage__pair AS pair"
            " JOIN tier_weight ON CAST(pair.tier AS BIGINT) = tier_weight.tier"
            " UNION ALL SELECT record_key_a, record_key_b, 'scored', weight FROM vault.pair_score) GROUP BY ALL)"
            " SELECT record_key_a, record_key_b, a.person_key = b.person_key AS is_linked,"
            " concat_ws(' ', CASE WHEN a.person_key = b.person_key THEN 'joined' ELSE 'apart' END, evidence.rule,"
            " CASE WHEN weight < 0 THEN 'under 0' WHEN weight < 8 THEN '0 to 8' WHEN weight < 16 THEN '8 to 16'"
            " ELSE 'over 16' END, coalesce(nullif(ga.group, 'not_reported'), gb.group, 'not_reported')) AS stratum,"
            " hash(record_key_a::TEXT || '|' || record_key_b::TEXT || '|' || ?) AS place"
            " FROM evidence JOIN person AS a ON evidence.record_key_a = a.record_key"
            " JOIN person AS b ON evidence.record_key_b = b.record_key"
            " LEFT JOIN person_group AS ga ON a.person_key = ga.person_key"
            " LEFT JOIN person_group AS gb ON b.person_key = gb.person_key",
            [build_id],
        ).pl()
    finally:
        con.unregister("tier_weight")
        con.unregister("person_group")
    if not frame.height or size <= 0:
        return pl.DataFrame(schema=SAMPLE)
    strata = frame.group_by("stratum").agg(pairs=pl.len()).with_columns(root=pl.col("pairs").sqrt())
    strata = strata.with_columns(
        drawn=pl.min_horizontal(
            "pairs",
            pl.max_horizontal(pl.lit(2), (size * pl.col("root") / pl.col("root").sum()).round().cast(pl.Int64)),
        )
    )
    return (
        frame.sort("stratum", "place", "record_key_a", "record_key_b")
        .with_columns(position=pl.int_range(pl.len()).over("stratum"))
        .join(strata, on="stratum")
        .filter(pl.col("position") < pl.col("drawn"))
        .with_columns(inclusion_probability=pl.col("drawn") / pl.col("pairs"))
        .select(*SAMPLE)
        .sort("stratum", "record_key_a", "record_key_b")
    )


def _clerical(con: duckdb.DuckDBPyConnection, dimensions: str) -> pl.DataFrame:
    """Weighted sums over the judgements of clerical samples (Horvitz-Thompson weights: one over the probability of
    being drawn). `people` counts judgements, `first` is the sum of squared weights: an uneven sample tells less."""
    known = con.execute(
        "SELECT count(*) FROM information_schema.tables WHERE table_catalog = 'vault' AND table_name = 'judgement'"
    ).fetchone()[0]
    if not known:
        return _nothing()
    return con.execute(
        'WITH newest AS (SELECT record_key_a, record_key_b, arg_max(verdict, "at") AS verdict,'
        ' arg_max(is_linked, "at") AS is_linked, arg_max(inclusion_probability, "at") AS probability'
        " FROM vault.judgement GROUP BY ALL),"
        " judged AS (SELECT least(ra.sector, rb.sector) AS sector_a, greatest(ra.sector, rb.sector) AS sector_b,"
        " NULL::INTEGER AS school_year, ua.profile, ub.profile AS profile_b, is_linked, verdict = 'same' AS is_same,"
        " 1 / probability AS weight, ua.true_person_id = ub.true_person_id AS is_true FROM newest"
        " JOIN measured_unit AS ua ON newest.record_key_a = ua.record_key"
        " JOIN measured_unit AS ub ON newest.record_key_b = ub.record_key"
        " JOIN vault.staging.stg_identity__record AS ra ON newest.record_key_a = ra.record_key"
        " JOIN vault.staging.stg_identity__record AS rb ON newest.record_key_b = rb.record_key"
        " WHERE verdict IN ('same', 'distinct') AND probability > 0)"
        + " UNION ALL ".join(
            f" SELECT {_DIMENSIONS[dimensions]}, profile, profile_b, 'clerical_sample' AS method, '{metric}' AS metric,"
            " coalesce(sum(weight) FILTER (is_linked AND is_same), 0) AS numerator,"
            f" coalesce(sum(weight) FILTER ({chosen}), 0) AS denominator,"
            f" coalesce(sum(weight * weight) FILTER ({chosen}), 0) AS first, 0 AS second, 0 AS both,"
            f" count(*) FILTER ({chosen}) AS people,"
            " NULL::BIGINT AS true_numerator, NULL::BIGINT AS true_denominator FROM judged GROUP BY ALL"
            for metric, chosen in (("precision", "is_linked"), ("recall", "is_same"))
        )
    ).pl()


def _nothing() -> pl.DataFrame:
    return pl.DataFrame(schema=ESTIMATE | dict.fromkeys(SUMS, pl.Float64))
