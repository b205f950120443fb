"""Which records are tonight's, and that a night which computes only what they touch ends where a whole one ends.

What needs dbt's compiled models is marked slow: test_adversarial.py solves a whole population in part and in full.
"""

from __future__ import annotations

import csv
import datetime
import json
import random
import shutil

import duckdb
import jinja2
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines.identity import current
from pipelines.identity.vault import TABLES, open_vault
from pipelines.settings import ROOT, load

from .conftest import run_dbt

ORDER = (
    "stg_identity__change",
    "stg_identity__record",
    "int_linkage__key",
    "int_linkage__name",
    "int_linkage__unit",
    "int_linkage__edge",
    "int_linkage__plain_pair",
    "int_linkage__touched",
    "int_linkage__wage_refused",
)
SEEDS = ("policy/match_tier", "reference/nickname", "reference/name_suffix", "reference/placeholder")


# --- which records are current ---------------------------------------------------------------------------------------
def test_records_are_current_while_an_active_file_holds_them(home, tmp_path, monkeypatch):
    def file(name, keys):
        pl.DataFrame({"record_key": pl.Series(keys, dtype=pl.Int64), "x": ["v"] * len(keys)}).write_parquet(
            tmp_path / name
        )
        return tmp_path / name

    first, second = file("first.parquet", [1, 2, 2, None]), file("second.parquet", [2, 3])
    nobody = file("nobody.parquet", [77])
    active = {"k12__student": [first, second], "workforce__wage": [file("none.parquet", [])],
              "shared__organization": [nobody]}  # fmt: skip
    monkeypatch.setattr(current.views, "active_files", lambda settings: active)
    assert current.write_current(home) == 3
    with open_vault(home) as con:
        assert con.execute("SELECT record_key FROM current_record ORDER BY 1").fetchall() == [(1,), (2,), (3,)]
    # A resubmission replaces the first file: what only that held goes.
    active["k12__student"] = [file("again.parquet", [2]), second]
    assert current.write_current(home) == 2
    with open_vault(home) as con:
        assert con.execute("SELECT record_key FROM current_record ORDER BY 1").fetchall() == [(2,), (3,)]


def staged(settings, keys):
    with open_vault(settings) as con:
        con.execute("CREATE SCHEMA IF NOT EXISTS vault.staging")
        con.execute(
            "CREATE OR REPLACE TABLE vault.staging.stg_identity__record AS SELECT unnest(?::BIGINT[]) AS record_key",
            [keys],
        )


def test_a_phase_in_part_is_told_which_records_came_and_which_went(home):
    staged(home, [1, 2, 3])
    with open_vault(home) as con:
        con.execute("INSERT INTO current_record VALUES (2), (3), (4)")
    for whole, told in ((True, []), (False, [(1, True), (4, False)]), (True, [])):
        assert current.begin_phase(home, "rules") is whole
        with open_vault(home) as con:
            assert con.execute("SELECT * FROM record_change ORDER BY record_key").fetchall() == told
        if whole:
            current.end_phase(home, "rules")


# Keys as they are minted: random over 62 bits, and here crowded into four of the buckets by which they are summed.
KEYS = st.sets(st.builds(lambda high, low: high * current.BUCKETS + low, st.integers(0, 2**40 - 1), st.integers(0, 3)))
# Keys of one bucket whose own sums are equal.
SAME_SUM = tuple({high * current.BUCKETS for high in highs} for highs in ((1, 4, 6, 7), (2, 3, 5, 8)))


