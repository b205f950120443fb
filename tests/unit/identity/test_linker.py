"""The engine behind `p20w link`, step by step and as a whole, on tables small enough to judge by eye."""

from __future__ import annotations

import csv
import random
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines.errors import P20wError
from pipelines.identity.linker import candidate, model, run
from pipelines.identity.linker.accuracy import accuracy
from pipelines.identity.linker.columns import ROLES, ColumnMap, read_map
from pipelines.identity.linker.group import average_linkage, group
from pipelines.identity.linker.run import link_file
from pipelines.identity.linker.standard import STANDARD, standardize
from pipelines.settings import ROOT, settings

POLICY = ROOT / "seeds" / "policy"
DAY = date(2026, 11, 21)
REFERENCE = ROOT / "seeds" / "reference"
EVERY = ColumnMap({role: (role,) for role in ROLES})


def standard(*rows: dict[str, str]) -> list[dict]:
    """The standard form of rows given by role, in the order of record_id (numbered where it is not given)."""
    con = duckdb.connect()
    full = [{role: "" for role in ROLES} | {"record_id": f"{i:04d}"} | row for i, row in enumerate(rows)]
    con.register("table_as_sent", pl.DataFrame(full, schema=dict.fromkeys(ROLES, pl.String)).to_arrow())
    standardize(con, "table_as_sent", EVERY, REFERENCE)
    return con.execute("SELECT * FROM record ORDER BY id").pl().to_dicts()


# --- the column map --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("record_id: id\nsurename: name\n", "surename"),
        ("surname: name\n", "record_id"),
        ("record_id: [a, b]\nsurname: name\n", "record_id"),
        ("record_id: id\nsex: sex\n", "tells people apart"),
        ("record_id: id\nsurname: name\nduplicate_free: [k12]\n", "source"),
        ("record_id: id\nsurname: name\nsource: s\nduplicate_free: k12\n", "list"),
        ("- record_id\n", "line by line"),
        ("record_id: [id\n", "not YAML"),
        ("record_id: id\nsurname: {a: b}\n", "surname"),
    ],
)
def test_a_map_with_a_mistake_is_refused_in_a_sentence_that_names_it(tmp_path, text, told):
    path = tmp_path / "map.yml"
    path.write_text(text)
    with pytest.raises(P20wError, match=told):
        read_map(path)


def test_a_role_may_be_spread_over_columns_and_sources_may_be_free_of_duplicates(tmp_path):
    path = tmp_path / "map.yml"
    path.write_text("record_id: id\naddress: [street, place]\nsource: s\nduplicate_free: [k12, 7]\n")
    assert read_map(path) == ColumnMap(
        {"record_id": ("id",), "address": ("street", "place"), "source": ("s",)}, ("k12", "7")
    )


# --- one form --------------------------------------------------------------------------------------------------------
def test_names_lose_case_accents_and_signs_but_not_their_script():
    accent, apostrophe, other = standard(
        {"given_name": " José ", "surname": "Núñez-Peña"},
        {"given_name": "Liam", "surname": "O'Brien"},
        {"given_name": "Мария", "surname": "王"},
    )
    assert (accent["given"], accent["surname"]) == ("JOSE", "NUNEZPENA")
    assert apostrophe["surname"] == "OBRIEN"
    assert (other["given"], other["surname"]) == ("МАРИЯ", "王")


def test_a_second_given_name_is_the_middle_name_and_a_nickname_has_its_root():
    both, nick = standard({"given_name": "Mary Ann", "surname": "Lee"}, {"given_name": "Abby", "surname": "Lee"})
    assert (both["given_root"], both["middle"], both["given"]) == ("MARY", "ANN", "MARYANN")
    assert nick["given_root"] == "ABIGAIL"


def test_a_full_name_is_split_only_where_its_parts_are_not_given():
    full, parts, single = standard(
        {"full_name": "thomas george clifford"},
        {"full_name": "thomas george clifford", "given_name": "tom", "surname": "de clifford"},
        {"full_name": "plato"},
    )
    assert (full["given"], full["middle"], full["surname"]) == ("THOMAS", "GEORGE", "CLIFFORD")
    assert (parts["given"], parts["middle"], parts["surname"]) == ("TOM", None, "DECLIFFORD")
    assert (single["given"], single["surname"]) == ("PLATO", None)


