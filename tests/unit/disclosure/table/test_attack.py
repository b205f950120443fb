"""The stranger's attack, against a reader who lists every possible table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from table_auditor import Small, hard_table, small_table
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.disclosure.table.attack import attack_file, rank, run
from pipelines.disclosure.table.attack.equations import NO_LIMIT, build, propagate
from pipelines.disclosure.table.family import read_family, read_protected
from pipelines.errors import P20wError
from pipelines.settings import ROOT

PUBLISHED = ROOT.parent / "shared" / "data" / "disclosure"


def attacked(small: Small, folder):
    """The attack's result and its intervals by cell."""
    table, family = small.write(folder)
    done = attack_file(table, family, folder / "out.csv")
    frame = pl.read_csv(folder / "out.csv", infer_schema=False).with_columns(pl.col("low", "high").cast(pl.Int64))
    by_cell = {tuple(row[name] for name in small.names): row for row in frame.iter_rows(named=True)}
    return done, by_cell


# hard_table of these: single sums leave a wider interval than all sums together do.
HARD = [
    25, 43, 55, 112, 118, 219, 223, 278, 301, 305, 314, 331, 350, 352, 389, 411, 415, 417, 437, 460,
    464, 478, 481, 521, 551, 561, 584, 624, 671, 749, 806, 807, 820, 821, 851, 853, 927, 932, 959,
    976,
]  # fmt: skip


def small_tables(seed: int) -> Iterator[Small]:
    rng = np.random.default_rng(seed)
    while True:
        yield small_table(rng)


def hard_tables(seeds) -> Iterator[Small]:
    for seed in seeds:
        yield hard_table(np.random.default_rng(seed))


def listed(tables: Iterator[Small], count: int, limit: int = 1_500) -> Iterator[tuple[Small, dict]]:
    """The first tables that hide something and whose possible values can be listed, with every cell's true interval."""
    found = 0
    for small in tables:
        truth = small.intervals(limit) if small.hidden else None
        if truth is not None:
            found += 1
            yield small, truth
        if found == count:
            return


def agree(tables: Iterator[Small], count: int, folder) -> int:
    """Compare the intervals and the counts of that many tables; returns the hidden cells compared."""
    compared = 0
    for small, truth in listed(tables, count):
        done, by_cell = attacked(small, folder)
        for cell, (low, high) in truth.items():
            row = by_cell[cell]
            told = row["status"], row["low"], row["high"], row["method"]
            assert told == ("hidden", low, high, "exact"), (cell, small.family_text())
        n, width = small.minimum, small.interval
        assert done.hidden == len(truth)
        assert done.exact == sum(low == high for low, high in truth.values())
        assert done.below == sum(high < n for _, high in truth.values())
        assert done.narrow == sum(high - low < width for low, high in truth.values())
        assert done.residuals == small.residuals()
        assert done.unsettled == 0
        shown = [cell for cell in small.count if cell not in small.hidden]
        assert all(by_cell[cell]["low"] == by_cell[cell]["high"] == small.count[cell] for cell in shown)
        assert all(combination_holds(sentence) for sentence in done.sentences)
        compared += len(truth)
    return compared


def combination_holds(sentence: str) -> bool:
    """Of a sentence "cell: 4 = [… = 9, …] - 1/2 × [… = 10, …]", whether it is true; other sentences have none."""
    found = re.match(r"[^:]*: (\d+) = (0|(?=[\[\d]))(.*)$", sentence)
    if not found:
        return True
    sums = re.findall(r"([+-]?) ?(?:(\d+)(?:/(\d+))? × )?\[[^\]]* = (\d+), [^\]]*\]", found[3])
    if not sums:
        return True  # a plain subtraction
    worth = [Fraction(int(times or 1), int(part or 1)) * int(number) for _, times, part, number in sums]
    signs = [-1 if sign == "-" else 1 for sign, *_ in sums]
    return sum(sign * each for sign, each in zip(signs, worth, strict=True)) == int(found[1])


def test_every_interval_is_that_of_the_list_of_all_possible_tables(tmp_path):
    assert agree(small_tables(1), 25, tmp_path) > 100