@hypothesis_settings(max_examples=30, deadline=None)
@given(present=KEYS, staged_before=KEYS, both=KEYS, turn=st.randoms(use_true_random=False))
@example(present=set(), staged_before={0}, both=set(), turn=random.Random(0))
@example(present=SAME_SUM[0], staged_before=SAME_SUM[1], both={0}, turn=random.Random(0))
def test_change_is_the_difference_of_two_sets_whatever_buckets_their_keys_share(present, staged_before, both, turn):
    lists = [sorted(present | both), sorted(staged_before | both)]
    for keys in lists:
        turn.shuffle(keys)
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS vault; CREATE SCHEMA vault.staging; USE vault")
        con.execute("CREATE TABLE record_change (record_key BIGINT, is_gone BOOLEAN)")
        for table, keys in zip(("current_record", "staging.stg_identity__record"), lists, strict=True):
            con.execute(f"CREATE TABLE {table} AS SELECT unnest(?::BIGINT[]) AS record_key", [keys])
        current.find_change(con)
        told = con.execute("SELECT record_key, is_gone FROM record_change ORDER BY 1").fetchall()
    now, before = set(lists[0]), set(lists[1])
    assert told == sorted([(key, False) for key in now - before] + [(key, True) for key in before - now])


def test_a_phase_that_did_not_end_or_has_other_rules_is_derived_anew(home):
    staged(home, [])
    assert current.begin_phase(home, "rules"), "nothing was ever derived"
    assert current.begin_phase(home, "rules"), "the phase before did not end"
    current.end_phase(home, "rules")
    assert not current.begin_phase(home, "rules")
    current.end_phase(home, "rules")
    assert current.begin_phase(home, "other rules")
    current.end_phase(home, "other rules")
    with open_vault(home) as con:
        current.forget_derived(con)
    assert current.begin_phase(home, "other rules")


# --- a night in part ends where a whole one ends ---------------------------------------------------------------------
class Night:
    """dbt's compiled models over a vault in memory, with the few statements that a materialization adds."""

    def __init__(self, whole: dict[str, dict], partial: dict[str, dict]):
        self.models = {False: whole, True: partial}
        self.con = duckdb.connect()
        self.con.execute("ATTACH ':memory:' AS vault; USE vault; CREATE SCHEMA staging; CREATE SCHEMA linkage;"
                         "CREATE SCHEMA seeds; SET threads = 1")  # fmt: skip
        # Filled by records that came as tokens only; there are none here.
        self.con.execute("CREATE TABLE linkage.int_linkage__token_touched (record_key BIGINT)")
        self.has_pair = False
        for name in ("identity_record", "current_record", "record_change"):
            self.con.execute(f"CREATE TABLE {name} ({TABLES[name]})")
        for seed in SEEDS:
            path = ROOT / "seeds" / f"{seed}.csv"
            self.con.execute(
                f"CREATE TABLE seeds.{path.stem} AS SELECT * FROM read_csv(?, all_varchar = true, nullstr = '')",
                [str(path)],
            )

    def deliver(self, rows: list[tuple]) -> None:
        names = ("record_key, sector, local_id_issuer, local_id, student_id_state, ssn, given_name, middle_name,"
                 " surname, birth_date, sex_code, postal_code")  # fmt: skip
        for row in rows:
            self.con.execute(f"INSERT INTO identity_record ({names}) VALUES ({', '.join('?' * len(row))})", row)

    def run(self, keys: set[int], incremental: bool) -> None:
        """One identity phase with `keys` current."""
        self.con.execute("DELETE FROM current_record")
        self.con.execute("INSERT INTO current_record SELECT unnest(?::BIGINT[])", [sorted(keys)])
        self.con.execute("DELETE FROM record_change")
        if incremental:
            current.find_change(self.con)
        for name in ORDER:
            if name == "int_linkage__wage_refused" and not self.has_pair:
                # Without records that came as tokens every pair is a plain one.
                self.con.execute("CREATE VIEW linkage.int_linkage__pair AS FROM linkage.int_linkage__plain_pair")
                self.has_pair = True
            model = self.models[incremental][name]
            table = f"vault.{model['schema']}.{name}"
            kept = incremental and model["config"]["materialized"] == "incremental"
            if not kept:
                self.con.execute(f"CREATE OR REPLACE TABLE {table} AS {model['compiled_code']}")
                continue
            for hook in model["config"]["pre-hook"]:
                text = jinja2.Template(hook["sql"]).render(
                    this=table,
                    is_incremental=lambda: True,
                    ref=lambda read: f"vault.{self.models[False][read]['schema']}.{read}",
                    source=lambda schema, read: f"vault.main.{read}",
                )
                self.con.execute(text)
            self.con.execute(f"CREATE OR REPLACE TEMP TABLE tonight AS {model['compiled_code']}")
            if model["config"]["incremental_strategy"] == "delete+insert":
                unique = model["config"]["unique_key"]
                columns = ", ".join([unique] if isinstance(unique, str) else unique)
                self.con.execute(f"DELETE FROM {table} WHERE ({columns}) IN (SELECT ({columns}) FROM temp.tonight)")
            self.con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM temp.tonight")

    def rows(self, name: str) -> list[tuple]:
        return self.con.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall()

    def pairs(self) -> list[tuple]:
        return self.rows("linkage.int_linkage__plain_pair")


