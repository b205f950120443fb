"""Publication: whole or not at all, unchanged rows repeated, readers undisturbed, and everything can be checked."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from datetime import date

import duckdb
import polars as pl
import pytest
from release_home import keep_delivery, row

from pipelines.disclosure import told_once
from pipelines.errors import P20wError
from pipelines.release import candidate, gate, ledger, night, publish
from pipelines.release.attack import attack_candidate
from pipelines.release.gate import decide
from pipelines.release.verify import verify

FIRST, SECOND, THIRD = "20261121T191500-3fa2", "20261216T020000-aaaa", "20270616T020000-bbbb"
DAY_1, DAY_2, DAY_3 = date(2026, 11, 21), date(2026, 12, 16), date(2027, 6, 16)
MISSING_2024 = row(
    "intake.k12__completion.delivered", "intake", category="completeness", status="fail",
    collection="k12__completion", submitter="lea_2", school_year=2024,
)  # fmt: skip


def test_the_first_release_is_due_and_whole(installation):
    result = installation.publish(installation.night(FIRST), DAY_1, pages=pages, inventory=inventory)
    assert result.status == "published"
    folder = installation.settings.releases / "current"
    assert os.readlink(folder) == result.release_id
    assert {path.name for path in folder.iterdir()} >= {
        "p20w.duckdb", "release.json", "data", "csv", "dictionary.csv", "collection_inventory.csv",
        "datapackage.json", "checksums.sha256", "gate.json", "site",
    }  # fmt: skip
    assert verify(installation.settings) == []
    described = json.loads((folder / "release.json").read_text())
    assert described["seed_sha256"].keys() >= {"registers/indicator.csv"}
    assert result.release_id == f"r20261121-{described['candidate_id'][:8]}"
    table = pl.read_parquet(folder / "data" / "mart_indicator__organization.parquet")
    assert table.columns[-2:] == ["data_as_of", "release_id"]
    assert table["data_as_of"].unique().to_list() == [DAY_1]


def test_what_is_public_names_no_delivery_and_the_restricted_list_can_be_proven(installation):
    settings = installation.settings
    keep_delivery(settings, "0123456789abcdef")
    installation.publish(installation.night(FIRST), DAY_1, pages=pages, inventory=inventory)
    folder = publish.current(settings)
    for path in folder.rglob("*"):
        assert path.is_dir() or b"0123456789abcdef" not in path.read_bytes(), path
    described = json.loads((folder / "release.json").read_text())
    assert described["delivery_count"] == 1
    # One delivery, so one guess: without the salt it cannot be confirmed.
    guesses = {hashlib.sha256(text.encode()).hexdigest() for text in ("0123456789abcdef", "0123456789abcdef\n")}
    assert described["delivery_digest"] not in guesses
    assert ledger.deliveries(settings, described) == ["0123456789abcdef"]
    kept = settings.release_ledger / "delivery" / f"{folder.name}.json"
    kept.write_text(kept.read_text().replace("0123456789abcdef", "fedcba9876543210"))
    with pytest.raises(P20wError, match="not the one it was published with"):
        ledger.deliveries(settings, described)


def test_files_and_folders_cannot_be_written(installation):
    installation.publish(installation.night(FIRST), DAY_1, pages=pages)
    folder = publish.current(installation.settings)
    modes = {oct(path.stat().st_mode & 0o777) for path in folder.rglob("*") if path.is_file()}
    folders = {oct(path.stat().st_mode & 0o777) for path in [folder, *folder.rglob("*")] if path.is_dir()}
    assert (modes, folders) == ({"0o444"}, {"0o555"})


def test_the_database_has_a_view_for_each_indicator_and_a_dictionary(installation):
    installation.publish(installation.night(FIRST), DAY_1)
    with duckdb.connect(str(installation.settings.releases / "current" / "p20w.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*), min(indicator_code) FROM mart_graduation").fetchone() == (2, "graduation")
        assert con.execute("SELECT count(*) FROM dictionary WHERE table_name = 'mart_flow'").fetchone() == (8,)


def test_the_data_package_is_valid_for_frictionless(installation):
    frictionless = pytest.importorskip("frictionless")
    installation.publish(installation.night(FIRST), DAY_1, inventory=inventory)
    report = frictionless.validate(str(installation.settings.releases / "current" / "datapackage.json"))
    assert report.valid, report.flatten(["type", "message"])


def test_equal_rows_give_equal_bytes_and_the_same_id(installation):
    decision = installation.night(FIRST)
    first = {path.name: path.read_bytes() for path in (installation.settings.candidate / "data").iterdir()}
    installation.warehouse({("course", 2024): 60, ("graduation", 2024): 82, ("graduation", 2023): 80})
    again = candidate.build_candidate(installation.settings, SECOND)
    assert again.id == decision.candidate_id
    assert first == {path.name: path.read_bytes() for path in (installation.settings.candidate / "data").iterdir()}


def test_an_unchanged_candidate_is_not_published_again(installation):
    first = installation.publish(installation.night(FIRST), DAY_1)
    second = installation.publish(installation.night(SECOND), DAY_2)
    assert (second.status, second.release_id) == ("unchanged", first.release_id)


def test_a_change_waits_for_the_clock_or_an_officer(installation):
    first = installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse({("graduation", 2024): 82, ("course", 2024): 61})
    decision = installation.night("20261122T020000-cccc")
    waiting = installation.publish(decision, date(2026, 11, 22))
    assert (waiting.status, waiting.release_id) == ("not_due", first.release_id)
    assert "2026-12-15" in waiting.message
    with pytest.raises(publish.ReleaseError, match="somebody is not an officer"):
        installation.publish(decision, date(2026, 11, 22), approved_by="somebody")
    assert installation.publish(decision, date(2026, 11, 22), approved_by="chair").status == "published"
    assert verify(installation.settings) == []


def test_a_published_official_year_is_frozen_until_a_revision(installation):
    installation.publish(installation.night(FIRST), DAY_1)
    changed = {("graduation", 2023): 70, ("graduation", 2025): 90, ("course", 2024): 50}
    installation.warehouse(changed)
    installation.publish(installation.night(SECOND), DAY_2)
    where = "cohort_year < 2026"
    assert installation.rows("indicator_code, cohort_year, numerator_count, data_as_of", where) == [
        ("course", 2024, 50, DAY_2),  # perturbed: follows the data
        ("graduation", 2023, 80, DAY_1),  # official: as published
        ("graduation", 2024, 82, DAY_1),  # also where the candidate lost it
        ("graduation", 2025, 90, DAY_2),  # new year
    ]
    assert verify(installation.settings) == []
    installation.publish(installation.night(THIRD), DAY_3)
    assert installation.rows("cohort_year, numerator_count", "indicator_code = 'graduation'") == [
        (2023, 70),
        (2024, 82),  # the candidate has nothing of it: a revision that takes a whole year away is not made
        (2025, 90),
    ]
    years = {row["year"]: row["origin"] for row in described(installation) if row["family"] == "graduation"}
    assert years == {2023: "new", 2024: "not_revised", 2025: "new"}


def described(installation) -> list[dict]:
    """What release.json of the current release says of each family's years."""
    return json.loads((installation.settings.releases / "current" / "release.json").read_text())["years"]