def test_intervals_that_need_many_sums_at_once_are_those_of_the_list(tmp_path):
    assert agree(hard_tables(HARD[:20]), 20, tmp_path) > 200


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 10))
def test_every_interval_is_that_of_the_list_on_a_thousand_tables(seed, tmp_path):
    assert agree(small_tables(seed), 125, tmp_path) > 500


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1_000, 5_000, 1_000))
def test_intervals_that_need_many_sums_on_a_thousand_tables(first, tmp_path):
    assert agree(hard_tables(range(first, first + 1_000)), 250, tmp_path) > 2_000


def single_sums_are_not_enough(small: Small, truth: dict, folder) -> bool:
    """Whether bounds from one sum after the other are wider than the true intervals."""
    table, family = small.write(folder)
    system = build(read_protected(table, read_family(family)))
    low, high = system.least.copy(), np.full(len(system.cell), NO_LIMIT)
    propagate(system.matrix, system.by_column, system.right, low, high)
    return sum(high - low) > sum(high - low for low, high in truth.values())


def agree_as_if_large(tables: Iterator[Small], count: int, folder, monkeypatch, too_large: bool = False) -> int:
    """The means for large tables, on tables that can be listed: nothing false, nothing missed without a word.

    Returns the number of tables that needed more than single sums.
    """
    monkeypatch.setattr(run, "EXACT_CELLS", 0)
    monkeypatch.setattr(run, "WIDE", 3)
    monkeypatch.setattr(run, "REGION", 4)
    monkeypatch.setattr(run, "PIECES", 5)
    if too_large:
        monkeypatch.setattr(run, "LARGEST_BLOCK", 2)
    needed = 0
    for small, truth in listed(tables, count):
        needed += single_sums_are_not_enough(small, truth, folder)
        done, by_cell = attacked(small, folder)
        for cell, (low, high) in truth.items():
            row = by_cell[cell]
            assert row["low"] <= low and high <= row["high"]
            assert row["method"] != "exact" or (row["low"], row["high"]) == (low, high)
        n, width = small.minimum, small.interval
        truly = sum(low == high or high < n or (low < n and high - low < width) for low, high in truth.values())
        told = sum(
            row["low"] == row["high"] or row["high"] < n or (row["low"] < n and row["high"] - row["low"] < width)
            for row in by_cell.values()
            if row["status"] == "hidden"
        )
        assert told <= truly <= told + done.unsettled
        assert too_large or done.unsettled == 0  # in tables as small as these nothing is left open
    return needed


def test_the_means_for_large_tables_say_nothing_false_and_miss_nothing(tmp_path, monkeypatch):
    assert agree_as_if_large(hard_tables(HARD[20:]), 15, tmp_path, monkeypatch) == 15


def test_the_means_for_tables_too_large_for_programs_say_nothing_false(tmp_path, monkeypatch):
    agree_as_if_large(hard_tables(HARD), 10, tmp_path, monkeypatch, too_large=True)


@pytest.mark.slow
def test_the_means_for_large_tables_on_many(tmp_path, monkeypatch):
    agree_as_if_large(small_tables(12), 200, tmp_path, monkeypatch)
    agree_as_if_large(hard_tables(range(200)), 150, tmp_path, monkeypatch)
    agree_as_if_large(hard_tables(range(200, 400)), 150, tmp_path, monkeypatch, too_large=True)


def test_elimination_over_a_prime_finds_the_cells_that_fractions_find(tmp_path):
    found = 0
    for tables in (small_tables(5), hard_tables(range(40))):
        for small, _ in listed(tables, 12):
            table, family = small.write(tmp_path)
            system = build(read_protected(table, read_family(family)))
            names = [tuple(d.codes[i] for d, i in zip(system.table.dimensions, at, strict=True)) for at in _at(system)]
            truth = small.determined()
            fixed = {names[c]: value for c, value in rank.eliminate(system.matrix, system.right).items()}
            assert fixed == {cell: small.count[cell] for cell in truth}
            suspect = rank.suspects(system.matrix, np.random.default_rng(3))
            assert truth <= {names[c] for c in suspect}
            # The value is told apart by bounds that do not begin at 0.
            low, high = system.least.copy(), np.full(len(names), 50)
            assert rank.prove(system, suspect, low, high) == len(truth)
            assert {names[c]: low[c] for c in np.flatnonzero(low == high)} == fixed
            found += len(truth)
    assert found > 60


