"""dbt's own files of one phase, read into check results.

What belongs here: naming a test, telling its layer, what a failure or a skip touches by dbt's lineage.
What does not: whether that stops a release (`pipelines.release.gate`).

Messages of dbt and DuckDB are never copied: they may print values of rows. Ours name the model, the rule and counts.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter, deque
from pathlib import Path

import duckdb

from pipelines.errors import P20wError
from pipelines.quality import check_result
from pipelines.settings import Settings

PHASES = ("identity", "warehouse", "mart")
LONG_MART = "mart_indicator__organization"
_COMPLETENESS_TESTS = ("not_null", "relationships")
_BUILT = ("model", "seed", "snapshot")


def record_phase(settings: Settings, build_id: str, phase: str, run_results_path: Path, manifest_path: Path) -> Path:
    """Record each data test, failed model and skipped node of one dbt call as source `dbt_<phase>`.

    phase: one of `PHASES`. A last row `…run_results_recorded` says that the phase was recorded, with the number of
    nodes, so that a phase with nothing to test is told apart from one that never ran.

    Errors: ValueError for an unknown phase; FileNotFoundError when dbt left no results; RuntimeError when these
    results were already recorded under another build (dbt did not run and an old file lay there).
    """
    if phase not in PHASES:
        raise P20wError(f"Unknown dbt phase {phase!r}; phases are {', '.join(PHASES)}.")
    results = json.loads(Path(run_results_path).read_text())
    manifest = json.loads(Path(manifest_path).read_text())
    _claim_invocation(settings, build_id, results["metadata"].get("invocation_id", ""))
    sizes = table_sizes(settings) if phase != "identity" else {}
    rows = rows_of(results, manifest, phase, sizes, _indicators(settings))
    return check_result.record(settings, build_id, f"dbt_{phase}", rows)


def rows_of(results: dict, manifest: dict, phase: str, sizes: dict[str, int], indicators: list[str]) -> list[dict]:
    """Check rows of one dbt call.

    sizes: table name → number of rows, where known (total_count); indicators: all codes of the register, which a
    failure touches when it is not on the way of some indicators only.
    """
    nodes = {**manifest["nodes"], **manifest.get("sources", {})}
    lineage = Lineage(manifest, indicators)
    by_id = {result["unique_id"]: result for result in results["results"]}
    rule_names = Counter(
        (_table(nodes[unique_id], nodes), _rule(nodes[unique_id]))
        for unique_id in by_id
        if unique_id in nodes and nodes[unique_id]["resource_type"] == "test"
    )

    def named(unique_id: str) -> tuple[str, str, str]:
        """Layer, table and rule of a node's check."""
        node = nodes[unique_id]
        is_test = node["resource_type"] == "test"
        table = _table(node, nodes) if is_test else node["name"]
        rule = _rule(node) if is_test else "builds"
        if is_test and rule_names[(table, rule)] > 1:
            rule += "__" + hashlib.sha256(unique_id.encode()).hexdigest()[:6]
        return _layer(node, nodes, phase), table, rule

    broken_at = {node: named(by) for node, by in _broken_nodes(by_id, nodes).items()}
    rows = []
    for unique_id, result in by_id.items():
        node = nodes.get(unique_id)
        if node is None or node["resource_type"] not in (*_BUILT, "test"):
            continue
        is_test = node["resource_type"] == "test"
        status = _status(result["status"], is_test)
        if status == "pass" and not is_test:
            continue
        layer, table, rule = named(unique_id)
        message, causes = "", set()
        if status == "skipped":
            causes = {broken_at[node] for node in lineage.ancestors(_targets(node, unique_id)) & set(broken_at)}
            if causes:
                names = sorted(f"{broken}.{broken_rule}" for _, broken, broken_rule in causes)
                message = f"Not run, because of: {', '.join(names)}."
            else:
                status, message = "error", "Not run, and dbt names no failure that explains it."
        elif status == "error":
            message = (
                f"{'The test' if is_test else 'The table'} could not be computed. Run dbt for {table} to see why; its "
                "own message is not repeated here because it may show values."
            )
        elif status in ("fail", "warn"):
            message = f"{result.get('failures') or 0} rows of {table} break the rule {rule}."
        touched = lineage.families(_targets(node, unique_id)) if status in ("fail", "error", "skipped") else []
        rows.append(
            {
                "check_id": f"{layer}.{table}.{rule}",
                "layer": layer,
                "category": _category(node, layer) if is_test else ("linkage" if layer == "linkage" else "conformance"),
                "severity": _severity(node) if is_test else "error",
                "status": status,
                "failing_count": result.get("failures") or 0,
                "total_count": sizes.get(table),
                "collection": _collection(node, nodes),
                "family": ";".join(touched),
                "message": message,
                "cause": ";".join(sorted(".".join(cause) for cause in causes)),
            }
        )
    layer = "linkage" if phase == "identity" else "warehouse"
    rows.append(
        {
            "check_id": f"{layer}.dbt_{phase}.run_results_recorded",
            "layer": layer,
            "category": "completeness",
            "severity": "error",
            "status": "pass",
            "total_count": len(by_id),
            "message": f"dbt ran {len(by_id)} models and tests.",
        }
    )
    return rows


