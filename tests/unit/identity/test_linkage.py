"""The whole room on the identifier table of the five sectors: links, leaks, wages, conflicts and quiet nights."""

import datetime
import re
import shutil

import polars as pl
import pytest

from pipelines.identity.measure import measure_links, pair_rates
from pipelines.identity.run import IdentityError, run_identity
from pipelines.identity.vault import open_vault
from pipelines.settings import ROOT, load

from .conftest import CANARY, deliver, run_dbt
from .five_sectors import linkable_groups

BUILD = "20261121T000000-aaaa"


def test_links_of_five_sectors_are_precise_and_complete(linked):
    settings, rows, _, _ = linked
    units = rows.with_columns(linkable_group=linkable_groups(rows))
    units = units.select("record_key", "linkable_group", true_person_id="true_person").unique().join(
        pl.read_parquet(settings.exchange / "brg_record_person.parquet"), on="record_key"
    )  # fmt: skip
    rates = pl.DataFrame(
        pair_rates(units), orient="row", schema=["sector_a", "sector_b", "metric", "value", "numerator", "denominator"]
    )
    judged = rates.filter(pl.col("denominator") >= 50)
    assert judged["sector_a"].n_unique() >= 4
    assert judged.filter(pl.col("metric") == "precision")["value"].min() >= 0.995
    assert judged.filter(pl.col("metric") == "recall_linkable")["value"].min() >= 0.97


def test_a_night_with_nothing_new_appends_nothing_and_exports_the_same_bytes(linked):
    settings, *_ = linked
    names = ("brg_record_person", "person", "person_redirect", "organization_key")
    before = {name: (settings.exchange / f"{name}.parquet").read_bytes() for name in names}
    with open_vault(settings) as con:
        events = con.execute("SELECT count(*) FROM person_event").fetchone()
    summary = run_identity(settings, "20261122T000000-bbbb")
    assert summary.minted == summary.merged == summary.split == summary.moved == 0
    with open_vault(settings) as con:
        assert con.execute("SELECT count(*) FROM person_event").fetchone() == events
    assert before == {name: (settings.exchange / f"{name}.parquet").read_bytes() for name in names}


def test_neither_key_nor_identifiers_leave_the_vault(linked):
    settings, _, output, _ = linked
    needles = [settings.vault_key(), *CANARY.values(), CANARY["surname"].upper(), CANARY["given_name"].upper()]
    assert not [needle for needle in needles if needle in output]
    searched = 0
    for path in settings.home.rglob("*"):
        if path.is_file() and path.suffix != ".duckdb_extension":
            data = path.read_bytes()
            searched += 1
            assert not [path for needle in needles if needle.encode() in data], f"{path.name} holds a planted value"
    assert searched > 20
    assert (settings.work / "target" / "manifest.json").exists() and list((settings.vault / "dbt").glob("*.log"))


def test_what_crosses_are_keys_with_the_declared_columns(linked):
    settings, rows, _, summary = linked
    bridge = pl.read_parquet(settings.exchange / "brg_record_person.parquet")
    assert bridge.columns == ["record_key", "person_key", "sector", "rule", "has_ssn", "valid_from_build"]
    assert bridge["record_key"].n_unique() == bridge.height == rows["record_key"].n_unique() == summary.records
    person = pl.read_parquet(settings.exchange / "person.parquet")
    assert person.columns == ["person_key", "perturbation_key"]
    assert person["perturbation_key"].min() >= 0 and person["perturbation_key"].max() <= 255
    assert person["perturbation_key"].n_unique() > 200


def test_links_are_measured_without_truth_too(linked):
    settings, *_ = linked
    quality = measure_links(settings, BUILD)
    assert "precision" not in quality["metric"].to_list()
    assert {"person_count", "over_merge_two_ssns", "under_link_ssns"} <= set(quality["metric"])
    assert (settings.exchange / "link_quality.parquet").exists()


def test_identity_before_the_pairs_says_what_to_run(home):
    with pytest.raises(IdentityError, match="Run the identity phase of dbt"):
        run_identity(home, BUILD)


# --- single cases, one dbt run for all -------------------------------------------------------------------------------
def person(case, sector, **identifiers):
    return {"true_person": 0, "case": case, "sector": sector, **identifiers}


