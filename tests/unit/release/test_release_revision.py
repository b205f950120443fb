"""When a published official year may change: each rule, by what the releases of a tiny installation tell."""

from __future__ import annotations

import json
from datetime import date

import dagster as dg
import pytest
from release_home import row

from pipelines import writer_lock
from pipelines.defs import boundary, intake
from pipelines.disclosure.earlier import read_earlier
from pipelines.disclosure.stranger.rules import ask_more
from pipelines.errors import P20wError
from pipelines.release import build, candidate, gate, ledger, publish
from pipelines.release.attack import attack_candidate, public_rules
from pipelines.release.revision import Revision
from pipelines.release.verify import verify

FIRST, DAY_1 = "20261121T191500-3fa2", date(2026, 11, 21)
SECOND, DAY_2 = "20261216T020000-aaaa", date(2026, 12, 16)
THIRD, DAY_3 = "20270616T020000-bbbb", date(2027, 6, 16)  # the day after the revision date of the register
FOURTH, DAY_4 = "20270617T020000-cccc", date(2027, 6, 17)
MISSING = row(
    "intake.k12__completion.delivered", "intake", category="completeness", status="fail",
    collection="k12__completion", submitter="lea_2", school_year=None,
)  # fmt: skip
# 2023 and 2024 were told as 80 and 82 of 100; differences of ten and more may be told.
REVISED = {("graduation", 2023): 65, ("graduation", 2024): 82, ("course", 2024): 60}


def told(installation) -> dict[int, tuple]:
    """Year → numerator and origin of the official table in the current release."""
    numerators = dict(installation.rows("cohort_year, numerator_count", "indicator_code = 'graduation'"))
    rows = release(installation)["years"]
    origins = {line["year"]: line["origin"] for line in rows if line["family"] == "graduation"}
    return {year: (numerators.get(year), origins[year]) for year in origins}


def release(installation) -> dict:
    """release.json of the current release."""
    return json.loads((installation.settings.releases / "current" / "release.json").read_text())


def sign(installation, *changes: dict) -> None:
    correction = {
        "family": "graduation", "cohort_year": "2024", "authority": "34 CFR 99.21", "reason": "amended record",
        "entered_by": "deputy", "approved_by": "chair", "approved_on": "2026-12-10", "expires_on": "2027-12-01",
    }  # fmt: skip
    installation.seed("registers/correction.csv", [correction | change for change in changes])


def is_built_again(installation, decision) -> bool:
    """Whether the tables follow from what release.json says was allowed to change, as a rebuild needs it."""
    described = release(installation)
    previous = installation.settings.releases / described["previous_release"]
    as_of = date.fromisoformat(described["data_as_of"])
    again = build.assemble(installation.settings, decision, as_of, previous, Revision.from_dict(described))
    tables = installation.settings.releases / "current" / "data"
    stored = {path.stem: path.read_bytes() for path in tables.iterdir()}
    folder = installation.settings.home / "again"
    build.write_tables(again, folder, described["release_id"])
    return stored == {path.stem: path.read_bytes() for path in (folder / "data").iterdir()}


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_night_knows_the_release_that_a_kill_left_out_of_the_ledger(installation, monkeypatch):
    settings = installation.settings
    installation.seed(
        "registers/release_clock.csv", [{"family": "*", "event": "revision", "date": "2026-12-15", "note": ""}]
    )
    decision = installation.night(FIRST)
    with monkeypatch.context() as patched:
        patched.setattr(publish.ledger, "append", interrupt)
        with pytest.raises(KeyboardInterrupt):
            installation.publish(decision, DAY_1)
    assert publish.current(settings) is not None and ledger.recorded(settings) == set()

    monkeypatch.setattr(boundary, "settings", lambda: settings)
    try:
        intake.night_build(dg.build_asset_context())
    finally:
        writer_lock.release(settings)
    assert read_earlier(settings, SECOND)["numerator_count"].sort().to_list() == [80, 82]
    # One student more in each year: who compared the two releases would know what that one did.
    installation.warehouse({("graduation", 2023): 81, ("graduation", 2024): 83, ("course", 2024): 60})
    made = candidate.build_candidate(settings, SECOND)
    installation.evidence(SECOND, made.id, without=("release_attack",))
    assert len(attack_candidate(settings, SECOND).findings) >= 2
    assert installation.publish(gate.decide(settings, SECOND, made, DAY_2), DAY_2).status == "refused"


