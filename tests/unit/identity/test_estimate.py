"""Estimates of link errors without truth: intervals cover it, sums are what a hand counts, samples weigh right."""

from fractions import Fraction

import duckdb
import numpy as np
import polars as pl
import pytest

from pipelines.identity import wages
from pipelines.identity.estimate import chapman, draw_sample, estimates, rates, wilson
from pipelines.identity.vault import open_vault
from pipelines.settings import load

from .test_measure import DAY, PAIR, STAGED


def test_the_interval_of_a_share_is_wilsons():
    # (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n) for 81 of 263, as Newcombe (1998) prints it.
    low, high = wilson(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 0) == (0, 1)
    assert wilson(1, 10)[1] == pytest.approx(1) and wilson(0, 10)[0] == pytest.approx(0)


def test_capture_and_recapture_is_chapmans_and_never_below_what_was_found():
    total, low, high = chapman(200, 250, 50)
    assert total == pytest.approx(float(Fraction(201 * 251, 51) - 1))
    assert 400 <= low < total < high
    assert chapman(100, 80, 80)[1:] == (100, pytest.approx(100 / wilson(1, 80)[0]))
    wide = chapman(200, 250, 50, pairs_per_person=4)
    assert wide[1] < low and wide[2] > high


def test_the_interval_of_capture_and_recapture_covers_the_truth_in_most_draws():
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(300):
        first, second = rng.random(1000) < 0.8, rng.random(1000) < 0.6
        _, low, high = chapman(int(first.sum()), int(second.sum()), int((first & second).sum()))
        covered += low <= 1000 <= high
    assert covered >= 270


@pytest.fixture
def vault():
    """A connection with empty tables of the vault, by hand, outside any file."""
    con = duckdb.connect(":memory:")
    con.execute("ATTACH ':memory:' AS vault; CREATE SCHEMA vault.staging; CREATE SCHEMA vault.linkage; USE vault")
    con.execute(f"CREATE TABLE vault.staging.stg_identity__record ({STAGED})")
    con.execute(f"CREATE TABLE vault.linkage.int_linkage__pair ({PAIR})")
    con.execute("CREATE TABLE pair_score (record_key_a BIGINT, record_key_b BIGINT, weight DOUBLE)")
    yield con
    con.close()


@pytest.fixture
def settings():
    return load({"P20W_HOME": "unused"})


def add(con, key, sector, given, surname, born, ssn=None, student_id=None):
    con.execute(
        "INSERT INTO vault.staging.stg_identity__record BY NAME SELECT ? AS record_key, ? AS sector, ? AS given_root,"
        " ? AS given_name, ? AS surname, [?] AS surname_tokens, CAST(? AS DATE) AS birth_date, ? AS ssn,"
        " ? AS student_id_state",
        [key, sector, given, given, surname, surname, born, ssn, student_id],
    )


UNIT = {
    "record_key": pl.Int64,
    "person_key": pl.Int64,
    "profile": pl.Int64,
    "school_year": pl.Int32,
    "true_person_id": pl.Int64,
}


def whole(found: pl.DataFrame, method: str, metric: str, profile: int) -> dict:
    rows = found.filter(
        pl.col("method") == method, pl.col("metric") == metric, pl.col("sector_a") == "", pl.col("profile") == profile,
        pl.col("school_year").is_null(),
    )  # fmt: skip
    assert rows.height == 1
    return rows.row(0, named=True)


@pytest.fixture
def two_groups(vault):
    """Ten people of each of two groups, in school and in college, a number on both records. Names of the second group
    are written in two ways for six of ten; of the first, for one. One stranger has a name and birth date of another."""
    units = []
    for group, changed in ((0, 1), (1, 6)):
        for n in range(10):
            person = group * 100 + n
            born, ssn = f"2001-01-{10 + n}", f"{219430000 + person}"
            given = f"GIVEN{person}"
            add(vault, 2 * person + 1, "k12", given, "LOPEZ", born, ssn)
            add(vault, 2 * person + 2, "postsecondary", given if n >= changed else f"OTHER{person}", "LOPEZ", born, ssn)
            units += [(2 * person + 1, person, group, 2019, person), (2 * person + 2, person, group, 2021, person)]
    add(vault, 999, "child_welfare", "GIVEN9", "LOPEZ", "2001-01-19", "330110000")
    units.append((999, 999, 0, 2010, 999))
    return vault, pl.DataFrame(units, schema=UNIT, orient="row")


def test_a_hidden_number_tells_in_which_group_names_find_fewer_pairs(two_groups, settings):
    con, units = two_groups
    found = estimates(con, settings, units, most=units.height, day=DAY)
    first = whole(found, "hidden_ssn", "recall", 0)
    second = whole(found, "hidden_ssn", "recall", 1)
    assert (first["numerator"], first["denominator"], first["people"]) == (9, 10, 10)
    assert (second["numerator"], second["denominator"]) == (4, 10)
    # Names also find the stranger with both records of the one with his name: the number says no.
    wrong = whole(found, "hidden_ssn", "precision", 0)
    assert (wrong["numerator"], wrong["denominator"]) == (9, 11)
    assert (wrong["true_numerator"], wrong["true_denominator"]) == (9, 11)
    value = rates(pl.DataFrame([second]))
    assert value["value"][0] == 0.4 and value["low"][0] == pytest.approx(wilson(0.4, 10)[0])