def _at(system):
    return zip(*np.unravel_index(system.cell, system.table.value.shape), strict=True)


# --- planted attacks --------------------------------------------------------------------------------------


def plain(counts: dict[str, list[int]], hidden: list[tuple[str, str]], folder: Path, **family) -> tuple[Path, Path]:
    """A table of rows A, B, … by columns x, y, …, with its totals, protected by hand."""
    columns = "xyzuvw"[: len(next(iter(counts.values())))]
    full = {name: [*row, sum(row)] for name, row in counts.items()}
    full["Total"] = [sum(each) for each in zip(*full.values(), strict=True)]
    lines = ["place,kind,n,status"]
    for name, row in full.items():
        for kind, count in zip([*columns, "All"], row, strict=True):
            closed = (name, kind) in hidden
            lines.append(f"{name},{kind},{'' if closed else count},{'hidden' if closed else 'shown'}")
    table, declared = folder / "table.csv", folder / "family.yml"
    table.write_text("\n".join(lines) + "\n")
    said = {"count": "n", "minimum": 5, "zeros": "hideable", "interval": 3} | family
    dimensions = "dimensions:\n  - {column: place, total: Total, parents: []}\n"
    dimensions += "  - {column: kind, total: All, parents: []}\n"
    declared.write_text("".join(f"{key}: {value}\n" for key, value in said.items()) + dimensions)
    return table, declared


def interval(done, **codes) -> tuple[int, int | None]:
    rows = done.cells.filter(*(pl.col(name) == code for name, code in codes.items()))
    assert rows.height == 1
    return rows["low"][0], rows["high"][0]


def arithmetic_holds(sentence: str) -> bool:
    """Every "41 - 12 - 25 = 4" of a sentence is true."""
    sums = re.findall(r"(?<![\w.])(\d+(?: [+-] \d+)+) = (\d+)", sentence)
    return bool(sums) and all(sum(int(x.replace(" ", "")) for x in _terms(left)) == int(right) for left, right in sums)


def _terms(left: str) -> list[str]:
    return re.findall(r"[+-]? ?\d+", left)


def test_A1_what_is_left_of_a_total_is_written_as_a_subtraction(tmp_path):
    table, family = plain({"A": [12, 4, 25], "B": [20, 30, 40]}, [("A", "y")], tmp_path)
    done = attack_file(table, family, tmp_path / "out.csv")
    assert (done.hidden, done.exact, done.below, done.narrow) == (1, 1, 1, 1)
    assert done.sentences[0].startswith("place A, kind y: 34 - 30 = 4")
    assert arithmetic_holds(done.sentences[0])
    assert interval(done, place="A", kind="y") == (4, 4)


def test_A2_a_cell_that_only_several_sums_determine_is_given_with_its_coefficients(tmp_path):
    # Every county and every group hides two or three regions; county c2's hidden ones less group big's are K.
    table, family = tmp_path / "t.csv", tmp_path / "f.yml"
    rows = ["region,county,group,n", "A,c1,small,", "B,c1,small,", "I,c1,small,20", "K,c2,small,", "L,c2,big,"]
    rows += ["M,c2,big,", "N,c2,small,7", "Total,,,59", "c1,,,33", "c2,,,26", "big,,,13", "small,,,46"]
    table.write_text("\n".join(rows) + "\n")
    family.write_text(
        "count: n\nminimum: 5\nzeros: hideable\ndimensions:\n"
        "  - {column: region, total: Total, parents: [county, group]}\n"
    )
    done = attack_file(table, family, tmp_path / "out.csv")
    assert interval(done, region="K") == (6, 6)
    assert (done.exact, done.residuals) == (1, 0)
    assert "region K: 6 = " in done.sentences[0]
    either = ("[K + L + M = 26 - 7 = 19, region c2]", "[A + B + K = 46 - 20 - 7 = 19, region small]")
    assert any(each in done.sentences[0] for each in either)
    assert arithmetic_holds(done.sentences[0])


