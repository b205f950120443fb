"""Links that the recomputation follows, and the comparison of its cells with the warehouse's."""

from __future__ import annotations

import polars as pl
import pytest

from pipelines.quality.recompute import found_links, recompute, true_links
from pipelines.quality.recompute.cell import CELL
from pipelines.quality.recompute.compare import FLOW_KEY, difference
from pipelines.quality.recompute.transition import TRANSITION


def write(frame: pl.DataFrame, path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path)


def test_a_record_follows_merges_younger_than_its_link(home):
    write(
        pl.DataFrame(
            {
                "record_key": [1, 2, 3, 3],
                "person_key": [10, 10, 40, 50],
                "valid_from_build": ["2026a", "2026d", "2026a", "2026b"],
            }
        ),
        home.exchange / "brg_record_person.parquet",
    )
    write(
        pl.DataFrame(
            {"old_person_key": [10, 20], "person_key": [20, 30], "build_id": ["2026b", "2026c"]},
        ),
        home.exchange / "person_redirect.parquet",
    )
    assert dict(found_links(home).iter_rows()) == {1: 30, 2: 10, 3: 50}


def test_two_persons_for_one_record_are_refused(home):
    with pytest.raises(ValueError, match="twice"):
        recompute(home, pl.DataFrame({"record_key": [1, 1], "person_key": [1, 2]}))


def test_true_links_need_a_truth(home):
    with pytest.raises(FileNotFoundError, match="synthetic"):
        true_links(home)


def test_a_true_link_is_found_by_delivery_file_and_row_and_the_majority_has_a_shared_key(home):
    row = {"submitter": "one", "package": "p", "period": "2024"}
    accepted = [
        {**row, "record_key": key, "delivery_id": "d", "source_row": number} for number, key in enumerate((7, 7, 7, 8))
    ]
    write(pl.DataFrame(accepted), home.accepted / "k12__student" / "d.parquet")
    write(
        pl.DataFrame({"collection": ["k12__student"], "delivery_id": ["d"], "file_name": ["student.csv"]}),
        home.evidence / "ledger_collection.parquet",
    )
    truth = [
        {**row, "file_name": "student.csv", "source_row": number, "true_person_id": person}
        for number, person in enumerate((2, 1, 1, 3))
    ]
    write(pl.DataFrame(truth), home.truth / "record_truth.parquet")
    assert dict(true_links(home).iter_rows()) == {7: 1, 8: 3}


def cell(**changed) -> dict:
    return {
        "indicator_code": "x",
        "subject_code": "all",
        "organization_level": "state",
        "organization_id_state": "STATE",
        "cohort_year": 2024,
        "breakdown_code": "all",
        "group_code": "all",
        "denominator_count": 10,
        "numerator_count": 5,
        "excluded_count": 0,
        "window_open": False,
        "amount_median_rounded": None,
        **changed,
    }


def frame(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=CELL)


@pytest.mark.parametrize(
    ("warehouse", "recomputed", "expected"),
    [
        (frame(cell()), frame(cell()), []),
        (frame(cell()), frame(), ["missing_in_recomputation"]),
        (frame(), frame(cell()), ["missing_in_warehouse"]),
        (frame(cell()), frame(cell(numerator_count=6)), ["numerator_count"]),
        (frame(cell(amount_median_rounded=500)), frame(cell()), ["amount_median_rounded"]),
        (frame(cell(window_open=True, excluded_count=1)), frame(cell()), ["excluded_count;window_open"]),
    ],
)
def test_missing_and_unequal_cells_are_both_differences(warehouse, recomputed, expected):
    assert difference(warehouse, recomputed)["difference"].to_list() == expected


def test_a_flow_that_differs_by_one_person_is_found():
    flow = {
        "transition_code": "x", "cohort_year": 2024, "origin_type_code": "lea", "origin_code": "L1",
        "destination_type_code": "institution", "destination_code": "U1", "person_count": 12,
    }  # fmt: skip
    one, more, other = (
        pl.DataFrame([{**flow, **change}], schema=TRANSITION)
        for change in ({}, {"person_count": 13}, {"destination_type_code": "institution_kind"})
    )
    assert difference(one, one, FLOW_KEY, ["person_count"]).is_empty()
    assert difference(one, more, FLOW_KEY, ["person_count"])["difference"].to_list() == ["person_count"]
    assert set(difference(one, other, FLOW_KEY, ["person_count"])["difference"]) == {
        "missing_in_recomputation",
        "missing_in_warehouse",
    }
