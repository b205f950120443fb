"""Laws of nights, whatever the evidence: increments equal a rebuild, order is irrelevant, ids last and resolve.

Belongs here: laws of run_identity over several nights. Does not belong here: which records should meet
(test_adversarial.py), laws of one partition (test_partition.py) and of one fold (test_ids.py).

No dbt runs here: the tables that its identity phase leaves are written as the test draws them, and so are the scores
and the weights of any pair. Most homes are vaults in memory, because a law needs many nights; the laws about bytes,
copies and killed runs have encrypted ones. What dbt and the scoring tell of a night is what they promise and no more:
`touched` holds the records that came or went and both ends of every tier's pair that did, `rescored` both ends of every
score that did; a score may come or go between records that nothing else touches (its key outgrew a cap).
"""

import datetime
import itertools
import random
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipelines.identity import registry, run
from pipelines.identity.vault import TABLES, open_vault
from pipelines.settings import load

STAGED = {
    "record_key": "BIGINT", "sector": "TEXT", "local_id_issuer": "TEXT", "local_id": "TEXT", "student_id_state": "TEXT",
    "ssn": "TEXT", "given_name": "TEXT", "given_root": "TEXT", "given_initial": "TEXT", "given15": "TEXT",
    "middle_name": "TEXT", "middle_initial": "TEXT", "surname": "TEXT", "surname20": "TEXT", "surname_tokens": "TEXT[]",
    "name_suffix": "TEXT", "birth_date": "DATE", "birth_month": "TEXT", "sex_code": "TEXT", "postal_code": "TEXT",
    "is_bare": "BOOLEAN",
}  # fmt: skip
PAIR = "record_key_a BIGINT, record_key_b BIGINT, tier INTEGER, rule TEXT, joins TEXT, follower BIGINT"
LOG = ("person", "person_link", "person_event", "person_redirect")
DERIVED = ("canonical", "conflict", "undetermined", "present_link", "unlike_record", "shared_student_id")
COMPARED = 3.0  # values of two records that a drawn weight speaks of
FIRST_KEY = 1000


@dataclass(frozen=True)
class Tables:
    """What a night finds: the records and the ties among them. All pairs have the smaller key first."""

    present: frozenset = frozenset()
    links: frozenset = frozenset()  # a, b, tier
    follows: frozenset = frozenset()  # a, b, tier, follower
    refused: frozenset = frozenset()  # wage, anchor
    scores: frozenset = frozenset()  # a, b, bits

    def touched(self, before):
        """Keys that dbt's identity phase tells as touched between two nights."""
        ends = {
            key
            for name in ("links", "follows", "refused")
            for tie in getattr(self, name) ^ getattr(before, name)
            for key in tie[:2]
        }
        return ends | (self.present ^ before.present)


