"""Precision and recall count pairs of records, by sector pair, and read the truth by delivery and row number."""

import polars as pl
import pytest

from pipelines.identity.measure import measure_links, pair_rates
from pipelines.identity.vault import open_vault
from pipelines.quality import check_result

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


@pytest.fixture
def measured(home):
    """A home with two accepted deliveries, links and truth, made by hand."""
    for folder in ("exchange", "evidence", "accepted/k12__student", "accepted/workforce__wage"):
        (home.home / folder).mkdir(parents=True)
    home.truth.mkdir(parents=True)
    bridge = {"record_key": [1, 2, 3], "person_key": [10, 10, 30], "sector": ["k12", "workforce", "workforce"]}
    pl.DataFrame(bridge).write_parquet(home.exchange / "brg_record_person.parquet")
    waiting = pl.DataFrame(schema={"record_key": pl.Int64})
    waiting.write_parquet(home.exchange / "link_not_determined.parquet")
    waiting.write_parquet(home.exchange / "identity_conflict.parquet")
    with open_vault(home) as con:
        con.execute("CREATE SCHEMA vault.staging")
        con.execute(
            "CREATE TABLE vault.staging.stg_identity__record AS SELECT * FROM (VALUES"
            " (1, NULL, 'S1', NULL), (2, '219438701', NULL, NULL), (3, '219438701', NULL, NULL))"
            " AS t(record_key, ssn, student_id_state, birth_date)"
        )
    place = {"submitter": "sea", "package": "p", "period": "2024"}
    ledger, truth = [], []
    for collection, delivery, keys in (("k12__student", "d1", [1]), ("workforce__wage", "d2", [2, 3])):
        pl.DataFrame(
            [{"record_key": key, **place, "delivery_id": delivery, "source_row": n} for n, key in enumerate(keys)]
        ).write_parquet(home.accepted / collection / f"{delivery}.parquet")
        ledger.append({"delivery_id": delivery, "file_name": f"{delivery}.csv", "collection": collection})
        truth += [
            {**place, "file_name": f"{delivery}.csv", "source_row": n, "true_person_id": 77, "linkable_group": 1}
            for n in range(len(keys))
        ]
    pl.DataFrame(ledger).write_parquet(home.evidence / "ledger_collection.parquet")
    pl.DataFrame(truth).write_parquet(home.truth / "record_truth.parquet")
    return home


def test_truth_is_joined_by_delivery_file_and_row(measured):
    quality = measure_links(measured, "20261121T000000-aaaa")
    value = {(a, b, metric): (above, below) for a, b, metric, _, above, below in quality.select(RATES).iter_rows()}
    assert value["k12", "workforce", "precision"] == (1, 1)
    assert value["k12", "workforce", "recall_linkable"] == (1, 2)
    assert value["", "", "under_link_ssns"] == (1, 1)
    assert pl.read_parquet(measured.exchange / "link_quality.parquet").equals(quality)


def test_every_judged_rate_is_a_check_result_that_names_no_record(measured):
    measure_links(measured, "20261121T000000-aaaa")
    checks = check_result.read(measured, "20261121T000000-aaaa")
    recall = checks.filter(pl.col("check_id") == "linkage.brg_record_person.recall_linkable")
    assert recall["message"].str.contains("between k12 and workforce: 0.5000").any()
    assert set(checks["severity"]) == {"warn"} and set(checks["category"]) == {"linkage"}