def test_no_release_is_deleted_because_the_ledger_was_lost(installation):
    settings = installation.settings
    installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse({("course", 2024): 99})
    installation.publish(installation.night(SECOND), DAY_2)
    candidate.remove_tree(settings.release_ledger)
    with pytest.raises(publish.ReleaseError, match="Restore .*release_ledger"):
        publish.recover(settings)
    assert len(publish.releases(settings)) == 2


def test_a_rollback_waits_for_the_night_that_is_writing(installation, monkeypatch):
    first = installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse({("course", 2024): 99})
    installation.publish(installation.night(SECOND), DAY_2)
    working = installation.settings.releases / ".building-r20261217-00000000"
    working.mkdir()

    def busy(*_):
        raise writer_lock.WriterBusy("a night")

    monkeypatch.setattr("pipelines.writer_lock.acquire", busy)
    with pytest.raises(writer_lock.WriterBusy):
        publish.rollback(installation.settings, first.release_id, "chair", DAY_2)
    assert working.exists()


def test_a_year_held_on_a_revision_date_is_revised_in_the_next_release(installation):
    installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse(REVISED | {("course", 2024): 50})
    installation.publish(installation.night(THIRD, extra=[MISSING]), DAY_3)
    assert told(installation) == {2023: (80, "held"), 2024: (82, "held")}
    decision = installation.night(FOURTH)
    installation.publish(decision, DAY_4, approved_by="chair")
    assert told(installation) == {2023: (65, "new"), 2024: (82, "new")}
    assert is_built_again(installation, decision)
    # And by then the date is used up.
    installation.warehouse(REVISED | {("graduation", 2023): 45, ("course", 2024): 50, ("course", 2025): 40})
    installation.publish(installation.night("20270618T020000-dddd"), date(2027, 6, 18), approved_by="chair")
    assert told(installation) == {2023: (65, "frozen"), 2024: (82, "frozen")}


def test_a_revision_that_policy_does_not_allow_is_tried_again_on_the_next_date_only(installation):
    installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse(REVISED, {("graduation", 2024): "withdrawn"})
    installation.publish(installation.night(THIRD), DAY_3)
    assert told(installation)[2024] == (82, "not_revised")
    installation.warehouse(REVISED | {("graduation", 2024): 60, ("course", 2024): 50})
    installation.publish(installation.night(FOURTH), DAY_4, approved_by="chair")
    assert told(installation)[2024] == (82, "frozen")


def test_a_release_taken_back_uses_up_no_date_and_what_it_alone_told_stays_as_it_told_it(installation):
    first = installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse(REVISED | {("graduation", 2025): 70})
    installation.publish(installation.night(THIRD), DAY_3)
    assert told(installation) == {2023: (65, "new"), 2024: (82, "new"), 2025: (70, "new")}
    publish.rollback(installation.settings, first.release_id, "chair", DAY_3)
    assert sorted(told(installation)) == [2023, 2024]
    installation.warehouse(REVISED | {("graduation", 2023): 50, ("graduation", 2025): 55, ("course", 2024): 50})
    decision = installation.night(FOURTH)
    installation.publish(decision, DAY_4, approved_by="chair")
    assert told(installation) == {
        2023: (50, "new"),  # stood as the first release told it, so its revision was still to be made
        2024: (82, "new"),
        2025: (70, "frozen"),  # published once, and no revision date has come since
    }
    assert verify(installation.settings) == []
    assert is_built_again(installation, decision)
    installation.seed(
        "registers/release_clock.csv", [{"family": "*", "event": "revision", "date": "2027-12-15", "note": ""}]
    )
    installation.publish(installation.night("20271216T020000-dddd"), date(2027, 12, 16))
    assert told(installation)[2025] == (55, "new")


def test_the_first_release_that_a_correction_changes_spends_it(installation):
    installation.publish(installation.night(FIRST), DAY_1)
    sign(installation, {})
    installation.warehouse({("graduation", 2023): 80, ("graduation", 2024): 60, ("course", 2024): 60})
    decision = installation.night(SECOND)
    installation.publish(decision, DAY_2)
    assert told(installation) == {2023: (80, "frozen"), 2024: (60, "new")}
    assert [line["authority"] for line in release(installation)["corrections"]] == ["34 CFR 99.21"]
    assert is_built_again(installation, decision)
    installation.warehouse({("graduation", 2023): 80, ("graduation", 2024): 40, ("course", 2024): 50})
    installation.publish(installation.night("20270110T020000-dddd"), date(2027, 1, 10), approved_by="chair")
    assert told(installation)[2024] == (60, "frozen")
    assert release(installation)["corrections"] == []
    sign(installation, {}, {"approved_on": "2027-01-11"})
    installation.publish(installation.night("20270112T020000-eeee"), date(2027, 1, 12), approved_by="chair")
    assert told(installation)[2024] == (40, "new")
    assert [line["approved_on"] for line in release(installation)["corrections"]] == ["2027-01-11"]