@pytest.mark.parametrize(
    ("sent", "form"),
    [
        ("2001-02-03", "20010203"),
        ("2001-2-3", "20010203"),
        ("2001-02-03T00:00:00", "20010203"),
        ("02/03/2001", "20010203"),
        ("20010203", "20010203"),
        ("2001-02", "200102"),
        ("1990", "1990"),
        ("19901341", "19901341"),  # no date, but two equal ones still agree
        ("unknown", None),
        ("", None),
    ],
)
def test_a_birth_date_is_read_and_never_guessed(sent, form):
    assert standard({"birth_date": sent, "surname": "Lee"})[0]["birth"] == form


def test_suffixes_are_no_part_of_a_name_but_a_first_word_is():
    junior, third, only, full = standard(
        {"given_name": "John", "surname": "Garza Jr"},
        {"given_name": "John III", "surname": "Garza"},
        {"given_name": "V", "surname": "Garza"},
        {"full_name": "john henry garza, jr."},
    )
    assert (junior["given"], junior["surname"]) == ("JOHN", "GARZA")
    assert (third["given"], third["middle"]) == ("JOHN", None)
    assert only["given"] == "V"
    assert (full["given"], full["middle"], full["surname"]) == ("JOHN", "HENRY", "GARZA")


def test_values_that_stand_for_unknown_say_nothing():
    unknown, known = standard(
        {"given_name": "Baby Boy", "surname": "unknown", "birth_date": "1900-01-01", "ssn": "078-05-1120",
         "state_id": "N/A", "number": "none", "postal_code": "00000"},
        {"given_name": "Boyd", "surname": "Test Ley", "birth_date": "1903-05-02", "ssn": "078-05-1121",
         "state_id": "0042", "number": "0A1", "postal_code": "00001"},
    )  # fmt: skip
    nothing = ("given", "given_root", "surname", "birth", "ssn", "state_id", "number", "postal")
    assert [unknown[name] for name in nothing] == [None] * len(nothing)
    assert (known["given"], known["surname"], known["birth"]) == ("BOYD", "TESTLEY", "19030502")
    assert (known["ssn"], known["state_id"], known["number"]) == ("078051121", "42", "A1")


@pytest.mark.parametrize("never_issued", ["000121234", "666121234", "900121234", "212001234", "212120000", "21212"])
def test_an_ssn_that_was_never_issued_says_nothing_unless_most_of_the_column_is_so(never_issued):
    rows = [{"record_id": "a", "ssn": never_issued}] + [
        {"record_id": f"b{i}", "ssn": f"2123412{i:02d}"} for i in range(10, 40)
    ]
    con = duckdb.connect()
    schema = dict.fromkeys(ROLES, pl.String)
    con.register("real", pl.DataFrame([{role: "" for role in ROLES} | row for row in rows], schema=schema).to_arrow())
    standardize(con, "real", EVERY, REFERENCE, ssn_invalid_share=0.05)
    assert con.execute("SELECT count(ssn), min(record_id) FROM record WHERE ssn IS NOT NULL").fetchone() == (30, "b10")
    con.execute("CREATE TABLE tokens AS SELECT * REPLACE ('9' || substr(ssn, 2) AS ssn) FROM real")
    standardize(con, "tokens", EVERY, REFERENCE, ssn_invalid_share=0.05)
    assert con.execute("SELECT count(ssn) FROM record").fetchone() == (31,)


def test_record_ids_must_be_there_and_differ():
    with pytest.raises(P20wError, match="1 have none, and 1 repeat"):
        standard({"record_id": ""}, {"record_id": "7"}, {"record_id": "7"})


