"""Exact counts and records of people never touch the disk in clear, not even where memory is short."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.disclosure.in_memory import in_memory
from pipelines.errors import P20wError


def test_a_query_that_needs_more_memory_than_there_is_spills_nothing_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(P20wError, match="not enough memory to count people"), in_memory("count people") as con:
        con.execute("SET memory_limit = '30MB'")
        con.execute("SET threads = 1")
        con.execute("CREATE TABLE people AS SELECT range AS person, hash(range) AS mark FROM range(20_000_000)")
    assert not list(Path(tmp_path).rglob("*"))
