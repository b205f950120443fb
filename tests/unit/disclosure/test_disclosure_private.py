"""Earnings by differential privacy: who counts, what it costs, what is kept, and that nothing else tells the records.

Belongs here: policy, mechanism, budget ledger, the step and its silence, on small tables. Does not belong here: the
gate (tests/unit/release/test_release_private).
"""

from __future__ import annotations

import csv
import json
import math
import random
import sys
from collections import Counter
from datetime import date

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from pipelines.disclosure.private import budget
from pipelines.disclosure.private.earnings import cells, digest_of, protect_private, refuse_told_before, rows
from pipelines.disclosure.private.instead import told_privately
from pipelines.disclosure.private.mechanism import draw, mechanism
from pipelines.disclosure.private.policy import COLUMNS, Private, load_private
from pipelines.disclosure.told_once import told_both_ways
from pipelines.errors import P20wError
from pipelines.quality import check_result
from pipelines.settings import ROOT, load

FIRST, SECOND, THIRD = "20270105T020000-0001", "20270106T020000-0002", "20270702T020000-0003"
COLLEGE = "employment_year_1_after_college"
SCHOOL = "employment_year_1_after_high_school"
ROW = {
    "family": COLLEGE,
    "levels": "institution;state",
    "statistics": "found_count;earnings_p25;earnings_p50;earnings_p75",
    "epsilon": "8",
    "budget": "20",
    "earnings_low": "0",
    "earnings_high": "200000",
    "first_cohort_year": "2024",
    "authority": "Committee",
    "effective_date": "2027-01-01",
    "reason": "Tried",
}
DECIDED = Private(COLLEGE, ("institution", "state"), ("found_count", "earnings_p50"), 8.0, 20.0, 0, 200_000, 2024)


@pytest.fixture
def opendp():
    return pytest.importorskip("opendp.prelude", reason="OpenDP is not installed (extra `private`)")


@pytest.fixture
def without_opendp(monkeypatch):
    """The library cannot be imported, installed or not."""
    monkeypatch.setitem(sys.modules, "opendp", None)
    monkeypatch.setitem(sys.modules, "opendp.prelude", None)


@pytest.fixture
def state(tmp_path):
    """Settings of an empty home with the real registers and policies, and seeds of its own to change."""
    seeds = tmp_path / "seeds"
    for folder in ("registers", "policy"):
        (seeds / folder).mkdir(parents=True)
        for path in (ROOT / "seeds" / folder).glob("*.csv"):
            (seeds / folder / path.name).write_bytes(path.read_bytes())
    settings = load(
        {
            "P20W_HOME": str(tmp_path / "state"),
            "P20W_SEEDS": str(seeds),
            "P20W_VAULT_KEY_FILE": str(tmp_path / "vault.key"),
        }
    )
    settings.home.mkdir()
    return settings