def sign(installation, **change) -> None:
    correction = {
        "family": "graduation", "cohort_year": "2024", "authority": "34 CFR 99.21", "reason": "amended record",
        "entered_by": "deputy", "approved_by": "chair", "approved_on": "2026-12-10", "expires_on": "2027-03-01",
    } | change  # fmt: skip
    installation.seed("registers/correction.csv", [correction])


def test_a_revision_that_would_withdraw_more_than_policy_allows_is_not_made(installation):
    installation.publish(installation.night(FIRST), DAY_1)
    changed = {("graduation", 2023): 70, ("graduation", 2024): 83, ("course", 2024): 60}
    installation.warehouse(changed, {("graduation", 2024): "withdrawn"})
    installation.publish(installation.night(THIRD), DAY_3)
    assert installation.rows("cohort_year, numerator_count, value_status", "indicator_code = 'graduation'") == [
        (2023, 70, "shown"),
        (2024, 82, "shown"),
    ]
    years = {row["year"]: row["origin"] for row in described(installation) if row["family"] == "graduation"}
    assert years == {2023: "new", 2024: "not_revised"}
    assert verify(installation.settings) == []


def test_a_signed_correction_waits_for_no_date_and_knows_no_limit(installation):
    installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse(
        {("graduation", 2023): 70, ("graduation", 2024): 83, ("course", 2024): 60},
        {("graduation", 2024): "withdrawn"},
    )
    sign(installation)
    installation.publish(installation.night(SECOND), DAY_2)
    assert installation.rows("cohort_year, numerator_count, value_status", "indicator_code = 'graduation'") == [
        (2023, 80, "shown"),  # no correction is signed for it
        (2024, None, "withdrawn"),
    ]
    release = json.loads((installation.settings.releases / "current" / "release.json").read_text())
    assert [row["authority"] for row in release["corrections"]] == ["34 CFR 99.21"]
    assert verify(installation.settings) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"approved_by": "deputy"}, "another officer must approve"),
        ({"approved_by": "deputy "}, "another officer must approve"),
        ({"approved_by": "former"}, "approved by former, who was no officer"),
        ({"entered_by": "clerk"}, "entered by clerk, who was no officer"),
        ({"expires_on": "2026-12-09"}, "before its approval"),
        ({"family": "course"}, "no official indicator"),
        ({"authority": ""}, "must be filled in"),
        ({"approved_on": "soon"}, "not a date"),
        ({"cohort_year": "last"}, "not a year"),
        ({"expires_on": "2029-01-01"}, "more than a year"),
    ],
)
def test_a_correction_that_nobody_may_sign_is_named(installation, change, words):
    sign(installation, **change)
    with pytest.raises(ValueError, match=f"correction.csv, line 2.*{words}"):
        installation.publish(installation.night(FIRST), DAY_1)


