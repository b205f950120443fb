"""Verification in little memory and of what was verified before.

Exact counts never reach the disk, rows in pieces are judged as rows at once, and a seal is as good as the sums.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from pipelines.disclosure.table import verify as checks
from pipelines.disclosure.table.family import read_counts, read_family
from pipelines.disclosure.table.problem import pose
from pipelines.disclosure.table.protect import choose, evidence_frames, protected_frame
from pipelines.disclosure.table.verify import Seals, verify
from pipelines.errors import P20wError


def proven(folder: Path, add: int = 0, moved: bool = False) -> tuple:
    """Two schools in each of four districts by two grades, with shares.

    add: people more in the largest counts. moved: the first school lies in the last district.
    """
    rng, rows = np.random.default_rng(5), ["school,district,grade,people,often"]
    for school in range(8):
        for grade in range(2):
            count = int(rng.integers(4, 10) if school % 3 == 0 and grade else rng.integers(40, 90) + add)
            district = 3 if moved and not school else school // 2
            rows.append(f"S{school},D{district},{grade},{count},{count // int(rng.integers(2, 9))}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    family = {
        "count": "people",
        "numerator": "often",
        "bands": [{"from": 20, "ends": 0.2}],
        "minimum": 10,
        "zeros": "hideable",
        "dimensions": [
            {"column": "school", "total": "state", "parents": ["district"]},
            {"column": "grade", "total": "every", "parents": []},
        ],
    }
    (folder / "family.yml").write_text(yaml.safe_dump(family))
    exact = read_counts(folder / "table.csv", read_family(folder / "family.yml"))
    problem = pose(exact, b"key")
    proof = choose(problem)
    frame = protected_frame(exact, problem.primary | proof.touched(len(problem.value)))
    return exact, frame, *evidence_frames(exact, proof)


def tiled(moves: pl.DataFrame, times: int) -> pl.DataFrame:
    """The same moves again and again, under numbers of their own."""
    numbers = moves["certificate"].max() + 1
    again = pl.concat([moves.with_columns(pl.col("certificate") + numbers * k) for k in range(times)])
    return again.cast({"certificate": pl.Int64})


def test_exact_counts_do_not_reach_the_disk_when_memory_is_short(tmp_path, monkeypatch):
    exact, frame, moves, certified = proven(tmp_path)
    many = tiled(moves, 400_000 // moves.height)
    here = tmp_path / "here"  # DuckDB spills into the working folder unless it is told otherwise
    here.mkdir()
    monkeypatch.chdir(here)
    assert verify(exact, frame, iter([many]), certified) == []
    monkeypatch.setattr(checks, "SETTINGS", checks.SETTINGS | {"memory_limit": "30MB"})
    with pytest.raises(P20wError, match="not enough memory to verify"):
        verify(exact, frame, iter([many]), certified)
    assert not list(here.iterdir())


def flaws(exact, frame, moves, certified) -> list[list[str]]:
    """What is said of a table as it is, and with one thing wrong."""
    found = [verify(exact, frame, moves, certified)]
    wrong = pl.int_range(pl.len())
    for column in ("people", "at_most"):
        for row in frame[column].is_not_null().arg_true()[:2]:
            more = frame.with_columns(pl.col(column) + (wrong == row).cast(pl.Int64))
            found.append(verify(exact, more, moves, certified))
    for row in (0, moves.height // 2):
        found.append(verify(exact, frame, moves.with_columns(pl.col("change") + (wrong == row)), certified))
    found += [verify(exact, frame[1:], moves, certified), verify(exact, frame, moves, certified[1:])]
    return found


def test_rows_in_any_pieces_are_judged_as_rows_at_once(tmp_path, monkeypatch):
    proof = proven(tmp_path)
    at_once = flaws(*proof)
    assert at_once[0] == [] and all(at_once[-2:]) and sum(map(bool, at_once)) > 6
    monkeypatch.setattr(checks, "ROWS_AT_ONCE", 11)
    monkeypatch.setattr(checks, "MOVES_AT_ONCE", 3)
    monkeypatch.setattr(checks, "REACH_ROWS", -proof[0].value.size)
    assert flaws(*proof) == at_once


@pytest.mark.parametrize("add", [2**30, 2**36])
def test_numbers_that_need_more_room_are_verified_alike(add, tmp_path):
    exact, frame, moves, certified = proven(tmp_path, add=0)
    large = proven(tmp_path, add=add)
    assert verify(*large) == []
    for these in ((exact, frame, moves, certified), large):
        far = these[2].with_columns(pl.col("change").cast(pl.Int64) * 2**38)
        found = " ".join(verify(these[0], these[1], far, these[3]))
        assert "nobody left" in found and "leave their band" in found and "sums are not kept" not in found
    for add_to in (1, 2**33, -(2**33)):
        row = pl.int_range(pl.len()) == moves.height // 2
        for these in ((exact, frame, moves, certified), large):
            changed = these[2].with_columns(pl.col("change").cast(pl.Int64) + add_to * row.cast(pl.Int64))
            found = verify(these[0], these[1], changed, these[3])
            assert any("sums are not kept" in text for text in found)
            assert add_to > -(2**31) or these is large or any("nobody left" in text for text in found)


def sums_added(monkeypatch) -> list[int]:
    """A list to which every adding up of the sums of a frame's moves adds how many were broken."""
    calls, add_up = [], checks._broken
    monkeypatch.setattr(checks, "_broken", lambda con, exact: calls.append(add_up(con, exact)) or calls[-1])
    return calls