def decide(settings, *changes: dict) -> None:
    with (settings.seeds / "policy" / "private_statistic.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows(ROW | change for change in changes)


def revise_on(settings, day: str, family: str = "*") -> None:
    path = settings.seeds / "registers" / "release_clock.csv"
    path.write_text(f"family,event,date,note\n{family},revision,{day},\n")


# --- policy -----------------------------------------------------------------------------------------------


def test_the_seed_as_it_is_shipped_decides_nothing():
    assert load_private(ROOT / "seeds", date(2200, 1, 1)) == {}


def test_the_newest_row_in_force_decides_and_the_first_cohort_year_never_moves_on(state):
    later = {"effective_date": "2028-01-01", "first_cohort_year": "2027", "epsilon": "2", "levels": "state"}
    decide(state, {}, later)
    assert load_private(state.seeds, date(2026, 12, 31)) == {}
    assert load_private(state.seeds, date(2027, 1, 1))[COLLEGE].epsilon == 8
    now = load_private(state.seeds, date(2028, 1, 1))[COLLEGE]
    assert (now.epsilon, now.levels, now.first_cohort_year) == (2, ("state",), 2024)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"family": "chronic_absenteeism"}, "chronic_absenteeism"),
        ({"family": "employment_year_9"}, "employment_year_9"),
        ({"levels": "school"}, "levels"),
        ({"levels": "state;state"}, "levels"),
        ({"statistics": "found_count;mean"}, "statistics"),
        ({"statistics": "earnings_p50"}, "found_count"),
        ({"epsilon": "nan"}, "epsilon"),
        ({"epsilon": "0"}, "epsilon"),
        ({"epsilon": "much"}, "epsilon"),
        ({"budget": "7"}, "budget"),
        ({"earnings_low": "200000"}, "earnings_low"),
        ({"earnings_high": "2e5"}, "earnings_high"),
        ({"first_cohort_year": "24"}, "first_cohort_year"),
        ({"effective_date": "1.1.2027"}, "effective_date"),
        ({"authority": " "}, "authority"),
    ],
)
def test_a_slip_of_the_pen_is_named_with_its_row(state, change, word):
    decide(state, change)
    with pytest.raises(P20wError, match="private_statistic.csv, row 2") as told:
        load_private(state.seeds, date(2027, 1, 1))
    assert word in str(told.value)


# --- mechanism --------------------------------------------------------------------------------------------


def test_what_the_ledger_says_is_spent_is_what_the_library_maps(opendp):
    made = mechanism(DECIDED, 500)
    mapped = sum(each.map(1) for each in made.statistics.values())
    assert made.epsilon == 2 * mapped  # two levels
    assert DECIDED.epsilon * 0.999 < made.epsilon <= DECIDED.epsilon
    told = made.description["statistics"]
    assert {name: told[name]["epsilon"] for name in told} == {k: v.map(1) for k, v in made.statistics.items()}
    # Of the count by hand: P(k) ~ exp(-|k| / scale), so one person more changes it by exp(1 / scale) at most.
    assert told["found_count"]["epsilon"] == pytest.approx(1 / told["found_count"]["scale"], rel=1e-9)
    # Two neighbors of distance 2 (one leaves, one comes) lose twice as much: nothing is assumed of the size.
    assert all(each.map(2) == pytest.approx(2 * each.map(1)) for each in made.statistics.values())


@pytest.mark.parametrize("name", ["found_count", "earnings_p50"])
def test_one_person_more_changes_no_outcome_by_more_than_the_epsilon_told(opendp, name):
    private = Private(COLLEGE, ("state",), ("found_count", "earnings_p50"), 2.0, 20.0, 0, 1000, 2024)
    made = mechanism(private, 500)
    measure, trials_ = made.statistics[name], 4000
    earnings = [100, 400, 900]
    seen = [Counter(measure(data) for _ in range(trials_)) for data in (earnings, [*earnings, 990])]
    for outcome in seen[0].keys() & seen[1].keys():
        counts = [each[outcome] for each in seen]
        if min(counts) >= 200:  # standard error of the log ratio under 0.1
            assert abs(math.log(counts[0] / counts[1])) <= made.losses[name] + 0.5
    assert len(seen[0]) > 1, "there is noise"


def test_percentiles_and_counts_of_many_people_are_near_the_truth_and_in_order(opendp):
    generator = random.Random(7)
    earnings = sorted(int(generator.lognormvariate(10.5, 0.6)) for _ in range(20_000))
    decided = Private(COLLEGE, ("state",), tuple(ROW["statistics"].split(";")), 4.0, 20.0, 0, 200_000, 2024)
    (found,) = draw(mechanism(decided, 500), [({"organization_level": "state"}, 25_000, earnings)])
    assert abs(found["found_count"] - 25_000) <= 100
    for name, share in (("earnings_p25", 0.25), ("earnings_p50", 0.5), ("earnings_p75", 0.75)):
        assert found[name] % 500 == 0
        assert abs(found[name] / earnings[int(share * 20_000)] - 1) < 0.05
    assert found["earnings_p25"] <= found["earnings_p50"] <= found["earnings_p75"]


