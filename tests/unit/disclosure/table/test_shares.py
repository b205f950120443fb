"""Counts with a numerator: what protection hides and tells, against a reader who lists every possible table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from table_auditor import Small, random_table
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.disclosure.table.attack import attack_file
from pipelines.disclosure.table.family import read_counts, read_family
from pipelines.disclosure.table.problem import pose
from pipelines.disclosure.table.protect import evidence_frames, protect_file, protected_frame
from pipelines.disclosure.table.shares import beside_few, solve_shares
from pipelines.disclosure.table.verify import verify, verify_files
from pipelines.errors import P20wError

KINDS = (
    (("flat", 4),),
    (("flat", 3), ("flat", 2)),
    (("nested", 4),),
    (("breakdowns", 3),),
    (("breakdowns", 2), ("flat", 2)),
)
MEASURES = ("people", "often", "complement")
BANDS = [{"from": 8, "ends": "0.25"}, {"from": 30, "ends": "0.1"}]  # of 3 people and an interval of 2


def ends(count: int) -> int | None:
    """The largest numerator of the low band by BANDS."""
    return None if count < 8 else count // 4 if count < 30 else count // 10


def write(small: Small, folder: Path) -> tuple[Path, Path]:
    """Files of a table whose last dimension is what is counted: all, in the numerator, not in it."""
    columns = []
    for name, parents in zip(small.names[:-1], small.parents[:-1], strict=True):
        columns += [name, *parents]
    lines = [",".join([*columns, "people", "often"])]
    for cell, count in small.count.items():
        if cell[-1] == "mAll":
            words = []
            for code, up, parents in zip(cell[:-1], small.up, small.parents, strict=False):
                words += [code, *up.get(code, [""] * len(parents))]
            lines.append(",".join([*words, str(count), str(small.count[(*cell[:-1], "m0")])]))
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    head, dimensions = small.family_text().split("dimensions:\n")
    dimensions = dimensions[: dimensions.index("  - column: m\n")]
    said = f"numerator: often\nbands: {yaml.safe_dump(BANDS, default_flow_style=True)}"
    (folder / "family.yml").write_text(f"{head}{said}dimensions:\n{dimensions}")
    return folder / "table.csv", folder / "family.yml"


def with_numerator(rng: np.random.Generator) -> Small:
    """A random table with a last dimension m of two codes, some of whose numbers are small."""
    while True:
        small = random_table([*KINDS[int(rng.integers(len(KINDS)))], ("flat", 2)], rng)
        small.names[-1] = "m"
        relabel = {small.totals[-1]: "mAll"} | {code: f"m{i}" for i, code in enumerate(small.sums[-1][0][1])}
        small.totals[-1], small.sums[-1] = "mAll", [("mAll", ["m0", "m1"])]
        small.count = {(*cell[:-1], relabel[cell[-1]]): count for cell, count in small.count.items()}
        small.minimum, small.interval = 3, 2
        if small.count[tuple(small.totals)] >= 12 and any(1 <= count < 3 for count in small.count.values()):
            return small


def published(small: Small, path: Path) -> None:
    """Set what the file hides and tells, read from its text."""
    small.hidden, small.told = set(), {}
    with path.open(newline="") as handle:
        for row in csv.DictReader(handle):
            codes = tuple(row[name] for name in small.names[:-1])
            count = small.count[(*codes, "mAll")]
            for measure, code in zip(MEASURES, ("mAll", "m0", "m1"), strict=True):
                if row[measure] == "":
                    small.hidden.add((*codes, code))
                    if code != "mAll":
                        small.told[*codes, code] = 0, max(small.count.values())
                else:
                    assert int(row[measure]) == small.count[*codes, code]
            assert (row["status"] == "hidden") == (row["people"] == "")
            if row["at_least"]:
                low, high = int(row["at_least"]), int(row["at_most"])
                small.told[*codes, "m0"], small.told[*codes, "m1"] = (low, high), (count - high, count - low)
            band = ends(count) if row["people"] else None
            part = small.count[*codes, "m0"]
            if row["often"] and count:
                assert min(part, count - part) >= 3 and (band is None or band < part < count - band)
            elif band is not None:
                expected = (0, band) if part <= band else (count - band, count) if part >= count - band else None
                assert (low, high) == (expected or (band + 1, count - band - 1))
            else:
                assert not row["at_least"] and not row["at_most"]


def listed(seed: int, tables: int, limit: int, folder: Path) -> int:
    """Protect that many tables; for how many of them everything possible could be listed."""
    rng, seen = np.random.default_rng(seed), 0
    key = folder / "key"
    key.write_text("0f" * 32)
    for _ in range(tables):
        small = with_numerator(rng)
        table, family = write(small, folder)
        protect_file(table, family, folder / "out.csv", key, None)
        published(small, folder / "out.csv")
        assert small.residuals() == 0
        assert not small.determined()
        found = attack_file(folder / "out.csv", family, folder / "attacked.csv")
        assert not found.has_finding, small.family_text()
        if tuple(small.totals) in small.hidden or not small.hidden:
            continue
        truth = small.intervals(limit)
        if truth is None:
            continue
        seen += 1
        by_cell = {
            tuple(row[name] for name in [*small.names[:-1], "measure"]): (row["low"], row["high"])
            for row in found.cells.to_dicts()
        }
        for cell, (low, high) in truth.items():
            assert low < high and (low >= small.minimum or high - low >= small.interval)
            if cell[-1] == "mAll":
                assert high >= small.minimum
            measure = MEASURES[("mAll", "m0", "m1").index(cell[-1])]
            assert by_cell[*cell[:-1], measure] == (low, high)
    return seen


def test_a_reader_who_lists_every_table_learns_nothing_of_counts_or_shares(tmp_path):
    assert listed(3, 14, 1_000, tmp_path) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60, 64))
def test_a_reader_who_lists_every_table_learns_nothing_of_counts_or_shares_in_many(seed, tmp_path):
    assert listed(seed, 60, 2_000, tmp_path) >= 8


# --- one table with everything, for the rules of the file ---------------------------------------------------


def plain(folder: Path, change=None, bands=None, **said) -> tuple[Path, Path]:
    """Six schools of two districts by three grades; a fifth are often absent, in two schools nearly nobody."""
    rng = np.random.default_rng(4)
    rows = []
    for school in range(6):
        for grade in range(3):
            people = 4 if (school, grade) == (0, 1) else int(rng.integers(60, 120))
            rows.append([f"S{school}", f"D{school % 2}", grade, people, people // 30 if school > 3 else people // 4])
    if change:
        rows[change[0]][3:] = change[1:]
    lines = ["school,district,grade,people,often", *(",".join(map(str, row)) for row in rows)]
    (folder / "plain.csv").write_text("\n".join(lines) + "\n")
    family = {
        "count": "people",
        "numerator": "often",
        "bands": bands or [{"from": 20, "ends": 0.2}, {"from": 60, "ends": 0.1}],
        "minimum": 10,
        "zeros": "hideable",
        "dimensions": [
            {"column": "school", "total": "state", "parents": ["district"]},
            {"column": "grade", "total": "every", "parents": []},
        ],
    }
    (folder / "plain.yml").write_text(yaml.safe_dump({k: v for k, v in (family | said).items() if v is not None}))
    return folder / "plain.csv", folder / "plain.yml"


def test_the_output_has_numerator_complement_and_the_ends_of_bands(tmp_path):
    table, family = plain(tmp_path)
    key = tmp_path / "key"
    key.write_text("0f" * 32)
    outputs = set()
    for _ in range(2):
        done = protect_file(table, family, tmp_path / "out.csv", key, tmp_path / "evidence")
        outputs.add((tmp_path / "out.csv").read_bytes())
        head, *rows = table.read_text().splitlines()
        table.write_text("\n".join([head, *rows[::-1]]) + "\n")
    assert len(outputs) == 1  # the same bytes whatever the order of the rows
    out = pl.read_csv(tmp_path / "out.csv")
    columns = ["school", "district", "grade", "people", "status", "often", "complement", "at_least", "at_most"]
    assert out.columns == columns and out.height == 9 * 4 and done.cells == 9 * 4 * 3
    shown = out.drop("at_least", "at_most").drop_nulls(["people", "often", "complement"])
    assert shown.height and (shown["often"] + shown["complement"] == shown["people"]).all()
    banded = out.filter(pl.col("at_least").is_not_null())
    assert banded.height and banded["often"].null_count() == banded.height
    assert (banded["status"] == "shown").all() and (banded["at_most"] - banded["at_least"] >= 3).all()
    low = banded.filter(pl.col("school").is_in(["S4", "S5"]) & (pl.col("people") >= 60))
    assert (low["at_least"] == 0).all() and (low["at_most"] == low["people"] // 10).all()
    assert not verify_files(table, family, tmp_path / "out.csv", tmp_path / "evidence")


def test_the_commands_read_what_they_write(tmp_path):
    table, family = plain(tmp_path)
    out, back = tmp_path / "out.parquet", tmp_path / "attacked.csv"
    assert not CliRunner().invoke(app, ["protect", str(table), "--family", str(family), "--out", str(out)]).exit_code
    words = ["attack", str(out), "--family", str(family), "--out", str(back), "--fail-on-finding"]
    assert not CliRunner().invoke(app, words).exit_code
    assert set(pl.read_csv(back)["measure"]) == set(MEASURES)
    # A numerator shown again beside its band gives its neighbors away or is refused.
    bare = pl.read_parquet(out).with_columns(at_least=pl.lit(None), at_most=pl.lit(None))
    hidden = bare.filter((pl.col("status") == "shown") & pl.col("often").is_null())
    row = (pl.col("school") == hidden["school"][0]) & (pl.col("grade") == hidden["grade"][0])
    told = bare.with_columns(pl.when(row).then(3).otherwise(pl.col("often")).alias("often"))
    told.write_parquet(out)
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 1 and "Known exactly: 0" not in found.output


@pytest.fixture
def proven(tmp_path):
    table, family = plain(tmp_path)
    exact = read_counts(table, read_family(family))
    problem = pose(exact, b"key")
    proof = solve_shares(problem)
    frame = protected_frame(exact, problem.primary | proof.touched(len(problem.value)))
    moves, certified = evidence_frames(exact, proof)
    assert not verify(exact, frame, moves, certified)
    return exact, frame, moves, certified


@pytest.mark.parametrize("column", ["at_least", "at_most"])
@pytest.mark.parametrize("by", [1, -1])
def test_verification_fails_when_an_end_of_a_band_is_off_by_one(column, by, proven):
    exact, frame, moves, certified = proven
    for row in np.flatnonzero(frame[column].is_not_null().to_numpy())[::5]:
        at = pl.int_range(pl.len()) == int(row)
        changed = frame.with_columns(pl.when(at).then(pl.col(column) + by).otherwise(pl.col(column)).alias(column))
        assert any("bands are not those" in text for text in verify(exact, changed, moves, certified))


def test_verification_fails_when_a_numerator_under_n_or_of_a_band_is_shown(proven):
    exact, frame, moves, certified = proven
    row = int(np.flatnonzero((frame["at_least"] == 0).fill_null(False).to_numpy())[0])  # of a low band
    at, part = pl.int_range(pl.len()) == row, int(exact.value[..., 1].ravel()[row])
    changed = frame.with_columns(pl.when(at).then(part).otherwise(pl.col("often")).alias("often"))
    found = verify(exact, changed, moves, certified)
    assert any("numerators or complements are shown" in text for text in found)
    assert any("bands are not those" in text for text in found)


def test_verification_fails_when_a_move_leaves_a_band_or_a_number_is_not_spread(proven):
    exact, frame, moves, certified = proven
    far = moves.with_columns(pl.col("change") * 30)
    assert any("leave their band" in text for text in verify(exact, frame, far, certified))
    still = moves.filter(pl.col("measure") == "people")
    assert any("uncertain by 3" in text for text in verify(exact, frame, still, certified))


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"numerator": None}, "bands but no numerator"),
        ({"bands": []}, "bands must be a list"),
        ({"bands": [{"from": 20, "ends": 0.6}]}, "below 0.5"),
        ({"bands": [{"from": 20, "ends": "5%"}]}, "below 0.5"),
        ({"bands": [{"from": 20, "ends": 0.2}, {"from": 20, "ends": 0.1}]}, "must grow"),
        ({"bands": [{"from": 10, "ends": 0.2}]}, "leaves 3 numerators at the ends"),
        ({"bands": [{"from": 10, "ends": 0.3}]}, "leaves 3 numerators between them"),
        ({"bands": [{"from": 20}]}, "does not say ends"),
        ({"numerator": "people"}, "names the column people twice"),
        ({"numerator": "complement"}, "rename it"),
    ],
)
def test_bands_that_say_too_much_or_cannot_be_meant_are_refused(said, says, tmp_path):
    _, family = plain(tmp_path)
    whole = yaml.safe_load(family.read_text()) | said
    family.write_text(yaml.safe_dump({key: value for key, value in whole.items() if value is not None}))
    with pytest.raises(P20wError, match=says):
        read_family(family)


def test_a_numerator_above_its_count_is_refused(tmp_path):
    table, family = plain(tmp_path, change=(2, 70, 71))
    with pytest.raises(P20wError, match="a numerator is a part of its count"):
        read_counts(table, read_family(family))


def test_a_band_beside_a_hidden_count_is_refused(tmp_path):
    table, family = plain(tmp_path)
    protect_file(table, family, tmp_path / "out.csv", None, None)
    out = pl.read_csv(tmp_path / "out.csv", infer_schema=False)
    out.with_columns(
        pl.when(pl.col("status") == "hidden").then(pl.lit("3")).otherwise(pl.col("at_least")).alias("at_least")
    ).write_csv(tmp_path / "out.csv")
    with pytest.raises(P20wError, match="beside a shown people"):
        attack_file(tmp_path / "out.csv", family, tmp_path / "attacked.csv")


def test_A6_bands_that_meet_in_a_sum_give_both_shares_away(tmp_path):
    lines = [
        "place,people,status,often,complement,at_least,at_most",
        "A,100,shown,,,0,20",
        "B,100,shown,,,21,79",
        "C,100,shown,50,50,,",
        "all,300,shown,149,151,,",
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    family = {"count": "people", "numerator": "often", "bands": [{"from": 20, "ends": 0.2}], "minimum": 10}
    family |= {"zeros": "hideable", "dimensions": [{"column": "place", "total": "all"}]}
    (tmp_path / "f.yml").write_text(yaml.safe_dump(family))
    found = attack_file(tmp_path / "t.csv", tmp_path / "f.yml", tmp_path / "out.csv")
    assert (found.hidden, found.exact, found.below) == (4, 4, 0)
    told = {(row["place"], row["measure"]): (row["low"], row["high"]) for row in found.cells.to_dicts()}
    assert told["A", "often"] == (20, 20) and told["B", "complement"] == (21, 21)
    # One person fewer in all: an interval of one, still narrower than three.
    (tmp_path / "t.csv").write_text("\n".join(lines[:-1] + ["all,300,shown,148,152,,"]) + "\n")
    found = attack_file(tmp_path / "t.csv", tmp_path / "f.yml", tmp_path / "out.csv")
    assert (found.exact, found.narrow) == (0, 4)


def test_a_share_that_is_shown_of_fewer_than_the_minimum_is_a_finding(tmp_path):
    lines = ["place,people,status,often,complement,at_least,at_most"]
    lines += ["A,100,shown,40,60,,", "B,100,shown,97,3,,", "C,50,shown,0,50,,", "D,0,shown,0,0,,", "E,,hidden,,,,"]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    family = {"count": "people", "numerator": "often", "minimum": 10, "zeros": "hideable"}
    (tmp_path / "f.yml").write_text(yaml.safe_dump(family | {"dimensions": [{"column": "place", "total": "all"}]}))
    found = attack_file(tmp_path / "t.csv", tmp_path / "f.yml", tmp_path / "out.csv")
    assert found.has_finding and found.shown == 2
    assert found.plain == [
        "place B, measure complement: 3 is shown, below 10",
        "place C, measure often: 0 is shown, below 10",
    ]


def test_nothing_that_protection_shows_is_below_the_minimum(tmp_path):
    rng = np.random.default_rng(77)
    for _ in range(25):
        table, family = write(with_numerator(rng), tmp_path)
        protect_file(table, family, tmp_path / "out.csv", None, None)
        found = attack_file(tmp_path / "out.csv", family, tmp_path / "attacked.csv", 0)
        assert found.shown == 0


def test_what_is_left_of_a_shown_sum_is_filled_up_to_the_minimum(tmp_path):
    table, family = plain(tmp_path)
    problem = pose(read_counts(table, read_family(family)), b"key")
    hidden = np.zeros(problem.shape, dtype=bool)
    place, grade = problem.table.dimensions[0].codes, problem.table.dimensions[1].codes.index("0")
    hidden[place.index("S4"), grade, 1] = True
    assert 1 <= problem.table.value[place.index("S4"), grade, 1] < 10
    more = {
        tuple(int(i) for i in np.unravel_index(cell, problem.shape)) for cell in beside_few(problem, hidden.ravel())
    }
    beside = {(place.index(code), grade, 1) for code in ("D0", "S0", "S2")}  # in the sum of the district,
    beside |= {(place.index("S4"), i, 1) for i in range(problem.shape[1]) if i != grade}  # of the grades,
    beside |= {(place.index("S4"), grade, 0), (place.index("S4"), grade, 2)}  # and of the people
    assert more <= beside and len(more) == 3