def test_an_expired_correction_changes_nothing(installation):
    installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse({("graduation", 2023): 80, ("graduation", 2024): 83, ("course", 2024): 60})
    sign(installation, approved_on="2026-11-22", expires_on="2026-12-01")
    installation.publish(installation.night(SECOND), DAY_2)
    assert installation.rows("numerator_count", "indicator_code = 'graduation' and cohort_year = 2024") == [(82,)]


def test_a_release_that_gives_someone_away_is_refused_whatever_its_evidence_says(installation):
    """The evidence of this installation is made up; the tables are attacked as they will stand beside older rows."""
    first = installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse({("graduation", 2023): 80, ("graduation", 2025): 96, ("course", 2024): 61})
    result = installation.publish(installation.night(SECOND), DAY_2)  # all but four of a hundred
    assert (result.status, result.release_id) == ("refused", first.release_id)
    assert publish.current(installation.settings).name == first.release_id
    assert not list(installation.settings.releases.glob(".building-*"))
    found = pl.read_parquet(installation.settings.evidence / "disclosure" / f"{SECOND}__attack_of_release.parquet")
    assert found["rule"].to_list() == ["bounds"] and "complement" in found["sentence"][0]
    assert "96" not in result.message


def test_the_candidate_is_attacked_beside_every_earlier_release(installation):
    settings = installation.settings
    installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse({("graduation", 2023): 81, ("graduation", 2024): 82, ("course", 2024): 60})
    made = candidate.build_candidate(settings, SECOND)
    installation.evidence(SECOND, made.id, without=("release_attack",))
    attack_candidate(settings, SECOND)
    decision = decide(settings, SECOND, made, DAY_2)
    assert decision.outcome == "refuse" and [reason.code for reason in decision.reasons] == ["disclosure_finding"]
    # The arithmetic is in the restricted evidence of disclosure alone.
    assert "was 80" not in json.dumps(decision.exact())
    found = pl.read_parquet(settings.evidence / "disclosure" / f"{SECOND}__attack.parquet")
    assert any("was 80 and is 81" in sentence for sentence in found["sentence"])