def test_a_place_without_people_is_drawn_like_any_other(opendp):
    for found in draw(mechanism(DECIDED, 500), [({"organization_id_state": str(i)}, 0, []) for i in range(20)]):
        assert 0 <= found["earnings_p50"] <= 200_000 and abs(found["found_count"]) < 100


def test_bounds_without_a_step_between_them_are_refused(opendp):
    with pytest.raises(P20wError, match="median_rounding"):
        mechanism(Private(COLLEGE, ("state",), ("found_count",), 1.0, 2.0, 0, 400, 2024), 500)


def test_an_absent_library_is_a_sentence(without_opendp):
    with pytest.raises(P20wError, match="extra `private`"):
        mechanism(DECIDED, 500)


# --- who counts where -------------------------------------------------------------------------------------

PEOPLE = {"organization_level": pl.String, "organization_key": pl.Int64, "person_key": pl.Int64, "amount": pl.Int64}
PLACES = pl.DataFrame(
    [("institution", "A", 5), ("institution", "B", 3), ("institution", "C", 9), ("state", "S", 1)],
    schema={"organization_level": pl.String, "organization_id_state": pl.String, "organization_key": pl.Int64},
    orient="row",
)


@trials(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from([3, 5, 9, 77]), st.none() | st.integers(1, 9))))
def test_one_person_more_moves_one_place_of_a_level_by_one(records):
    kept = {(person, place): amount for person, place, amount in records}
    people = [("institution", place, person, amount) for (person, place), amount in kept.items()]
    people += [("state", 1, person, 1) for person in {person for person, _ in kept}]

    def counted(of: list[tuple]) -> dict[str, tuple[int, list[int]]]:
        found = cells(pl.DataFrame(of, schema=PEOPLE, orient="row"), PLACES)
        return {place["organization_id_state"]: (count, sorted(earnings)) for place, count, earnings in found}

    everyone = counted(people)
    assert set(everyone) == {"A", "B", "C", "S"}, "places are those of the directory, empty or not"
    listed = {person for person, place in kept if place != 77}  # 77 is in no directory
    assert sum(everyone[each][0] for each in "ABC") == len(listed)
    assert everyone["S"][0] == len({person for person, _ in kept})
    for gone in {person for person, _ in kept}:
        fewer = counted([row for row in people if row[2] != gone])
        changed = [place for place in "ABC" if fewer[place] != everyone[place]]
        assert len(changed) == (gone in listed)
        for place in changed:
            assert everyone[place][0] - fewer[place][0] == 1
            assert len(everyone[place][1]) - len(fewer[place][1]) in (0, 1)


def test_the_digest_hangs_on_people_and_wages_and_not_on_their_order():
    people = [("state", 1, 7, 30_000), ("state", 1, 8, None), ("institution", 5, 7, 30_000)]

    def of(rows: list[tuple], key: bytes = b"k", year: int = 2024) -> str:
        return digest_of(pl.DataFrame(rows, schema=PEOPLE, orient="row"), COLLEGE, year, key)

    assert of(people) == of(people[::-1])
    others = [people[:2], [*people[:2], ("institution", 5, 7, 30_001)], [*people[1:], ("state", 1, 9, 30_000)]]
    digests = {of(people), of(people, b"l"), of(people, year=2025), *map(of, others)}
    assert len(digests) == 6


# --- budget -----------------------------------------------------------------------------------------------


class Noise:
    """Stands in for the mechanism: every drawing gives another number, and costs `price`."""

    def __init__(self, price: float = 8.0):
        self.price, self.drawn = price, 0

    def draw(self) -> tuple[dict, list[dict]]:
        self.drawn += 1
        return {"count_margin": 1}, [{"found_count": 100 + self.drawn}]

    def take(
        self, settings, build: str, digest: str, *, revised: bool = False, year: int = 2024, budget_: float = 20.0
    ):
        return budget.take(
            settings, build, COLLEGE, year, digest, budget=budget_, cost=lambda: self.price, draw=self.draw,
            is_revised=lambda before: revised,
        )  # fmt: skip