@pytest.fixture(scope="module")
def compiled(linked, tmp_path_factory):
    """The models compiled for a whole night and for one in part, from a real run of each; and the home of the second,
    in which some records went, one came back and one came."""
    settings, rows, *_ = linked
    whole = _models(settings)
    again = load({"P20W_HOME": str(tmp_path_factory.mktemp("again") / "state"),
                  "P20W_VAULT_KEY_FILE": str(settings.vault_key_file)})  # fmt: skip
    again.home.mkdir()
    shutil.copytree(settings.vault, again.vault)
    with open_vault(again) as con:
        con.execute("DELETE FROM current_record WHERE record_key % 40 = 3")
        con.execute("INSERT INTO identity_record (record_key, sector, student_id_state, given_name, surname) "
                    "SELECT 5, 'k12', student_id_state, given_name, surname FROM identity_record "
                    "WHERE student_id_state IS NOT NULL AND given_name IS NOT NULL ORDER BY record_key"
                    " LIMIT 1")  # fmt: skip
        con.execute("INSERT INTO current_record VALUES (5)")
    run_dbt(again)
    yield whole, _models(again), again
    shutil.rmtree(again.home)


def _models(settings) -> dict[str, dict]:
    nodes = json.loads((settings.work / "target" / "manifest.json").read_text())["nodes"].values()
    return {node["name"]: node for node in nodes if node["resource_type"] == "model" and node["name"] in ORDER}


@pytest.mark.slow
def test_dbt_itself_computes_in_part_what_it_computes_in_full(compiled):
    whole, partial, settings = compiled
    assert partial["int_linkage__edge"]["compiled_code"] != whole["int_linkage__edge"]["compiled_code"]
    with open_vault(settings) as con:
        for schema, name in (("staging", "stg_identity__record"), ("linkage", "int_linkage__plain_pair")):
            found = con.execute(f"SELECT * FROM vault.{schema}.{name}").pl()
            if name == "int_linkage__plain_pair":
                for before in ORDER[1:5]:
                    con.execute(f"CREATE OR REPLACE TABLE vault.linkage.{before} AS {whole[before]['compiled_code']}")
            con.execute(f"CREATE OR REPLACE TABLE vault.{schema}.{name} AS {whole[name]['compiled_code']}")
            expected = con.execute(f"SELECT * FROM vault.{schema}.{name}").pl()
            order = expected.columns[:2]
            assert found.select(expected.columns).sort(order).equals(expected.sort(order)), name
            assert expected.height > 1000


GIVEN, SURNAME = ["Ann", "Anne", "Bo", "Zed", None], ["Ro", "Ro-Mi", "De La", "Xu", None]
record = st.tuples(
    st.sampled_from(["k12", "postsecondary", "workforce", "early_childhood"]),
    st.sampled_from([None, "1", "2"]),
    st.sampled_from([None, "219438761", "219438762", "219438791"]),
    st.sampled_from(GIVEN),
    st.sampled_from([None, "J", "Jo"]),
    st.sampled_from(SURNAME),
    st.one_of(st.none(), st.dates(datetime.date(2004, 1, 1), datetime.date(2004, 4, 5))),
    st.sampled_from([None, "F", "M"]),
    st.sampled_from([None, "20001", "20002"]),
)


