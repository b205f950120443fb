"""Fixtures that every kind of test may use. No test needs a network, a secret, or another test to have run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.settings import ROOT, Settings, load, settings


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """Settings of an empty home of its own."""
    return load(
        {
            "P20W_HOME": str(tmp_path / "state"),
            "P20W_TRUTH": str(tmp_path / "truth"),
            "P20W_VAULT_KEY_FILE": str(tmp_path / "vault.key"),
        }
    )


@pytest.fixture(scope="session")
def manifest() -> dict:
    """dbt's manifest of this checkout."""
    from pipelines import dbt

    return json.loads(dbt.ensure_manifest(settings()).read_text())


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of third-party files; tests that need it skip without it."""
    folder = settings().real_data
    if not folder.is_dir():
        pytest.skip(f"third-party files are not at {folder} (P20W_REAL_DATA)")
    return folder
