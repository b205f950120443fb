"""Fixture: settings of a home that holds a made-up release's evidence."""

from __future__ import annotations

import pytest
from made_up_release import write_evidence, write_tables

from pipelines.settings import Settings


@pytest.fixture
def evidence(home: Settings) -> Settings:
    write_evidence(home)
    write_tables(home.candidate / "data")
    return home