def test_sums_of_moves_that_were_verified_once_are_not_added_up_again(tmp_path, monkeypatch):
    exact, frame, moves, certified = proven(tmp_path)
    calls, key = sums_added(monkeypatch), b"key"
    first = Seals(key)
    assert verify(exact, frame, iter([moves]), certified, first) == [] and (len(calls), len(first.now)) == (1, 1)
    again = Seals(key, frozenset(first.now))
    assert verify(exact, frame, iter([moves]), certified, again) == [] and (len(calls), again.now) == (1, first.now)
    later = moves.with_columns(pl.col("certificate") + 100)  # as where a block before it has other moves
    renumbered = certified.with_columns(pl.col("certificate") + 100)
    assert verify(exact, frame, iter([later]), renumbered, again) == [] and len(calls) == 1
    # All that depends on counts is looked at in any case.
    shown = frame.with_columns(pl.lit("shown").alias("status"))
    assert any(
        "cells of moves are not hidden" in text for text in verify(exact, shown, iter([moves]), certified, again)
    )
    assert any("have no move" in text for text in verify(exact, frame, iter([moves]), certified[:0], again))
    assert len(calls) == 1


def test_a_seal_holds_for_the_same_moves_among_the_same_sums_under_the_same_key_only(tmp_path, monkeypatch):
    exact, frame, moves, certified = proven(tmp_path)
    calls, seals = sums_added(monkeypatch), Seals(b"key")
    verify(exact, frame, iter([moves]), certified, seals)
    known = frozenset(seals.now)
    row = pl.int_range(pl.len()) == moves.height - 1
    other = moves.with_columns(pl.when(row).then(pl.lit(moves["measure"][0])).otherwise("measure").alias("measure"))
    elsewhere = proven(tmp_path, moved=True)
    for table, changed, key in (
        (exact, moves.with_columns(pl.col("change") + row.cast(pl.Int32)), b"key"),
        (exact, moves.with_columns(pl.col("certificate") - row.cast(pl.Int32)), b"key"),
        (exact, other, b"key"),
        (exact, moves[:-1], b"key"),
        (elsewhere[0], moves, b"key"),
        (exact, moves, b"another"),
    ):
        before, again = len(calls), Seals(key, known)
        verify(table, frame, iter([changed]), certified, again)
        assert len(calls) == before + 1
        assert bool(again.now) == (calls[-1] == 0)  # what breaks a sum gets no seal
    assert sum(map(bool, calls)) >= 4


@pytest.mark.parametrize("rows", [2_000_000, -1_000])  # with and without the rows of one cell made one in between
def test_what_moves_of_several_frames_do_to_a_cell_counts_together(rows, tmp_path, monkeypatch):
    """A square of counts that are hidden, whose moves take each up by 2 and down by 1: uncertain by 3 together only."""
    monkeypatch.setattr(checks, "REACH_ROWS", rows)
    (tmp_path / "table.csv").write_text("row,column,people\na,x,50\na,y,60\nb,x,70\nb,y,40\n")
    dimensions = [{"column": name, "total": "all", "parents": []} for name in ("row", "column")]
    family = {"count": "people", "minimum": 10, "zeros": "hideable", "interval": 3, "dimensions": dimensions}
    (tmp_path / "family.yml").write_text(yaml.safe_dump(family))
    exact = read_counts(tmp_path / "table.csv", read_family(tmp_path / "family.yml"))
    hidden = np.zeros((3, 3), dtype=bool)
    hidden[1:, 1:] = True
    frame = protected_frame(exact, hidden.ravel())
    square = pl.DataFrame({"row": list("aabb"), "column": list("xyxy"), "change": [1, -1, -1, 1]})
    up, down = (
        square.with_columns(pl.lit(number).alias("certificate"), pl.col("change") * by)
        for number, by in ((0, 2), (1, -1))
    )
    nobody = up[:0].select("certificate", "row", "column")
    assert verify(exact, frame, iter([up, down]), nobody) == []
    assert verify(exact, frame, iter([down, up]), nobody) == []
    for alone in (up, down):
        assert any("uncertain by 3" in text for text in verify(exact, frame, iter([alone]), nobody))