def test_a_year_whose_window_was_open_is_not_frozen(installation):
    installation.warehouse({("graduation", 2025): 0}, {("graduation", 2025): "window_open"})
    installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse({("graduation", 2025): 88})
    installation.publish(installation.night(SECOND), DAY_2)
    assert installation.rows("value_status, numerator_count") == [("shown", 88)]


def test_held_years_keep_released_rows_and_are_incomplete_where_there_are_none(installation):
    decision = installation.night(FIRST, [MISSING_2024])  # graduation reads years -1 and 0: holds 2024 and 2025
    assert installation.publish(decision, DAY_1).status == "published"
    columns = "indicator_code, cohort_year, denominator_count, numerator_count, rate::DOUBLE, value_status"
    assert installation.rows(columns) == [
        ("course", 2024, 100, 60, 0.6, "shown"),
        ("graduation", 2023, 100, 80, 0.8, "shown"),
        ("graduation", 2024, None, None, None, "incomplete"),
    ]
    assert verify(installation.settings) == []
    installation.publish(installation.night(SECOND), DAY_2)  # the delivery has come
    assert (2024, 82, "shown") in installation.rows("cohort_year, numerator_count, value_status")
    installation.warehouse({("graduation", 2023): 80, ("graduation", 2024): 11, ("course", 2024): 1})
    wrong = row("warehouse.fct_c.x", "warehouse", status="fail", family="course")
    installation.publish(installation.night("20270615T020000-dddd", [MISSING_2024, wrong]), date(2027, 6, 15))
    assert installation.rows("indicator_code, numerator_count, data_as_of", "cohort_year = 2024") == [
        ("course", 60, DAY_2),  # held: as the release before had it
        ("graduation", 82, DAY_2),  # held although this is a revision date
    ]
    assert verify(installation.settings) == []


def test_an_incomplete_row_tells_neither_a_median_nor_that_there_is_one(installation):
    with duckdb.connect(str(installation.settings.warehouse_file)) as con:
        con.execute(
            "UPDATE marts.mart_indicator__organization SET value_amount = 30000, value_unit = 'dollars' "
            "WHERE indicator_code = 'graduation' AND cohort_year = 2024"
        )
    installation.publish(installation.night(FIRST, [MISSING_2024]), DAY_1)
    of_it = "indicator_code = 'graduation' AND cohort_year = 2024"
    assert installation.rows("value_amount, value_unit, value_status", of_it) == [(None, None, "incomplete")]


def test_a_family_does_not_join_years_that_a_linked_one_published_alone(installation):
    more = {"protection": "official", "breakdowns": "all", "levels": "state", "collections": "", "reads_years": "0"}
    outer = {"indicator_code": "outer", "nested_in": "", **more}
    installation.seed("registers/indicator.csv", [outer])
    installation.warehouse({("outer", 2024): 50}, official=("outer", "inner"))
    installation.publish(installation.night(FIRST), DAY_1)
    installation.seed("registers/indicator.csv", [outer, {"indicator_code": "inner", "nested_in": "outer", **more}])
    later = {("outer", 2024): 50, ("outer", 2025): 60, ("inner", 2024): 40, ("inner", 2025): 45}
    installation.warehouse(later, official=("outer", "inner"))
    installation.publish(installation.night(SECOND), DAY_2)
    columns = "indicator_code, cohort_year, numerator_count, value_status"
    assert installation.rows(columns) == [
        ("inner", 2024, None, "incomplete"),
        ("inner", 2025, 45, "shown"),
        ("outer", 2024, 50, "shown"),
        ("outer", 2025, 60, "shown"),
    ]
    assert verify(installation.settings) == []
    # A revision of one is a revision of all that are linked with it.
    installation.seed(
        "registers/release_clock.csv", [{"family": "inner", "event": "revision", "date": "2027-06-15", "note": ""}]
    )
    installation.warehouse(later | {("outer", 2024): 51}, official=("outer", "inner"))
    installation.publish(installation.night(THIRD), DAY_3)
    assert installation.rows(columns, "cohort_year = 2024") == [
        ("inner", 2024, 40, "shown"),
        ("outer", 2024, 51, "shown"),
    ]


