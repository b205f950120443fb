"""Protection block by block: what did not change is taken over, the result is the same, and nothing kept is trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.disclosure.table import protect as steps
from pipelines.disclosure.table import verify as checks
from pipelines.disclosure.table.attack import attack_file
from pipelines.disclosure.table.blocks import FILE, block_of, cut, digest
from pipelines.disclosure.table.family import read_counts, read_family
from pipelines.disclosure.table.problem import pose
from pipelines.disclosure.table.protect import evidence_parts, protect_file, protected_frame
from pipelines.disclosure.table.shares import solve_shares
from pipelines.disclosure.table.verify import verify, verify_files
from pipelines.errors import P20wError


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks so small that a table of a test has several."""
    monkeypatch.setattr("pipelines.disclosure.table.blocks.BLOCK_CELLS", 150)
    monkeypatch.setattr("pipelines.disclosure.table.blocks.LEAST_ATOMS", 2)


def write(folder: Path, people: dict | None = None, districts: int = 14) -> tuple[Path, Path]:
    """Three schools a district by four grades, a few people in some; people: other (people, often) of some places."""
    rng, rows = np.random.default_rng(11), []
    for district in range(districts):
        for school in range(3):
            for grade in range(4):
                count = int(rng.integers(3, 12) if rng.random() < 0.15 else rng.integers(30, 150))
                place = f"S{district:02d}{school}", f"D{district:02d}", f"{grade}"
                rows.append((*place, *(people or {}).get(place, (count, count // int(rng.integers(3, 12))))))
    (folder / "table.csv").write_text(
        "\n".join(["school,district,grade,people,often", *(",".join(map(str, row)) for row in rows)]) + "\n"
    )
    family = {
        "count": "people",
        "numerator": "often",
        "bands": [{"from": 20, "ends": 0.2}, {"from": 60, "ends": 0.1}],
        "minimum": 10,
        "zeros": "hideable",
        "dimensions": [
            {"column": "school", "total": "state", "parents": ["district"]},
            {"column": "grade", "total": "every", "parents": []},
        ],
    }
    (folder / "family.yml").write_text(yaml.safe_dump(family))
    return folder / "table.csv", folder / "family.yml"


def posed(table: Path, family: Path):
    return pose(read_counts(table, read_family(family)), b"key")


CHANGE = {("S041", "D04", "2"): (77, 30)}


def test_a_result_is_the_same_bytes_with_and_without_blocks_taken_over(tmp_path, key_file, monkeypatch):
    table, family = write(tmp_path)
    calls, add_up = [], checks._broken  # once for each frame of moves whose sums are added up
    monkeypatch.setattr(checks, "_broken", lambda con, exact: calls.append(exact) or add_up(con, exact))
    first = protect_file(table, family, tmp_path / "first.csv", key_file, tmp_path / "night", by_block=True)
    assert first.blocks >= 3 and first.reused == 0
    same = protect_file(table, family, tmp_path / "same.csv", key_file, None, before=tmp_path / "night")
    assert same.reused == same.blocks == first.blocks
    assert first.blocks <= len(calls) <= first.blocks + 1  # what no block can do for itself may have a frame
    calls.clear()
    assert (tmp_path / "same.csv").read_bytes() == (tmp_path / "first.csv").read_bytes()
    write(tmp_path, CHANGE)
    done = protect_file(table, family, tmp_path / "over.csv", key_file, tmp_path / "over", before=tmp_path / "night")
    assert len(calls) <= 2
    anew = protect_file(table, family, tmp_path / "anew.csv", key_file, tmp_path / "anew", by_block=True)
    assert (done.reused, anew.reused) == (first.blocks - 1, 0)
    assert (tmp_path / "over.csv").read_bytes() == (tmp_path / "anew.csv").read_bytes()
    assert (tmp_path / "over.csv").read_bytes() != (tmp_path / "first.csv").read_bytes()
    for name in ("certificates.parquet", "certified.parquet", FILE):
        assert pl.read_parquet(tmp_path / "over" / name).equals(pl.read_parquet(tmp_path / "anew" / name))
    assert not verify_files(table, family, tmp_path / "over.csv", tmp_path / "over")


def test_a_stranger_learns_nothing_of_what_was_protected_by_block(tmp_path, key_file):
    table, family = write(tmp_path)
    protect_file(table, family, tmp_path / "out.csv", key_file, None, by_block=True)
    found = attack_file(tmp_path / "out.csv", family, tmp_path / "attacked.csv")
    assert found.hidden and not found.has_finding


def test_a_block_is_another_only_where_its_own_counts_are_others(tmp_path):
    problems = [posed(*write(tmp_path, change)) for change in (None, CHANGE)]
    found = []
    for problem in problems:
        blocks = cut(problem.table)
        found.append([digest(block_of(problem, codes)[0].problem, b"key") for codes in blocks])
        changed = problem.table.dimensions[0].codes.index("S041")
        mine = [changed in codes for codes in blocks]
    assert [a != b for a, b in zip(*found, strict=True)] == mine and sum(mine) == 1
    again = [digest(block_of(problem, codes)[0].problem, b"another") for codes in blocks]
    assert not set(again) & set(found[1])


def test_a_new_district_moves_no_other_one_to_another_block(tmp_path):
    names = []
    for districts in (12, 13):
        table = read_counts(
            *(each if i == 0 else read_family(each) for i, each in enumerate(write(tmp_path, None, districts)))
        )
        blocks = cut(table)
        names.append([{table.dimensions[0].codes[code] for code in codes} for codes in blocks])
        assert sum(map(len, blocks)) == len(table.dimensions[0].codes) - 1
        for codes in names[-1]:  # a district stands with its schools
            assert {code[1:3] for code in codes if code[0] == "S"} == {code[1:] for code in codes if code[0] == "D"}
    for before in names[0]:
        assert any(before <= after for after in names[1])


def spoiled(path: Path, column: str, change) -> None:
    """Change the first number of the first longer list of a column in the kept file."""
    rows = pl.read_parquet(path)
    lists = rows[column].to_list()
    row = next(i for i, each in enumerate(lists) if each)
    lists[row][0] = change(lists[row][0])
    rows.with_columns(pl.Series(column, lists, dtype=rows.schema[column])).write_parquet(path)


@pytest.mark.parametrize(
    ("column", "change", "says"),
    [
        ("amount", lambda number: number + 1, "sums are not kept"),
        ("cell", lambda number: number + 1, "did not pass"),
        ("cell", lambda number: 10**6, "is damaged"),
        ("cell", lambda number: -1, "is damaged"),
        ("by", lambda number: 10**6, "is damaged"),
    ],
)
def test_what_was_kept_and_tampered_with_is_not_believed(column, change, says, tmp_path, key_file):
    table, family = write(tmp_path)
    protect_file(table, family, tmp_path / "first.csv", key_file, tmp_path / "night", by_block=True)
    spoiled(tmp_path / "night" / FILE, column, change)
    with pytest.raises(P20wError, match=says):
        protect_file(table, family, tmp_path / "out.csv", key_file, None, before=tmp_path / "night")
    assert not (tmp_path / "out.csv").exists()


def test_before_needs_the_key_and_a_folder_that_a_run_by_block_wrote(tmp_path, key_file):
    table, family = write(tmp_path)
    words = ["protect", str(table), "--family", str(family), "--out", str(tmp_path / "out.csv")]
    for more, says in (
        (["--before", str(tmp_path)], "--key-file"),
        (["--key-file", str(key_file), "--before", str(tmp_path)], "earlier run"),
    ):
        done = CliRunner().invoke(app, [*words, *more])
        assert done.exit_code and says in f"{done.output} {done.exception}"
    keep = ["--key-file", str(key_file), "--evidence", str(tmp_path / "night")]
    assert "taken over" not in CliRunner().invoke(app, [*words, *keep, "--by-block"]).output
    (tmp_path / "night" / FILE).write_bytes(b"PAR1 and nothing else")
    with pytest.raises(P20wError, match="is damaged"):
        protect_file(table, family, tmp_path / "out.csv", key_file, None, before=tmp_path / "night")
    CliRunner().invoke(app, [*words, *keep, "--by-block"])
    done = CliRunner().invoke(app, [*words, "--key-file", str(key_file), "--before", str(tmp_path / "night")])
    assert "blocks had not changed and were taken over" in done.output


def test_the_evidence_of_a_table_that_is_not_cut_has_no_block(tmp_path, key_file):
    family, folder = tmp_path / "family.yml", tmp_path / "night"
    family.write_text("count: n\nminimum: 5\nzeros: hideable\ndimensions:\n  - {column: place, total: All}\n")
    for counts in ((9, 12, 30), (3, 12, 30)):  # nothing to hide, and something
        rows = [f"{place},{count}" for place, count in zip("ABC", counts, strict=True)]
        (tmp_path / "table.csv").write_text("\n".join(["place,n", *rows]) + "\n")
        made = tmp_path / "table.csv", family, tmp_path / "out.csv", key_file
        protect_file(*made, folder, by_block=True)
        assert pl.read_parquet(folder / FILE).height == 0
        first = (tmp_path / "out.csv").read_bytes()
        assert protect_file(*made, None, before=folder).reused == 0
        assert (tmp_path / "out.csv").read_bytes() == first


def test_moves_in_many_frames_are_verified_like_moves_in_one(tmp_path, monkeypatch):
    problem = posed(*write(tmp_path))
    proof = solve_shares(problem)
    frame = protected_frame(problem.table, problem.primary | proof.touched(len(problem.value)))
    monkeypatch.setattr(steps, "MOVES_AT_ONCE", 7)
    moves, certified = evidence_parts(problem.table, proof)
    moves = list(moves)
    assert len(moves) > 3 and max(each["certificate"].n_unique() for each in moves) <= 7
    assert not verify(problem.table, frame, iter(moves), certified)
    first = moves[-1]["change"][0]
    spoilt = [*moves[:-1], moves[-1].with_columns(pl.Series("change", [first + 1, *moves[-1]["change"][1:]]))]
    assert any("sums are not kept" in text for text in verify(problem.table, frame, iter(spoilt), certified))
    assert any("uncertain" in text for text in verify(problem.table, frame, iter(moves[:-1]), certified))
