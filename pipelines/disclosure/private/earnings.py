"""The private earnings of one build: from the wage indicators to protected.private_earnings.

What belongs here: whom each place counts, the keyed digest of it, asking the ledger for the result to tell, and writing
the table. What does not: noise (mechanism), spending (budget), what is silent for it (instead).

A person counts once in a family, cohort year and level: who has awards of several institutions counts at the one with
the least key (keys are random), so that nobody's presence moves more than one place. Places are those of the
directory, which everyone may know, with or without people. A place has a row where the noisy count is the policy's
minimum and more: that reads results alone and costs nothing. Where an official table hides its count private rows stay
all the same: their loss is bounded whatever else is known.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache, partial

import duckdb
import polars as pl

from pipelines import planner
from pipelines.disclosure.policy import load_policy
from pipelines.disclosure.private import budget
from pipelines.disclosure.private.instead import MART
from pipelines.disclosure.private.mechanism import draw, mechanism
from pipelines.disclosure.private.policy import COUNT, STATISTICS, Private, load_private
from pipelines.disclosure.protected_table import replace_table
from pipelines.errors import P20wError
from pipelines.progress import say
from pipelines.settings import Settings

UNIT = "nominal US dollars a year"
CHECK_ID = "release.private_earnings.budget"
SECRET = "privacy_budget"  # name of the digests' key in the vault
LONG = "mart_indicator__organization"
# What a row of an earlier release says when it tells nothing of people.
NOTHING_TOLD = ("window_open", "incomplete")
RESULT = {
    "indicator_code": pl.String,
    "cohort_year": pl.Int32,
    "organization_level": pl.String,
    "organization_id_state": pl.String,
    **dict.fromkeys(STATISTICS, pl.Int64),
    "found_count_margin": pl.Int64,
    "epsilon": pl.Float64,
}


@dataclass(frozen=True)
class PrivateSummary:
    """Figures of one build; none counts people."""

    families: int
    cohort_years: int
    drawn: int
    refused: int
    rows: int

    def as_metadata(self) -> dict[str, int]:
        """Plain dictionary for whoever keeps figures of a step."""
        return asdict(self)


def protect_private(settings: Settings, build_id: str) -> PrivateSummary:
    """Write protected.private_earnings for the families that policy tells privately; without rows where it names none.

    Reads indicators.ind_<family> and core.dim_organization in the warehouse, policy and registers, the release ledger;
    appends to the budget ledger and records the check `release.private_earnings.budget`, which warns where the
    budget refused a drawing. Errors: P20wError for malformed policy, for a cohort year that a release told otherwise,
    and where something must be drawn and OpenDP is not installed.
    """
    as_of = planner.day_of(build_id)
    private = load_private(settings.seeds, as_of)
    if not private:
        with duckdb.connect(str(settings.warehouse_file)) as warehouse:
            _write_table(warehouse, pl.DataFrame(schema=RESULT))
        return PrivateSummary(0, 0, 0, 0, 0)
    from pipelines.identity.vault import open_vault, secret
    from pipelines.quality import check_result

    policy = load_policy(settings.seeds / "policy" / "protection.csv", as_of)
    refuse_told_before(settings, private)
    revisions = _revision_dates(settings)
    with open_vault(settings) as vault:
        key = bytes.fromhex(secret(vault, SECRET))
    before = len(budget.read(settings))
    told: list[budget.Told] = []
    with duckdb.connect(str(settings.warehouse_file), read_only=True) as warehouse:
        for each in private.values():
            revised = [on for family, on in revisions if family in ("*", each.family, MART) and on <= as_of]
            places = _places(warehouse, each)
            made = cache(partial(mechanism, each, policy.median_rounding))  # only if anything is drawn
            for year, people in _people(warehouse, each):
                told.append(
                    budget.take(
                        settings,
                        build_id,
                        each.family,
                        year,
                        digest_of(people, each.family, year, key),
                        budget=each.budget,
                        cost=lambda made=made: made().epsilon,
                        draw=lambda made=made, people=people, places=places: (
                            made().description,
                            draw(made(), cells(people, places)),
                        ),
                        is_revised=lambda build, revised=revised: any(planner.day_of(build) < on for on in revised),
                    )
                )
    table = rows(told, policy.minimum_count)
    with duckdb.connect(str(settings.warehouse_file)) as warehouse:
        written = _write_table(warehouse, table)
    refused = [found.refused for found in told if found.refused]
    check_result.record(settings, build_id, "private_earnings", [_check(refused, len(told), private)])
    drawn = len(budget.read(settings)) - before
    say(f"private earnings: {len(told)} cohort years told, {drawn} drawn or taken again, {len(refused)} refused")
    return PrivateSummary(len(private), len(told), drawn, len(refused), written)


def cells(people: pl.DataFrame, places: pl.DataFrame) -> list[tuple[dict, int, list[int]]]:
    """What each place counts: its level and id, people found, and earnings of those with a whole year.

    people: person_key, organization_level, organization_key, amount (null without a whole year), one row a person and
    place; places: organization_level, organization_id_state, organization_key. People elsewhere are not counted.
    """
    counted = (
        people.join(places, on=["organization_level", "organization_key"])
        .sort("organization_key")
        .unique(["organization_level", "person_key"], keep="first", maintain_order=True)
        .group_by("organization_level", "organization_key")
        .agg(pl.len().alias("found"), pl.col("amount").drop_nulls().alias("earnings"))
    )
    whole = places.join(counted, on=["organization_level", "organization_key"], how="left").sort(
        "organization_level", "organization_id_state"
    )
    place = ("organization_level", "organization_id_state")
    return [
        ({name: row[name] for name in place}, row["found"] or 0, row["earnings"] or [])
        for row in whole.iter_rows(named=True)
    ]


def digest_of(people: pl.DataFrame, family: str, cohort_year: int, key: bytes) -> str:
    """Keyed digest of the people found and their wages, in whatever order; exact values are in it."""
    made = hmac.new(key, f"{family} {cohort_year}\n".encode(), hashlib.sha256)
    columns = ["organization_level", "organization_key", "person_key", "amount"]
    made.update(people.select(columns).sort(columns).write_csv(null_value="").encode())
    return made.hexdigest()


def rows(told: list[budget.Told], minimum: int) -> pl.DataFrame:
    """The table in the columns of RESULT: a row for each place in use whose noisy count is `minimum` or more."""
    found = [
        {
            **dict.fromkeys(STATISTICS),
            "indicator_code": each.line["family"],
            "cohort_year": each.line["cohort_year"],
            **result,
            "found_count_margin": each.line["mechanism"]["count_margin"],
            "epsilon": each.spent,
        }
        for each in told
        if each.line is not None
        for result in each.line["results"]
        if result[COUNT] >= minimum
    ]
    return pl.DataFrame(found, schema=RESULT)


def refuse_told_before(settings: Settings, private: dict[str, Private]) -> None:
    """Errors: P20wError where a release told a cohort year in another way that policy now wants told privately."""
    files = sorted(settings.release_ledger.glob("r*.parquet"))
    if not files:
        return
    released = pl.concat(
        pl.read_parquet(path, columns=["family", "mart", "year", "value_status", "release_id"]) for path in files
    ).filter((pl.col("mart") == LONG) & ~pl.col("value_status").is_in(NOTHING_TOLD))
    for each in private.values():
        told = released.filter((pl.col("family") == each.family) & (pl.col("year") >= each.first_cohort_year))
        if not told.is_empty():
            year, release = told["year"].max(), told["release_id"].min()
            raise P20wError(
                f"private_statistic.csv: {each.family} is to be told privately from cohort year "
                f"{each.first_cohort_year} on, but {release} told it otherwise up to {year}, and nobody can take that "
                f"back. Set first_cohort_year to {year + 1}."
            )


def _places(warehouse: duckdb.DuckDBPyConnection, private: Private) -> pl.DataFrame:
    return warehouse.execute(
        "SELECT organization_level, organization_id_state, organization_key FROM core.dim_organization "
        "WHERE list_contains(?::VARCHAR[], organization_level) AND (is_in_directory OR organization_level = 'state')",
        [list(private.levels)],
    ).pl()


def _people(warehouse: duckdb.DuckDBPyConnection, private: Private) -> list[tuple[int, pl.DataFrame]]:
    """The people found of each cohort year whose window is closed, by year."""
    table = f'indicators."ind_{private.family}"'
    people = warehouse.execute(
        "SELECT cohort_year, organization_level, organization_key, person_key, amount, is_in_numerator "
        f"FROM {table} WHERE cohort_year >= ? AND cohort_year NOT IN "
        f"(SELECT cohort_year FROM {table} WHERE outcome_status = 'window_open')",
        [private.first_cohort_year],
    ).pl()
    return [
        (year, people.filter((pl.col("cohort_year") == year) & pl.col("is_in_numerator")))
        for year in sorted(people["cohort_year"].unique().to_list())
    ]


def _revision_dates(settings: Settings) -> list[tuple[str, date]]:
    from pipelines.release.clock import clock

    return [(row.family, row.on) for row in clock(settings) if row.event == "revision"]


def _write_table(warehouse: duckdb.DuckDBPyConnection, table: pl.DataFrame) -> int:
    """Replace protected.private_earnings; returns its rows."""
    percentiles = ", ".join(f"t.{name}" for name in STATISTICS)
    replace_table(
        warehouse,
        "private_earnings",
        table,
        "SELECT t.indicator_code, 'all' AS subject_code, t.cohort_year, o.organization_level, o.organization_id_state, "
        f"o.organization_id_nces, o.organization_name, o.lea_id_state, o.lea_name, {percentiles}, "
        f"t.found_count_margin, '{UNIT}' AS value_unit, t.epsilon, 'shown' AS value_status, 'private' AS protection "
        "FROM given t JOIN core.dim_organization o USING (organization_level, organization_id_state) ORDER BY ALL",
    )
    return warehouse.execute("SELECT count(*) FROM protected.private_earnings").fetchone()[0]


def _check(refused: list[str], cohort_years: int, private: dict[str, Private]) -> dict:
    """What the budget said. A refusal is a warning: what is published is safe, and some of it is missing or old."""
    return {
        "check_id": CHECK_ID,
        "layer": "release",
        "category": "completeness",
        "severity": "warn",
        "status": "warn" if refused else "pass",
        "failing_count": len(refused),
        "total_count": cohort_years,
        "family": ";".join(private),
        "message": " ".join(refused) or "Every cohort year is told from the ledger, within its budget.",
    }