def test_a_refused_night_leaves_the_current_release(installation):
    first = installation.publish(installation.night(FIRST), DAY_1)
    refused = installation.publish(installation.night(SECOND, without=("disclosure",)), DAY_2, approved_by="chair")
    assert (refused.status, refused.release_id) == ("refused", first.release_id)


def test_a_candidate_changed_after_the_decision_is_not_published(installation):
    decision = installation.night(FIRST)
    installation.warehouse({("graduation", 2024): 1})
    candidate.build_candidate(installation.settings, FIRST)
    with pytest.raises(publish.ReleaseError, match="changed after the decision"):
        installation.publish(decision, DAY_1)


def test_an_open_reader_is_not_disturbed(installation):
    installation.publish(installation.night(FIRST), DAY_1)
    reader = duckdb.connect(str(installation.settings.releases / "current" / "p20w.duckdb"), read_only=True)
    installation.warehouse({("graduation", 2024): 82, ("course", 2024): 99})
    installation.publish(installation.night(SECOND), DAY_2)
    assert reader.execute("SELECT numerator_count FROM mart_course").fetchall() == [(60,)]
    reader.close()
    with duckdb.connect(str(installation.settings.releases / "current" / "p20w.duckdb"), read_only=True) as con:
        assert con.execute("SELECT numerator_count FROM mart_course").fetchall() == [(99,)]


@pytest.mark.parametrize("step", ["write_tables", "write_database", "seal"])
def test_a_kill_while_building_leaves_the_old_release_and_the_next_night_runs(installation, monkeypatch, step):
    first = installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse({("course", 2024): 99})
    decision = installation.night(SECOND)
    real = getattr(publish.build, step)

    def killed(*arguments):
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(publish.build, step, killed)
    with pytest.raises(KeyboardInterrupt):
        installation.publish(decision, DAY_2)
    monkeypatch.undo()
    assert os.readlink(installation.settings.releases / "current") == first.release_id
    assert verify(installation.settings) == []
    assert installation.publish(decision, DAY_2).status == "published"
    assert not list(installation.settings.releases.glob(".building-*"))
    assert verify(installation.settings) == []


def test_a_kill_before_the_link_was_swapped_counts_as_not_released(installation, monkeypatch):
    installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse({("course", 2024): 99})
    decision = installation.night(SECOND)
    monkeypatch.setattr(publish, "_swap", interrupt)
    with pytest.raises(KeyboardInterrupt):
        installation.publish(decision, DAY_2)
    monkeypatch.undo()
    assert installation.publish(decision, date(2026, 12, 17)).release_id.startswith("r20261217-")
    assert len(publish.releases(installation.settings)) == 2


def test_a_kill_after_the_swap_is_recorded_by_the_next_start(installation, monkeypatch):
    decision = installation.night(FIRST)
    monkeypatch.setattr(publish.ledger, "append", interrupt)
    with pytest.raises(KeyboardInterrupt):
        installation.publish(decision, DAY_1)
    monkeypatch.undo()
    assert ledger.recorded(installation.settings) == set()
    assert installation.publish(decision, DAY_1).status == "unchanged"
    assert len(ledger.recorded(installation.settings)) == 1


def test_the_release_ledger_says_what_was_shown(installation):
    installation.publish(installation.night(FIRST, [MISSING_2024]), DAY_1)
    lines = ledger.read(installation.settings).filter(pl.col("family") == "graduation")
    assert lines.select("year", "origin", "value_status", "cell_count", "protection").rows() == [
        (2023, "new", "shown", 1, "official"),
        (2024, "incomplete", "incomplete", 1, "official"),
    ]