class Lineage:
    """dbt's graph, asked for what lies above a node and which published families lie below it."""

    def __init__(self, manifest: dict, indicators: list[str]):
        self.indicators = set(indicators)
        self.parents: dict[str, list[str]] = manifest["parent_map"]
        self.children: dict[str, list[str]] = manifest["child_map"]

    def ancestors(self, start: list[str]) -> set[str]:
        """`start` and every node above it."""
        return self._walk(start, self.parents)

    def families(self, start: list[str]) -> list[str]:
        """Families below `start`: indicator codes and names of other marts.

        A path through `ind_<code>` touches that indicator only, although all indicators meet in one long mart below.
        """
        found: set[str] = set()
        past_indicator: set[str] = set()
        seen: set[str] = set()
        queue = deque(start)
        while queue:
            unique_id = queue.popleft()
            if unique_id in seen:
                continue
            seen.add(unique_id)
            name = unique_id.split(".")[-1]
            if not unique_id.startswith(("model.", "seed.", "source.")):
                continue
            if name.startswith("ind_"):
                found.add(name.removeprefix("ind_").split("__")[0])
                past_indicator.add(unique_id)
                continue
            if name == LONG_MART:
                found |= self.indicators
            elif name.startswith("mart_"):
                found.add(name)
            queue.extend(self.children.get(unique_id, ()))
        for unique_id in self._walk(list(past_indicator), self.children):
            name = unique_id.split(".")[-1]
            if unique_id.startswith("model.") and name.startswith("mart_") and name != LONG_MART:
                found.add(name)
        return sorted(found)

    @staticmethod
    def _walk(start: list[str], edges: dict[str, list[str]]) -> set[str]:
        seen: set[str] = set()
        queue = deque(start)
        while queue:
            unique_id = queue.popleft()
            if unique_id not in seen:
                seen.add(unique_id)
                queue.extend(edges.get(unique_id, ()))
        return seen


def table_sizes(settings: Settings) -> dict[str, int]:
    """Rows by table name in the warehouse, from its catalog; empty when it cannot be read now."""
    if not settings.warehouse_file.exists():
        return {}
    try:
        with duckdb.connect(str(settings.warehouse_file), read_only=True) as con:
            return dict(con.execute("SELECT table_name, estimated_size FROM duckdb_tables()").fetchall())
    except duckdb.Error:
        return {}  # a total is a comfort of the report; its absence must not lose the results


def _indicators(settings: Settings) -> list[str]:
    with (settings.seeds / "registers" / "indicator.csv").open(newline="", encoding="utf-8") as handle:
        return [row["indicator_code"] for row in csv.DictReader(handle)]