FULL = {"given_name": "Katherine", "surname": "De la Cruz-O'Neil", "birth_date": "2004-02-09"}
CASES = [
    person("accent", "k12", given_name="Inés", surname="Ñandú", birth_date="2003-01-02", student_id_state="501"),
    person("accent", "postsecondary", given_name="INES", surname="NANDU JR.", birth_date="2003-01-02"),
    person("double", "k12", student_id_state="502", **FULL),
    person("double", "postsecondary", **{**FULL, "given_name": "Katie", "surname": "DELACRUZ ONEIL"}),
    person("half", "k12", given_name="Paloma", surname="Garza-Ibarra", birth_date="2002-07-08", student_id_state="503"),
    person("half", "early_childhood", given_name="Paloma", surname="Ibarra", birth_date="2002-07-08"),
    person("twin_a", "k12", given_name="Jaden", surname="Abbott", birth_date="2005-05-05", student_id_state="601",
           postal_code="20001", middle_name="L", sex_code="M"),
    person("twin_b", "k12", given_name="Jayden", surname="Abbott", birth_date="2005-05-05", student_id_state="602",
           postal_code="20001", middle_name="L", sex_code="M"),
    person("twin_b", "early_childhood", given_name="Jayden", surname="Abbott", birth_date="2005-05-05",
           postal_code="20001", middle_name="L", sex_code="M"),
    person("two_a", "k12", given_name="Noor", surname="Haddad", birth_date="2006-06-01", student_id_state="700"),
    person("two_b", "k12", given_name="Walter", surname="Quinn", birth_date="2001-12-24", student_id_state="700"),
    person("two_bare", "k12", student_id_state="700"),
    person("bare", "k12", given_name="Talia", surname="Zapata", birth_date="2006-03-03", student_id_state="0701"),
    person("bare", "k12", student_id_state="701"),
    person("worker", "postsecondary", given_name="Beatriz", surname="Montoya", birth_date="1999-09-09", 
           ssn="219-43-8701", local_id_issuer="001", local_id="1"),
    person("worker", "workforce", given_name="B", surname="Kowalski", ssn="219438701"),
    person("worker", "workforce", given_name="Rosa", surname="Montoya", ssn="219438701"),
    person("stranger", "workforce", given_name="Xaver", surname="Okafor", ssn="219438701"),
    person("other_name", "postsecondary", given_name="Delia", surname="Marsh", birth_date="1998-04-04", ssn="219438702",
           local_id_issuer="001", local_id="2", student_id_state="801"),
    person("other_name", "k12", given_name="Delia", surname="Thistle", birth_date="1998-04-04", student_id_state="801"),
    person("other_name", "workforce", given_name="Zoe", surname="Thistle", ssn="219438702"),
    person("parent", "early_childhood", given_name="Kai", surname="Lund", birth_date="2015-01-20", ssn="219438703"),
    person("parent_self", "postsecondary", given_name="Greta", surname="Lund", birth_date="1988-08-17",
           ssn="219438703"),
    person("no_number", "k12", given_name="Unknown", surname="Unknown", birth_date="2000-05-05", ssn="000123456"),
    person("no_number_2", "postsecondary", given_name="UNKNOWN", surname="unknown", birth_date="2000-05-05",
           ssn="000-12-3456"),
    person("swapped", "k12", given_name="Imani", surname="Sloan", birth_date="2004-03-07", postal_code="20011",
           student_id_state="901"),
    person("swapped", "child_welfare", given_name="Imani", surname="Sloan", birth_date="2004-07-03",
           postal_code="20011-1234"),
    person("month", "k12", given_name="Omar", surname="Velasco", birth_date="2012-10-30", student_id_state="902",
           postal_code="20012"),
    person("month", "early_childhood", given_name="Omar", surname="Velasco", birth_month="2012-10", postal_code="20012",
           local_id_issuer="dhs", local_id="4"),
]  # fmt: skip


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """case -> set of person keys, and what is not determined."""
    settings = load({"P20W_HOME": str(tmp_path_factory.mktemp("cases") / "state")})
    rows = deliver(settings, pl.DataFrame(CASES, infer_schema_length=None))
    run_dbt(settings)
    run_identity(settings, BUILD)
    bridge = pl.read_parquet(settings.exchange / "brg_record_person.parquet")
    joined = rows.join(bridge.select("record_key", "person_key", "rule"), on="record_key")
    yield settings, joined
    shutil.rmtree(settings.home)