def number(told: budget.Told) -> int | None:
    return told.line and told.line["results"][0]["found_count"]


def spent(settings) -> float:
    return sum(line["epsilon"] for line in budget.read(settings))


def test_the_same_data_take_the_kept_result_and_spend_nothing_however_many_nights(home):
    noise = Noise()
    nights = [noise.take(home, f"202701{day:02}T020000-0000", "same", revised=True) for day in range(1, 31)]
    assert {number(told) for told in nights} == {101}
    assert (noise.drawn, spent(home), nights[-1].spent) == (1, 8.0, 8.0)


def test_changed_data_wait_for_a_revision_and_are_drawn_again_while_budget_is_left(home):
    noise = Noise()
    assert number(noise.take(home, FIRST, "a")) == 101
    assert number(noise.take(home, SECOND, "b")) == 101  # no revision: as told before
    told = noise.take(home, THIRD, "b", revised=True)
    assert (number(told), told.spent, told.refused) == (102, 16.0, "")
    refused = noise.take(home, THIRD[:8] + "T030000-0004", "c", revised=True)
    assert number(refused) == 102 and "16 of the budget of 20 is spent, so the earlier result stays" in refused.refused
    assert (noise.drawn, spent(home)) == (2, 16.0)
    # Data that were drawn once are known, and cost nothing again.
    again = noise.take(home, "20280702T020000-0005", "a", revised=True)
    assert (number(again), again.spent, noise.drawn, spent(home)) == (101, 16.0, 2, 16.0)


def test_a_year_without_budget_for_its_first_drawing_is_not_told(home):
    noise = Noise()
    assert number(noise.take(home, FIRST, "a", budget_=8.0)) == 101
    told = noise.take(home, FIRST, "a", year=2025, budget_=8.0)
    assert told.line is None and "cohort year 2025" in told.refused and "nothing is told of it" in told.refused
    assert (noise.drawn, spent(home)) == (1, 8.0)


def test_a_rebuild_finds_what_its_build_found_and_spends_nothing(home):
    noise = Noise()
    noise.take(home, FIRST, "a")
    noise.take(home, THIRD, "b", revised=True)
    for build, digest, wanted in ((FIRST, "a", 101), (SECOND, "b", 101), (THIRD, "b", 102)):
        assert number(noise.take(home, build, digest, revised=build == THIRD)) == wanted
    assert noise.drawn == 2


@trials(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(2024, 2026)), max_size=12),
    st.floats(0.5, 5),
    st.floats(5, 12),
)
def test_whatever_happens_every_result_is_recorded_and_the_budget_holds(tmp_path_factory, nights, price, limit):
    settings = load({"P20W_HOME": str(tmp_path_factory.mktemp("budget"))})
    noise, known = Noise(price), {}
    for place, (digest, revised, year) in enumerate(nights):
        told = noise.take(settings, f"2027010{place:02}", digest, revised=revised, year=year, budget_=limit)
        lines = budget.read(settings)
        assert sum(line["epsilon"] for line in lines) <= limit + 1e-6
        assert told.line is None or told.line in lines
        if told.line is not None and told.line["data_digest"] == digest:
            assert known.setdefault((year, digest), number(told)) == number(told), "drawn twice for the same data"
    assert noise.drawn == sum(line["epsilon"] > 0 for line in budget.read(settings)) <= limit / price + 1e-6


def test_noise_that_could_not_be_recorded_is_given_to_nobody(home, monkeypatch):
    noise = Noise()

    def killed(descriptor: int) -> None:
        raise OSError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(budget.os, "fsync", killed)
        with pytest.raises(OSError, match="no space"):
            noise.take(home, FIRST, "a")
    recorded = budget.read(home)
    told = noise.take(home, SECOND, "a")
    # Whether the line reached the disk or not, what is told is what the ledger says.
    assert told.line in budget.read(home) and budget.read(home)[: len(recorded)] == recorded