def test_pairs_that_names_and_numbers_catch_are_counted_for_capture_and_recapture(two_groups, settings):
    con, units = two_groups
    found = estimates(con, settings, units, most=units.height, day=DAY)
    caught = whole(found, "capture_recapture", "recall", 1)
    assert (caught["first"], caught["second"], caught["both"]) == (10, 4, 4)
    assert (caught["numerator"], caught["true_denominator"]) == (10, 10)
    # A name with two different numbers is no catch.
    assert whole(found, "capture_recapture", "recall", 0)["second"] == 9


def test_a_sample_of_records_gives_each_pair_one_chance(two_groups, settings):
    con, units = two_groups
    shares = []
    for most in (units.height, units.height // 2):
        row = whole(estimates(con, settings, units, most, DAY), "hidden_ssn", "recall", 1)
        shares.append(row["denominator"])
    assert shares[0] == 10 and 0 <= shares[1] <= 10


def test_no_interval_is_given_to_the_models_own_account(two_groups, settings):
    con, units = two_groups
    con.execute(
        "INSERT INTO vault.linkage.int_linkage__pair VALUES (1, 2, 30, 'ssn_strong', 'link', NULL),"
        " (3, 4, 42, 'name_birth', 'link', NULL)"
    )
    con.execute("INSERT INTO pair_score VALUES (5, 999, 0)")
    row = whole(estimates(con, settings, units, units.height, DAY), "model", "recall", 0)
    # Two pairs joined by strong evidence, and one apart of which the model holds one in two for one person.
    assert row["numerator"] == pytest.approx(2, abs=0.01) and row["denominator"] == pytest.approx(2.5, abs=0.01)
    told = rates(pl.DataFrame([row])).row(0, named=True)
    assert told["value"] == pytest.approx(0.8, abs=0.01) and told["low"] is None and told["high"] is None


def test_judgements_weigh_by_how_rarely_their_like_was_drawn(two_groups, settings):
    con, units = two_groups
    con.execute(
        "CREATE TABLE judgement (record_key_a BIGINT, record_key_b BIGINT, verdict TEXT, is_linked BOOLEAN,"
        ' inclusion_probability DOUBLE, "at" TIMESTAMP)'
    )
    con.execute(
        "INSERT INTO judgement VALUES (1, 2, 'same', true, 0.1, '2026-11-01'), (3, 4, 'distinct', true, 0.1,"
        " '2026-11-01'), (3, 4, 'same', true, 0.1, '2026-11-02'), (5, 6, 'distinct', true, 0.5, '2026-11-01'),"
        " (7, 8, 'same', false, 0.25, '2026-11-01'), (9, 10, 'defer', true, 0.5, '2026-11-01')"
    )
    found = estimates(con, settings, units, units.height, DAY)
    precision = whole(found, "clerical_sample", "precision", 0)
    # Two right of weight 10 (the newest verdict counts), one wrong of weight 2; what is deferred says nothing.
    assert (precision["numerator"], precision["denominator"], precision["people"]) == (20, 22, 3)
    recall = whole(found, "clerical_sample", "recall", 0)
    assert (recall["numerator"], recall["denominator"]) == (20, 24)
    told = rates(pl.DataFrame([precision])).row(0, named=True)
    kish = 22**2 / (10**2 + 10**2 + 2**2)
    assert told["low"] == pytest.approx(wilson(20 / 22, kish)[0])


@pytest.mark.parametrize("size", [6, 40])
def test_a_clerical_sample_weighs_up_to_all_pairs_and_is_the_same_again(two_groups, settings, monkeypatch, size):
    from pipelines.identity import student_group

    con, units = two_groups
    con.execute("CREATE TABLE person_link (record_key BIGINT, person_key BIGINT, link_number BIGINT)")
    con.register("unit", units.to_arrow())
    con.execute("INSERT INTO person_link SELECT record_key, person_key, 1 FROM unit")
    con.execute(
        "INSERT INTO vault.linkage.int_linkage__pair SELECT record_key, record_key + 1, 30, 'ssn_strong', 'link', NULL"
        " FROM unit WHERE record_key % 2 = 1 AND record_key < 400"
    )
    con.execute("INSERT INTO pair_score VALUES (5, 999, 3)")
    groups = pl.DataFrame(
        {"person_key": [*range(10), *range(100, 110)], "race_ethnicity_2007": ["white"] * 10 + ["hispanic"] * 10}
    )
    monkeypatch.setattr(student_group, "person_groups", lambda *_: groups)
    drawn = draw_sample(con, settings, size, "20261121T000000-aaaa")
    weights = drawn.group_by("is_linked").agg((1 / pl.col("inclusion_probability")).sum())
    assert dict(weights.iter_rows()) == {True: pytest.approx(20), False: pytest.approx(1)}
    assert drawn["stratum"].n_unique() == 3
    assert drawn.equals(draw_sample(con, settings, size, "20261121T000000-aaaa"))
    assert draw_sample(con, settings, 0, "20261121T000000-aaaa").is_empty()


# --- wages -------------------------------------------------------------------------------------------------------
def test_coding_errors_of_the_wage_file_are_counted(vault):
    staged = [
        (1, "workforce", "111110001", "MARIA", "LOPEZ"),
        (2, "workforce", "111110001", "MARIA", "SMITH"),  # married: one given name
        (3, "workforce", "111110002", "JOHN", "SMITH"),
        (4, "workforce", "111110002", "PETER", "NGUYEN"),  # two people under one number
        (5, "workforce", "111110003", "ANNA", "ROSSI"),
        (6, "workforce", "111110004", "ANNA", "ROSSI"),  # one digit apart, one person
        (7, "postsecondary", "111110001", "MARIA", "LOPEZ"),
        (8, "postsecondary", "111110002", "JOHN", "SMITH"),
        (9, "child_welfare", "111110002", "JUDY", "SMITH"),  # another person with John's number
    ]
    for key, sector, ssn, given, surname in staged:
        add(vault, key, sector, given, surname, None, ssn)
    vault.execute("UPDATE vault.staging.stg_identity__record SET given_initial = given_root[1]")
    persons = [1, 1, 3, 4, 5, 5, 1, 3, 9]
    bridge = pl.DataFrame({"record_key": range(1, 10), "person_key": persons, "sector": [row[1] for row in staged]})
    assert wages.clean_up(vault, bridge, 0.92) == [
        ("wage_ssn_unlike_names", 1, 4),
        ("wage_ssn_one_digit", 1, 4),
        ("wage_ssn_two_people", 1, 2),
        ("wage_bound", 3, 6),
    ]
    # Where the steward lets any two surnames pass for one, no number has unlike names.
    assert wages.clean_up(vault, bridge, 0.0)[0] == ("wage_ssn_unlike_names", 0, 4)


def test_who_has_wages_under_another_name_only_is_not_determined():
    bridge = pl.DataFrame(
        {"record_key": [1, 2, 3], "person_key": [10, 10, 20], "sector": ["k12", "workforce", "postsecondary"]}
    )
    review = pl.DataFrame({"record_key": [7, 8, 9], "candidate_person_key": [10, 20, 20]})
    assert wages.not_determined(bridge, review)["person_key"].to_list() == [20]


# --- a population ------------------------------------------------------------------------------------------------
@pytest.fixture
def population(linked):
    """The linked population: settings, and its records with the person found and the true one."""
    settings, rows, _, _ = linked
    bridge = pl.read_parquet(settings.exchange / "brg_record_person.parquet")
    truth = rows.select("record_key", true_person_id="true_person").unique("record_key")
    return settings, (
        bridge.select("record_key", "person_key", "sector")
        .join(truth, on="record_key")
        .with_columns(profile=pl.lit(0, pl.Int64), school_year=pl.lit(2020, pl.Int32))
    )


@pytest.mark.slow
def test_intervals_cover_the_truth_of_a_population_and_names_alone_find_most(population):
    settings, units = population
    with open_vault(settings) as con:
        found = rates(estimates(con, settings, units.drop("sector"), most=units.height, day=DAY))
    judged = found.filter(pl.col("truth").is_not_null(), pl.col("low").is_not_null(), pl.col("people") >= 30)
    assert judged["method"].n_unique() == 3
    outside = judged.filter((pl.col("truth") < pl.col("low") - 1e-9) | (pl.col("truth") > pl.col("high") + 1e-9))
    assert outside.height <= 0.05 * judged.height, outside
    pooled = judged.filter(pl.col("sector_a") == "", pl.col("metric") == "recall")
    assert pooled.filter(pl.col("value") < 0.85).is_empty(), pooled


@pytest.mark.slow
def test_capture_and_recapture_sees_links_that_are_missing(population):
    """Of one person in four the college records are torn from the others, as if they had not been linked."""
    settings, units = population
    torn = (pl.col("true_person_id") % 4 == 0) & (pl.col("sector") == "postsecondary")
    units = units.with_columns(person_key=pl.when(torn).then(-pl.col("true_person_id") - 1).otherwise("person_key"))
    with open_vault(settings) as con:
        found = rates(estimates(con, settings, units.drop("sector"), most=units.height, day=DAY))
    pair = found.filter(
        pl.col("method") == "capture_recapture", pl.col("sector_a") == "k12", pl.col("sector_b") == "postsecondary"
    )
    (row,) = pair.to_dicts()
    assert 0.6 < row["truth"] < 0.85
    assert row["low"] <= row["truth"] <= row["high"] < 0.9, row
