"""The warehouse's rules: what a model must say of itself, and what it may read."""

from __future__ import annotations

import pytest

import schemas

# Allowed reads, by schema of the reading model. Sources are named source:<schema>.
ALLOWED = {
    "staging": {"source:accepted", "source:vault", "seeds"},
    "linkage": {"staging", "linkage", "seeds"},
    "core": {"staging", "core", "seeds", "source:registry"},
    "indicators": {"core", "indicators", "seeds"},
    "cubes": {"indicators", "core", "cubes", "seeds"},
    "protected": {"cubes", "seeds", "protected"},
    "marts": {"protected", "source:protected", "seeds", "marts"},
}
PREFIX = {
    "staging": "stg_",
    "linkage": "int_linkage__",
    "core": ("dim_", "fct_", "brg_"),
    "indicators": ("ind_", "int_indicator__"),
    "cubes": "cube_",
    "protected": "perturbed_",
    "marts": "mart_",
}
PAST_IDENTITY = {"core", "indicators", "cubes", "protected", "marts"}
PAST_INDICATORS = {"cubes", "protected", "marts"}


@pytest.fixture(scope="session")
def models(manifest) -> list[dict]:
    found = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert len(found) > 50
    return found


@pytest.fixture(scope="session")
def tests(manifest) -> list[dict]:
    return [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]


def test_every_model_lives_in_a_known_schema_under_its_prefix(models):
    for model in models:
        assert model["schema"] in ALLOWED, f"{model['name']} is in schema {model['schema']}"
        assert model["name"].startswith(PREFIX[model["schema"]]), f"{model['name']} in {model['schema']}"


def test_every_model_reads_only_what_its_layer_may_read(models, manifest):
    for model in models:
        for parent_id in model["depends_on"]["nodes"]:
            if parent_id.startswith("source."):
                layer = "source:" + manifest["sources"][parent_id]["schema"]
                if layer == "source:main":
                    layer = "source:vault"
            else:
                layer = manifest["nodes"][parent_id]["schema"]
            assert layer in ALLOWED[model["schema"]], f"{model['name']} reads {parent_id}"


def test_every_model_has_a_description_that_states_its_grain(models):
    for model in models:
        assert model["description"].strip(), f"{model['name']} has no description"
        assert "grain" in model["description"].lower(), f"{model['name']} does not state its grain"


def test_every_model_has_a_key_test(models, tests):
    tested = {
        node["attached_node"]
        for node in tests
        if (node.get("test_metadata") or {}).get("name") in {"unique", "unique_key"}
    }
    missing = [model["name"] for model in models if model["unique_id"] not in tested]
    assert not missing, f"models without a key test: {missing}"


def test_every_test_states_its_severity(tests):
    # What dbt would fill in by itself is not in unrendered_config.
    missing = [node["name"] for node in tests if not (node.get("unrendered_config") or {}).get("severity")]
    assert not missing, f"tests without a stated severity: {missing}"


def test_every_column_of_a_mart_is_described_and_every_contract_enforced(models):
    for model in models:
        if model["schema"] in {"core", "marts"}:
            assert model["config"]["contract"]["enforced"], f"{model['name']} enforces no contract"
        if model["schema"] == "marts":
            for name, column in model["columns"].items():
                assert column["description"].strip(), f"{model['name']}.{name} has no description"


def test_no_direct_identifier_goes_past_identity(models):
    direct = {name for name, element in schemas.elements.ELEMENTS.items() if element.privacy_class == "direct"}
    assert {"ssn", "surname", "birth_date", "student_id_state"} <= direct
    for model in models:
        if model["schema"] in PAST_IDENTITY:
            assert not direct & set(model["columns"]), f"{model['name']} has {direct & set(model['columns'])}"


def test_no_person_key_goes_past_the_indicators(models):
    for model in models:
        if model["schema"] in PAST_INDICATORS:
            forbidden = {"person_key", "record_key", "perturbation_key", "employer_key"} & set(model["columns"])
            assert not forbidden, f"{model['name']} has {forbidden}"