@dataclass
class Home:
    """A vault with its registry and the night that it saw last. `facts`: record_key -> (sector, ssn, student id, birth
    date, given name); `bits`: (a, b) -> weight of any pair by the model."""

    vault: object
    facts: dict
    bits: dict
    config: object
    has_queue: bool = False  # the steward's queue is kept too
    before: Tables = field(default_factory=Tables)
    nights: int = 0
    told: dict = field(default_factory=dict)  # build id -> record_key -> person_key, as exported

    def stage(self, tables, touched=None, shuffle=None):
        """Write what dbt leaves; `touched` as told by dbt unless given, rows in an order drawn from `shuffle`."""
        touched = tables.touched(self.before) if touched is None else touched
        present = tables.present
        rows = {
            "staging.stg_identity__record": [self._row(key) for key in sorted(present)],
            "linkage.int_linkage__pair": [(a, b, tier, f"tier_{tier}", "link", None) for a, b, tier in tables.links]
            + [(a, b, tier, f"tier_{tier}", "attach", follower) for a, b, tier, follower in tables.follows],
            "linkage.int_linkage__wage_refused": [(*pair, False) for pair in tables.refused],
            "main.current_record": [(key,) for key in present],
            "linkage.int_linkage__touched": [(key,) for key in touched],
        }
        columns = {
            "staging.stg_identity__record": ", ".join(f"{name} {kind}" for name, kind in STAGED.items()),
            "linkage.int_linkage__pair": PAIR,
            "linkage.int_linkage__wage_refused": "record_key BIGINT, anchor_record_key BIGINT, is_crowded BOOLEAN",
            "main.current_record": TABLES["current_record"],
        }
        with self.vault() as con:
            con.execute("CREATE SCHEMA IF NOT EXISTS vault.staging; CREATE SCHEMA IF NOT EXISTS vault.linkage")
            # It grows until identity takes it in, as dbt's does.
            con.execute("CREATE TABLE IF NOT EXISTS vault.linkage.int_linkage__touched (record_key BIGINT)")
            for table, found in rows.items():
                found = sorted(found, key=str)
                if shuffle is not None:
                    shuffle.shuffle(found)
                if table in columns:
                    con.execute(f"CREATE OR REPLACE TABLE vault.{table} ({columns[table]})")
                if found:
                    marks = ", ".join(f"({', '.join('?' * len(found[0]))})" for _ in found)
                    con.execute(f"INSERT INTO vault.{table} VALUES {marks}", [value for row in found for value in row])
        self.before = tables

    def _row(self, key):
        sector, ssn, student_id, born, given = self.facts[key]
        initial = given and given[0]
        month = born and f"{born:%Y-%m}"
        return (key, sector, None, None, student_id, ssn, given, given, initial, given, None, None, "LUND", "LUND",
                ["LUND"], None, born, month, None, "20001", False)  # fmt: skip

    def judge(self, verdicts):
        """Append a steward's verdicts: a, b, verdict; each is later than those before."""
        with self.vault() as con:
            for a, b, verdict in verdicts:
                number = con.execute("SELECT count(*) FROM verdict").fetchone()[0]
                at = datetime.datetime(2026, 11, 20) + datetime.timedelta(minutes=number)
                con.execute("INSERT INTO verdict VALUES (?, ?, ?, 'steward', 'seen', ?)", [a, b, verdict, at])

    def identify(self, from_scratch=False, kill=None):
        """Run tonight's identity over what is staged; returns its summary. `kill`: (module, name) of a function after
        which the run dies; nothing of what it did in memory is left."""
        if from_scratch:
            with self.vault() as con:
                for table in (*DERIVED, "solved", "pair_score"):
                    con.execute(f"DELETE FROM {table}")
        build = f"202611{self.nights + 1:02}T000000-aaaa"
        with played(self) as patch:
            if kill is not None:
                patch.setattr(*kill, dying(getattr(*kill)))
            summary = run.run_identity(self.config, build)
        self.nights += 1
        self.told[build] = self.exported()
        return summary

    def night(self, tables, verdicts=(), **more):
        """A whole night: what dbt leaves, what stewards said, identity."""
        from_scratch = more.pop("from_scratch", False)
        self.stage(tables, **more)
        self.judge(verdicts)
        return self.identify(from_scratch)

    def exported(self):
        """record_key -> person_key, as the warehouse reads it."""
        return dict(self.exchange("brg_record_person").select("record_key", "person_key").iter_rows())

    def exchange(self, name):
        return pl.read_parquet(self.config.exchange / f"{name}.parquet")

    def rows(self, *tables):
        """Every row of tables of the vault, in their order of rows."""
        with self.vault() as con:
            return {name: con.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall() for name in tables}

    def count(self, table):
        with self.vault() as con:
            return con.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


class Killed(BaseException):
    """The end of a process, as far as a test can play it."""


def dying(function):
    def last(*arguments, **named):
        function(*arguments, **named)
        raise Killed

    return last


