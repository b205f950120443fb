"""Policy counts from its effective date on: tomorrow's row says nothing today, a rebuild reads its own day's.

Belongs here: the readers of dated policy about identity and of check thresholds. Does not belong here: what the numbers
do (test_partition.py, test_measure.py, test_score.py).
"""

import dataclasses
import shutil
from datetime import date, datetime

import duckdb
import jinja2
import polars as pl
import pytest

from pipelines import dbt
from pipelines.errors import P20wError
from pipelines.identity import run, score
from pipelines.identity.linker.candidate import load_keys
from pipelines.identity.measure import QUALITY, link_checks, measure_policy
from pipelines.identity.policy import load_policy, tier_weights
from pipelines.intake.results import maximum_share
from pipelines.registers import RegisterError, rows_in_force
from pipelines.release.gate import load_thresholds
from pipelines.settings import ROOT, load

BEFORE, OLD, NEW = date(2026, 6, 30), date(2026, 11, 21), date(2027, 7, 1)
POLICY = ROOT / "seeds" / "policy"


@pytest.fixture
def home(tmp_path):
    """A home with the seeds of this repository, to which a test may add rows."""
    shutil.copytree(ROOT / "seeds", tmp_path / "seeds")
    return dataclasses.replace(load({"P20W_HOME": str(tmp_path / "state")}), seeds=tmp_path / "seeds")


def add(home, name, *rows):
    """Append rows to a policy file; returns its path."""
    path = home.seeds / "policy" / name
    path.write_text(path.read_text().rstrip("\n") + "\n" + "\n".join(rows) + "\n")
    return path


def table(path, *rows):
    path.write_text("\n".join(rows) + "\n")
    return path


def test_of_each_name_the_newest_row_not_after_the_day_counts(tmp_path):
    path = table(tmp_path / "policy.csv", "name,value,effective_date", "a,1,2026-07-01", "b,2,2026-07-01",
                 "a,3,2027-07-01", "c,4,2099-01-01", "d,5,")  # fmt: skip
    told = {
        day: [(line, row["name"], row["value"]) for line, row in rows_in_force(path, "name", day)]
        for day in (BEFORE, OLD, NEW)
    }
    assert told[BEFORE] == [(6, "d", "5")]  # without a date a row always counts
    assert told[OLD] == [(2, "a", "1"), (3, "b", "2"), (6, "d", "5")]
    assert told[NEW] == [(3, "b", "2"), (4, "a", "3"), (6, "d", "5")]
    table(path, "name,value,effective_date", "a,1,July 2026")
    with pytest.raises(RegisterError, match="policy.csv, line 2: effective_date 'July 2026' is not a date"):
        rows_in_force(path, "name", OLD)


def test_a_tier_of_2099_sets_no_weight_today(home):
    path = add(
        home, "match_tier.csv", "10,student_id_strong,student_id,given_agrees,link,100,,1,r,a,2099-01-01",
        "99,later,student_id,given_agrees,link,100,,2,r,a,2099-01-01",
    )  # fmt: skip
    assert tier_weights(path, OLD)[10] == 30 and 99 not in tier_weights(path, OLD)
    assert tier_weights(path, date(2099, 1, 1))[10] == 1 and tier_weights(path, date(2099, 1, 1))[99] == 2


def test_one_tier_twice_from_one_day_names_file_row_and_tier(home):
    line = len((POLICY / "match_tier.csv").read_text().splitlines()) + 1
    path = add(home, "match_tier.csv", "15,other,student_id,both_bare,link,100,,2,r,a,2026-07-01")
    with pytest.raises(P20wError, match=f"match_tier.csv, row {line}: tier 15 would count twice"):
        tier_weights(path, OLD)


