"""What became of wage records, whose only identifiers are a Social Security number and a cut name.

Belongs here: counting what the wage file's own clean-up found, and who could not be determined. Does not belong here:
the rules (the wage tiers of seeds/policy/match_tier.csv: clean-up inside the file first, then the number bound to one
person with a guard on every known name) and deciding (partition.py).
"""

from __future__ import annotations

import duckdb
import polars as pl


def clean_up(
    con: duckdb.DuckDBPyConnection, bridge: pl.DataFrame, surname_similarity: float
) -> list[tuple[str, int, int]]:
    """Counts (metric, number, of which) of coding errors inside the wage file and of what links outside it.

    con: an open vault after identity. bridge: record_key, person_key, sector, rule of every record.
    surname_similarity: Jaro-Winkler similarity from which two surnames are one (IdentityPolicy). No identifier leaves.
    wage_ssn_unlike_names: numbers that wage files give to names with neither given name nor surname in common;
    wage_ssn_one_digit: people whose wages came under several numbers; wage_ssn_two_people: numbers of wages that
    records of two people in other sectors carry; wage_bound: wage records that follow a person of another sector.
    """
    wages = bridge.filter(pl.col("sector") == "workforce").select("record_key", "person_key")
    other = bridge.filter(pl.col("sector") != "workforce").select("record_key", "person_key")
    con.register("wage_link", wages.to_arrow())
    con.register("other_link", other.to_arrow())
    try:
        unlike, numbers = con.execute(
            "WITH wage AS (SELECT DISTINCT ssn, given_root, given_initial, surname, surname_tokens"
            " FROM vault.staging.stg_identity__record JOIN wage_link USING (record_key) WHERE ssn IS NOT NULL),"
            " unlike AS (SELECT DISTINCT a.ssn FROM wage AS a JOIN wage AS b ON a.ssn = b.ssn AND a.surname < b.surname"
            " WHERE NOT list_has_any(a.surname_tokens, b.surname_tokens)"
            " AND jaro_winkler_similarity(a.surname, b.surname) < ?"
            " AND (a.given_root <> b.given_root OR a.given_initial <> b.given_initial))"
            " SELECT (SELECT count(*) FROM unlike), (SELECT count(DISTINCT ssn) FROM wage)",
            [surname_similarity],
        ).fetchone()
        several, people = con.execute(
            "SELECT count(*) FILTER (numbers > 1), count(*) FROM (SELECT person_key, count(DISTINCT ssn) AS numbers"
            " FROM vault.staging.stg_identity__record JOIN wage_link USING (record_key) WHERE ssn IS NOT NULL"
            " GROUP BY person_key)"
        ).fetchone()
        two, bound = con.execute(
            "SELECT count(*) FILTER (people > 1), count(*) FROM (SELECT ssn, count(DISTINCT person_key) AS people"
            " FROM vault.staging.stg_identity__record JOIN other_link USING (record_key) WHERE ssn IN"
            " (SELECT ssn FROM vault.staging.stg_identity__record JOIN wage_link USING (record_key)) GROUP BY ssn)"
        ).fetchone()
    finally:
        con.unregister("wage_link")
        con.unregister("other_link")
    followed = wages.join(other.select("person_key").unique(), on="person_key", how="semi").height
    return [
        ("wage_ssn_unlike_names", unlike, numbers),
        ("wage_ssn_one_digit", several, people),
        ("wage_ssn_two_people", two, bound),
        ("wage_bound", followed, wages.height),
    ]


def not_determined(bridge: pl.DataFrame, review: pl.DataFrame) -> pl.DataFrame:
    """person_key of people whose number a wage carries under another name and who have no other wage record.

    bridge: record_key, person_key, sector. review: candidate_person_key of wages in review. They are neither employed
    nor jobless: out of the numerator and the denominator of every indicator of work.
    """
    paid = bridge.filter(pl.col("sector") == "workforce").select("person_key").unique()
    return (
        review.select(person_key=pl.col("candidate_person_key"))
        .unique()
        .join(paid, on="person_key", how="anti")
        .sort("person_key")
    )