@contextmanager
def played(home):
    """Identity with the home's vault, with drawn scores and weights, and with keys that count up."""

    def keys(con, count):
        (start,) = con.execute(f"SELECT coalesce(max(person_key) + 1, {FIRST_KEY}) FROM vault.person").fetchone()
        return list(range(start, start + count))

    def score_left(con, settings, touched=None, on=None):
        before = set(con.execute("SELECT record_key_a, record_key_b, weight FROM vault.pair_score").fetchall())
        changed = {key for pair in before ^ home.before.scores for key in pair[:2]}
        con.execute(
            "CREATE OR REPLACE TEMP TABLE rescored AS SELECT unnest(?::BIGINT[]) AS record_key", [sorted(changed)]
        )
        con.execute("DELETE FROM vault.pair_score")
        rows = [(a, b, bits, COMPARED, "drawn") for a, b, bits in sorted(home.before.scores)]
        if rows:
            con.executemany("INSERT INTO vault.pair_score VALUES (?, ?, ?, ?, ?)", rows)
        return SimpleNamespace(pairs=len(rows))

    def weigh(con, settings, pairs, on=None, staged=None):
        rows = [(a, b, home.bits[a, b], COMPARED) for a, b in pairs.iter_rows() if (a, b) in home.bits]
        schema = {"record_key_a": pl.Int64, "record_key_b": pl.Int64, "weight": pl.Float64, "said": pl.Float64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    system = SimpleNamespace(
        urandom=lambda count: random.Random(home.nights).randbytes(count), replace=registry.os.replace
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "open_vault", lambda settings: home.vault())
        patch.setattr(run, "score_left", score_left)
        patch.setattr(run, "weigh", weigh)
        patch.setattr(registry, "unused_keys", keys)
        patch.setattr(registry, "os", system)
        if not home.has_queue:
            patch.setattr(run, "refresh_queue", lambda *_: SimpleNamespace(open_items=0))
        yield patch


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return load({"P20W_HOME": str(tmp_path_factory.mktemp("laws") / "state")})


def in_memory(config, facts, bits):
    """A home whose vault is neither encrypted nor a file."""
    con = duckdb.connect(":memory:", config={"threads": "1"})
    con.execute("ATTACH ':memory:' AS vault; USE vault")
    for table, columns in TABLES.items():
        con.execute(f"CREATE TABLE {table} ({columns})")

    @contextmanager
    def vault():
        yield con

    return Home(vault, facts, bits, config)


def copied(home):
    """The same home a second time: its registry, what it derived and what it saw."""
    other = in_memory(home.config, home.facts, home.bits)
    with home.vault() as con, other.vault() as into:
        for table in TABLES:
            frame = con.execute(f"SELECT * FROM {table}").to_arrow_table()
            into.register("copied", frame)
            into.execute(f"INSERT INTO {table} SELECT * FROM copied")
            into.unregister("copied")
    other.before, other.nights, other.told = home.before, home.nights, dict(home.told)
    return other


# --- what a night may find -------------------------------------------------------------------------------------------
OLD, NEAR, YOUNG = datetime.date(2001, 3, 4), datetime.date(2001, 4, 3), datetime.date(2006, 11, 20)
KEYS = range(1, 11)
TWO = list(itertools.combinations(KEYS, 2))
PAIRS = st.sampled_from(TWO)
FACTS = st.fixed_dictionaries(
    {
        key: st.tuples(
            st.sampled_from(["k12", "postsecondary", "workforce"]),
            st.sampled_from([None, "123456780", "987654320"]),
            st.sampled_from([None, "A", "B"]),
            st.sampled_from([None, OLD, NEAR, YOUNG]),
            st.sampled_from(["ANN", "BEA", None]),
        )
        for key in KEYS
    }
)
BITS = st.dictionaries(PAIRS, st.sampled_from([-30.0, -5.0, 3.0, 15.0]), max_size=30)


@st.composite
def several_nights(draw, nights=3):
    """Tables and verdicts of several nights over the same records: records come and go, and so do ties between records
    that stay, because the group of a key outgrows its cap or shrinks below it."""
    links = draw(st.dictionaries(PAIRS, st.sampled_from([10, 40, 46]), max_size=9))
    follows = draw(st.dictionaries(PAIRS.filter(lambda pair: pair not in links), st.booleans(), max_size=4))
    refused = draw(
        st.sets(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)).filter(lambda p: p[0] != p[1]), max_size=3)
    )
    scores = draw(st.dictionaries(PAIRS, st.sampled_from([-4.0, 1.0, 5.0, 7.0, 20.0]), max_size=6))
    every = Tables(
        frozenset(KEYS),
        frozenset((a, b, tier) for (a, b), tier in links.items()),
        frozenset((a, b, 70, a if first else b) for (a, b), first in follows.items()),
        frozenset(refused),
        frozenset((a, b, bits) for (a, b), bits in scores.items()),
    )
    ties = sorted((name, tie) for name in ("links", "follows", "refused", "scores") for tie in getattr(every, name))
    found = []
    for _ in range(nights):
        gone = draw(st.sets(st.sampled_from(KEYS), max_size=4))
        hidden = draw(st.sets(st.sampled_from(ties), max_size=4)) if ties else set()
        verdicts = draw(
            st.lists(
                st.tuples(PAIRS, st.sampled_from(["same", "distinct", "defer"])).map(lambda v: (*v[0], v[1])),
                max_size=1,
            )
        )
        found.append((without(every, gone, hidden), verdicts))
    return found


