"""dbt's results become check rows: named, with their lineage, and a skip counts as the failure that caused it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.quality import check_result, dbt_results
from pipelines.settings import load

BUILD = "20261121T191500-3fa2"
INDICATORS = ["graduation", "course"]


def model(name: str, **more) -> dict:
    return {"name": name, "resource_type": "model", "fqn": ["p20w", name], "tags": [], "config": {}, **more}


def generic_test(name: str, of: str, column: str, severity: str = "ERROR") -> dict:
    return {
        "name": f"{name}_{of}_{column}", "resource_type": "test", "fqn": ["p20w", of], "tags": [],
        "config": {"severity": severity}, "attached_node": f"model.p20w.{of}", "column_name": column,
        "test_metadata": {"name": name, "kwargs": {"column_name": column}},
        "depends_on": {"nodes": [f"model.p20w.{of}"]},
    }  # fmt: skip


EDGES = [
    ("stg_k12__completion", "fct_completion"),
    ("fct_completion", "ind_graduation"),
    ("fct_course", "ind_course"),
    ("ind_graduation", "cube_indicator"),
    ("ind_course", "cube_indicator"),
    ("fct_completion", "cube_transition"),
    ("cube_indicator", "mart_indicator__organization"),
    ("cube_transition", "mart_transition__high_school__college"),
]


def manifest(*tests: dict) -> dict:
    names = sorted({name for edge in EDGES for name in edge})
    nodes = {f"model.p20w.{name}": model(name) for name in names}
    children = {unique_id: [] for unique_id in nodes}
    parents = {unique_id: [] for unique_id in nodes}
    for above, below in EDGES:
        children[f"model.p20w.{above}"].append(f"model.p20w.{below}")
        parents[f"model.p20w.{below}"].append(f"model.p20w.{above}")
    for node in tests:
        nodes[f"test.p20w.{node['name']}"] = node
        children[node["attached_node"]].append(f"test.p20w.{node['name']}")
    return {"nodes": nodes, "sources": {}, "child_map": children, "parent_map": parents}


def results(invocation: str = "i1", **statuses) -> dict:
    rows = [
        {
            "unique_id": name.replace("__dot__", "."),
            "status": status,
            "failures": 3 if status in ("fail", "warn") else 0,
            "message": "value 123-45-6789",
        }
        for name, status in statuses.items()
    ]
    return {"metadata": {"invocation_id": invocation}, "results": rows}


def of(**statuses) -> dict:
    return results(**{f"model__dot__p20w__dot__{name}": status for name, status in statuses.items()})


UNIQUE = generic_test("unique", "fct_completion", "record_key")


def by_check(rows: list[dict]) -> dict[str, dict]:
    return {row["check_id"]: row for row in rows}


def test_a_test_is_named_by_layer_table_and_rule_and_touches_what_lies_below():
    found = results(**{"test__dot__p20w__dot__" + UNIQUE["name"]: "fail"})
    rows = by_check(dbt_results.rows_of(found, manifest(UNIQUE), "warehouse", {"fct_completion": 50}, INDICATORS))
    row = rows["warehouse.fct_completion.unique__record_key"]
    assert (row["status"], row["severity"], row["failing_count"], row["total_count"]) == ("fail", "error", 3, 50)
    assert row["family"] == "graduation;mart_transition__high_school__college"
    assert "123-45-6789" not in row["message"]


def test_a_skip_counts_as_the_failure_that_caused_it():
    found = of(fct_completion="success", ind_graduation="skipped", cube_indicator="skipped", fct_course="skipped")
    found["results"].append({"unique_id": f"test.p20w.{UNIQUE['name']}", "status": "fail", "failures": 3})
    rows = by_check(dbt_results.rows_of(found, manifest(UNIQUE), "warehouse", {}, INDICATORS))
    assert rows["warehouse.ind_graduation.builds"]["status"] == "skipped"
    assert "fct_completion.unique__record_key" in rows["warehouse.ind_graduation.builds"]["message"]
    assert rows["warehouse.ind_graduation.builds"]["family"] == "graduation"
    cause = "warehouse.fct_completion.unique__record_key"
    assert rows["warehouse.ind_graduation.builds"]["cause"] == rows["warehouse.cube_indicator.builds"]["cause"] == cause
    assert rows[cause]["cause"] == ""
    assert rows["warehouse.cube_indicator.builds"]["family"] == "course;graduation"
    assert rows["warehouse.fct_course.builds"]["status"] == "error"  # no failure explains it
    assert "warehouse.fct_completion.builds" not in rows


def test_a_skip_names_the_failed_check_of_one_indicator_by_its_id_and_touches_all_that_could_not_be_built():
    first, second = (generic_test("unique", "ind_graduation", "person_key") for _ in range(2))
    second["name"] += "_second"
    found = of(ind_graduation="success", ind_course="success", cube_indicator="skipped")
    for node, status in ((first, "fail"), (second, "pass")):
        found["results"].append({"unique_id": f"test.p20w.{node['name']}", "status": status, "failures": 1})
    rows = by_check(dbt_results.rows_of(found, manifest(first, second), "warehouse", {}, INDICATORS))
    (failed,) = (row for row in rows.values() if row["status"] == "fail")
    skipped = rows["warehouse.cube_indicator.builds"]
    assert failed["family"] == "graduation", "the failure itself is about one family"
    assert skipped["cause"] == failed["check_id"], "also where two tests of one kind need a suffix"
    assert skipped["family"] == "course;graduation"


def test_a_model_that_fails_is_an_error_without_dbt_s_words():
    rows = by_check(dbt_results.rows_of(of(cube_transition="error"), manifest(), "warehouse", {}, INDICATORS))
    row = rows["warehouse.cube_transition.builds"]
    assert (row["status"], row["family"]) == ("error", "mart_transition__high_school__college")
    assert "123-45-6789" not in row["message"]


def test_a_warning_stays_a_warning_and_touches_nothing():
    warning = generic_test("not_null", "fct_course", "credits", "warn")
    found = results(**{"test__dot__p20w__dot__" + warning["name"]: "warn"})
    row = dbt_results.rows_of(found, manifest(warning), "warehouse", {}, INDICATORS)[0]
    assert (row["severity"], row["status"], row["category"], row["family"]) == ("warn", "warn", "completeness", "")


def test_two_tests_of_one_kind_on_one_column_get_two_ids():
    first, second = (generic_test("in_range", "fct_course", "credits") for _ in range(2))
    second["name"] += "_second"
    found = results(**{f"test__dot__p20w__dot__{node['name']}": "pass" for node in (first, second)})
    rows = dbt_results.rows_of(found, manifest(first, second), "warehouse", {}, INDICATORS)
    assert len({row["check_id"] for row in rows}) == 3


def test_the_identity_phase_is_linkage():
    rows = dbt_results.rows_of(of(fct_course="success"), manifest(), "identity", {}, INDICATORS)
    assert [row["check_id"] for row in rows] == ["linkage.dbt_identity.run_results_recorded"]
    assert rows[0]["total_count"] == 1


@pytest.fixture
def laid(tmp_path: Path):
    (tmp_path / "seeds" / "registers").mkdir(parents=True)
    (tmp_path / "seeds" / "registers" / "indicator.csv").write_text("indicator_code\ngraduation\ncourse\n")
    settings = load({"P20W_HOME": str(tmp_path / "state"), "P20W_SEEDS": str(tmp_path / "seeds")})
    run, graph = tmp_path / "run_results.json", tmp_path / "manifest.json"
    run.write_text(json.dumps(of(fct_course="error")))
    graph.write_text(json.dumps(manifest()))
    return settings, run, graph


def test_a_phase_is_recorded_under_its_build(laid):
    settings, run, graph = laid
    check_result.from_dbt(settings, BUILD, "warehouse", run, graph)
    found = check_result.read(settings, BUILD)
    assert found["check_id"].to_list() == [
        "warehouse.fct_course.builds",
        "warehouse.dbt_warehouse.run_results_recorded",
    ]
    assert check_result.sources(settings, BUILD) == {"dbt_warehouse"}


def test_results_of_an_earlier_build_are_no_evidence_for_this_one(laid):
    settings, run, graph = laid
    check_result.from_dbt(settings, BUILD, "warehouse", run, graph)
    with pytest.raises(RuntimeError, match="dbt did not run"):
        check_result.from_dbt(settings, "20261122T000000-0000", "warehouse", run, graph)


def test_an_unknown_phase_is_named(laid):
    with pytest.raises(ValueError, match="identity, warehouse, mart"):
        check_result.from_dbt(laid[0], BUILD, "vault", *laid[1:])