def test_a_correction_waits_for_the_record_that_it_is_about(installation):
    installation.publish(installation.night(FIRST), DAY_1)
    sign(installation, {})
    installation.warehouse({("graduation", 2023): 80, ("graduation", 2024): 82, ("course", 2024): 50})
    decision = installation.night(SECOND)
    installation.publish(decision, DAY_2)  # the agency has not sent it yet
    assert told(installation)[2024] == (82, "frozen") and release(installation)["corrections"] == []
    assert is_built_again(installation, decision)
    installation.warehouse({("graduation", 2023): 80, ("graduation", 2024): 60, ("course", 2024): 50})
    installation.publish(installation.night("20270110T020000-dddd"), date(2027, 1, 10), approved_by="chair")
    assert told(installation)[2024] == (60, "new")


def test_a_correction_taken_back_with_its_release_is_not_spent(installation):
    first = installation.publish(installation.night(FIRST), DAY_1)
    sign(installation, {})
    installation.warehouse({("graduation", 2023): 80, ("graduation", 2024): 60, ("course", 2024): 60})
    installation.publish(installation.night(SECOND), DAY_2)
    publish.rollback(installation.settings, first.release_id, "chair", DAY_2)
    installation.warehouse({("graduation", 2023): 80, ("graduation", 2024): 40, ("course", 2024): 60})
    installation.publish(installation.night("20261217T020000-dddd"), date(2026, 12, 17), approved_by="chair")
    assert told(installation)[2024] == (40, "new")


def test_stricter_rules_open_every_published_year_without_limit(installation):
    settings = installation.settings
    installation.publish(installation.night(FIRST), DAY_1)
    policy = settings.seeds / "policy" / "protection.csv"
    policy.write_text(policy.read_text().rstrip("\n") + "\nminimum_count,20,committee,2026-12-01,asked for\n")
    bands = policy.with_name("rate_band.csv")  # which begin at the minimum
    bands.write_text(bands.read_text().rstrip("\n") + "\n20,,0.10,0.90,committee,2026-12-01\n")
    # Tonight's official table obeys the new minimum: of 82 in 100 it would tell the 18 others.
    installation.warehouse(
        {("graduation", 2023): 80, ("graduation", 2024): 82, ("course", 2024): 63},
        {("graduation", 2024): "withdrawn"},
    )
    made = candidate.build_candidate(settings, SECOND)
    installation.evidence(SECOND, made.id, without=("release_attack",))
    assert attack_candidate(settings, SECOND).findings == []
    decision = gate.decide(settings, SECOND, made, DAY_2)
    result = installation.publish(decision, DAY_2)
    assert result.status == "published", result.message
    assert told(installation) == {2023: (80, "new"), 2024: (None, "new")}
    assert is_built_again(installation, decision) and verify(settings) == []
    # The next release was made by the same rules, so that years are frozen again.
    installation.warehouse({("graduation", 2023): 40, ("graduation", 2024): 50, ("course", 2024): 50})
    installation.publish(installation.night("20261217T020000-dddd"), date(2026, 12, 17), approved_by="chair")
    assert told(installation) == {2023: (80, "frozen"), 2024: (None, "frozen")}


@pytest.mark.parametrize(
    ("before", "is_more"),
    [
        ({}, False),
        ({"minimum": 9}, True),
        ({"minimum": 11}, False),
        ({"interval": 2}, True),
        ({"interval": 4}, False),
        ({"zeros": "shown"}, False),  # today's hidden figures may be zero, which asks less
        ({"minimum": 11, "interval": 2}, True),
        ({"a rule of later code": 1}, False),
    ],
)
def test_rules_ask_more_where_any_of_them_does(installation, tmp_path, before, is_more):
    rules = public_rules(installation.settings, DAY_1)  # 10 people, 3 numbers, zeros hideable
    (tmp_path / "disclosure_rules.json").write_text(
        json.dumps({"minimum": 10, "interval": 3, "zeros": "hideable"} | before)
    )
    assert ask_more(rules, tmp_path) is is_more


def test_a_release_without_readable_rules_is_named(installation, tmp_path):
    with pytest.raises(P20wError, match="restore the release"):
        ask_more(public_rules(installation.settings, DAY_1), tmp_path)