def without(tables, gone=frozenset(), hidden=frozenset()):
    """The tables when some records and some ties (name, tie) are not there."""
    return Tables(
        tables.present - gone,
        *(
            frozenset(tie for tie in getattr(tables, name) if not gone & set(tie[:2]) and (name, tie) not in hidden)
            for name in ("links", "follows", "refused", "scores")
        ),
    )


MANY = 100


def law(few, *strategies):
    """A law as two tests: of a few examples, because a night costs a fifth of a second, and, marked slow, of many.

    A failing example is shown as it was drawn, because looking for a smaller one takes minutes (to have it, add
    Phase.shrink)."""

    def drawn(function, examples):
        return settings(
            max_examples=examples, deadline=None, derandomize=True,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )(given(*strategies)(function))  # fmt: skip

    def twice(function):
        globals()[f"{function.__name__}_in_many_examples"] = pytest.mark.slow(drawn(function, MANY))
        return drawn(function, few)

    return twice


@law(5, FACTS, BITS, several_nights())
def test_increments_equal_a_rebuild_in_partition_and_ids(config, facts, bits, nights):
    increments, rebuilt = in_memory(config, facts, bits), in_memory(config, facts, bits)
    for tables, verdicts in nights:
        increments.night(tables, verdicts)
        rebuilt.night(tables, verdicts, from_scratch=True)
        assert increments.rows(*DERIVED) == rebuilt.rows(*DERIVED)
        assert increments.rows(*LOG) == rebuilt.rows(*LOG)


