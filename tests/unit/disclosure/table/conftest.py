"""Fixture: a key of protection in a file, as users keep it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("0f" * 32)
    return path
