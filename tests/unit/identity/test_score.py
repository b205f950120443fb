"""What the tiers leave is scored by the reviewed model: the same whether a night scores what changed or everything.

No dbt runs here but for training: the tables that its identity phase leaves are written as a test needs them.
"""

from __future__ import annotations

import csv
import math
import random
import re
import shutil
from datetime import date

import duckdb
import polars as pl
import pytest
from typer.testing import CliRunner

from pipelines import cli
from pipelines.errors import P20wError
from pipelines.identity import score, training
from pipelines.identity.vault import TABLES
from pipelines.settings import ROOT, load

POLICY = ROOT / "seeds" / "policy"
DAY = date(2026, 11, 22)
STAGED = {
    "record_key": "BIGINT", "sector": "TEXT", "local_id_issuer": "TEXT", "local_id": "TEXT", "student_id_state": "TEXT",
    "ssn": "TEXT", "given_name": "TEXT", "given_root": "TEXT", "middle_name": "TEXT", "surname": "TEXT",
    "birth_date": "DATE", "birth_month": "TEXT", "sex_code": "TEXT", "postal_code": "TEXT", "is_bare": "BOOLEAN",
}  # fmt: skip


class Vault:
    """A vault in memory with the tables of dbt's identity phase; `rows` are records of the staged form by key."""

    def __init__(self, rows: dict[int, dict]):
        self.rows = rows
        self.con = duckdb.connect()
        self.con.execute("ATTACH ':memory:' AS vault; USE vault; CREATE SCHEMA staging; CREATE SCHEMA linkage")
        for table, columns in TABLES.items():
            self.con.execute(f"CREATE TABLE {table} ({columns})")
        columns = ", ".join(f"{name} {kind}" for name, kind in STAGED.items())
        self.con.execute(f"CREATE TABLE staging.stg_identity__record ({columns})")
        self.con.execute(
            "CREATE TABLE linkage.int_linkage__pair (record_key_a BIGINT, record_key_b BIGINT, joins TEXT);"
            " CREATE TEMP TABLE touched (record_key BIGINT)"
        )
        self.links: set[tuple[int, int]] = set()
        self.current: set[int] = set()

    def stage(self, current: set[int], tie) -> None:
        """Make `current` the records of tonight. tie: of a record the value that the tiers link by, or None.

        The records with a value are linked as a chain, each to the next, so that it breaks where one of them goes.
        """
        links = set()
        last: dict[object, int] = {}
        for key, row in self.rows.items():
            value = tie(row)
            if value is not None and {key, last.get(value)} <= current:
                links.add((min(key, last[value]), max(key, last[value])))
            last[value] = key
        touched = {key for pair in links ^ self.links for key in pair} | (current ^ self.current)
        self.links, self.current = links, current
        rows = [{name: self.rows[key].get(name) for name in STAGED} | {"record_key": key} for key in sorted(current)]
        self._fill("staging.stg_identity__record", pl.DataFrame(rows, infer_schema_length=None))
        keys = ["record_key_a", "record_key_b"]
        pairs = pl.DataFrame(sorted(links), dict.fromkeys(keys, pl.Int64), orient="row").with_columns(
            joins=pl.lit("link")
        )
        self._fill("linkage.int_linkage__pair", pairs)
        self._fill("temp.touched", pl.DataFrame({"record_key": sorted(touched)}, {"record_key": pl.Int64}))

    def _fill(self, table: str, frame: pl.DataFrame) -> None:
        self.con.execute(f"DELETE FROM {table}")
        self.con.register("frame", frame.to_arrow())
        self.con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM frame")
        self.con.unregister("frame")

    def scores(self) -> dict[tuple[int, int], tuple[float, float]]:
        rows = self.con.execute("SELECT record_key_a, record_key_b, weight, said FROM vault.pair_score").fetchall()
        found = {(a, b): (weight, said) for a, b, weight, said in rows}
        assert len(found) == len(rows), "a pair has two rows"
        return found


def person(**values: str) -> dict:
    """A record of the staged form; a name is its own root."""
    row = {"sector": "k12", "local_id_issuer": "sea", "is_bare": False} | values
    row["given_root"] = row.get("given_root", row.get("given_name"))
    if row.get("birth_date"):
        row["birth_date"] = date.fromisoformat(str(row["birth_date"]))
        row["birth_month"] = f"{row['birth_date']:%Y-%m}"
    return row