def test_a_combination_with_halves_is_found_and_its_arithmetic_is_right(tmp_path):
    # a + b, b + c and a + c are known, so a is half of the first less the second plus the third.
    table, family = tmp_path / "t.csv", tmp_path / "f.yml"
    counts = {"All": 30, "a": "", "b": "", "c": "", "x": 23, "y": 21, "z": 22}  # a 4, b 3, c 6? sums 7, 9, 8
    table.write_text("code,n\n" + "".join(f"{code},{count}\n" for code, count in counts.items()))
    family.write_text(
        "count: n\nminimum: 5\nzeros: hideable\ndimensions:\n"
        "  - {column: code, total: All, breakdowns: [[a, b, x], [b, c, y], [a, c, z]]}\n"
    )
    done = attack_file(table, family, tmp_path / "out.csv")
    assert [interval(done, code=code) for code in "abc"] == [(3, 3), (4, 4), (5, 5)]
    halves = re.findall(r"([+-]?) ?1/2 × \[[^=]*= [^=]*= (\d+)", done.sentences[0])
    assert len(halves) == 3
    assert sum(Fraction(int(number), -2 if sign == "-" else 2) for sign, number in halves) == 3


def test_A3_hidden_cells_that_are_few_people_together_are_a_finding(tmp_path):
    hidden = [(place, kind) for place in "AB" for kind in "xy"]
    table, family = plain({"A": [2, 2, 25], "B": [20, 30, 40]}, hidden, tmp_path)
    done = attack_file(table, family, tmp_path / "out.csv")
    assert done.exact == 0
    assert done.residuals == 1
    residual = next(each for each in done.sentences if each.startswith("together"))
    assert "29 - 25 = 4" in residual
    assert done.has_finding


def test_A4_surely_below_n_is_a_finding_with_its_two_bounds(tmp_path):
    hidden = [(place, kind) for place in "AB" for kind in "xy"]
    table, family = plain({"A": [2, 2, 25], "B": [20, 30, 40]}, hidden, tmp_path)
    done = attack_file(table, family, tmp_path / "out.csv")
    assert interval(done, place="A", kind="x") == (0, 4)
    assert done.below == 2
    sentence = done.sentences[0]
    assert "at least 0" in sentence and "at most 4 by [x + y = 29 - 25 = 4" in sentence


def test_A4_shown_zeros_make_an_interval_narrower(tmp_path):
    hidden = [(place, kind) for place in "AB" for kind in "xy"]
    table, family = plain({"A": [2, 2, 25], "B": [20, 30, 40]}, hidden, tmp_path, zeros="shown")
    done = attack_file(table, family, tmp_path / "out.csv")
    assert interval(done, place="A", kind="x") == (1, 3)
    assert done.narrow == 4
    assert done.narrow_harmless == 2  # those of B are surely 20 or more


@pytest.mark.parametrize("people", [10, 5_000_010])
def test_A4_whole_numbers_tell_more_than_real_ones(tmp_path, people):
    # Of three cells whose pairs sum to at most 1, one at most is 1, where real numbers allow three halves. Two such
    # triples and a seventh cell sum to 10: it is at least 8, not 7.
    table, family = tmp_path / "t.csv", tmp_path / "f.yml"
    pairs = ["ab", "bc", "ac", "de", "ef", "df"]
    lists = [[*pair, f"u{i}", f"s{i}"] for i, pair in enumerate(pairs)] + [[*"abcdef", "q"]]
    rows = ["code,n", f"All,{people}"]
    rows += [f"{code}," for code in [*"abcdef", "q", *(f"u{i}" for i in range(6))]]
    rows += [f"s{i},{people - 1}" for i in range(6)]
    table.write_text("\n".join(rows) + "\n")
    family.write_text(
        "count: n\nminimum: 5\nzeros: hideable\ndimensions:\n  - column: code\n    total: All\n    breakdowns:\n"
        + "".join(f"      - [{', '.join(each)}]\n" for each in lists)
    )
    done = attack_file(table, family, tmp_path / "out.csv")
    assert interval(done, code="q") == (people - 2, people)
    assert interval(done, code="a") == (0, 1)
    assert set(done.cells["method"]) == {"exact"}