# --- candidates ------------------------------------------------------------------------------------------------------
def candidates(rows: list[dict[str, str]], keys: list[candidate.Key]) -> tuple[list[tuple[int, int]], list[int]]:
    con = duckdb.connect()
    full = [{role: "" for role in ROLES} | {"record_id": f"{i:04d}"} | row for i, row in enumerate(rows)]
    con.register("table_as_sent", pl.DataFrame(full, schema=dict.fromkeys(ROLES, pl.String)).to_arrow())
    count = standardize(con, "table_as_sent", EVERY, REFERENCE)
    knot = candidate.tie_knots(con, count, candidate.load_plain_rules(POLICY / "link_plain_rule.csv", DAY))
    candidate.compare_candidates(con, keys)
    return con.execute("SELECT a, b FROM candidate ORDER BY a, b").fetchall(), knot.tolist()


def test_a_group_above_its_cap_is_not_compared():
    rows = [{"surname": "Lee"} for _ in range(4)]
    assert len(candidates(rows, [candidate.Key("surname", ("surname",), 4)])[0]) == 6
    assert candidates(rows, [candidate.Key("surname", ("surname",), 3)])[0] == []


def test_the_cap_of_a_key_falls_until_it_gives_no_more_pairs_than_the_policy_allows():
    rows = [{"surname": name} for name, times in (("Lee", 4), ("Ash", 3), ("Oak", 2)) for _ in range(times)]
    assert len(candidates(rows, [candidate.Key("surname", ("surname",), 9)])[0]) == 10
    found = candidates(rows, [candidate.Key("surname", ("surname",), 9, most_pairs=9)])[0]
    assert found == [(5, 6), (5, 7), (6, 7), (8, 9)]
    assert candidates(rows, [candidate.Key("surname", ("surname",), 9, most_pairs=3)])[0] == [(8, 9)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=25))
@hypothesis_settings(max_examples=10, deadline=None)
def test_candidates_are_the_pairs_that_a_reader_of_the_policy_expects(values):
    rows = [{"surname": f"N{'abcd'[a]}", "city": f"C{'abc'[b]}", "state": f"{'abcde'[c]}"} for a, b, c in values]
    keys = [candidate.Key("x", ("surname", "city"), 5), candidate.Key("y", ("state",), 4)]
    expected = set()
    for picked, cap in (((0, 1), 5), ((2,), 4)):
        for value in {tuple(each[i] for i in picked) for each in values}:
            members = [i + 1 for i, each in enumerate(values) if tuple(each[j] for j in picked) == value]
            if len(members) <= cap:
                expected |= {(a, b) for a in members for b in members if a < b}
    assert candidates(rows, keys)[0] == sorted(expected)


def test_names_the_wrong_way_round_share_a_key_of_the_policy():
    rows = [{"given_name": "Iris", "surname": "Maple"}, {"given_name": "Maple", "surname": "Iris"}]
    assert candidates(rows, candidate.load_keys(POLICY / "link_key.csv", DAY))[0] == [(1, 2)]


def test_records_that_plainly_agree_are_tied_and_stand_for_each_other():
    same = {"ssn": "212345678", "given_name": "Ann", "surname": "Lee", "birth_date": "2001-02-03"}
    rows = [same, same | {"postal_code": "99"}, {"surname": "Lee", "postal_code": "99"}]
    found, knot = candidates(rows, [candidate.Key("p", ("surname", "postal"), 9), candidate.Key("s", ("surname",), 9)])
    assert knot == [1, 1, 3]
    assert found == [(1, 3), (2, 3)]  # by surname the first stands for both, by postal code the second


def test_two_records_of_a_source_that_names_nobody_twice_stay_two_however_much_agrees(tmp_path):
    same = {"first": "Ann", "last": "Quillon", "born": "2001-02-03", "ssn": "212345678"}
    rows = [{"id": f"{source}{i}", "source": source} | same for source in ("k12", "wage") for i in range(2)]
    mapped = "record_id: id\nsource: source\ngiven_name: first\nsurname: last\nbirth_date: born\nssn: ssn\n"
    (tmp_path / "map.yml").write_text(mapped + "duplicate_free: [k12]\n")
    strangers = [row | {"source": "wage", "ssn": f"{i:09d}"} for i, row in enumerate(people(60, random.Random(1)))]
    for row in strangers:
        row.pop("person"), row.pop("zip")
    table = write(tmp_path / "a.csv", rows + [{name: row[name] for name in rows[0]} for row in strangers])
    found = link_file(settings(), table, tmp_path / "map.yml", tmp_path / "out.csv").rows
    cluster = dict(found.select("record_id", "cluster_id").iter_rows())
    assert cluster["k120"] != cluster["k121"]
    assert cluster["wage0"] == cluster["wage1"] in {cluster["k120"], cluster["k121"]}


