"""What protection hides, against a reader who lists every possible table and against the stranger's attack."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from table_auditor import Small, small_table
from typer.testing import CliRunner

from pipelines import cli
from pipelines.cli import app
from pipelines.disclosure.table.attack import attack_file
from pipelines.disclosure.table.cubes import solve_by_cubes
from pipelines.disclosure.table.family import read_counts, read_family
from pipelines.disclosure.table.problem import certificates, pose
from pipelines.disclosure.table.protect import evidence_frames, protect_file, protected_frame
from pipelines.disclosure.table.search import solve, solve_by_parts
from pipelines.disclosure.table.verify import verify, verify_files
from pipelines.errors import P20wError
from pipelines.settings import ROOT

PUBLISHED = ROOT.parent / "shared" / "data" / "disclosure"
EFFORT = 30  # programs spent on showing cells again: few, to be quick
ENGINES = {
    "by program": partial(solve, effort=EFFORT),
    "by parts": partial(solve_by_parts, effort=EFFORT),
    "by cubes": solve_by_cubes,
}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts so small that a table of a test has several."""
    monkeypatch.setattr("pipelines.disclosure.table.parts.ALL_CODES", 4)
    monkeypatch.setattr("pipelines.disclosure.table.parts.SIBLINGS", 2)


def exact_of(small: Small, folder: Path):
    """The complete table of exact counts, read from its files; nothing of it is hidden."""
    small.hidden = set()
    table, family = small.write(folder)
    return read_counts(table, read_family(family))


def hide(small: Small, folder: Path, engine) -> tuple:
    """The exact table, its problem and proof; `small` then has the hidden cells."""
    exact = exact_of(small, folder)
    problem = pose(exact, b"key")
    proof = engine(problem)
    hidden = problem.primary | proof.touched(len(problem.value))
    for cell in np.flatnonzero(hidden):
        at = np.unravel_index(cell, exact.value.shape)
        small.hidden.add(tuple(each.codes[i] for each, i in zip(exact.dimensions, at, strict=True)))
    return exact, problem, proof, hidden


def flaws(small: Small, truth: dict) -> list[tuple]:
    """What a reader who knows every possible table learns and must not."""
    n, width = small.minimum, small.interval
    return [
        (cell, low, high)
        for cell, (low, high) in truth.items()
        if low == high or high < n or (low < n and high - low < width)
    ]


def small_with_primaries(rng: np.random.Generator, cells: int) -> Small:
    """A random table with far more people than n, so that its whole is mostly shown and possible tables are few."""
    while True:
        small = small_table(rng, cells)
        grand = tuple(small.totals)
        if small.count[grand] >= 4 * small.minimum and any(1 <= v < small.minimum for v in small.count.values()):
            return small


def listed(engine, seed: int, tables: int, cells: int, folder: Path) -> int:
    """Protect that many random tables; returns for how many of them everything possible was listed."""
    rng, seen = np.random.default_rng(seed), 0
    for _ in range(tables):
        small = small_with_primaries(rng, cells)
        exact, problem, proof, hidden = hide(small, folder, engine)
        assert not verify(exact, protected_frame(exact, hidden), *evidence_frames(exact, proof))
        assert small.residuals() == 0
        assert not (small.zeros_shown and any(small.count[cell] == 0 for cell in small.hidden))
        assert not small.determined()
        truth = None if tuple(small.totals) in small.hidden else small.intervals(50 * cells)
        if truth is not None:
            seen += 1
            assert not flaws(small, truth), (seed, small.family_text())
    return seen


@pytest.mark.parametrize("engine", ENGINES)
def test_a_reader_who_lists_every_possible_table_learns_nothing(engine, tmp_path):
    assert listed(ENGINES[engine], 5, 8, 20, tmp_path) >= 3