def persons(joined, *names):
    return set(joined.filter(pl.col("case").is_in(names))["person_key"])


@pytest.mark.parametrize(
    "case", ["accent", "double", "half", "twin_b", "bare", "worker", "other_name", "swapped", "month"]
)
def test_records_of_one_person_meet(cases, case):
    assert len(persons(cases[1], case)) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [("twin_a", "twin_b"), ("two_a", "two_b"), ("two_a", "two_bare"), ("two_b", "two_bare"), ("worker", "stranger"),
     ("parent", "parent_self"), ("no_number", "no_number_2")],
)  # fmt: skip
def test_records_of_two_persons_stay_apart(cases, first, second):
    assert not persons(cases[1], first) & persons(cases[1], second)


def test_a_wage_with_a_foreign_name_is_not_determined_for_the_person_of_its_number(cases):
    settings, joined = cases
    waiting = pl.read_parquet(settings.exchange / "link_not_determined.parquet")
    stranger = joined.filter(pl.col("case") == "stranger")["record_key"][0]
    told = waiting.filter(pl.col("record_key") == stranger)
    assert set(told["candidate_person_key"]) == persons(joined, "worker")
    assert set(told["reason"]) == {"names_do_not_agree"}


def test_a_number_given_to_two_students_is_told(cases):
    settings, joined = cases
    waiting = pl.read_parquet(settings.exchange / "link_not_determined.parquet")
    bare = joined.filter(pl.col("case") == "two_bare")["record_key"][0]
    told = waiting.filter(pl.col("record_key") == bare)
    assert set(told["candidate_person_key"]) == persons(joined, "two_a", "two_b")


def test_a_new_bridge_merges_two_persons_and_the_loser_redirects(cases):
    settings, joined = cases
    with open_vault(settings) as con:
        keys = joined.filter(pl.col("case").is_in(["no_number", "no_number_2"]))["record_key"].to_list()
        con.execute(
            "INSERT INTO verdict VALUES (?, ?, 'same', 'steward', 'seen in person', ?)",
            [*keys, datetime.datetime(2026, 11, 22)],
        )
    summary = run_identity(settings, "20261122T000000-bbbb")
    assert (summary.merged, summary.minted) == (1, 0)
    redirect = pl.read_parquet(settings.exchange / "person_redirect.parquet")
    bridge = pl.read_parquet(settings.exchange / "brg_record_person.parquet")
    assert (
        bridge.filter(pl.col("record_key").is_in(keys))["person_key"].unique().to_list()
        == redirect["person_key"].to_list()
    )
    # The wrong merge is undone by a later verdict, and the first id comes back.
    with open_vault(settings) as con:
        con.execute(
            "INSERT INTO verdict VALUES (?, ?, 'distinct', 'steward', 'two persons', ?)",
            [*keys, datetime.datetime(2026, 11, 23)],
        )
    assert run_identity(settings, "20261123T000000-cccc").split == 1
    assert pl.read_parquet(settings.exchange / "person_redirect.parquet").height == 0
    again = pl.read_parquet(settings.exchange / "brg_record_person.parquet")
    before = dict(joined.select("record_key", "person_key").iter_rows())
    assert dict(again.select("record_key", "person_key").iter_rows()) == before


def test_every_guard_of_the_policy_is_written_and_every_guard_written_is_used():
    policy = pl.read_csv(ROOT / "seeds" / "policy" / "match_tier.csv", infer_schema=False)
    named = {name for guards in policy["guard"] for name in guards.split(";")}
    macro = (ROOT / "dbt_project" / "macros" / "identity_guard.sql").read_text()
    written = set(re.findall(r"^        '(\w+)':", macro, re.MULTILINE))
    assert named == written
    assert policy["tier"].cast(pl.Int64).is_sorted()
    written = re.findall(r"\{'name': '(\w+)'", (ROOT / "dbt_project" / "macros" / "identity_edge.sql").read_text())
    named = {name for names in policy["key_name"] for name in names.split(";") if not name.startswith("token_")}
    assert named == set(written)