def test_a_shared_ssn_alone_ties_nobody():
    rows = [{"ssn": "212345678", "given_name": name, "birth_date": "2001-02-03"} for name in ("Ann", "Bob", "Cyd")]
    assert candidates(rows, [])[1] == [1, 2, 3]


def test_a_key_of_unknown_columns_is_refused(tmp_path):
    path = tmp_path / "link_key.csv"
    path.write_text("key,parts,cap,reason\nshoe,shoe_size,9,none\n")
    with pytest.raises(P20wError, match="line 2: shoe_size"):
        candidate.load_keys(path, DAY)
    path.write_text("rule,parts,reason\nshoe,ssn;shoe_size,none\n")
    with pytest.raises(P20wError, match="line 2: shoe_size"):
        candidate.load_plain_rules(path, DAY)


def test_a_policy_row_counts_from_its_date_until_a_later_one_takes_its_place(tmp_path):
    path = tmp_path / "link_key.csv"
    path.write_text(
        "key,parts,cap,effective_date\nssn,ssn,100,2020-01-01\nname,names,9,2020-01-01\nssn,ssn,50,2021-01-01\n"
        "ssn,ssn,10,9999-01-01\nlate,birth,5,9999-01-01\n"
    )
    assert candidate.load_keys(path, DAY) == [candidate.Key("name", ("names",), 9), candidate.Key("ssn", ("ssn",), 50)]


# --- weights ---------------------------------------------------------------------------------------------------------
def test_the_shipped_prior_names_levels_that_exist_for_columns_that_exist():
    levels = model.load_levels(POLICY / "link_level.csv", DAY)
    assert set(levels) <= set(STANDARD)
    assert {"given", "surname", "birth", "ssn", "postal", "address"} <= set(levels)


def test_a_prior_that_does_not_sum_to_one_is_refused(tmp_path):
    path = tmp_path / "link_level.csv"
    path.write_text("comparison,level,by_frequency,prior_match_share\nsex,exact,false,0.9\nsex,different,false,0.2\n")
    with pytest.raises(P20wError, match=r"sum to 1\.1000"):
        model.load_levels(path, DAY)


def train(sampled: list[list[int]], weight: float) -> tuple[list[np.ndarray], float]:
    u, prior = [np.array([0.01, 0.99])] * 3, [np.array([0.9, 0.1])] * 3
    pattern, count = model._patterns(np.array(sampled, dtype=np.int8))
    m, _, expected = model._expectation_maximisation(pattern, count, u, prior, 1.0, 1000, weight)
    return m, expected


def test_few_matches_leave_the_prior_where_it_is_and_many_move_it():
    few, _ = train([[0, 0, 0]], weight=200)
    assert np.allclose(few[0], [0.9, 0.1], atol=0.01)
    # Of 3,000 sure matches, a third differ in the last comparison.
    many, expected = train([[0, 0, 0]] * 2000 + [[0, 0, 1]] * 1000, weight=200)
    assert many[2][0] == pytest.approx((2000 + 180) / 3200, abs=0.02)
    assert expected == pytest.approx(3000, rel=0.05)
    assert all(share.min() > 0 for share in many)


@pytest.mark.parametrize(
    ("one", "other", "most_one", "most_two"),
    [
        ("20010203", "20010203", True, True),
        ("20010203", "20010204", True, True),
        ("20010203", "20010230", True, True),  # neighbors exchanged
        ("20010203", "20010302", False, True),
        ("20010203", "20020304", False, False),
        ("2001020", "20010203", True, True),
        ("200102", "20010203", False, True),
        ("A1", "20010203", False, False),
    ],
)
def test_signs_that_differ_are_counted_place_by_place(one, other, most_one, most_two):
    for most, told in ((1, most_one), (2, most_two)):
        sql = model._signs_differ("x", "y", most)
        found = duckdb.sql(f"SELECT {sql} FROM (SELECT '{one}' AS x, '{other}' AS y)").fetchone()[0]
        assert found is told