def test_the_tiers_that_dbt_reads_are_those_of_the_builds_day():
    """The macro over a table, as dbt would render it; every model of linkage reads the tiers through it."""
    source = (ROOT / "dbt_project" / "macros" / "policy_in_force.sql").read_text()

    def found(day):
        context = {"ref": str, "var": lambda *_: day, "run_started_at": datetime(2026, 1, 1), "return": str}
        macros = jinja2.Environment().from_string(source).make_module(context)
        query = f"SELECT tier, rule FROM {macros.policy_rows('match_tier', 'tier')} AS policy ORDER BY tier"
        return con.execute(query).fetchall()

    with duckdb.connect() as con:
        con.execute("CREATE TABLE match_tier (tier TEXT, rule TEXT, effective_date TEXT)")
        con.execute(
            "INSERT INTO match_tier VALUES ('1', 'was', '2026-07-01'), ('1', 'is', '2027-07-01'),"
            " ('2', 'stays', '2026-07-01'), ('3', 'comes', '2099-01-01')"
        )
        assert found("2026-11-21") == [("1", "was"), ("2", "stays")]
        assert found("2027-07-01") == [("1", "is"), ("2", "stays")]
    readers = [
        *(ROOT / "dbt_project" / "models" / "linkage").glob("*.sql"),
        ROOT / "dbt_project" / "macros" / "identity_edge.sql",
    ]
    for path in readers:
        lines = [line for line in path.read_text().splitlines() if "ref('match_tier')" in line]
        assert all(line.startswith("-- depends_on:") for line in lines), path.name


def test_a_tier_that_comes_into_force_makes_dbt_and_identity_derive_everything_again(home, monkeypatch):
    add(home, "match_tier.csv", "10,student_id_strong,student_id,given_agrees,link,100,,1,r,a,2027-07-01")
    manifest = home.seeds / "manifest.json"
    manifest.write_text('{"nodes": {}}')
    monkeypatch.setattr(dbt, "ensure_manifest", lambda _: manifest)
    policy = load_policy(POLICY / "identity_parameter.csv", OLD)
    winter, last_day = date(2027, 1, 1), date(2027, 6, 30)
    assert run._basis(home, policy, winter) == run._basis(home, policy, last_day)
    assert run._basis(home, policy, winter) != run._basis(home, policy, NEW)

    def basis(day):
        monkeypatch.setattr("pipelines.planner.policy_day", lambda _: day)
        return dbt.identity_basis(home)

    assert basis(winter) == basis(last_day) != basis(NEW)


def test_keys_of_scoring_are_those_of_the_builds_day(home):
    path = add(home, "score_key.csv", "ssn,ssn,7,r,a,2027-07-01", "late,postal,5,r,a,2099-01-01")
    caps = {day: {key.name: key.cap for key in load_keys(path, day)} for day in (OLD, NEW)}
    assert (caps[OLD]["ssn"], caps[NEW]["ssn"]) == (100, 7) and "late" not in caps[NEW]
    assert score._basis(home, OLD).fingerprint != score._basis(home, NEW).fingerprint
    assert {key.name: key.cap for key in score._basis(home, NEW).keys} == caps[NEW]


def test_numbers_of_the_measurement_are_those_of_the_builds_day(home):
    add(home, "link_measure.csv", "judgements_needed,77,r,a,2027-07-01", "judgements_needed,99,r,a,2099-01-01")
    assert measure_policy(home, OLD)["judgements_needed"] == 30
    assert measure_policy(home, NEW)["judgements_needed"] == 77


@pytest.mark.parametrize(("day", "share"), [(OLD, 0.005), (NEW, 0.2)])
def test_measure_gate_and_intake_read_the_same_threshold_of_a_day(home, day, share):
    """Of the rows of one check that in force on the day, wherever it stands in the file."""
    check, quarantine = "linkage.brg_record_person.precision", "intake.k12__student.quarantine_share"
    path = home.seeds / "policy" / "check_threshold.csv"
    head, *rows = path.read_text().splitlines()
    later = [f"{name},{value},share,r,a,{since}" for name in (check, quarantine)
             for value, since in (("0.2", "2027-07-01"), ("0.9", "2099-01-01"))]  # fmt: skip
    table(path, head, *later, *rows)
    assert dict(load_thresholds(home, day))[check] == share
    assert maximum_share(home, quarantine, day) == share
    for wrong, status in ((int(share * 1000), "pass"), (int(share * 1000) + 1, "fail")):
        quality = [("k12", "workforce", "precision", 1 - wrong / 1000, 1000 - wrong, 1000)]
        (row,) = link_checks(home, pl.DataFrame(quality, schema=QUALITY, orient="row"), truth_is_known=True, day=day)
        assert row["status"] == status