def test_no_decoy_loses_the_move_that_keeps_it_uncertain_when_partners_are_shown_again(tmp_path):
    small = small_with_primaries(np.random.default_rng(155), 40)  # one in which it did
    exact, problem, proof, hidden = hide(small, tmp_path, ENGINES["by program"])
    assert problem.decoy.any()
    assert not verify(exact, protected_frame(exact, hidden), *evidence_frames(exact, proof))


def insiders_learn(small: Small, tables: list[dict]) -> set[tuple]:
    """(cell, the reader's cell): small cells that one person of a hidden cell, who so knows that it is not empty, can
    tell to be small, or how many they have. tables: everything that is possible to who is in none."""
    found = set()
    for own in (cell for cell in small.hidden if small.count[cell]):
        possible = [table for table in tables if table[own] > 0]
        for cell in small.hidden:
            numbers = {table[cell] for table in possible}
            if 1 <= small.count[cell] < small.minimum and (max(numbers) < small.minimum or len(numbers) == 1):
                found.add((cell, own))
    return found


def three_and_two() -> Small:
    """A row of 3, 2 and 20 among rows of 20, with n = 5 and an interval of 3."""
    count = {(p, g): 20 for p in ("p0", "p1", "p2") for g in ("g0", "g1", "g2")}
    count |= {("p0", "g0"): 3, ("p0", "g1"): 2}
    sums = [[("all", ["p0", "p1", "p2"])], [("every", ["g0", "g1", "g2"])]]
    count |= {("all", g): sum(count[p, g] for p in ("p0", "p1", "p2")) for g in ("g0", "g1", "g2")}
    count |= {(p, "every"): sum(count[p, g] for g in ("g0", "g1", "g2")) for p in ("p0", "p1", "p2", "all")}
    return Small(["p", "g"], ["all", "every"], [[], []], [[], []], [{}, {}], sums, count, set(), 5, False, 3)


@pytest.mark.parametrize("engine", ENGINES)
def test_A14_one_of_two_does_not_learn_that_three_hidden_beside_them_are_fewer_than_five(engine, tmp_path):
    small = three_and_two()
    hide(small, tmp_path, ENGINES[engine])
    assert insiders_learn(small, small.tables(1_000)) == set()
    # Hidden with two of another row they are five together, and a stranger learns nothing.
    small.hidden = {(p, g) for p in ("p0", "p1") for g in ("g0", "g1")}
    assert not flaws(small, small.intervals(1_000)) and small.residuals() == 0
    three, two = ("p0", "g0"), ("p0", "g1")
    assert insiders_learn(small, small.tables(1_000)) == {(three, two), (two, three)}


def test_verification_fails_when_a_move_leaves_nobody_in_a_cell(tmp_path):
    small = three_and_two()
    exact = exact_of(small, tmp_path)
    codes = [each.codes for each in exact.dimensions]
    block = {("p0", "g0"): 2, ("p0", "g1"): -2, ("p1", "g0"): -2, ("p1", "g1"): 2}
    place = {tuple(map(list.index, codes, cell)): amount for cell, amount in block.items()}
    flat = {int(np.ravel_multi_index(at, exact.value.shape)): amount for at, amount in place.items()}
    cells = np.array(sorted(flat))
    moves = [(cells, sign * np.array([flat[cell] for cell in sorted(flat)])) for sign in (1, -1)]
    hidden = np.isin(np.arange(exact.value.size), cells)
    proof = certificates(moves, {cell: int(flat[cell] < 0) for cell in flat if exact.value.ravel()[cell] < 5})
    told = verify(exact, protected_frame(exact, hidden), *evidence_frames(exact, proof))
    assert any("1 cells would have nobody left in a move" in sentence for sentence in told), told


@pytest.mark.parametrize("engine", ENGINES)
def test_A14_who_is_one_of_a_hidden_cell_cannot_tell_that_a_small_one_is_small_nor_how_many_it_has(engine, tmp_path):
    rng, seen = np.random.default_rng(14), 0
    while seen < 10:
        small = small_with_primaries(rng, 20)
        small.zeros_shown = False  # where zeros are shown everybody knows that no hidden cell is empty
        hide(small, tmp_path, ENGINES[engine])
        tables = None if tuple(small.totals) in small.hidden else small.tables(1_000)
        if tables:
            seen += 1
            assert insiders_learn(small, tables) == set(), small.family_text()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seed", range(20, 28))