# --- groups ----------------------------------------------------------------------------------------------------------
def grouped(count: int, edges: dict[tuple[int, int], float], said: dict | None = None, **more) -> list[int]:
    a, b = (np.array(ends, dtype=np.int64) for ends in zip(*edges, strict=True))
    weight = np.array(list(edges.values()), dtype=float)
    values = np.array([(said or {}).get(edge, 4.0) for edge in edges])
    return group(count, a, b, weight, values, 0.0, -3.0, -40.0, **more).tolist()


def test_a_pair_with_nothing_to_compare_says_nothing_for_or_against():
    edges = {(0, 1): 8.0, (1, 2): 8.0, (0, 2): -15.0}
    assert grouped(3, edges, said={(0, 2): 0.0}) == [0, 0, 0]
    assert grouped(3, edges | {(0, 2): -30.0}) == [0, 0, 2]
    assert grouped(2, {(0, 1): -2.0}, said={(0, 1): 0.0}) == [0, 1]


def test_one_strong_pair_between_two_groups_that_disagree_does_not_join_them():
    inside = {(0, 1): 20.0, (0, 2): 20.0, (1, 2): 20.0, (3, 4): 20.0, (3, 5): 20.0, (4, 5): 20.0}
    across = {(i, j): -15.0 for i in range(3) for j in range(3, 6)} | {(2, 3): 12.0}
    assert grouped(6, inside | across) == [0, 0, 0, 3, 3, 3]
    assert grouped(6, inside | {(i, j): 5.0 for i in range(3) for j in range(3, 6)}) == [0] * 6


def test_names_alone_need_more_weight_where_they_would_make_too_many_wrong_pairs():
    # Four pairs that only names tie at 0, 1, 2 and 6 bits above the joining weight, wrong with 1/2, 1/3, 1/5 and 1/65;
    # and two records that an SSN ties. Of 5 pairs at most so many may be wrong.
    a, b = np.array([0, 2, 4, 6, 8]), np.array([1, 3, 5, 7, 9])
    weight, said = np.array([-2.0, -1.0, 0.0, 4.0, 30.0]), np.array([2.0, 2.0, 2.0, 2.0, 3.0])
    found, records = np.repeat(np.arange(0, 10, 2), 2), np.ones(10, dtype=np.int64)

    def bits(wrong: float, records: np.ndarray = records, said: np.ndarray = said) -> int:
        parameter = {"join_weight": -2.0, "names_wrong_share": wrong / 5}
        return run._names_weight(found, a, b, weight, said, records, parameter)

    assert bits(1 / 2 + 1 / 3 + 1 / 5 + 1 / 65 + 0.001) == 0
    assert bits(1 / 3 + 1 / 5 + 1 / 65 + 0.001) == 1
    assert bits(1 / 5 + 1 / 65 + 0.001) == 2
    assert bits(1 / 65 + 0.001) == 3
    # Two records tied beforehand are pairs with the other: twice as many wrong, and one right pair more of six.
    assert bits(1 / 65 + 0.001, records=np.array([1, 1, 1, 1, 1, 1, 2, 1, 1, 1])) == 7
    # What more than names ties is not asked for more.
    assert bits(0.0, said=np.full(5, 3.0)) == 0


def test_a_weak_pair_inside_a_group_that_agrees_does_not_split_it():
    assert grouped(3, {(0, 1): 20.0, (1, 2): 20.0, (0, 2): -10.0}) == [0, 0, 0]


def test_a_source_without_duplicates_gives_each_group_one_record():
    edges = {(0, 1): 10.0, (0, 2): 12.0, (1, 2): 30.0}
    assert grouped(3, edges) == [0, 0, 0]
    assert grouped(3, edges, only_once=np.array([-1, 5, 5])) == [0, 1, 0]