def _claim_invocation(settings: Settings, build_id: str, invocation_id: str) -> None:
    if not invocation_id:
        raise RuntimeError("dbt's run_results.json names no invocation, so it cannot be tied to this build.")
    marker = settings.evidence / "dbt_invocation" / invocation_id
    marker.parent.mkdir(parents=True, exist_ok=True)
    if marker.exists() and marker.read_text() != build_id:
        raise RuntimeError(
            f"dbt's results {invocation_id} were already recorded by build {marker.read_text()}: dbt did not run in "
            f"build {build_id}, an old run_results.json was found in its place."
        )
    marker.write_text(build_id)


def _broken_nodes(by_id: dict[str, dict], nodes: dict[str, dict]) -> dict[str, str]:
    """Node → what broke there: itself, when the model failed, or an error test on it that failed."""
    broken: dict[str, str] = {}
    for unique_id, result in by_id.items():
        node = nodes.get(unique_id)
        if node is None:
            continue
        if node["resource_type"] == "test":
            if result["status"] in ("fail", "error"):
                for target in _targets(node, unique_id):
                    broken.setdefault(target, unique_id)
        elif result["status"] == "error":
            broken[unique_id] = unique_id
    return broken


def _targets(node: dict, unique_id: str) -> list[str]:
    if node["resource_type"] != "test":
        return [unique_id]
    attached = node.get("attached_node")
    return [attached] if attached else list(node["depends_on"]["nodes"])


def _status(status: str, is_test: bool) -> str:
    known = {"pass": "pass", "warn": "warn", "fail": "fail", "error": "error", "skipped": "skipped"}
    if not is_test:
        known |= {"success": "pass", "no-op": "pass"}
    return known.get(status, "error")  # a status we do not know is no proof of anything


def _severity(node: dict) -> str:
    return "warn" if str(node["config"].get("severity", "error")).lower() == "warn" else "error"


def _subject(node: dict, nodes: dict[str, dict]) -> dict:
    """The model or source that a test is about."""
    if node["resource_type"] != "test":
        return node
    named = (node["config"].get("meta") or {}).get("dagster", {}).get("ref", {}).get("name")
    attached = node.get("attached_node")
    below = [nodes[unique_id] for unique_id in node["depends_on"]["nodes"] if unique_id in nodes]
    if attached in nodes:
        return nodes[attached]
    return next((candidate for candidate in below if candidate["name"] == named), below[0] if below else node)


def _table(node: dict, nodes: dict[str, dict]) -> str:
    return _subject(node, nodes)["name"]


def _rule(node: dict) -> str:
    generic = node.get("test_metadata")
    if not generic:
        return node["name"]
    column = node.get("column_name") or (generic.get("kwargs") or {}).get("column_name")
    return f"{generic['name']}__{column}" if column else generic["name"]


def _layer(node: dict, nodes: dict[str, dict], phase: str) -> str:
    subject = _subject(node, nodes)
    in_vault = phase == "identity" or "vault" in (subject.get("tags") or []) or "linkage" in subject.get("fqn", [])
    return "linkage" if in_vault else "warehouse"


def _category(node: dict, layer: str) -> str:
    declared = (node["config"].get("meta") or {}).get("category")
    if declared in check_result.CATEGORIES:
        return declared
    if layer == "linkage":
        return "linkage"
    if "plausibility" in node.get("fqn", []):
        return "plausibility"
    generic = (node.get("test_metadata") or {}).get("name")
    return "completeness" if generic in _COMPLETENESS_TESTS else "conformance"


def _collection(node: dict, nodes: dict[str, dict]) -> str | None:
    subject = _subject(node, nodes)
    if subject["resource_type"] == "source" and subject.get("source_name") == "accepted":
        return subject["name"]
    return subject["name"].removeprefix("stg_") if subject["name"].startswith("stg_") else None