def test_a_reader_who_lists_every_possible_table_learns_nothing_of_a_thousand(engine, seed, tmp_path):
    assert listed(ENGINES[engine], seed, 125, 40, tmp_path) >= 30


def random_table(rng: np.random.Generator, folder: Path) -> tuple[Path, Path]:
    """Up to about 400 cells: schools in districts of counties and regions, groups of two breakdowns, grades."""
    schools, districts = int(rng.integers(4, 9)), int(rng.integers(2, 4))
    of = rng.integers(0, districts, schools)
    county, region = rng.integers(0, 2, districts), rng.integers(0, 2, districts)
    mean = float(rng.choice([2, 6, 15]))
    lines = ["school,district,county,region,group,grade,people"]
    tally: dict[tuple, int] = {}
    for school in range(schools):
        for grade in range(int(rng.integers(1, 4))):
            for sex in "fm":
                for need in ("y", "z"):
                    people = int(rng.poisson(mean * rng.lognormal(0, 0.8)))
                    for group in (sex, need, "all"):
                        tally[school, group, grade] = tally.get((school, group, grade), 0) + people
    for (school, group, grade), people in tally.items():
        d = of[school]
        lines.append(f"S{school},D{d},C{county[d]},R{region[d]},{group},{grade},{people}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    family = {
        "count": "people",
        "minimum": int(rng.choice([5, 10, 11])),
        "zeros": str(rng.choice(["shown", "hideable"])),
        "interval": 3,
        "dimensions": [
            {"column": "school", "total": "state", "parents": ["district", "county", "region"]},
            {"column": "group", "total": "all", "breakdowns": [["f", "m"], ["y", "z"]]},
            {"column": "grade", "total": "every", "parents": []},
        ],
    }
    (folder / "family.yml").write_text(yaml.safe_dump(family))
    return folder / "table.csv", folder / "family.yml"


def attacked(engine, seed: int, tables: int, folder: Path) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(tables):
        table, family = random_table(rng, folder)
        exact = read_counts(table, read_family(family))
        problem = pose(exact, b"key")
        if not problem.primary.any():
            continue
        proof = engine(problem)
        frame = protected_frame(exact, problem.primary | proof.touched(len(problem.value)))
        assert not verify(exact, frame, *evidence_frames(exact, proof))
        frame.write_csv(folder / "protected.csv")
        assert not attack_file(folder / "protected.csv", family, folder / "attacked.csv").has_finding


@pytest.mark.parametrize("engine", ENGINES)
def test_the_attack_finds_nothing_in_linked_hierarchies(engine, tmp_path):
    attacked(ENGINES[engine], 3, 1, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seed", range(40, 46))
def test_the_attack_finds_nothing_in_many_linked_hierarchies(engine, seed, tmp_path):
    attacked(ENGINES[engine], seed, 25, tmp_path)


# --- one table with everything, for the rules of the file ---------------------------------------------------


def plain(folder: Path, rows: list[str] | None = None, **said) -> tuple[Path, Path]:
    """Six schools of two districts by three grades, two of them small."""
    rng = np.random.default_rng(8)
    if rows is None:
        rows = [
            f"S{school},D{school % 2},{grade},{3 if (school, grade) in ((0, 1), (3, 2)) else int(rng.integers(12, 40))}"
            for school in range(6)
            for grade in range(3)
        ]
    (folder / "plain.csv").write_text("\n".join(["school,district,grade,people", *rows]) + "\n")
    family = {
        "count": "people",
        "minimum": 10,
        "zeros": "shown",
        "dimensions": [
            {"column": "school", "total": "state", "parents": ["district"]},
            {"column": "grade", "total": "every", "parents": []},
        ],
    }
    (folder / "plain.yml").write_text(yaml.safe_dump(family | said))
    return folder / "plain.csv", folder / "plain.yml"


ONE_SMALL = [
    f"S{school},D{school % 2},{grade},{3 if school == grade == 0 else 30}" for school in range(6) for grade in range(3)
]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_in_any_order_give_the_same_bytes_under_one_key(suffix, tmp_path, key_file):
    table, family = plain(tmp_path)
    protect_file(table, family, tmp_path / f"first{suffix}", key_file, None)
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *rows[::-1]]) + "\n")
    protect_file(table, family, tmp_path / f"second{suffix}", key_file, None)
    assert (tmp_path / f"first{suffix}").read_bytes() == (tmp_path / f"second{suffix}").read_bytes()