@given(st.integers(2, 9), st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_pairs(count, rng: random.Random):
    edges = {(i, j): rng.uniform(-20, 20) for i in range(count) for j in range(i + 1, count) if rng.random() < 0.6}
    if not edges:
        return
    shuffled = list(edges.items())
    rng.shuffle(shuffled)
    assert grouped(count, edges) == grouped(count, dict(shuffled))
    groups = sorted(
        sorted(each) for each in average_linkage({edge: (weight, 1.0) for edge, weight in edges.items()}, 0.0, -40.0)
    )
    assert sorted(node for each in groups for node in each) == sorted({node for edge in edges for node in edge})


# --- accuracy --------------------------------------------------------------------------------------------------------
def test_accuracy_is_what_a_hand_computes():
    # Found {1,2,3} {4}; true {1,2} {3,4}: of 3 linked pairs 1 is right, of 2 true pairs 1 is found.
    found = accuracy(pl.Series(["x", "x", "x", "y"]), pl.Series(["a", "a", "b", "b"]))
    assert (found.precision, found.recall) == (pytest.approx(1 / 3), 0.5)
    assert found.f1 == pytest.approx(0.4)
    assert found.bcubed_precision == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1) / 4)
    assert found.bcubed_recall == pytest.approx((1 + 1 + 1 / 2 + 1 / 2) / 4)
    assert accuracy(pl.Series(["x", "y"]), pl.Series(["a", None])).precision == 1.0


# --- the whole -------------------------------------------------------------------------------------------------------
def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def people(count: int, rng: random.Random) -> list[dict[str, str]]:
    """`count` people with two records each, the second with an error; `person` is the truth."""
    with (ROOT / "seeds" / "reference" / "nickname.csv").open() as handle:
        names = sorted({row["root"] for row in csv.DictReader(handle)})
    rows = []
    for person in range(count):
        whole = {
            "first": rng.choice(names),
            "last": "".join(rng.choice("bcdfglmnprstv") + rng.choice("aeiou") for _ in range(4)).upper(),
            "born": f"{rng.randint(1990, 2015)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
            "zip": f"{rng.randint(10000, 10200)}",
        }
        wrong = dict(whole)
        kind = person % 4
        if kind == 0:
            wrong["last"] = whole["last"][:3] + "X" + whole["last"][4:]
        elif kind == 1:
            wrong["zip"] = ""
        elif kind == 2:
            wrong["first"], wrong["last"] = whole["last"], whole["first"]
        else:
            wrong["born"] = whole["born"][:8] + f"{(int(whole['born'][8:]) % 28) + 1:02d}"
        rows += [{"id": f"{person}-{i}", "person": str(person)} | each for i, each in enumerate((whole, wrong))]
    return rows


MAP = "record_id: id\ngiven_name: first\nsurname: last\nbirth_date: born\npostal_code: zip\n"


def test_people_with_an_error_meet_twins_stay_apart_and_no_order_of_rows_changes_a_byte(tmp_path):
    rng = random.Random(4)
    rows = people(300, rng)
    for twin, name in ((9001, "BRAM"), (9002, "CLAUDE")):
        twins = {"first": name, "last": "QUILLON", "born": "2010-05-06", "zip": "10001", "person": str(twin)}
        rows += [{"id": f"{twin}-{i}"} | twins for i in range(2)]
    (tmp_path / "map.yml").write_text(MAP)
    first = link_file(
        settings(), write(tmp_path / "a.csv", rows), tmp_path / "map.yml", tmp_path / "out_a.csv", truth="person"
    )
    assert first.accuracy.precision == 1.0
    assert first.accuracy.recall >= 0.99
    written = pl.read_csv(tmp_path / "out_a.csv", infer_schema_length=0)
    assert written.columns == ["record_id", "cluster_id", "match_weight", "rule"]
    assert written["record_id"].to_list() == sorted(row["id"] for row in rows)
    cluster = dict(written.select("record_id", "cluster_id").iter_rows())
    assert cluster["9001-0"] == cluster["9001-1"] != cluster["9002-0"] == cluster["9002-1"]
    rng.shuffle(rows)
    link_file(settings(), write(tmp_path / "b.csv", rows), tmp_path / "map.yml", tmp_path / "out_b.csv")
    assert (tmp_path / "out_a.csv").read_bytes() == (tmp_path / "out_b.csv").read_bytes()