def test_a_line_that_was_torn_by_a_kill_was_never_used_and_is_cut_off(home):
    noise = Noise()
    noise.take(home, FIRST, "a")
    path = home.release_ledger / budget.FILE
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"build_id": "' + b"x" * 5000)  # longer than the line to come
    assert len(budget.read(home)) == 1
    assert number(noise.take(home, FIRST, "a", year=2025)) == 102
    assert path.read_bytes().startswith(whole) and [line["cohort_year"] for line in budget.read(home)] == [2024, 2025]
    assert path.read_bytes().endswith(b"}\n")
    assert path.stat().st_mode & 0o077 == 0


def test_a_ledger_that_cannot_be_read_stops_the_night(home):
    Noise().take(home, FIRST, "a")
    path = home.release_ledger / budget.FILE
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(P20wError, match="privacy_budget.jsonl, line 1"):
        Noise().take(home, FIRST, "a")


# --- nothing else -----------------------------------------------------------------------------------------


def marts() -> dict[str, pl.DataFrame]:
    """Rows of every mart that counts people; those of wages from 2024 on say so."""
    long = [
        (COLLEGE, 2023, "stays"), (COLLEGE, 2024, "wages"), (SCHOOL, 2025, "wages"),
        ("course_completion", 2024, "stays"), ("college_going_fall", 2024, "stays"),
    ]  # fmt: skip
    coverage = [(COLLEGE, 2024, "wages"), (COLLEGE, 2022, "stays"), ("four_year_graduation", 2024, "stays")]
    schema = {"indicator_code": pl.String, "cohort_year": pl.Int32, "is": pl.String}
    return {
        "mart_indicator__organization": pl.DataFrame(long, schema=schema, orient="row"),
        "mart_coverage": pl.DataFrame(coverage, schema=schema, orient="row"),
        "mart_transition__college__work": pl.DataFrame({"cohort_year": [2023, 2024], "is": ["stays", "wages"]}),
        "mart_transition__high_school__college": pl.DataFrame({"cohort_year": [2024], "is": ["stays"]}),
        "mart_link_quality": pl.DataFrame(
            {
                "sector_code": ["k12", "k12", "workforce"],
                "other_sector_code": ["postsecondary", "workforce", "k12"],
                "school_year": [2024, 2019, 2019],
                "is": ["stays", "wages", "wages"],
            }
        ),
        "mart_institution": pl.DataFrame({"school_year": [2024], "is": ["stays"]}),
        "mart_availability": pl.DataFrame({"indicator_code": [COLLEGE], "school_year": [2024], "is": ["stays"]}),
    }


def lay(tables: dict[str, pl.DataFrame], folder):
    folder.mkdir(parents=True, exist_ok=True)
    for mart, table in tables.items():
        table.write_parquet(folder / f"{mart}.parquet")
    return folder


def test_every_other_statistic_of_the_same_wage_records_is_left_out(state, tmp_path):
    tables = marts()
    assert told_privately(tables, state.seeds, date(2027, 1, 5)) is tables
    assert told_both_ways(state, FIRST, lay(tables, tmp_path / "data")) == {}
    decide(state, {})
    found = told_both_ways(state, FIRST, tmp_path / "data")
    assert {mart: failing for mart, (_, failing) in found.items()} == {
        "mart_indicator__organization": 2, "mart_coverage": 1, "mart_transition__college__work": 1,
        "mart_link_quality": 2,
    }  # fmt: skip
    kept = told_privately(tables, state.seeds, date(2027, 1, 5))
    for mart, table in tables.items():
        assert kept[mart]["is"].to_list() == [each for each in table["is"] if each == "stays"], mart
    assert told_both_ways(state, FIRST, lay(kept, tmp_path / "data")) == {}