@pytest.mark.slow
@hypothesis_settings(
    max_examples=5, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    people=st.lists(record, min_size=25, max_size=60, unique=True),
    nights=st.lists(st.sets(st.integers(0, 59), min_size=1, max_size=20), min_size=2, max_size=3),
)
def test_nights_in_part_find_the_pairs_of_a_whole_night_and_tell_which_records_differ(compiled, people, nights):
    whole, partial, _ = compiled
    in_part, in_full = Night(whole, partial), Night(whole, partial)
    rows = [
        (key, sector, None, None, number, ssn, given_name, middle, surname, born, sex, postal)
        for key, (sector, number, ssn, given_name, middle, surname, born, sex, postal) in enumerate(people, start=100)
    ]
    for night in (in_part, in_full):
        night.deliver(rows)
    keys = {row[0] for row in rows}
    now = {key for key in keys if key % 3}
    in_part.run(now, incremental=False)
    for places in nights:
        before, pairs_before = now, set(in_part.pairs())
        # Each named record comes if it was gone and goes if it was there.
        now = now ^ {100 + place for place in places if 100 + place in keys}
        in_part.con.execute("DELETE FROM linkage.int_linkage__touched")
        in_part.run(now, incremental=True)
        in_full.run(now, incremental=False)
        for table in (
            "staging.stg_identity__record",
            "linkage.int_linkage__plain_pair",
            "linkage.int_linkage__wage_refused",
        ):
            assert in_part.rows(table) == in_full.rows(table), table
        touched = {row[0] for row in in_part.rows("linkage.int_linkage__touched")}
        differing = {key for pair in pairs_before ^ set(in_part.pairs()) for key in pair[:2]}
        assert touched >= (before ^ now) | differing
        assert touched <= before | now


@pytest.mark.slow
def test_a_group_that_outgrows_its_cap_overnight_loses_its_pairs_and_gets_them_back(compiled):
    whole, partial, _ = compiled
    night = Night(whole, partial)
    with (ROOT / "seeds" / "policy" / "match_tier.csv").open(encoding="utf-8") as handle:
        cap = next(int(row["cap"]) for row in csv.DictReader(handle) if row["rule"] == "student_id_strong")
    born = datetime.date(2004, 5, 6)
    # One number, name and date, told apart by ZIP code and middle name only.
    night.deliver([(key, "k12", None, None, "77", None, "Ida", None, "Quist", born, None, f"{20000 + key}")
                   for key in range(1, cap + 2)])  # fmt: skip
    night.run(set(range(1, cap + 1)), incremental=False)
    assert len(night.pairs()) == cap * (cap - 1) // 2
    night.run(set(range(1, cap + 2)), incremental=True)
    assert night.pairs() == []
    night.run(set(range(2, cap + 2)), incremental=True)
    assert len(night.pairs()) == cap * (cap - 1) // 2


@pytest.mark.slow
def test_a_name_that_becomes_common_overnight_proves_less_for_records_that_did_not_change(compiled):
    whole, partial, _ = compiled
    night = Night(whole, partial)
    near = [(1, datetime.date(2004, 5, 6)), (2, datetime.date(2004, 5, 7))]
    others = [(10 + i, datetime.date(1990 + i, 1, 2)) for i in range(20)]
    night.deliver([(key, "k12", None, None, None, None, "Ida", None, "Quist", born, None,
                    "20001" if key < 10 else f"{20000 + key}") for key, born in near + others])  # fmt: skip
    night.run({1, 2}, incremental=False)
    assert [pair[:2] + pair[3:4] for pair in night.pairs()] == [(1, 2, "name_zip_birth_near")]
    night.run({1, 2, *(key for key, _ in others)}, incremental=True)
    assert night.pairs() == []
    night.run({1, 2}, incremental=True)
    assert len(night.pairs()) == 1
