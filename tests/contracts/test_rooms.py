"""The layout's rules about who may import and read what."""

from __future__ import annotations

import ast
import csv
import tomllib
from pathlib import Path

import pytest

from pipelines.settings import ROOT

ROOMS = ["intake", "identity", "disclosure", "quality", "release", "reports", "demo_state"]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found.update(f"{node.module}.{name.name}" for name in node.names)
    return found


def python_files(folder: str) -> list[Path]:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, f"{folder} holds no Python file"
    return files


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_neither_the_orchestrator_nor_its_definitions(room):
    for path in python_files(f"pipelines/{room}"):
        wrong = {name for name in imports(path) if name.split(".")[0] == "dagster" or name.startswith("pipelines.defs")}
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_schemas_import_neither_the_orchestrator_nor_pipelines():
    for path in python_files("schemas"):
        wrong = {name for name in imports(path) if name.split(".")[0] in {"dagster", "pipelines"}}
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_only_settings_reads_the_environment():
    for path in python_files("pipelines") + python_files("schemas"):
        if path == ROOT / "pipelines" / "settings.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            reads = (
                isinstance(node, ast.Attribute)
                and node.attr in {"environ", "getenv"}
                and isinstance(node.value, ast.Name)
                and node.value.id == "os"
            )
            assert not reads, f"{path.relative_to(ROOT)}:{node.lineno} reads or writes it"


def test_every_module_says_what_belongs_there():
    for path in python_files("pipelines") + python_files("schemas"):
        if path.name == "__init__.py" and not path.read_text().strip():
            continue
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path.relative_to(ROOT)} opens without a docstring"


def test_workspace_and_project_file_name_the_same_module():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    module = project["tool"]["dg"]["project"]["code_location_target_module"]
    assert f"module_name: {module}" in (ROOT / "workspace.yaml").read_text()


def test_the_top_level_is_the_one_that_was_asked_for():
    for name in [
        "pyproject.toml",
        "pipelines",
        "dbt_project",
        "schemas",
        "seeds",
        "tests",
        "workspace.yaml",
        "README.md",
    ]:
        assert (ROOT / name).exists(), name


def test_every_seed_is_a_rectangle_with_a_header():
    for path in sorted((ROOT / "seeds").rglob("*.csv")):
        with path.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.reader(handle))
        assert rows and rows[0], f"{path.name} has no header"
        for number, row in enumerate(rows[1:], start=2):
            assert len(row) == len(rows[0]), f"{path.name} line {number} has {len(row)} fields, not {len(rows[0])}"


def test_no_file_names_a_registry_host_or_a_path_of_one_machine():
    hosts = ["py" + "pi.org", "python" + "hosted", "registry.npm" + "js", "extensions." + "duckdb"]
    skipped = {".venv", ".git", "state", "state-real", "build", "target", "__pycache__", ".ruff_cache", ".pytest_cache"}
    for path in ROOT.rglob("*"):
        if skipped.intersection(path.relative_to(ROOT).parts) or not path.is_file():
            continue
        if path.suffix in {".py", ".sql", ".yml", ".yaml", ".csv", ".md", ".toml", ".lock", ".txt", ".html", ""}:
            text = path.read_text(encoding="utf-8", errors="replace")
            for host in hosts:
                assert host not in text, f"{path.relative_to(ROOT)} names {host}"