def test_another_key_chooses_other_partners_among_near_equals(tmp_path, key_file):
    table, family = plain(tmp_path, ONE_SMALL)
    outputs = set()
    for key in ("0a", "0b", "0c", "0d"):
        key_file.write_text(key * 32)
        protect_file(table, family, tmp_path / "out.csv", key_file, None)
        outputs.add((tmp_path / "out.csv").read_bytes())
    assert len(outputs) > 1


def test_the_output_has_every_cell_its_parents_and_no_count_where_hidden(tmp_path, key_file):
    table, family = plain(tmp_path)
    done = protect_file(table, family, tmp_path / "out.csv", key_file, None)
    out = pl.read_csv(tmp_path / "out.csv", infer_schema=False)
    assert out.columns == ["school", "district", "grade", "people", "status"]
    assert out.height == 9 * 4 == done.cells
    assert out["school"].unique(maintain_order=True).to_list()[:3] == ["state", "D0", "D1"]
    assert out.filter(pl.col("school") == "S3")["district"].unique().to_list() == ["D1"]
    assert (out["people"].is_null() == (out["status"] == "hidden")).all()
    assert (out["status"] == "hidden").sum() == done.primaries + done.partners
    assert done.primaries == 2 and done.certified == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_one_small_count_among_large_ones_costs_three_partners_and_no_total(engine, tmp_path):
    table, family = plain(tmp_path, ONE_SMALL)
    problem = pose(read_counts(table, read_family(family)), b"key")
    hidden = ENGINES[engine](problem).touched(len(problem.value)).reshape(problem.shape)
    assert hidden.sum() == 4 and not hidden[:3].any() and not hidden[:, 0].any()