def test_father_and_son_of_one_name_at_one_place_stay_two_in_a_table_without_numbers(tmp_path):
    rows = people(300, random.Random(4))
    for person, born in ((9001, "1962-03-09"), (9002, "1990-11-24")):
        alike = {"first": "BRAM", "last": "QUILLON", "born": born, "zip": "10001", "person": str(person)}
        rows += [{"id": f"{person}-{i}"} | alike for i in range(2)]
    (tmp_path / "map.yml").write_text(MAP)
    found = link_file(settings(), write(tmp_path / "a.csv", rows), tmp_path / "map.yml", tmp_path / "out.csv").rows
    cluster = dict(found.select("record_id", "cluster_id").iter_rows())
    assert cluster["9001-0"] == cluster["9001-1"] != cluster["9002-0"] == cluster["9002-1"]


def test_twins_whose_student_ids_are_neighbors_stay_two(tmp_path):
    rows = people(300, random.Random(4))
    for row in rows:
        row["student"] = str(5_000_000_000 + 7919 * int(row["person"]))
    for twin, name in ((9001, "BRAM"), (9002, "CLAUDE")):
        shared = {"first": name, "last": "QUILLON", "born": "2010-05-06", "zip": "10001", "person": str(twin)}
        rows += [{"id": f"{twin}-{i}"} | shared | {"student": str(4_000_000_000 + twin)} for i in range(2)]
    (tmp_path / "map.yml").write_text(MAP + "state_id: student\n")
    found = link_file(settings(), write(tmp_path / "a.csv", rows), tmp_path / "map.yml", tmp_path / "out.csv").rows
    cluster = dict(found.select("record_id", "cluster_id").iter_rows())
    assert cluster["9001-0"] == cluster["9001-1"] != cluster["9002-0"] == cluster["9002-1"]


def test_a_file_or_column_that_is_not_there_is_named(tmp_path):
    (tmp_path / "map.yml").write_text(MAP)
    with pytest.raises(P20wError, match="no table"):
        link_file(settings(), tmp_path / "none.csv", tmp_path / "map.yml", tmp_path / "out.csv")
    table = write(tmp_path / "a.csv", [{"id": "1", "first": "Ann", "last": "Lee", "born": "2001-01-01"}])
    with pytest.raises(P20wError, match="no column zip"):
        link_file(settings(), table, tmp_path / "map.yml", tmp_path / "out.csv")
    with pytest.raises(P20wError, match=r"\.csv or \.parquet"):
        link_file(settings(), table, tmp_path / "map.yml", tmp_path / "out.txt")
    assert not (tmp_path / "out.csv").exists()


def test_a_table_of_one_record_is_one_person(tmp_path):
    (tmp_path / "map.yml").write_text(MAP)
    table = write(tmp_path / "a.csv", [{"id": "1", "first": "Ann", "last": "Lee", "born": "2001-01-01", "zip": ""}])
    done = link_file(settings(), table, tmp_path / "map.yml", tmp_path / "out.parquet")
    assert done.rows.rows() == [("1", "1", None, "alone")]


FEBRL = (
    "record_id: rec_id\ngiven_name: given_name\nsurname: surname\nstreet_number: street_number\n"
    "address: [address_1, address_2]\ncity: suburb\npostal_code: postcode\nstate: state\nbirth_date: date_of_birth\n"
    "number: soc_sec_id\n"
)


@pytest.mark.parametrize(("name", "least_recall"), [("febrl_1", 0.997), ("febrl_2", 0.997), ("febrl_3", 0.998)])
def test_published_sets_are_linked_with_few_misses_and_no_false_pair(real_data, tmp_path, name, least_recall):
    with (real_data / "febrl" / f"{name}.csv").open(encoding="utf-8") as handle:
        rows = [{key.strip(): value for key, value in row.items()} for row in csv.DictReader(handle)]
    for row in rows:
        row["person"] = row["rec_id"].split("-")[1]
    (tmp_path / "map.yml").write_text(FEBRL)
    table = write(tmp_path / "febrl.csv", rows)
    found = link_file(settings(), table, tmp_path / "map.yml", tmp_path / "out.csv", truth="person").accuracy
    assert found.precision >= 0.9998
    assert found.recall >= least_recall