def test_rollback_makes_an_earlier_release_current_with_a_line_in_the_log(installation):
    first = installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse({("course", 2024): 99})
    second = installation.publish(installation.night(SECOND), DAY_2)
    with pytest.raises(publish.ReleaseError, match="not an officer"):
        publish.rollback(installation.settings, first.release_id, "somebody", DAY_2)
    publish.rollback(installation.settings, first.release_id, "chair", DAY_2)
    assert publish.current(installation.settings).name == first.release_id
    events = (installation.settings.release_ledger / "event.jsonl").read_text().splitlines()
    assert json.loads(events[-1])["event"] == "rolled_back"
    lines = publish.list_releases(installation.settings)
    assert lines[0].startswith(second.release_id) and lines[1].endswith("(current)")
    again = installation.publish(installation.night("20261217T020000-eeee"), date(2026, 12, 17))
    assert again.status == "not_due"  # a rollback is not undone by the next night


def test_verify_names_what_was_changed(installation):
    installation.publish(installation.night(FIRST), DAY_1, pages=pages)
    folder = publish.current(installation.settings)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    (folder / "csv" / "mart_flow.csv").write_text("changed")
    (folder / "site" / "index.html").unlink()
    (folder / "more.txt").write_text("more")
    problems = " ".join(verify(installation.settings))
    assert "csv/mart_flow.csv differs" in problems
    assert "site/index.html is missing" in problems
    assert "more.txt is in" in problems
    with pytest.raises(publish.ReleaseError):
        installation.warehouse({("course", 2024): 99})
        first = folder.name
        installation.publish(installation.night(SECOND), DAY_2)
        publish.rollback(installation.settings, first, "chair", DAY_2)


def test_nothing_is_published_from_what_an_unfinished_night_left(installation, monkeypatch):
    installation.night(FIRST)
    monkeypatch.setattr("pipelines.writer_lock.acquire", lambda settings, who: None)
    left = {"build_id": FIRST, "overwritten_by": SECOND}
    (installation.settings.evidence / "last_good_build.json").write_text(json.dumps(left))
    with pytest.raises(publish.ReleaseError, match=f"Night {SECOND} did not run to its end"):
        night.publish_approved(installation.settings, "chair")


def test_a_malformed_release_clock_is_named(installation):
    installation.publish(installation.night(FIRST), DAY_1)
    installation.seed(
        "registers/release_clock.csv", [{"family": "*", "event": "regular", "date": "spring", "note": ""}]
    )
    installation.warehouse({("course", 2024): 99})
    with pytest.raises(ValueError, match="release_clock.csv, line 2"):
        installation.publish(installation.night(SECOND), DAY_2)


def interrupt(*_):
    raise KeyboardInterrupt


def pages(settings, build_id, release_dir, gate):
    assert gate["outcome"] == "publish"
    (release_dir / "site").mkdir()
    (release_dir / "site" / "index.html").write_text("<!doctype html><title>Release</title>")


def inventory(settings, build_id, out_csv):
    out_csv.write_text("collection,element\nk12__student,surname\n")


def counting_graduates(installation) -> None:
    """The register says that courses count the people of the official table."""
    with (installation.settings.seeds / "registers" / "indicator.csv").open(newline="") as handle:
        register = list(csv.DictReader(handle))
    counted = {"graduation": "", "course": "graduation"}
    installation.seed(
        "registers/indicator.csv", [line | {"counts_people_of": counted[line["indicator_code"]]} for line in register]
    )


def test_what_a_frozen_year_hides_is_not_told_by_tonights_perturbed_rows(installation):
    counting_graduates(installation)
    counts = {("graduation", 2024): 82, ("course", 2024): 60, ("course", 2023): 61}
    installation.warehouse(counts, statuses={("graduation", 2024): "suppressed"})
    installation.publish(installation.night(FIRST), DAY_1)
    courses = [(2023, 61, "shown"), (2024, None, "suppressed")]
    columns = "cohort_year, numerator_count, value_status"
    assert installation.rows(columns, "indicator_code = 'course'") == courses
    installation.warehouse(counts)  # tonight the official table could tell 2024, but what was published stays
    installation.publish(installation.night(SECOND), DAY_2, approved_by="chair")
    assert installation.rows(columns, "indicator_code = 'graduation'") == [(2024, None, "suppressed")]
    assert installation.rows(columns, "indicator_code = 'course'") == courses