# --- published counterexamples ----------------------------------------------------------------------------


def published(name: str) -> Path:
    if not (PUBLISHED / name).is_file():
        pytest.skip(f"{name} is not in {PUBLISHED}")
    return PUBLISHED / name


def test_the_published_unsafe_linked_pattern_gives_a_region_away(tmp_path):
    # Hidden by the tool that the report is about: each county and each group hides two or three, yet K is known.
    rows = pl.read_csv(published("usersupport136_linked_unsafe.csv"))
    hidden = pl.col("region").is_in(["A", "B", "K", "L", "M"])
    rows = rows.with_columns(n=pl.when(hidden).then(None).otherwise("n"))
    sums = [("Total", rows_total := 36), ("county-1", 20), ("county-2", 16), ("BIG", 6), ("small", 30)]
    assert rows_total == pl.read_csv(published("usersupport136_linked_unsafe.csv"))["n"].sum()
    extra = pl.DataFrame({"region": [c for c, _ in sums], "n": [v for _, v in sums]})
    pl.concat([rows, extra], how="diagonal").write_csv(tmp_path / "table.csv")
    (tmp_path / "family.yml").write_text(
        "count: n\nminimum: 5\nzeros: hideable\ndimensions:\n"
        "  - {column: region, total: Total, parents: [county, group]}\n"
    )
    done = attack_file(tmp_path / "table.csv", tmp_path / "family.yml", tmp_path / "out.csv")
    assert interval(done, region="K") == (3, 3)
    assert "[K + L + M = 16 - 7 = 9, region county-2]" in done.sentences[0]
    assert "[L + M = 6, region BIG]" in done.sentences[0]
    assert done.exact == 1
    assert done.residuals == 1  # A and B of county-1 and small: 20 - 16 = 4


def test_the_three_published_singletons_are_known_where_zeros_are_shown(tmp_path):
    # Hidden in row 1: 1, 1 and 1. Their sum is 3, and a reader who knows that none is 0 knows each of them.
    rows = pl.read_csv(published("usersupport135_three_singletons.csv"), infer_schema=False)
    hidden = [("1", "A"), ("1", "B"), ("1", "M"), ("2", "A"), ("2", "M"), ("All", "B")]
    totals = [("1", "All", 10), ("2", "All", 11), ("All", "All", 21)]
    totals += [("All", code, count) for code, count in zip("ABHMW", (2, 1, 7, 3, 8), strict=True)]
    lines = [*rows.iter_rows(), *totals]
    text = "".join(f"{a},{b},{'' if (a, b) in hidden else c}\n" for a, b, c in lines)
    (tmp_path / "table.csv").write_text("var1,var2,values\n" + text)
    for zeros, intervals in (("shown", [(1, 1)] * 3), ("hideable", None)):
        (tmp_path / "family.yml").write_text(
            f"count: values\nminimum: 3\nzeros: {zeros}\ndimensions:\n"
            "  - {column: var1, total: All}\n  - {column: var2, total: All, breakdowns: [[A, B, H, M, W]]}\n"
        )
        done = attack_file(tmp_path / "table.csv", tmp_path / "family.yml", tmp_path / "out.csv")
        found = [interval(done, var1="1", var2=code) for code in "ABM"]
        assert found == intervals if intervals else found != [(1, 1)] * 3


# --- the command ------------------------------------------------------------------------------------------