def population(people: int, seed: int) -> dict[int, dict]:
    """Records of a few names, dates and ZIP codes, so that many share a key, under record keys drawn at random."""
    rng = random.Random(seed)
    keys = iter(random.SystemRandom().sample(range(1, 2**63), people * 6))
    given = ["ANN", "ANA", "BEN", "CARL", "KARL", "DORA", "EVA", "FINN"]
    surnames = ["LEE", "LEIGH", "OAK", "OKORO", "SMITH", "SMYTH", "STONE", "WEBER", "WEAVER", "YANG"]
    rows = {}
    for number in range(people):
        own = {
            "given_name": rng.choice(given), "surname": rng.choice(surnames), "ssn": f"{100_000_001 + number * 37}",
            "birth_date": f"{rng.randint(1998, 2001)}-{rng.randint(1, 4):02}-{rng.randint(1, 4):02}",
            "postal_code": rng.choice(["20001", "20002", "20003"]), "sex_code": rng.choice("FM"),
        }  # fmt: skip
        for sector in ("early_childhood", "k12", "child_welfare", "k12", "postsecondary", "k12"):
            row = own | {"sector": sector}
            if rng.random() < 0.4:
                row["surname"] = rng.choice(surnames)
            for name in ("ssn", "sex_code", "postal_code"):
                if rng.random() < 0.2:
                    row[name] = None
            rows[next(keys)] = person(**row)
    return rows


@pytest.fixture
def policy(tmp_path):
    """Settings whose seeds are a copy, so that a test may change the policy."""
    shutil.copytree(POLICY, tmp_path / "seeds" / "policy")
    return load({"P20W_HOME": str(tmp_path / "state"), "P20W_SEEDS": str(tmp_path / "seeds")})


def rewrite(settings, name: str, change) -> None:
    path = settings.seeds / "policy" / name
    with path.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    rows = [row for row in (change(row) for row in rows) if row]
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


