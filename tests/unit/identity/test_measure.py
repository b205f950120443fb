"""Precision and recall count pairs of records by sector pair, student group and year; the worst group is named."""

from datetime import date

import polars as pl
import pytest

from pipelines.identity import measure
from pipelines.identity.measure import (
    BREAKDOWNS,
    GROUP_QUALITY,
    group_checks,
    measure_links,
    pair_rates,
    share_checks,
    worst_group,
)
from pipelines.identity.vault import open_vault
from pipelines.quality import check_result

DAY = date(2026, 11, 21)

RATES = ["sector_a", "sector_b", "metric", "value", "numerator", "denominator"]


def rates(rows):
    units = pl.DataFrame(rows, orient="row", schema=["sector", "person_key", "true_person_id", "linkable_group"])
    found = pl.DataFrame(pair_rates(units), orient="row", schema=RATES)
    return {(a, b, metric): (above, below) for a, b, metric, _, above, below in found.iter_rows()}


def test_pairs_are_counted_as_if_they_were_listed():
    rows = [
        ("k12", 1, 1, 1), ("k12", 1, 1, 1), ("workforce", 1, 1, 1), ("workforce", 1, 2, 2),  # one wage of a stranger
        ("workforce", 9, 1, 7),  # a wage of person 1 that nothing could link
        ("k12", 2, 2, 2),
    ]  # fmt: skip
    found = rates(rows)
    assert found["k12", "k12", "precision"] == (1, 1)
    assert found["k12", "workforce", "precision"] == (2, 4)
    assert found["k12", "workforce", "recall_all"] == (2, 5)
    assert found["k12", "workforce", "recall_linkable"] == (2, 3)
    assert found["k12", "workforce", "linkable_share"] == (3, 5)
    assert found["workforce", "workforce", "precision"] == (0, 1)


STAGED = (
    "record_key BIGINT, sector TEXT, local_id_issuer TEXT, local_id TEXT, ssn TEXT, student_id_state TEXT,"
    " given_name TEXT, given_root TEXT, given_initial TEXT, surname TEXT, surname_tokens TEXT[], middle_initial TEXT,"
    " name_suffix TEXT, birth_date DATE, birth_month TEXT, sex_code TEXT, postal_code TEXT"
)
PAIR = "record_key_a BIGINT, record_key_b BIGINT, tier INTEGER, rule TEXT, joins TEXT, follower BIGINT"


@pytest.fixture
def measured(home, monkeypatch):
    """A home with two accepted deliveries, links and truth, made by hand; nobody's student group is known."""
    nobody = pl.DataFrame(schema={"person_key": pl.Int64} | dict.fromkeys(BREAKDOWNS, pl.String))
    monkeypatch.setattr(measure, "person_groups", lambda *_: nobody)
    for folder in ("exchange", "evidence", "accepted/k12__student", "accepted/workforce__wage"):
        (home.home / folder).mkdir(parents=True)
    home.truth.mkdir(parents=True)
    bridge = {"record_key": [1, 2, 3], "person_key": [10, 10, 30], "sector": ["k12", "workforce", "workforce"]}
    pl.DataFrame(bridge).write_parquet(home.exchange / "brg_record_person.parquet")
    waiting = pl.DataFrame(schema={"record_key": pl.Int64, "candidate_person_key": pl.Int64})
    waiting.write_parquet(home.exchange / "link_not_determined.parquet")
    waiting.write_parquet(home.exchange / "identity_conflict.parquet")
    with open_vault(home) as con:
        con.execute("CREATE SCHEMA vault.staging; CREATE SCHEMA vault.linkage")
        con.execute(f"CREATE TABLE vault.linkage.int_linkage__pair ({PAIR})")
        con.execute(f"CREATE TABLE vault.staging.stg_identity__record ({STAGED})")
        con.execute(
            "INSERT INTO vault.staging.stg_identity__record BY NAME SELECT * FROM (VALUES (1, 'k12', NULL, 'S1'),"
            " (2, 'workforce', '219438701', NULL), (3, 'workforce', '219438701', NULL))"
            " AS t(record_key, sector, ssn, student_id_state)"
        )
        # Record 3 was of person 10 the night before; record 2 is new.
        con.execute(
            "INSERT INTO person_link VALUES (1, 10, 'alone', 0, 'night_1', 1), (3, 10, 'alone', 0, 'night_1', 2),"
            " (3, 30, 'alone', 0, '20261121T000000-aaaa', 3), (2, 10, 'wage_ssn', 0, '20261121T000000-aaaa', 4)"
        )
    place = {"submitter": "sea", "package": "p", "period": "2024"}
    ledger, truth = [], []
    for collection, delivery, keys in (("k12__student", "d1", [1]), ("workforce__wage", "d2", [2, 3])):
        pl.DataFrame(
            [{"record_key": key, **place, "delivery_id": delivery, "source_row": n} for n, key in enumerate(keys)]
        ).write_parquet(home.accepted / collection / f"{delivery}.parquet")
        ledger.append(
            {"delivery_id": delivery, "file_name": f"{delivery}.csv", "collection": collection, "accepted_count": 1}
        )
        truth += [
            {**place, "file_name": f"{delivery}.csv", "source_row": n, "true_person_id": 77, "linkable_group": 1}
            for n in range(len(keys))
        ]
    pl.DataFrame(ledger).write_parquet(home.evidence / "ledger_collection.parquet")
    pl.DataFrame(truth).write_parquet(home.truth / "record_truth.parquet")
    pl.DataFrame(
        {"sector_a": ["k12"], "sector_b": ["workforce"], "person_count": [1], "linkable_count": [1]}
    ).write_parquet(home.truth / "linkable.parquet")
    return home