def test_the_command_prints_counts_and_fails_only_when_asked_to(tmp_path):
    table, family = plain({"A": [12, 4, 25], "B": [20, 30, 40]}, [("A", "y")], tmp_path)
    words = ["attack", str(table), "--family", str(family), "--out", str(tmp_path / "out.parquet")]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0
    assert "Known exactly: 1. Surely below 5: 1. Narrower than 3: 1." in told.output
    assert pl.read_parquet(tmp_path / "out.parquet").columns == ["place", "kind", "status", "low", "high", "method"]
    assert CliRunner().invoke(app, [*words, "--fail-on-finding"]).exit_code == 1
    table, family = plain({"A": [12, 5, 25], "B": [20, 30, 40]}, [], tmp_path)
    assert CliRunner().invoke(app, [*words, "--fail-on-finding"]).exit_code == 0


def test_a_count_that_is_shown_below_the_minimum_is_a_finding(tmp_path):
    table, family = plain({"A": [12, 4, 25], "B": [0, 30, 1]}, [], tmp_path)
    words = ["attack", str(table), "--family", str(family), "--out", str(tmp_path / "out.csv"), "--fail-on-finding"]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 1
    assert "Shown below the minimum: 2." in told.output
    assert "place A, kind y: 4 is shown, below 5" in told.output
    plain({f"p{i}": [4, 30, 40] for i in range(12)}, [], tmp_path)
    told = CliRunner().invoke(app, words)
    assert "Shown below the minimum: 12." in told.output and told.output.count("is shown, below 5") == 10


def test_a_family_of_one_dimension_needs_no_total_row(tmp_path):
    for dimension, rows in (
        ("{column: place, total: All}", "place,n A,7 B, C,9"),
        ("{column: place, total: All, parents: [county]}", "place,county,n A,c1,7 B,c1,8 C,c2,9 D,c2,"),
    ):
        (tmp_path / "family.yml").write_text(f"count: n\nminimum: 5\nzeros: hideable\ndimensions:\n  - {dimension}\n")
        (tmp_path / "table.csv").write_text(rows.replace(" ", "\n") + "\n")
        done = attack_file(tmp_path / "table.csv", tmp_path / "family.yml", tmp_path / "out.csv")
        assert not done.has_finding
        assert interval(done, place="All") == (sum(map(int, re.findall(r"\d+(?= |$)", rows))), None)
        if "county" in rows:
            assert interval(done, place="c1") == (15, 15)


def test_rows_in_another_order_give_the_same_bytes(tmp_path):
    small = small_table(np.random.default_rng(8))
    table, family = small.write(tmp_path)
    attack_file(table, family, tmp_path / "one.csv")
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([header, *reversed(rows)]) + "\n")
    attack_file(table, family, tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_without_a_shown_total_there_is_no_upper_end(tmp_path):
    hidden = [(place, kind) for place in ("A", "B", "Total") for kind in ("x", "y", "All")]
    table, family = plain({"A": [2, 2, 25], "B": [20, 30, 40]}, hidden, tmp_path)
    done = attack_file(table, family, tmp_path / "out.csv")
    assert interval(done, place="A", kind="x") == (0, None)
    assert interval(done, place="A", kind="All") == (25, None)
    assert not done.has_finding


def test_published_numbers_that_contradict_each_other_are_an_error(tmp_path):
    table, family = plain({"A": [2, 2, 25], "B": [20, 30, 40]}, [("A", "x"), ("A", "y")], tmp_path)
    table.write_text(table.read_text().replace("Total,x,22", "Total,x,27").replace("Total,y,32", "Total,y,27"))
    with pytest.raises(P20wError, match="contradict each other"):
        attack_file(table, family, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    with pytest.raises(P20wError, match="rows of hidden cells were left out, add them: status hidden, count empty"):
        attack_file(table, family, tmp_path / "out.csv")


def test_a_large_count_keeps_its_last_digit(tmp_path):
    big = 487_654_321_012
    table, family = plain({"A": [big, 4, 7], "B": [big + 3, 5, 6]}, [(p, k) for p in "AB" for k in "xy"], tmp_path)
    done = attack_file(table, family, tmp_path / "out.csv")
    assert interval(done, place="A", kind="x") == (big - 5, big + 4)