def test_what_tonight_would_hide_of_a_frozen_year_is_told_by_no_perturbed_row(installation):
    """A row that fell silent beside a figure that stands would tell that few people changed behind the figure."""
    counting_graduates(installation)
    counts = {("graduation", 2024): 82, ("course", 2024): 60}
    installation.warehouse(counts)
    installation.publish(installation.night(FIRST), DAY_1)
    installation.warehouse(
        counts | {("graduation", 2024): 83, ("course", 2023): 61}, statuses={("graduation", 2024): "withdrawn"}
    )
    installation.publish(installation.night(SECOND), DAY_2, approved_by="chair")
    columns = "indicator_code, cohort_year, numerator_count, value_status"
    assert installation.rows(columns) == [
        ("course", 2023, 61, "shown"), ("course", 2024, 60, "shown"), ("graduation", 2024, 82, "shown"),
    ]  # fmt: skip


def test_a_perturbed_row_that_tells_what_an_official_table_hides_refuses_the_release(installation):
    counting_graduates(installation)
    installation.warehouse(
        {("graduation", 2024): 82, ("course", 2024): 60}, statuses={("graduation", 2024): "suppressed"}
    )
    built = candidate.build_candidate(installation.settings, FIRST)
    installation.evidence(FIRST, built.id, without=("told_once",))
    assert told_once.check_told_once(installation.settings, FIRST, built.id) == 0
    assert gate.decide(installation.settings, FIRST, built, DAY_1).outcome == "publish"
    path = installation.settings.candidate / "data" / "mart_indicator__organization.parquet"
    planted = pl.when(pl.col("indicator_code") == "course").then(98).otherwise(pl.col("denominator_count"))
    pl.read_parquet(path).with_columns(denominator_count=planted).write_parquet(path)
    built = candidate.load_candidate(installation.settings)
    installation.evidence(SECOND, built.id, without=("told_once",))
    assert told_once.check_told_once(installation.settings, SECOND, built.id) == 1
    decided = gate.decide(installation.settings, SECOND, built, DAY_2)
    assert decided.outcome == "refuse"
    assert [(reason.code, reason.check_id) for reason in decided.reasons] == [
        ("disclosure_finding", "disclosure.candidate.told_once")
    ]


def test_in_year_figures_do_not_wait_for_a_held_table_and_follow_the_pattern_of_their_night(installation):
    counting_graduates(installation)
    installation.warehouse(
        {("graduation", 2023): 80, ("graduation", 2024): 82, ("course", 2023): 61, ("course", 2024): 60},
        statuses={("graduation", 2024): "suppressed"},
    )
    installation.publish(installation.night(FIRST, extra=[MISSING_2024 | {"school_year": None}]), DAY_1)
    columns = "indicator_code, cohort_year, numerator_count, value_status"
    assert installation.rows(columns) == [
        ("course", 2023, 61, "shown"),
        ("course", 2024, None, "suppressed"),
        ("graduation", 2023, None, "incomplete"),
        ("graduation", 2024, None, "incomplete"),
    ]
    # The table waits still; the figures of the next night do not.
    installation.warehouse(
        {("graduation", 2023): 80, ("graduation", 2024): 82, ("course", 2023): 75, ("course", 2024): 60},
        statuses={("graduation", 2023): "suppressed"},
    )
    installation.publish(
        installation.night(SECOND, extra=[MISSING_2024 | {"school_year": None}]), DAY_2, approved_by="chair"
    )
    assert installation.rows(columns, "indicator_code = 'course'") == [
        ("course", 2023, None, "suppressed"),
        ("course", 2024, 60, "shown"),
    ]
    years = json.loads((installation.settings.releases / "current" / "release.json").read_text())["years"]
    assert {row["origin"] for row in years if row["family"] == "graduation"} == {"incomplete"}
