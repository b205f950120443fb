"""The bench of `p20w protect`: what every row of its file says, and that a run of some cases leaves the others."""

from __future__ import annotations

import importlib.util
import json
import re

import pytest

from pipelines.disclosure.table import blocks
from pipelines.settings import ROOT

FIELDS = ("case", "cells", "primaries", "secondaries", "determined", "residuals_under_n", "uncertified", "wall_s")
FIELDS += ("cpu_s", "peak_mib")


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_disclosure", ROOT / "tests" / "bench" / "bench_disclosure.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_run_of_one_case_leaves_the_rows_of_the_others(bench, tmp_path):
    out = tmp_path / "disclosure.json"
    first, second, *_, last = bench.CASES
    for case, wall in ((last, 1), (first, 2), (second, 3), (first, 4)):
        bench.keep(out, {"case": case, "wall_s": wall})
    rows = json.loads(out.read_text())
    assert [(row["case"], row["wall_s"]) for row in rows] == [(first, 4), (second, 3), (last, 1)]


def test_a_row_of_changed_blocks_has_what_every_row_has(bench, monkeypatch):
    monkeypatch.setitem(bench.REPEATED, "small", 2)
    monkeypatch.setattr(bench, "_timed", bench.protected)  # in this process, where blocks are smaller
    monkeypatch.setattr(blocks, "BLOCK_CELLS", 5_000)
    monkeypatch.setattr(blocks, "LEAST_ATOMS", 1)
    row = bench.repeated("small")
    assert tuple(row)[: len(FIELDS)] == FIELDS
    assert row["blocks"] > row["changed"] == 1
    assert row["cells"] > 1_000 and row["primaries"] > 0 and row["secondaries"] > 0 and row["failed_checks"] == []
    assert row["determined"] == row["residuals_under_n"] == row["uncertified"] == 0


def test_every_bench_has_a_target():
    targets = set(re.findall(r"python tests/bench/(\w+\.py)", (ROOT / "Makefile").read_text()))
    assert targets == {path.name for path in (ROOT / "tests" / "bench").glob("bench_*.py")}
