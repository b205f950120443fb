"""Every collection has a schema, an asset, a staging model and a register row, and the reverse."""

from __future__ import annotations

import csv

import schemas
from pipelines.settings import ROOT


def staged(manifest) -> set[str]:
    return {
        node["name"].removeprefix("stg_")
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "staging" and "vault" not in node["tags"]
    }


def difference(one: set[str], other: set[str]) -> str:
    return f"only in the first: {sorted(one - other)}; only in the second: {sorted(other - one)}"


def test_collections_and_staging_models_are_the_same(manifest):
    declared = set(schemas.collections())
    assert declared == staged(manifest), difference(declared, staged(manifest))


def test_collections_and_the_inventory_register_are_the_same():
    with (ROOT / "seeds" / "registers" / "collection.csv").open(newline="") as handle:
        registered = {row["collection"] for row in csv.DictReader(handle)}
    declared = set(schemas.collections())
    assert declared == registered, difference(declared, registered)


def test_collections_and_assets_are_the_same():
    from pipelines.definitions import defs

    keys = {key.path[1] for key in defs().resolve_asset_graph().get_all_asset_keys() if key.path[0] == "accepted"}
    declared = set(schemas.collections())
    assert declared == keys, difference(declared, keys)


def test_every_packaged_collection_is_declared():
    with (ROOT / "seeds" / "registers" / "package.csv").open(newline="") as handle:
        packaged = {row["collection"] for row in csv.DictReader(handle)}
    assert packaged <= set(schemas.collections()), packaged - set(schemas.collections())


def test_a_snapshot_of_assets_jobs_and_schedules_changes_only_on_purpose():
    from pipelines.definitions import defs

    built = defs()
    found = sorted("asset " + key.to_user_string() for key in built.resolve_asset_graph().get_all_asset_keys())
    found += sorted(f"job {job.name}" for job in built.resolve_all_job_defs() if not job.name.startswith("__"))
    found += sorted(f"schedule {schedule.name}" for schedule in built.schedules or [])
    found += sorted(f"sensor {sensor.name}" for sensor in built.sensors or [])
    path = ROOT / "tests" / "contracts" / "assets.txt"
    expected = path.read_text().splitlines() if path.exists() else []
    new, gone = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
    assert not new and not gone, f"New: {new}. Gone: {gone}. If this is on purpose, change {path.name}."