def test_truth_is_joined_by_delivery_file_and_row(measured):
    quality = measure_links(measured, "20261121T000000-aaaa")
    value = {(a, b, metric): (above, below) for a, b, metric, _, above, below in quality.select(RATES).iter_rows()}
    assert value["k12", "workforce", "precision"] == (1, 1)
    assert value["k12", "workforce", "recall_linkable"] == (1, 2)
    assert value["", "", "under_link_ssns"] == (1, 1)
    assert value["workforce", "", "churn"] == (1, 1)  # of the records that had a person before
    assert value["k12", "", "churn"] == (0, 1)
    assert pl.read_parquet(measured.exchange / "link_quality.parquet").equals(quality)


def test_every_judged_rate_is_a_check_result_that_names_no_record(measured):
    measure_links(measured, "20261121T000000-aaaa")
    checks = check_result.read(measured, "20261121T000000-aaaa")
    recall = checks.filter(pl.col("check_id") == "linkage.brg_record_person.recall_linkable")
    assert recall["message"].str.contains("between k12 and workforce: 0.5000").any()
    assert set(checks["severity"]) == {"warn"} and set(checks["category"]) == {"linkage"}


def test_the_linkable_share_of_the_deliveries_is_held_against_the_generators(measured):
    measure_links(measured, "20261121T000000-aaaa")
    checks = check_result.read(measured, "20261121T000000-aaaa")
    (share,) = checks.filter(pl.col("check_id") == "linkage.brg_record_person.linkable_share").to_dicts()
    # A student number and a Social Security number share nothing: own 0, the generator's 1.
    assert "0.0000 by the deliveries, 1.0000 by the generator" in share["message"]


def test_people_are_counted_where_they_are_and_where_they_are_looked_for(measured):
    """Three students of 2024: one linked to wages, one with a number and wages under another name, one without."""
    bridge = pl.DataFrame(
        {
            "record_key": [1, 2, 3, 4, 5],
            "person_key": [10, 10, 30, 40, 50],
            "sector": ["k12", "workforce", "k12", "k12", "workforce"],
        }
    )
    used = pl.DataFrame(
        {"record_key": [1, 3, 4, 2, 1], "school_year": [2024, 2024, 2024, 2025, 2025],
         "sector": ["k12", "k12", "k12", "workforce", "k12"]},
        schema_overrides={"school_year": pl.Int32},
    )  # fmt: skip
    pl.DataFrame({"record_key": [5], "candidate_person_key": [30]}).write_parquet(
        measured.exchange / "link_not_determined.parquet"
    )
    with open_vault(measured) as con:
        con.execute("DELETE FROM vault.staging.stg_identity__record")
        con.execute(
            "INSERT INTO vault.staging.stg_identity__record BY NAME SELECT * FROM (VALUES (1, NULL), (2, '219438701'),"
            " (3, '219438702'), (4, NULL), (5, '219438702')) AS t(record_key, ssn)"
        )
    groups = pl.DataFrame({"person_key": [10, 30], "profile": [0, 1]})
    found = measure._people(measured, used, bridge, groups)
    profiles = pl.DataFrame(
        [
            {"profile": 0, "gender": "female"},
            {"profile": 1, "gender": "male"},
            {"profile": -1, "gender": "not_reported"},
        ]
    ).with_columns(pl.lit("no").alias(name) for name in BREAKDOWNS[1:])
    shares = {
        (row["sector_a"], row["school_year"], row["group_code"], row["metric"]): (row["numerator"], row["denominator"])
        for row in measure._by_group(found, profiles, ["numerator", "denominator"]).iter_rows(named=True)
        if row["breakdown_code"] in ("all", "gender")
    }
    assert shares["k12", 2024, "all", "linkable"] == (2, 3)
    assert shares["k12", 2024, "all", "linked"] == (1, 2)
    assert shares["k12", 2024, "all", "not_determined"] == (1, 2)
    assert shares["k12", 2024, "male", "not_determined"] == (1, 1)
    assert shares["k12", 2024, "not_reported", "linkable"] == (0, 1)
    assert shares["k12", None, "all", "linked"] == (1, 2)  # 1 is there in two years and counts once
    assert shares["workforce", 2025, "female", "linked"] == (1, 1)