# --- increments -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("people", "seed", "kept"), [(60, 1, -40), (80, 2, -40), (80, 3, -6)])
def test_a_night_that_scores_what_changed_ends_as_one_that_scores_everything(policy, people, seed, kept):
    rng = random.Random(seed)
    # Caps so low that groups outgrow them and shrink again.
    rewrite(policy, "score_key.csv", lambda row: row | {"cap": "3" if int(row["cap"]) <= 60 else "5"})
    rewrite(
        policy, "identity_parameter.csv", lambda row: row | ({"value": f"{kept}"} if "kept" in row["parameter"] else {})
    )
    vault = Vault(population(people, seed))

    def tie(row):
        return row["ssn"]

    # By place: keys are drawn at random, and their order must not choose.
    everyone = list(vault.rows)
    current = set(rng.sample(everyone, len(everyone) * 7 // 10))
    partial, affected_elsewhere = 0, 0
    for night in range(3):
        vault.stage(set(current), tie)
        before = vault.scores()
        done = score.score_left(vault.con, policy, "temp.touched", DAY)
        found = vault.scores()
        partial += not done.everything
        rescored = {key for (key,) in vault.con.execute("SELECT record_key FROM temp.rescored").fetchall()}
        assert rescored == {
            key for pair in found.keys() | before.keys() if found.get(pair) != before.get(pair) for key in pair
        }
        touched = {key for (key,) in vault.con.execute("SELECT record_key FROM temp.touched").fetchall()}
        if night:
            assert not done.everything and done.changed < len(vault.current)
            affected_elsewhere += len(rescored - touched)
        vault.con.execute("TRUNCATE vault.score_basis")
        whole = score.score_left(vault.con, policy, "temp.touched", DAY)
        assert whole.everything and vault.scores() == found
        assert done.pairs <= whole.pairs
        gone = rng.sample([key for key in everyone if key in current], len(current) // 30)
        back = rng.sample([key for key in everyone if key not in current], len(gone))
        current = current - set(gone) | set(back)
    assert partial == 2, "no night was scored in part: the test would show nothing"
    assert affected_elsewhere, "no cap was crossed: the test would show nothing"


@pytest.mark.parametrize("kept", [-99, -35], ids=["kept", "kept where one is no twin"])
@pytest.mark.parametrize(
    "second",
    [{}, {"tie": "ADA"}, {"tie": "ADA", "middle_name": "NGOZI", "sex_code": "F", "student_id_state": "S1"}],
    ids=["by itself", "linked, and says less", "linked, and says more"],
)
def test_a_name_that_a_second_record_comes_to_bear_weighs_otherwise_for_the_first(policy, second, kept):
    rewrite(
        policy, "identity_parameter.csv", lambda row: row | ({"value": f"{kept}"} if "kept" in row["parameter"] else {})
    )
    # The first two are a pair by their ZIP code, under which the second bearer of the name does not stand.
    rewrite(policy, "score_key.csv", lambda row: row | {"cap": "2"})
    names = {"surname": "OKORO", "birth_date": "2010-05-05"}
    rows = [
        {"given_name": "ADA", "postal_code": "20001", "tie": "ADA"},
        {"given_name": "UCHE", "postal_code": "20001"},
        {"given_name": "UCHE", "postal_code": "20002"},
        {"given_name": "ADA", "postal_code": "20003"} | second,
    ]
    vault = Vault({key: person(**names, **row) for key, row in enumerate(rows, start=1)})
    weights = []
    for current in ({1, 2, 3}, {1, 2, 3, 4}, {1, 2, 3}):
        vault.stage(current, lambda row: row.get("tie"))
        score.score_left(vault.con, policy, "temp.touched", DAY)
        weights.append(vault.scores().get((1, 2), (-math.inf,))[0])
    # Both names are met again: a wrong name for one person has become unlikely.
    assert weights[0] > -35 > weights[1] + 5 and weights[2] == weights[0]
    assert (weights[1] > -math.inf) == (kept == -99)


def test_what_is_kept_of_each_record_after_nights_in_part_is_what_the_records_say(policy):
    rng = random.Random(4)
    vault = Vault(population(40, 4))
    vault.con.execute("CREATE TABLE vault.score_key (record_key BIGINT)")
    everyone = list(vault.rows)
    current = set(rng.sample(everyone, len(everyone) // 2))
    names = ("given_root", "surname", "birth_date")
    numbers = ["ssn", "student_id_state", "local_id"]  # keys 1, 2, 3 of the policy are one number each
    for night in range(4):
        vault.stage(set(current), lambda row: row["ssn"])
        assert score.score_left(vault.con, policy, "temp.touched", DAY).everything == (night == 0)
        said = {key: tuple(vault.rows[key][name] for name in names) for key in current}
        kept = vault.con.execute(
            "SELECT record_key, knot, name_recurs, key_0, key_1, key_2, key_3 FROM vault.scored"
        ).fetchall()
        assert {row[0] for row in kept} == current and len(kept) == len(current)
        borne = list(said.values())
        for key, _, recurs, name, *found in kept:
            assert recurs == (borne.count(said[key]) > 1)
            assert name is not None
            assert [value is None for value in found] == [vault.rows[key].get(number) is None for number in numbers]
        # One value has one hash, and another has another.
        assert len({(said[row[0]], row[3]) for row in kept}) == len({row[3] for row in kept}) == len(set(borne))
        tied = {key: {key} for key in current}
        for a, b in vault.links:
            together = tied[a] | tied[b]
            for key in together:
                tied[key] = together
        assert {row[0]: row[1] for row in kept} == {key: min(together) for key, together in tied.items()}
        stand_for_knot(vault)
        gone = rng.sample(sorted(current), 15)
        current = current - set(gone) | set(rng.sample([key for key in everyone if key not in current], 15))
    tables = {name for (name,) in vault.con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert "score_key" not in tables, "the keys of an earlier version are left in the vault"


def stand_for_knot(vault) -> None:
    """Of a knot's records with one value that which says most stands for it, among equals that of the smallest key."""
    columns = [name for (name, *_) in vault.con.execute("DESCRIBE vault.scored").fetchall()]
    numbers = [int(name.removeprefix("key_")) for name in columns if re.fullmatch("key_[1-9][0-9]*", name)]
    rows = vault.con.execute("FROM vault.scored").pl().to_dicts()
    replaced = 0
    for number in numbers:
        best: dict[tuple, tuple] = {}
        for row in rows:
            if (value := row[f"key_{number}"]) is not None:
                group, rank = (row["knot"], value), (-row["said"], row["record_key"])
                replaced += group in best
                best[group] = min(best.get(group, rank), rank)
        standing = {row["record_key"] for row in rows if row["stands"] >> number & 1}
        assert standing == {key for _, key in best.values()}
    assert replaced and len(numbers) > 10, "every record stands for itself: the test would show nothing"


def test_the_same_records_again_score_no_pair(policy):
    vault = Vault(population(40, 3))
    vault.stage(set(vault.rows), lambda row: row["ssn"])
    score.score_left(vault.con, policy, None, DAY)
    before = vault.scores()
    vault.stage(set(vault.rows), lambda row: row["ssn"])
    again = score.score_left(vault.con, policy, "temp.touched", DAY)
    assert (again.everything, again.pairs, again.changed) == (False, 0, 0)
    assert vault.scores() == before


def test_wages_and_bare_numbers_are_never_scored_and_a_knot_is_not_compared_with_itself(policy):
    full = {"given_name": "ANN", "surname": "LEE", "birth_date": "2001-02-03", "ssn": "219438765"}
    vault = Vault(
        {
            1: person(**full),
            2: person(**full, sector="postsecondary"),
            3: person(**full | {"birth_date": "2001-03-03"}, sector="child_welfare"),
            4: person(**full, sector="workforce"),
            5: person(ssn="219438765", is_bare=True),
        }
    )
    vault.stage(set(vault.rows), lambda row: None if row["is_bare"] else str(row["birth_date"]))
    done = score.score_left(vault.con, policy, None, DAY)
    # Of the knot 1-2 one record stands; which of the two says as much, so the smaller key.
    assert set(vault.scores()) == {(1, 3)}
    assert done.pairs == 1


# --- weights ----------------------------------------------------------------------------------------------------------
TOY = """version,comparison,level,m,u,by_frequency,reason,authority,effective_date
toy,match,per_record,0.5,1,false,,,2026-01-01
toy,twin,recurs,0.0005,0.5,false,,,2026-01-01
toy,twin,once,0.005,0.5,false,,,2026-01-01
toy,given,exact,0.9,0.25,true,,,2026-01-01
toy,given,different,0.1,0.75,false,,,2026-01-01
toy,surname,exact,0.8,0.2,false,,,2026-01-01
toy,surname,different,0.2,0.8,false,,,2026-01-01
toy,birth,exact,0.9,0.01,false,,,2026-01-01
toy,birth,one_digit,0.05,0.03,false,,,2026-01-01
toy,birth,different,0.05,0.96,false,,,2026-01-01
"""


@pytest.fixture
def toy(policy):
    """Five records of which two pairs share a key, and a model small enough to reckon by hand."""
    (policy.seeds / "policy" / "link_model.csv").write_text(TOY)
    vault = Vault(
        {
            10: person(given_name="ANN", surname="LEE", birth_date="2001-02-03"),
            20: person(given_name="ANN", surname="LEE", birth_date="2001-02-04"),
            30: person(given_name="ANN", surname="OAK", birth_date="1999-09-09"),
            40: person(given_name="BEA", surname="ELM", birth_date="1998-08-08"),
            50: person(given_name="BEA", surname="ELM", birth_date="1998-08-08", sector="child_welfare"),
        }
    )
    vault.stage(set(vault.rows), lambda row: None)
    score.score_left(vault.con, policy, None, DAY)
    return vault


# Of 5 records half a match each: 2.5 matches among 10 pairs.
PRIOR = math.log2(0.25 / 0.75)
LIKE = {
    (10, 20): PRIOR + math.log2(0.9 / 0.6) + math.log2(0.8 / 0.2) + math.log2(0.05 / 0.03),
    (40, 50): PRIOR + math.log2(0.9 / 0.4) + math.log2(0.8 / 0.2) + math.log2(0.9 / 0.01),
}


def test_a_weight_is_the_sum_of_its_levels_and_a_rare_name_weighs_more(toy):
    found = toy.scores()
    assert {pair: weight for pair, (weight, _) in found.items()} == pytest.approx(LIKE)
    assert {said for _, said in found.values()} == {3.0}


def test_any_pair_can_be_weighed_though_it_shares_no_key(toy, policy):
    asked = pl.DataFrame({"record_key_a": [10, 10], "record_key_b": [20, 40]})
    found = {(a, b): weight for a, b, weight, _ in score.weigh(toy.con, policy, asked, DAY).iter_rows()}
    apart = PRIOR + math.log2(0.1 / 0.75) + math.log2(0.2 / 0.8) + math.log2(0.05 / 0.96)
    assert found == pytest.approx({(10, 20): LIKE[10, 20], (10, 40): apart})


def test_the_waterfall_sums_to_the_weight_and_shows_no_value(toy, policy):
    steps = score.waterfall(toy.con, 40, 50, policy, DAY)
    assert sum(bits for *_, bits in steps) == pytest.approx(LIKE[40, 50])
    levels = {comparison: level for comparison, level, _, _ in steps}
    assert (levels["given"], levels["surname"], levels["birth"], levels["twin"]) == (
        "exact",
        "exact",
        "exact",
        "no twins",
    )
    assert not re.search("BEA|ELM|1998", str(steps))
    assert score.waterfall(toy.con, 40, 99, policy, DAY) == []


def test_frequencies_stay_as_counted_until_the_next_version_of_the_model(toy, policy):
    toy.rows |= {key: person(given_name="BEA", surname="FIR", birth_date="1990-01-01") for key in range(60, 70)}
    toy.stage(set(toy.rows), lambda row: None)
    assert not score.score_left(toy.con, policy, "temp.touched", DAY).everything
    assert toy.scores()[40, 50][0] == pytest.approx(LIKE[40, 50])
    path = policy.seeds / "policy" / "link_model.csv"
    header, *rows = TOY.splitlines()
    newer = [row.replace("toy,", "toy-2,").replace("2026-01-01", "2026-11-01") for row in rows]
    path.write_text("\n".join([header, *rows, *newer]) + "\n")
    done = score.score_left(toy.con, policy, "temp.touched", DAY)
    assert (done.everything, done.model_version) == (True, "toy-2")
    # 12 of 15 records are called BEA now, and 7.5 matches are expected among 105 pairs.
    expected = (
        math.log2((7.5 / 105) / (97.5 / 105)) + math.log2(0.9 / 0.8) + math.log2(0.8 / 0.2) + math.log2(0.9 / 0.01)
    )
    assert toy.scores()[40, 50][0] == pytest.approx(expected)
    assert {version for (version,) in toy.con.execute("SELECT model_version FROM vault.pair_score").fetchall()} == {
        "toy-2"
    }


def test_names_are_counted_on_the_first_night_that_has_records(toy, policy):
    """A night before any delivery does not fix that every name is as rare as can be."""
    later = Vault(dict(toy.rows))
    score.score_left(later.con, policy, None, DAY)
    later.stage(set(later.rows), lambda row: None)
    score.score_left(later.con, policy, "temp.touched", DAY)
    assert later.scores() == toy.scores()


def test_a_name_that_nobody_bore_when_the_version_was_counted_is_as_rare_as_one_record(toy, policy):
    toy.rows |= {key: person(given_name="ZOE", surname="ASH", birth_date="1997-07-07") for key in (60, 70)}
    toy.stage(set(toy.rows), lambda row: None)
    score.score_left(toy.con, policy, "temp.touched", DAY)
    new = PRIOR + math.log2(0.9 / 0.2) + math.log2(0.8 / 0.2) + math.log2(0.9 / 0.01)
    assert toy.scores()[60, 70][0] == pytest.approx(new)


def test_twins_weigh_far_less_than_their_names_and_dates_add_up_to(policy):
    names = {"surname": "OKORO", "birth_date": "2010-05-05", "postal_code": "20001"}
    given = ["ADA", "ADA", "UCHE", "UCHE"]
    rows = {
        key: person(given_name=name, sector="k12" if key % 2 else "child_welfare", **names)
        for key, name in enumerate(given, start=1)
    }
    # A hundred others, so that theirs are no frequent names.
    rows |= {
        key: person(given_name=f"G{key}", surname=f"S{key}", birth_date="1990-01-01", postal_code=str(key))
        for key in range(10100, 10200)
    }
    vault = Vault(rows)
    vault.stage(set(vault.rows), lambda row: row["given_name"])
    score.score_left(vault.con, policy, None, DAY)
    pairs = pl.DataFrame({"record_key_a": [1, 1], "record_key_b": [2, 3]})
    same, twins = score.weigh(vault.con, policy, pairs, DAY)["weight"]
    assert same > 8 and twins < -20
    assert (1, 3) not in vault.scores()


# --- the model file ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("given,exact,0.9,0.25", "given,exact,0.9,none", "row 5: m and u must be numbers"),
        ("given,exact,0.9,0.25", "given,exact,0,0.25", "row 5: m and u must be above 0"),
        ("given,exact,0.9,0.25", "given,exact,0.7,0.25", "levels of given"),
        ("given,exact", "given,same", "row 5: given knows no level 'same'"),
        ("toy,match,per_record", "toy,given,root", "lacks match per_record"),
        ("2026-01-01", "2027-01-01", "no version is in force on 2026-11-22"),
    ],
)
def test_a_model_file_with_a_mistake_is_refused_in_a_sentence_that_names_it(tmp_path, old, new, told):
    path = tmp_path / "link_model.csv"
    path.write_text(TOY.replace(old, new))
    with pytest.raises(P20wError, match=told):
        score.load_model(path, DAY)


def test_the_newest_version_in_force_on_the_day_of_the_build_counts(tmp_path):
    path = tmp_path / "link_model.csv"
    header, *rows = TOY.splitlines()
    newer = [row.replace("toy,", "next,").replace("2026-01-01", "2026-12-01") for row in rows]
    path.write_text("\n".join([header, *newer, *rows]) + "\n")
    assert score.load_model(path, date(2026, 11, 30)).version == "toy"
    assert score.load_model(path, date(2026, 12, 1)).version == "next"


def test_the_shipped_model_is_whole_and_numbers_and_dates_weigh_most():
    model = score.load_model(POLICY / "link_model.csv", DAY)
    bits = {name: math.log2(model.m[name][0] / model.u[name][0]) for name in model.comparisons}
    assert set(bits) == {"given", "surname", "middle", "birth", "ssn", "state_id", "number", "sex", "postal"}
    assert min(bits["ssn"], bits["state_id"], bits["number"]) > bits["birth"] > bits["surname"] > bits["sex"] > 0


# --- training ---------------------------------------------------------------------------------------------------------
def test_training_writes_a_version_that_can_be_reviewed_and_used_and_names_nobody(policy, tmp_path):
    vault = Vault(population(150, seed=2))
    vault.stage(set(vault.rows), lambda row: row["ssn"])
    training.write_training(policy, tmp_path, training.train(vault.con, policy, DAY), DAY)
    text = (tmp_path / "index.html").read_text() + (tmp_path / "link_model.csv").read_text()
    model = score.load_model(tmp_path / "link_model.csv", DAY)
    assert model.version == DAY.isoformat()
    assert "Weights by level" in text and "shipped-1" in text
    values = {str(row[name]) for row in vault.rows.values() for name in ("given_name", "surname", "ssn", "birth_date")}
    assert not [value for value in values if re.search(rf"\b{value}\b", text)]
    # Here a person's given names are always equal, and strangers' one time in eight; nobody bears another's SSN.
    assert model.m["given"][0] > 0.9 and 0.09 < model.u["given"][0] < 0.17
    assert model.m["ssn"][0] > 0.9 and model.u["ssn"][0] < 1e-3
    assert vault.con.execute("SELECT count(*) FROM vault.term_frequency").fetchone() == (0,)


def test_train_is_a_verb_and_any_other_first_word_is_a_table(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("pipelines.identity.linker.run.link_file", lambda *given: asked.append(given) or 1 / 0)
    monkeypatch.setattr("pipelines.identity.training.train_home", lambda settings, out: asked.append(out) or tmp_path)
    monkeypatch.setattr("pipelines.writer_lock.acquire", lambda *given: None)
    runner = CliRunner()
    runner.invoke(cli.app, ["link", "t.csv", "--columns", "map.yml", "--out", "o.csv"])
    runner.invoke(cli.app, ["link", "--columns", "map.yml", "--out", "o.csv", "t.csv"])
    assert [[str(each) for each in given[1:4]] for given in asked] == [["t.csv", "map.yml", "o.csv"]] * 2
    done = runner.invoke(cli.app, ["link", "train", "--out", str(tmp_path)])
    assert done.exit_code == 0 and asked[-1] == tmp_path and "steward" in done.output
