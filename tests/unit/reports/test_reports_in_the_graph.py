"""Pages and measurements are assets of the one graph, in the order in which a night makes them."""

from __future__ import annotations

import dagster as dg
import pytest


@pytest.fixture(scope="module")
def graph():
    from pipelines.definitions import defs

    return defs().resolve_asset_graph()


def above(graph, name: str) -> set[str]:
    """Everything that an asset follows from, however far."""
    found, waiting = set(), [dg.AssetKey(name.split("/"))]
    while waiting:
        for key in graph.get(waiting.pop()).parent_keys:
            if key.to_user_string() not in found:
                found.add(key.to_user_string())
                waiting.append(key)
    return found


def test_public_pages_follow_the_decision_and_are_there_before_a_release_is_shown(graph):
    assert {"evidence/decision", "releases/collection_inventory"} <= above(graph, "releases/site")
    assert "releases/site" in above(graph, "releases/current")


def test_only_the_restricted_report_follows_a_release(graph):
    after = {
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if "releases/current" in above(graph, key.to_user_string())
    }
    assert after == {"evidence/quality_report"}


def test_the_decision_waits_for_the_linkage_measurement(graph):
    assert "evidence/link_quality" in above(graph, "evidence/decision")


def test_a_release_is_built_again_without_measuring_or_publishing():
    from pipelines.definitions import defs

    job = defs().resolve_job_def("candidate")
    done = {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
    assert "candidate/marts" in done and "marts/mart_institution" in done
    assert not done & {"evidence/link_quality", "releases/site", "releases/current", "evidence/quality_report"}