def test_a_pair_is_of_the_year_in_which_both_records_are_used_and_of_both_groups():
    units = pl.DataFrame(
        [
            ("k12", 1, 1, 1, 2020, 0),
            ("k12", 1, 1, 1, 2021, 0),
            ("postsecondary", 1, 1, 1, 2023, 0),
            ("postsecondary", 1, 2, 1, 2022, 1),  # a stranger of the other group
        ],
        schema=["sector", "person_key", "true_person_id", "linkable_group", "school_year", "profile"],
        orient="row",
        schema_overrides={"school_year": pl.Int32},
    )
    profiles = pl.DataFrame([{"profile": 0, "gender": "female"}, {"profile": 1, "gender": "male"}]).with_columns(
        pl.lit("no").alias(name) for name in BREAKDOWNS[1:]
    )
    rows = measure._by_group(measure._true_pairs(units), profiles, ["numerator", "denominator"])
    found = {
        (row["sector_a"], row["sector_b"], row["school_year"], row["group_code"]): (
            row["numerator"], row["denominator"])
        for row in rows.filter(pl.col("metric") == "precision", pl.col("breakdown_code") == "gender").to_dicts()
    }  # fmt: skip
    assert found["k12", "k12", 2021, "female"] == (1, 1)
    assert found["k12", "postsecondary", 2023, "female"] == (2, 2)
    assert found["k12", "postsecondary", 2022, "female"] == (0, 2) == found["k12", "postsecondary", 2022, "male"]
    assert found["postsecondary", "postsecondary", 2023, "male"] == (0, 1)
    assert found["", "", None, "female"] == (3, 6) and found["", "", None, "male"] == (0, 3)


def groups_of(*rows) -> pl.DataFrame:
    base = {"sector_a": "", "sector_b": "", "breakdown_code": "race_ethnicity_2007", "method": "truth",
            "metric": "recall_linkable"}  # fmt: skip
    return pl.DataFrame(
        [base | {"group_code": code, "value": above / below, "numerator": above, "denominator": below} | more
         for code, above, below, more in rows],
        schema=GROUP_QUALITY,
    )  # fmt: skip


def test_the_group_that_links_worst_is_named_and_judged_and_small_ones_are_not(home):
    table = groups_of(
        ("white", 990, 1000, {}),
        ("hispanic", 940, 1000, {}),
        ("pacific_islander", 5, 10, {}),  # too few to say
        ("not_reported", 100, 1000, {}),  # no group
        ("asian", 900, 1000, {"sector_a": "k12", "sector_b": "workforce"}),  # one sector pair only
    )
    assert worst_group(home, table, DAY)["group_code"] == "hispanic"
    (check,) = group_checks(home, table, DAY)
    assert check["check_id"] == "linkage.brg_record_person.recall_worst_group" and check["severity"] == "warn"
    assert (check["status"], check["failing_count"], check["total_count"]) == ("fail", 60, 1000)
    assert "hispanic" in check["message"]
    (check,) = group_checks(home, groups_of(("hispanic", 951, 1000, {}), ("white", 990, 1000, {})), DAY)
    assert check["status"] == "pass"


def test_without_truth_a_hidden_number_names_the_group_and_nothing_is_judged(home):
    table = groups_of(
        ("white", 960, 1000, {"method": "hidden_ssn", "metric": "recall"}),
        ("black", 930, 1000, {"method": "hidden_ssn", "metric": "recall"}),
    )
    assert worst_group(home, table, DAY)["group_code"] == "black"
    assert [row["status"] for row in group_checks(home, table, DAY)] == ["not_applicable"]
    assert worst_group(home, table.clear(), DAY) is None


@pytest.mark.parametrize(
    ("own", "people", "status"), [(0.510, 2000, "pass"), (0.512, 2000, "fail"), (0.52, 50, "pass")]
)
def test_two_linkable_shares_may_differ_by_a_hundredth_or_by_one_person(home, own, people, status):
    shares = pl.DataFrame(
        {"sector_a": ["k12"], "sector_b": ["workforce"], "own": [own], "generator": [0.5], "people": [people]}
    )
    (check,) = share_checks(home, shares, DAY)
    assert check["status"] == status