def private_mart(results: list[dict]) -> pl.DataFrame:
    line = {"family": COLLEGE, "cohort_year": 2024, "mechanism": {"count_margin": 3}, "results": results}
    return rows([budget.Told(line, 8.0)], 10)


def test_a_private_row_is_what_was_drawn_decided_and_never_told_otherwise(state, tmp_path):
    decide(state, {})
    results = [
        {"organization_level": "state", "organization_id_state": "S", "found_count": count, "earnings_p50": 30_000}
        for count in (12, 9)
    ]
    budget.take(
        state, FIRST, COLLEGE, 2024, "a", budget=20, cost=lambda: 8.0, draw=lambda: ({"count_margin": 3}, results),
        is_revised=lambda build: False,
    )  # fmt: skip
    table = private_mart(results)
    assert table["found_count"].to_list() == [12], "a place under the minimum has no row"

    def failing(changed: pl.DataFrame, build: str = FIRST) -> int:
        data = lay({"mart_earnings_private": changed}, tmp_path / "data")
        return told_both_ways(state, build, data)["mart_earnings_private"][1]

    assert failing(table) == 0
    assert failing(table.with_columns(found_count=pl.col("found_count") + 1)) == 1
    assert failing(table.with_columns(earnings_p50=pl.lit(30_500, pl.Int64))) == 1
    assert failing(table, "20270104T020000-0000") == 1, "recorded by a later build only"
    told = {"family": [COLLEGE], "mart": ["mart_indicator__organization"], "year": [2024], "release_id": ["r1"]}
    pl.DataFrame(told | {"value_status": ["window_open"]}).write_parquet(state.release_ledger / "r1.parquet")
    private = load_private(state.seeds, date(2027, 1, 5))
    refuse_told_before(state, private)
    assert failing(table) == 0, "an open window tells nothing"
    pl.DataFrame(told | {"value_status": ["shown"]}).write_parquet(state.release_ledger / "r1.parquet")
    assert failing(table) == 1
    with pytest.raises(P20wError, match="Set first_cohort_year to 2025"):
        refuse_told_before(state, private)
    decide(state, {"effective_date": "2028-01-01"})
    assert failing(table) == 1, "nobody decided it"


# --- the step ---------------------------------------------------------------------------------------------


INDICATOR = {
    "cohort_year": pl.Int32,
    **PEOPLE,
    "is_in_numerator": pl.Boolean,
    "outcome_status": pl.String,
}


def warehouse(settings, people: list[tuple], is_open: tuple[int, ...] = ()) -> None:
    """people: (person, institution or 0 for none, cohort year, amount); each counts in the state too."""
    records = []
    for person, institution, year, amount in people:
        status = "window_open" if year in is_open else "counted"
        for level, key in (("institution", institution), ("state", 1)):
            if key:
                records.append((year, level, key, person, amount, status == "counted", status))
    settings.warehouse_file.unlink(missing_ok=True)
    with duckdb.connect(str(settings.warehouse_file)) as con:
        con.execute("CREATE SCHEMA indicators; CREATE SCHEMA core")
        con.register("records", pl.DataFrame(records, schema=INDICATOR, orient="row").to_arrow())
        con.execute(f"CREATE TABLE indicators.ind_{COLLEGE} AS SELECT * FROM records")
        con.execute(
            "CREATE TABLE core.dim_organization AS SELECT *, 'n' AS organization_id_nces, 'Name' AS organization_name, "
            "NULL::TEXT AS lea_id_state, NULL::TEXT AS lea_name, true AS is_in_directory FROM (VALUES "
            "('institution', 'A', 5::BIGINT), ('institution', 'B', 3), ('state', 'S', 1)) "
            "AS t(organization_level, organization_id_state, organization_key)"
        )


def graduates(count: int, year: int = 2024, first: int = 0) -> list[tuple]:
    return [(first + i, 5 if i % 2 else 3, year, 20_000 + 100 * (i % 400)) for i in range(count)]