@pytest.mark.parametrize("engine", ENGINES)
def test_where_no_program_finds_a_move_everything_is_hidden_and_still_certified(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.disclosure.table.programs.Programs.find", lambda *_: None)
    monkeypatch.setattr("pipelines.disclosure.table.cubes.Cubes.look", lambda *_: [])
    monkeypatch.setattr("pipelines.disclosure.table.cubes.GRID_DIMENSIONS", 0)
    table, family = plain(tmp_path)
    exact = read_counts(table, read_family(family))
    problem = pose(exact, b"key")
    proof = ENGINES[engine](problem)
    hidden = problem.primary | proof.touched(len(problem.value))
    assert (hidden == (problem.value > 0)).all()
    assert not verify(exact, protected_frame(exact, hidden), *evidence_frames(exact, proof))


def test_a_minimum_out_of_all_proportion_is_refused(tmp_path, key_file):
    table, family = plain(tmp_path, minimum=5_000_000)
    with pytest.raises(P20wError, match="more than this protection is made for"):
        protect_file(table, family, tmp_path / "out.csv", key_file, None)


def test_a_table_without_small_counts_is_shown_whole(tmp_path, key_file):
    table, family = plain(tmp_path, minimum=2)
    done = protect_file(table, family, tmp_path / "out.csv", key_file, tmp_path / "evidence")
    assert (done.primaries, done.partners) == (0, 0)
    assert pl.read_csv(tmp_path / "out.csv")["status"].unique().to_list() == ["shown"]


def test_a_table_of_one_small_count_is_hidden_whole(tmp_path, key_file):
    table, family = plain(tmp_path, ["S0,D0,0,4", "S1,D1,1,0"])
    protect_file(table, family, tmp_path / "out.csv", key_file, None)
    out = pl.read_csv(tmp_path / "out.csv", infer_schema=False)
    assert set(out.filter(pl.col("status") == "shown")["people"]) == {"0"}
    assert out["status"].to_list().count("hidden") == 6


def test_evidence_proves_every_small_cell_and_says_that_it_is_restricted(tmp_path, key_file):
    table, family = plain(tmp_path)
    done = protect_file(table, family, tmp_path / "out.csv", key_file, tmp_path / "evidence")
    report = json.loads((tmp_path / "evidence" / "report.json").read_text())
    assert "stay with the exact counts" in report["restricted"]
    assert sum(row["primaries"] for row in report["loss"]) == done.primaries
    assert sum(row["partners"] for row in report["loss"]) == done.partners
    assert report["uncertified"] == 0
    moves = pl.read_parquet(tmp_path / "evidence" / "certificates.parquet")
    certified = pl.read_parquet(tmp_path / "evidence" / "certified.parquet")
    assert moves.columns == ["certificate", "school", "grade", "change"]
    assert certified.height == done.certified


# --- verification --------------------------------------------------------------------------------------------


@pytest.fixture
def proven(tmp_path):
    table, family = plain(tmp_path)
    exact = read_counts(table, read_family(family))
    problem = pose(exact, b"key")
    proof = solve(problem)
    frame = protected_frame(exact, problem.primary | proof.touched(len(problem.value)))
    moves, certified = evidence_frames(exact, proof)
    assert not verify(exact, frame, moves, certified)
    return exact, frame, moves, certified


def changed(frame: pl.DataFrame, row: int, column: str, by: int) -> pl.DataFrame:
    return frame.with_columns(
        pl.when(pl.int_range(pl.len()) == row).then(pl.col(column) + by).otherwise(pl.col(column)).alias(column)
    )


@pytest.mark.parametrize("by", [1, -1])
def test_verification_fails_when_any_published_number_is_off_by_one(proven, by):
    exact, frame, moves, certified = proven
    for row in np.flatnonzero((frame["status"] == "shown").to_numpy())[::5]:
        assert "1 shown counts differ" in verify(exact, changed(frame, row, "people", by), moves, certified)[0]


@pytest.mark.parametrize("by", [1, -1])
def test_verification_fails_when_any_amount_of_a_certificate_is_off_by_one(proven, by):
    exact, frame, moves, certified = proven
    for row in range(0, moves.height, 2):
        assert any(
            "sums are not kept" in text for text in verify(exact, frame, changed(moves, row, "change", by), certified)
        )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_files_that_were_written_can_be_verified_again_later(suffix, tmp_path, key_file):
    table, family = plain(tmp_path)
    out, evidence = tmp_path / f"out{suffix}", tmp_path / "evidence"
    protect_file(table, family, out, key_file, evidence)
    assert not verify_files(table, family, out, evidence)
    table.write_text(table.read_text().replace(",3\n", ",4\n", 1))
    assert verify_files(table, family, out, evidence)


def test_verification_fails_when_a_certificate_is_withheld(proven):
    exact, frame, moves, certified = proven
    assert any("have no move" in text for text in verify(exact, frame, moves, certified[1:]))


def test_verification_fails_when_a_partner_is_shown_again(proven):
    exact, frame, moves, certified = proven
    value = exact.value.ravel()
    partner = int(np.flatnonzero((frame["status"] == "hidden").to_numpy() & (value >= 10))[0])
    row = pl.int_range(pl.len()) == partner
    shown = frame.with_columns(
        pl.when(row).then(pl.lit(int(value[partner]))).otherwise(pl.col("people")).alias("people"),
        pl.when(row).then(pl.lit("shown")).otherwise(pl.col("status")).alias("status"),
    )
    found = verify(exact, shown, moves, certified)
    assert any("cells of moves are not hidden" in text for text in found)


def test_verification_fails_when_a_small_count_or_a_hidden_count_is_printed(proven):
    exact, frame, moves, certified = proven
    small = int(np.flatnonzero(exact.value.ravel() == 3)[0])
    row = pl.int_range(pl.len()) == small
    printed = frame.with_columns(pl.when(row).then(pl.lit(3)).otherwise(pl.col("people")).alias("people"))
    assert any("carry a count" in text for text in verify(exact, printed, moves, certified))
    shown = printed.with_columns(pl.when(row).then(pl.lit("shown")).otherwise(pl.col("status")).alias("status"))
    assert any("counts of 1 to 9 are shown" in text for text in verify(exact, shown, moves, certified))


def test_verification_fails_when_only_the_small_cells_are_hidden(proven):
    exact, frame, moves, certified = proven
    hidden = (exact.value.ravel() >= 1) & (exact.value.ravel() < 10)
    found = verify(exact, protected_frame(exact, hidden), moves[:0], certified[:0])
    assert any("have no move" in text for text in found)
    assert any("sums leave 1 to 9" in text for text in found)


def test_verification_fails_when_a_cell_or_row_is_lost(proven):
    exact, frame, moves, certified = proven
    assert any("cells are absent" in text for text in verify(exact, frame[1:], moves, certified))
    assert any("rows are too many" in text for text in verify(exact, pl.concat([frame, frame[:1]]), moves, certified))


# --- counterexamples that users of other tools have published ---------------------------------------------


@pytest.mark.parametrize("zeros", ["shown", "hideable"])
@pytest.mark.parametrize("minimum", [3, 4, 5])
@pytest.mark.parametrize(
    ("name", "count", "dimensions"),
    [
        ("usersupport135_three_singletons.csv", "values", {"var1": [], "var2": []}),
        ("usersupport136_linked_unsafe.csv", "n", {"region": ["county", "group"]}),
    ],
)
def test_published_counterexamples_are_protected(name, count, dimensions, minimum, zeros, tmp_path, key_file):
    if not (PUBLISHED / name).exists():
        pytest.skip(f"third-party file disclosure/{name} is absent")
    family = {
        "count": count,
        "minimum": minimum,
        "zeros": zeros,
        "interval": 2,
        "dimensions": [{"column": c, "total": "all of it", "parents": up} for c, up in dimensions.items()],
    }
    (tmp_path / "family.yml").write_text(yaml.safe_dump(family))
    protect_file(PUBLISHED / name, tmp_path / "family.yml", tmp_path / "out.csv", key_file, None)
    found = attack_file(tmp_path / "out.csv", tmp_path / "family.yml", tmp_path / "attacked.csv")
    assert not found.has_finding and found.hidden


# --- the command ----------------------------------------------------------------------------------------------


def test_the_command_protects_and_says_that_another_run_chooses_others(tmp_path, key_file):
    table, family = plain(tmp_path)
    words = ["protect", str(table), "--family", str(family), "--out", str(tmp_path / "out.csv")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and "another run will choose other partners" in done.output
    done = CliRunner().invoke(app, [*words, "--key-file", str(key_file), "--evidence", str(tmp_path / "evidence")])
    assert done.exit_code == 0 and "another run" not in done.output
    assert "all verified" in done.output and (tmp_path / "evidence" / "certificates.parquet").exists()


def test_nothing_is_written_when_verification_fails(tmp_path, key_file, monkeypatch):
    table, family = plain(tmp_path)
    monkeypatch.setattr("pipelines.disclosure.table.protect.verify", lambda *_: ["1 sums are not kept by a move."])
    with pytest.raises(P20wError, match="nothing was written"):
        protect_file(table, family, tmp_path / "out.csv", key_file, tmp_path / "evidence")
    assert not (tmp_path / "out.csv").exists() and not (tmp_path / "evidence").exists()


@pytest.mark.parametrize(
    ("text", "sentence"), [("0f0f", "64 hexadecimal digits"), ("xyz" * 40, "64 hexadecimal digits")]
)
def test_a_key_that_can_be_guessed_is_refused(text, sentence, tmp_path, key_file):
    key_file.write_text(text)
    table, family = plain(tmp_path)
    with pytest.raises(P20wError, match=sentence):
        protect_file(table, family, tmp_path / "out.csv", key_file, None)


def test_an_absent_key_file_is_named(tmp_path):
    table, family = plain(tmp_path)
    with pytest.raises(P20wError, match="no key file"):
        protect_file(table, family, tmp_path / "out.csv", tmp_path / "nowhere", None)


def test_a_dimension_may_not_carry_the_name_of_a_column_of_the_evidence(tmp_path, key_file):
    table, family = plain(tmp_path)
    for path in (table, family):
        path.write_text(path.read_text().replace("grade", "change"))
    with pytest.raises(P20wError, match="rename it"):
        protect_file(table, family, tmp_path / "out.csv", key_file, None)


def test_no_evidence_stays_of_a_table_that_could_not_be_written(tmp_path, key_file):
    table, family = plain(tmp_path)
    evidence, out = tmp_path / "evidence", tmp_path / "out.csv"
    out.mkdir()
    with pytest.raises(P20wError, match="out.csv could not be written"):
        protect_file(table, family, out, key_file, evidence)
    assert not evidence.exists()
    protect_file(table, family, tmp_path / "other.csv", key_file, evidence)
    before = {path.name: path.read_bytes() for path in evidence.iterdir()}
    assert set(before) == {"certificates.parquet", "certified.parquet", "report.json"}
    key_file.write_text("1e" * 32)
    with pytest.raises(P20wError, match="out.csv could not be written"):
        protect_file(table, family, out, key_file, evidence)
    assert {path.name: path.read_bytes() for path in evidence.iterdir()} == before


@pytest.mark.parametrize("command", ["protect", "attack"])
def test_the_result_is_written_over_no_file_that_is_read(command, tmp_path, key_file):
    table, family = plain(tmp_path)
    read = [table, family, key_file] if command == "protect" else [table, family]
    before, link = [path.read_bytes() for path in read], tmp_path / "link.csv"
    words = [command, str(table), "--family", str(family)] + ["--key-file", str(key_file)] * (command == "protect")
    assert "is the same file as" in str(CliRunner().invoke(app, [*words, "--out", str(table)]).exception)
    for path in read:
        link.unlink(missing_ok=True)
        link.symlink_to(path)
        assert "is the same file as" in str(CliRunner().invoke(app, [*words, "--out", str(link)]).exception)
        assert link.is_symlink()
    assert [path.read_bytes() for path in read] == before


def test_a_folder_that_is_not_there_is_named_before_anything_is_solved(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.disclosure.table.protect.choose", lambda *_: pytest.fail("solved"))
    with pytest.raises(P20wError, match=f"there is no folder {tmp_path / 'none'}"):
        protect_file(*plain(tmp_path), tmp_path / "none" / "out.csv", None, None)


@pytest.mark.parametrize(("command", "work"), [("protect", "protect.protect_file"), ("attack", "attack.attack_file")])
def test_a_command_that_needs_no_home_makes_none_when_it_fails(command, work, tmp_path, monkeypatch, capsys):
    table, family = plain(tmp_path)

    def fails(*_):
        return {}["the cell of Anna"]

    monkeypatch.setattr(f"pipelines.disclosure.table.{work}", fails)
    monkeypatch.setattr(cli, "settings", lambda: pytest.fail("the settings were read, which know the vault"))
    words = ["p20w", command, str(table), "--family", str(family), "--out", str(tmp_path / "out.csv")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    assert ended.value.code == 2 and "Anna" not in told.out + told.err
    assert f"`p20w {command}` failed with KeyError in {command} (cli.py, line " in told.err
