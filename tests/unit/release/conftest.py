"""Fixture: a tiny installation of its own for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from release_home import Installation

from pipelines.registers import read_seed
from pipelines.release import candidate
from pipelines.settings import load


@pytest.fixture
def installation(tmp_path: Path):
    settings = load(
        {"P20W_HOME": str(tmp_path / "state"), "P20W_SEEDS": str(tmp_path / "seeds"), "P20W_TRUTH": str(tmp_path)}
    )
    made = Installation(settings)
    register = {"breakdowns": "all", "levels": "state"}
    made.seed(
        "registers/indicator.csv",
        [
            {"indicator_code": "graduation", "collections": "k12__completion;k12__student", "reads_years": "-1;0",
             "protection": "official", **register},
            {"indicator_code": "course", "collections": "postsecondary__course_result", "reads_years": "0",
             "protection": "perturbed", **register},
        ],
    )  # fmt: skip
    made.seed(
        "registers/family.csv",
        [
            {"family": "mart_flow", "collections": "workforce__wage", "reads_years": "0"},
            {"family": "mart_availability", "collections": "", "reads_years": "0"},
        ],
    )
    made.seed("policy/shared_core.csv", [{"table_name": "dim_organization", "reason": "all numbers"}])
    for name in ("protection.csv", "rate_band.csv"):
        shutil.copy(load({}).seeds / "policy" / name, settings.seeds / "policy")
    made.seed(
        "registers/statistic.csv",
        [*read_seed(load({}), "registers/statistic.csv"), *(
            {"table_name": "mart_flow", "column_name": name, "says": says, "constraint": "of this test"}
            for name, says in {"cohort_year": "time", "origin_code": "place", "destination_code": "place",
                               "person_count": "count", "value_status": "status", "protection": "status"}.items())],
    )  # fmt: skip
    made.seed(
        "registers/officer.csv",
        [
            {"officer": "chair", "title": "Chair", "active_from": "2026-01-01", "active_until": ""},
            {"officer": "deputy", "title": "Deputy", "active_from": "2026-01-01", "active_until": ""},
            {"officer": "former", "title": "Former", "active_from": "2025-01-01", "active_until": "2025-12-31"},
        ],
    )
    made.seed(
        "registers/release_clock.csv",
        [
            {"family": "*", "event": "regular", "date": "2026-12-15", "note": ""},
            {"family": "graduation", "event": "revision", "date": "2027-06-15", "note": ""},
        ],
    )
    made.warehouse({("graduation", 2023): 80, ("graduation", 2024): 82, ("course", 2024): 60})
    yield made
    candidate.remove_tree(tmp_path / "state")
