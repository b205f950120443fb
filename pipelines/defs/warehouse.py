"""dbt's three phases as steps of the graph, from one manifest.

A dbt step always ends well: failed tests are reported as non-blocking checks and recorded as evidence, models that
dbt skipped are told as such, and only the release gate decides. A step that failed here would stop everything after.
"""

import json
from collections.abc import Iterator
from graphlib import TopologicalSorter

import dagster as dg
from dagster_dbt import DagsterDbtTranslator

from pipelines import dbt, planner
from pipelines.defs.boundary import step, untouched
from pipelines.settings import settings


class Translator(DagsterDbtTranslator):
    """Asset key = schema/table, so that the orchestrator, SQL and files agree."""

    def get_asset_key(self, dbt_resource_props) -> dg.AssetKey:
        declared = (dbt_resource_props.get("config", {}).get("meta") or dbt_resource_props.get("meta") or {}).get(
            "dagster", {}
        )
        if declared.get("asset_key"):
            return dg.AssetKey(declared["asset_key"])
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props) -> str:
        return dbt_resource_props["schema"]


TRANSLATOR = Translator()
MANIFEST = json.loads(dbt.ensure_manifest(settings()).read_text())


def phase_models(tag: str) -> dict[str, dict]:
    """Models of a phase by unique id, each after those that it reads: in this order a step must report them."""
    models = {
        unique_id: node
        for unique_id, node in MANIFEST["nodes"].items()
        if node["resource_type"] == "model" and tag in node["tags"]
    }
    order = TopologicalSorter(
        {unique_id: models.keys() & node["depends_on"]["nodes"] for unique_id, node in models.items()}
    )
    return {unique_id: models[unique_id] for unique_id in order.static_order()}


def phase_assets(phase: str, tag: str) -> dg.AssetsDefinition:
    """One step for a phase: every model an asset, every test with one owner a check."""
    models = phase_models(tag)
    specs = {unique_id: TRANSLATOR.get_asset_spec(MANIFEST, unique_id, None) for unique_id in models}
    checks: dict[str, dg.AssetCheckSpec] = {}
    for unique_id, node in MANIFEST["nodes"].items():
        if node["resource_type"] != "test":
            continue
        for model_id in models:
            if model_id in node["depends_on"]["nodes"]:
                check = TRANSLATOR.get_asset_check_spec(specs[model_id], MANIFEST, unique_id, None)
                if check is not None:
                    # Dependencies of a test on several models are in the graph already.
                    checks[unique_id] = dg.AssetCheckSpec(
                        name=check.name, asset=check.asset_key, description=check.description, blocking=False
                    )

    @dg.multi_asset(
        name=f"dbt_{phase}",
        specs=[spec.replace_attributes(deps=[*spec.deps, dg.AssetKey(["night", "plan"])]) for spec in specs.values()],
        check_specs=list(checks.values()),
    )
    def run_phase(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        from pipelines.quality import dbt_results

        with step(f"dbt {phase}") as configuration:
            reason = untouched(configuration)
            if reason is None:
                result = dbt.run_phase(configuration, phase)
                dbt_results.record_phase(
                    configuration, planner.current_build(configuration), phase, result.run_results, result.manifest
                )
            # On an untouched night the results of the build that stands are told again.
            outcome = dbt.last_outcome(configuration, phase)
        for unique_id, spec in specs.items():
            state = f"kept: {reason}" if reason else outcome.get(unique_id, {}).get("status", "not run")
            yield dg.MaterializeResult(asset_key=spec.key, metadata={"state": state})
        for unique_id, check in checks.items():
            entry = outcome.get(unique_id, {"status": "not run"})
            yield dg.AssetCheckResult(
                asset_key=check.asset_key,
                check_name=check.name,
                passed=entry["status"] == "pass",
                severity=dg.AssetCheckSeverity.ERROR
                if MANIFEST["nodes"][unique_id]["config"]["severity"].lower() == "error"
                else dg.AssetCheckSeverity.WARN,
                metadata={"state": entry["status"], "failing rows": entry.get("failures") or 0},
            )

    return run_phase


dbt_identity = phase_assets("identity", "vault")
dbt_warehouse = phase_assets("warehouse", "warehouse")
dbt_mart = phase_assets("mart", "mart")