def table_of(settings) -> pl.DataFrame:
    with duckdb.connect(str(settings.warehouse_file), read_only=True) as con:
        return con.execute("SELECT * FROM protected.private_earnings").pl()


def test_where_nobody_decided_it_the_table_is_empty_and_the_library_is_not_asked_for(state, without_opendp, manifest):
    warehouse(state, graduates(500))
    assert protect_private(state, FIRST).families == 0
    assert table_of(state).is_empty()
    assert not state.release_ledger.exists() and not state.vault.exists()
    contract = manifest["nodes"]["model.p20w.mart_earnings_private"]["columns"]
    assert set(table_of(state).columns) == set(contract)


def test_a_night_that_must_draw_and_cannot_says_what_to_install(state, without_opendp):
    decide(state, {})
    warehouse(state, graduates(50))
    with pytest.raises(P20wError, match="extra `private`"):
        protect_private(state, FIRST)
    assert budget.read(state) == []


def test_a_decided_indicator_is_told_from_its_first_cohort_year_with_a_closed_window(state, opendp):
    decide(state, {"budget": "8"})
    years = [(2023, 4000), (2024, 3000), (2025, 2000)]
    people = [row for place, (year, count) in enumerate(years) for row in graduates(count, year, 10_000 * place)]
    warehouse(state, people, is_open=(2025,))
    found = protect_private(state, FIRST)
    assert (found.cohort_years, found.drawn, found.refused, found.rows) == (1, 1, 0, 3)
    table = table_of(state)
    assert set(table["cohort_year"]) == {2024} and set(table["protection"]) == {"private"}
    counts = dict(table.select("organization_id_state", "found_count").iter_rows())
    assert all(abs(counts[place] - true) < 60 for place, true in (("A", 1500), ("B", 1500), ("S", 3000)))
    assert set(table["epsilon"]) == {spent(state)} and 7.99 < spent(state) <= 8
    # The newest cohort's window closes: its drawing would exceed the budget, and the night says so.
    warehouse(state, people)
    found = protect_private(state, SECOND)
    assert (found.cohort_years, found.drawn, found.refused) == (2, 0, 1)
    (check,) = check_result.read(state, SECOND).to_dicts()
    assert (check["status"], check["severity"], check["failing_count"]) == ("warn", "warn", 1)
    assert "cohort year 2025" in check["message"] and "nothing is told of it" in check["message"]
    assert table_of(state).equals(table)


def test_nights_repeat_and_a_revision_date_tells_what_changed(state, opendp, monkeypatch):
    decide(state, {})
    warehouse(state, graduates(3000))
    protect_private(state, FIRST)
    first = table_of(state)
    warehouse(state, graduates(3000)[::-1])
    protect_private(state, SECOND)
    assert table_of(state).equals(first), "another night, the same people"
    warehouse(state, graduates(6000))
    protect_private(state, SECOND[:-1] + "3")
    assert table_of(state).equals(first), "changed data wait"
    revise_on(state, "2027-07-01", COLLEGE)
    protect_private(state, THIRD)
    revised = table_of(state)
    assert abs(revised.filter(pl.col("organization_level") == "state")["found_count"].item() - 6000) < 60
    assert len(budget.read(state)) == 2 and set(revised["epsilon"]) == {spent(state)}
    warehouse(state, graduates(6500))
    protect_private(state, THIRD[:8] + "T030000-0004")
    assert table_of(state).equals(revised), "one drawing a revision date"
    # A rebuild needs neither noise nor the library.
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "opendp.prelude", None)
        for build, people, wanted in ((FIRST, 3000, first), (THIRD, 6000, revised)):
            warehouse(state, graduates(people))
            protect_private(state, build)
            assert table_of(state).equals(wanted)
    told = [json.loads(line) for line in (state.release_ledger / budget.FILE).read_text().splitlines()]
    assert [line["why"] for line in told] == ["first", "revision"]
    assert "opendp" in told[0]["mechanism"]["library"]
