"""The night's exact cubes are what a second computation, sharing no code with the models, finds in its deliveries."""

from __future__ import annotations

import polars as pl
import pytest

from pipelines.quality import recompute
from pipelines.quality.recompute.compare import warehouse_cells
from pipelines.quality.recompute.run import INDICATORS
from pipelines.settings import Settings


@pytest.fixture(scope="module")
def settings(night) -> Settings:
    return night.settings


@pytest.fixture(scope="module")
def cells(settings: Settings) -> pl.DataFrame:
    return recompute.recompute(settings, recompute.found_links(settings))


def test_every_cell_of_every_indicator_equals_the_recomputation(settings, cells):
    different = recompute.compare(settings, cells)
    summary = different.group_by("indicator_code", "difference").agg(pl.len(), pl.all().first()).sort("indicator_code")
    assert different.is_empty(), f"{different.height} cells differ:\n" + "\n".join(map(str, summary.to_dicts()[:20]))


def test_the_comparison_covers_every_indicator_level_and_breakdown_of_the_register(settings, cells):
    register = pl.read_csv(settings.seeds / "registers" / "indicator.csv", infer_schema_length=0)
    assert set(INDICATORS) >= set(register["indicator_code"])
    for code, levels, breakdowns in register.select("indicator_code", "levels", "breakdowns").iter_rows():
        own = cells.filter(pl.col("indicator_code") == code)
        assert set(own["organization_level"]) == set(levels.split(";")), code
        assert set(own["breakdown_code"]) == set(breakdowns.split(";")), code
        assert own["numerator_count"].sum() > 0, f"{code} is compared without anybody in a numerator"


def test_every_flow_equals_the_recomputation(settings):
    flows = recompute.recompute_transitions(settings, recompute.found_links(settings))
    assert flows["transition_code"].n_unique() == 3 and flows.height > 100
    assert recompute.compare_transitions(settings, flows).is_empty()


def test_one_person_more_in_one_cell_is_found(settings):
    warehouse = warehouse_cells(settings)
    changed = warehouse.with_row_index().with_columns(
        numerator_count=pl.col("numerator_count") + (pl.col("index") == 7).cast(pl.Int64)
    )
    assert recompute.compare(settings, changed.drop("index"))["difference"].to_list() == ["numerator_count"]
    assert recompute.compare(settings, warehouse[1:])["difference"].to_list() == ["missing_in_recomputation"]


def test_linkage_effect_is_written_for_every_closed_cohort_of_the_state(settings, cells):
    effect = recompute.linkage_effect(settings, "a-build")
    assert effect.equals(pl.read_parquet(settings.evidence / "linkage_effect.parquet"))
    assert effect.columns == [
        "build_id",
        "indicator_code",
        "subject_code",
        "cohort_year",
        "found_rate",
        "true_rate",
        "found_denominator",
        "true_denominator",
    ]
    closed = cells.filter(
        (pl.col("organization_level") == "state") & (pl.col("breakdown_code") == "all") & ~pl.col("window_open")
    )
    key = ["indicator_code", "subject_code", "cohort_year"]
    assert closed.join(effect, on=key, how="anti").is_empty()
    assert effect.filter(~pl.col("found_rate").is_between(0, 1) | ~pl.col("true_rate").is_between(0, 1)).is_empty()


def test_true_links_give_every_record_one_true_person(settings):
    found, true = recompute.found_links(settings), recompute.true_links(settings)
    assert true["record_key"].n_unique() == true.height
    assert set(found["record_key"]) == set(true["record_key"])
