"""Runs the unit tests that stand beside the models: cut-offs, fallbacks, windows, attribution."""

from __future__ import annotations

import json
import shutil
import subprocess

import duckdb
import pytest

from pipelines import dbt
from pipelines.identity.vault import TABLES
from pipelines.intake import views


@pytest.fixture(scope="module")
def empty_warehouse(tmp_path_factory):
    """A warehouse with every table and no row: unit tests bring rows of their own."""
    from pipelines.settings import load

    folder = tmp_path_factory.mktemp("unit")
    settings = load({"P20W_HOME": str(folder / "state"), "P20W_VAULT_KEY_FILE": str(folder / "vault.key")})
    settings.home.mkdir()
    with duckdb.connect(str(settings.warehouse_file)) as connection:
        views.create_empty_views(connection)
        # Written by disclosure control in a night; the marts read it.
        connection.execute("CREATE SCHEMA IF NOT EXISTS protected")
        connection.execute(f"CREATE TABLE protected.official_indicator ({official_columns(settings)})")
        connection.execute(f"CREATE TABLE protected.private_earnings ({private_columns(settings)})")
        # What staging of identifiers reads; in a night these are tables of the vault.
        for name in ("identity_record", "current_record", "record_change"):
            connection.execute(f"CREATE TABLE {name} ({TABLES[name]})")
    run(settings, "build", "--empty", "--select", "tag:warehouse", "tag:mart", "resource_type:seed",
        "--resource-type", "model", "--resource-type", "seed")  # fmt: skip
    return settings


def official_columns(settings) -> str:
    from pipelines.disclosure.protect import COLUMNS

    return ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())


def private_columns(settings) -> str:
    """Columns of the mart that is selected from it, by the dictionary that its contract holds it to."""
    manifest = json.loads(dbt.ensure_manifest(settings).read_text())
    columns = manifest["nodes"]["model.p20w.mart_earnings_private"]["columns"].values()
    return ", ".join(f"{column['name']} {column['data_type']}" for column in columns)


def run(settings, *arguments: str) -> dict:
    target = settings.work / "dbt" / "unit"
    parsed = dbt.ensure_manifest(settings).with_name(dbt.PARSED)
    if parsed.exists() and not target.exists():  # the project is parsed once for all
        target.mkdir(parents=True)
        shutil.copyfile(parsed, target / parsed.name)
    done = subprocess.run(
        dbt.command(settings, list(arguments), "warehouse", target),
        env=dbt.environment(settings, secret=False),
        cwd=settings.home,
        capture_output=True,
        text=True,
    )
    results = target / "run_results.json"
    assert results.exists(), done.stdout[-4000:]
    found = json.loads(results.read_text())
    failed = [each for each in found["results"] if each["status"] not in {"success", "pass"}]
    told = "\n\n".join(f"{each['unique_id']}: {each['message']}" for each in failed)
    assert not failed, told[-8000:]
    return found


def test_every_unit_test_beside_a_model_passes(empty_warehouse, manifest):
    found = run(empty_warehouse, "test", "--select", "test_type:unit")
    assert len(found["results"]) == len(manifest["unit_tests"])
    assert len(found["results"]) > 30


def test_every_indicator_has_unit_tests_of_its_edge_cases(manifest):
    tested = {node["model"] for node in manifest["unit_tests"].values()}
    from pipelines.settings import settings

    for code in dbt.indicator_codes(settings()):
        assert any(name.startswith(f"ind_{code}") for name in tested) or _shares_a_macro(code, tested), code


def _shares_a_macro(code: str, tested: set[str]) -> bool:
    """Windows of one kind share one macro; its edge cases may stand beside any of them."""
    stem = code.rsplit("_", 1)[0] if code.startswith("college_going") else code.split("_year_")[0]
    return any(name.startswith(f"ind_{stem.split('_12')[0].split('_16')[0]}") for name in tested)