@law(2, FACTS, BITS, several_nights(nights=2), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(config, facts, bits, nights, shuffle):
    sorted_rows, shuffled = in_memory(config, facts, bits), in_memory(config, facts, bits)
    for tables, verdicts in nights:
        sorted_rows.night(tables, verdicts)
        shuffled.night(tables, verdicts, shuffle=shuffle)
        assert sorted_rows.rows(*DERIVED, *LOG) == shuffled.rows(*DERIVED, *LOG)


@law(2, FACTS, BITS, several_nights(nights=2))
def test_the_same_input_again_appends_nothing(config, facts, bits, nights):
    home = in_memory(config, facts, bits)
    home.has_queue = True
    for tables, verdicts in nights:
        home.night(tables, verdicts)
    before, told = home.rows(*DERIVED, *LOG, "queue_item"), home.exported()
    summary = home.night(home.before)
    assert (summary.minted, summary.merged, summary.split, summary.moved) == (0, 0, 0, 0)
    assert home.rows(*DERIVED, *LOG, "queue_item") == before
    assert home.exported() == told


@law(2, FACTS, BITS, several_nights(), st.integers(0, 2))
def test_a_copied_home_replays_to_the_same_ids_and_events(config, facts, bits, nights, split):
    home = in_memory(config, facts, bits)
    for tables, verdicts in nights[:split]:
        home.night(tables, verdicts)
    copy = copied(home)
    for tables, verdicts in nights[split:]:
        home.night(tables, verdicts)
    for tables, verdicts in nights[split:]:
        copy.night(tables, verdicts)
    assert home.rows(*LOG, *DERIVED) == copy.rows(*LOG, *DERIVED)
    assert home.told == copy.told


@law(3, FACTS, BITS, several_nights(nights=1), st.data())
def test_people_who_go_and_come_back_have_their_ids_again(config, facts, bits, nights, data):
    """Whole blocks go, so that the evidence about nobody who stays is another meanwhile."""
    ((tables, verdicts),) = nights
    home = in_memory(config, facts, bits)
    home.night(tables, verdicts)
    told = home.exported()
    blocks = dict((row[0], row[1]) for row in home.rows("canonical")["canonical"])
    gone = data.draw(st.sets(st.sampled_from(sorted(set(blocks.values()))), min_size=1)) if blocks else set()
    away = frozenset(key for key in blocks if blocks[key] in gone)
    home.night(without(tables, away))
    assert home.exported() == {key: person for key, person in told.items() if key not in away}
    summary = home.night(tables)
    assert home.exported() == told
    assert (summary.minted, summary.merged, summary.split, summary.moved) == (0, 0, 0, 0)


@law(3, FACTS, BITS, several_nights(nights=1), st.sets(st.sampled_from(KEYS), min_size=1, max_size=4))
def test_records_that_go_and_come_back_have_their_ids_again(config, facts, bits, nights, away):
    """Unless others became one person while they were away: one person stays one down to the lower weight."""
    ((tables, verdicts),) = nights
    home = in_memory(config, facts, bits)
    home.night(tables, verdicts)
    told = home.exported()
    between = home.night(without(tables, away))
    home.night(tables)
    if not between.merged and not between.moved:
        assert home.exported() == told


@law(3, FACTS, BITS, several_nights())
def test_every_id_ever_exported_stands_for_one_person_and_past_crosswalks_stand(config, facts, bits, nights):
    home = in_memory(config, facts, bits)
    for tables, verdicts in nights:
        home.night(tables, verdicts)
        with home.vault() as con:
            persons = [key for (key,) in con.execute("SELECT person_key FROM person").fetchall()]
            redirects = dict(registry.redirects(con).select("old_person_key", "person_key").iter_rows())
            for build, told in home.told.items():
                past = dict(registry.crosswalk(con, build).select("record_key", "person_key").iter_rows())
                assert {key: past[key] for key in told} == told, build
        assert dict(home.exchange("person_redirect").select("old_person_key", "person_key").iter_rows()) == redirects
        for key in {key for told in home.told.values() for key in told.values()}:
            end = redirects.get(key, key)
            assert end not in redirects and persons.count(end) == 1


# --- one story with every kind of event, in encrypted vaults ---------------------------------------------------------
TWELVE = frozenset(range(1, 13))
SAME_PERSON = dict.fromkeys(TWELVE, ("k12", None, None, None, "ANN"))
STORY_BITS = {(1, 10): 20.0, (7, 10): 20.0, (11, 12): 20.0}
FIRST = Tables(
    TWELVE - {10},
    frozenset({(1, 2, 10), (2, 3, 10), (4, 5, 10), (6, 7, 40)}),
    frozenset({(6, 8, 70, 8)}),
    scores=frozenset({(7, 9, 1.0), (11, 12, 20.0)}),
)
STORY = [
    FIRST,
    # 3 and 4 are found to be one person, 8 follows another, 7 is gone, 10 is new.
    Tables(
        TWELVE - {7},
        frozenset({(1, 2, 10), (2, 3, 10), (3, 4, 42), (4, 5, 10)}),
        frozenset({(8, 9, 70, 8)}),
        scores=frozenset({(1, 10, 20.0), (11, 12, 20.0)}),
    ),
    # The group that tied 3 and 4 outgrew its cap, and so did the key that 11 and 12 were scored for.
    Tables(
        TWELVE,
        frozenset({(1, 2, 10), (2, 3, 10), (4, 5, 10), (5, 9, 40), (6, 7, 40)}),
        frozenset({(8, 9, 70, 8)}),
        scores=frozenset({(7, 10, 20.0)}),
    ),
    FIRST,
]


def on_disk(folder):
    """A home with an encrypted vault."""
    config = load({"P20W_HOME": str(folder / "state")})
    return Home(lambda: open_vault(config), SAME_PERSON, STORY_BITS, config, has_queue=True)


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """One home after the first night, and a copy of it; both saw the rest of the story, one with its rows shuffled."""
    base = tmp_path_factory.mktemp("runs")
    (base / "one").mkdir()
    one = on_disk(base / "one")
    one.night(STORY[0])
    shutil.copytree(base / "one", base / "two")
    two = on_disk(base / "two")
    two.before, two.nights = one.before, one.nights
    for tables in STORY[1:]:
        one.night(tables)
        two.night(tables, shuffle=random.Random(5))
    return one, two


def test_two_runs_from_the_same_start_are_equal_to_the_byte(two_runs):
    one, two = two_runs
    files = sorted(path.name for path in one.config.exchange.iterdir())
    assert {"brg_record_person.parquet", "person.parquet", "person_redirect.parquet"} <= set(files)
    assert files == sorted(path.name for path in two.config.exchange.iterdir())
    for name in files:
        assert (one.config.exchange / name).read_bytes() == (two.config.exchange / name).read_bytes(), name


def test_files_that_a_night_changes_have_the_bytes_of_files_that_it_writes_whole(tmp_path):
    """Also where the file that stands is not the one that the night before left."""
    part, whole = (
        in_memory(load({"P20W_HOME": str(tmp_path / name)}), SAME_PERSON, STORY_BITS) for name in ("part", "whole")
    )
    first, changed = None, 0
    for number, tables in enumerate([*STORY, STORY[1], STORY[2]]):
        if number == 3:
            (part.config.exchange / "brg_record_person.parquet").write_bytes(first)
        with part.vault() as con:
            changed += len(registry.exported(con))
        part.night(tables)
        whole.night(tables, from_scratch=True)
        files = sorted(path.name for path in whole.config.exchange.iterdir())
        assert {"brg_record_person.parquet", "person.parquet"} <= set(files)
        for name in files:
            assert (part.config.exchange / name).read_bytes() == (whole.config.exchange / name).read_bytes(), name
        first = first or (part.config.exchange / "brg_record_person.parquet").read_bytes()
    assert changed == 2 * (len(STORY) + 1), "some night had nothing to change: the test would show nothing"


def test_the_story_has_every_kind_of_event_and_a_copy_replays_it(two_runs):
    one, two = two_runs
    assert one.rows(*LOG, *DERIVED) == two.rows(*LOG, *DERIVED)
    assert {row[1] for row in one.rows("person_event")["person_event"]} == {"mint", "merge", "split", "move"}


@pytest.mark.parametrize(
    "kill",
    [(run, "score_left"), (registry, "append"), (run, "refresh_queue"), (registry, "export")],
    ids=lambda kill: kill[1],
)  # fmt: skip
def test_a_killed_run_started_again_ends_as_if_it_had_not_been_killed(config, two_runs, before_the_kill, kill):
    """Whatever it was killed after; dbt runs again then and finds nothing new."""
    home = copied(before_the_kill)
    home.has_queue = True
    home.stage(STORY[2])
    with pytest.raises(Killed):
        home.identify(kill=kill)
    home.night(STORY[2])
    home.night(STORY[3])
    assert home.rows(*LOG, *DERIVED) == two_runs[0].rows(*LOG, *DERIVED)
    for name in ("brg_record_person", "person", "person_redirect", "link_not_determined", "identity_conflict"):
        assert home.exchange(name).equals(two_runs[0].exchange(name)), name


@pytest.fixture(scope="module")
def before_the_kill(config):
    """A home in memory after the first two nights of the story."""
    home = in_memory(config, SAME_PERSON, STORY_BITS)
    for tables in STORY[:2]:
        home.night(tables)
    return home


# --- what once was wrong ---------------------------------------------------------------------------------------------
def test_an_id_that_somebody_bears_is_not_merged_away_by_a_record_that_comes_back(config):
    """Records 1 and 9 were one person; 9 goes, and comes back tied to 2 while nothing touches 1."""
    home = in_memory(config, SAME_PERSON, {})
    all_three = frozenset({1, 2, 9})
    home.night(Tables(all_three, frozenset({(1, 9, 10)})))
    home.night(Tables(all_three - {9}))
    home.night(Tables(all_three, frozenset({(2, 9, 10)})))
    told = home.exported()
    assert told[2] == told[9] != told[1]
    assert home.exchange("person_redirect").is_empty()


def test_a_score_that_goes_parts_records_that_nothing_else_touched(config):
    """The only key that two records share outgrew its cap: the newcomers are touched, the two are not."""
    home = in_memory(config, SAME_PERSON, {(1, 2): 20.0})
    home.night(Tables(frozenset({1, 2}), scores=frozenset({(1, 2, 20.0)})))
    assert len(set(home.exported().values())) == 1
    home.night(Tables(frozenset({1, 2, 3})))
    assert len(set(home.exported().values())) == 3


def test_old_wages_refused_beside_a_newcomer_are_solved_with_it_though_nothing_touched_them(config):
    """Two records bear one number; one comes that bears it too, which no tier ties to them but a known name does."""
    home = in_memory(config, SAME_PERSON, {})
    home.night(Tables(frozenset({1, 2})))
    assert len(set(home.exported().values())) == 2
    home.night(Tables(frozenset({1, 2, 3}), refused=frozenset({(1, 3), (2, 3)})), touched={3})
    assert len(set(home.exported().values())) == 1


def test_an_id_that_is_borne_again_stands_for_itself(config):
    """1 and 2 are one person; 1 goes, 2 joins others, and 1 comes back alone."""
    home = in_memory(config, SAME_PERSON, {})
    others = frozenset({(3, 4, 10), (4, 5, 10)})
    home.night(Tables(frozenset(range(1, 6)), others | {(1, 2, 10)}))
    home.night(Tables(frozenset(range(2, 6)), others | {(2, 3, 40)}))
    home.night(Tables(frozenset(range(1, 6)), others | {(2, 3, 40)}))
    redirected = set(home.exchange("person_redirect")["old_person_key"])
    assert not set(home.exported().values()) & redirected
