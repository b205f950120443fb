"""Ended with SIGKILL: readers see a whole release, and the next night just runs."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import duckdb
import polars as pl
import pytest
from homes import after, kill_when, make_demo

from pipelines.intake import ledger


def test_every_kill_met_a_running_process(arrived):
    assert [kill.point for kill in (*arrived.night_kills, *arrived.publish_kills) if not kill.was_running] == []


def test_readers_see_the_release_from_before_whole_after_every_kill(arrived):
    for kill in (*arrived.night_kills, *arrived.publish_kills):
        assert kill.problems == [], kill.point
        assert kill.release == arrived.before, kill.point


def _perturbed(warehouse) -> dict[str, str]:
    """Table of perturbed counts -> digest of its rows in whatever order."""
    from pipelines.release.candidate import table_digest

    with duckdb.connect(str(warehouse), read_only=True) as con:
        found = con.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'protected' AND table_name LIKE 'perturbed_%' ORDER BY ALL"
        ).fetchall()
        return {name: table_digest(con.execute(f'SELECT * FROM protected."{name}"').pl()) for (name,) in found}


def test_the_next_night_ends_and_the_next_publication_succeeds(arrived):
    assert "No release is due" in arrived.said
    assert f"{arrived.release_id} is the current release." in arrived.published
    assert arrived.release_id != arrived.before
    left = [path.name for path in arrived.state.settings.releases.glob(".*")]
    assert left == []


def test_the_result_equals_that_of_a_night_that_nobody_disturbed(arrived, night):
    """Given the same keys: the same counts with the same noise, to the last row. Which of them are told follows from
    what earlier releases told, and those of this home are others."""
    disturbed, alone = (_perturbed(state.settings.warehouse_file) for state in (arrived.state, night))
    assert disturbed == alone and len(alone) == 6
    counted = ["submitter", "package", "period", "file_name", "status", "delivered_count", "accepted_count"]
    kept, undisturbed = (
        ledger.read(state.settings).filter(pl.col("status") != "superseded").select(counted).sort(counted)
        for state in (arrived.state, night)
    )
    assert kept.equals(undisturbed)
    assert ledger.ledger_balances(arrived.state.settings) == []


def test_runs_of_killed_nights_are_marked_as_failed(arrived):
    from dagster import DagsterInstance

    with DagsterInstance.from_config(str(arrived.state.settings.dagster_home)) as instance:
        found = [record.dagster_run.status.value for record in instance.get_run_records()]
    assert found == ["SUCCESS", "FAILURE", "FAILURE", "SUCCESS"], "newest first"


def test_every_release_that_was_shown_is_recorded_once(arrived):
    from pipelines.release import ledger as releases

    book = releases.read(arrived.state.settings)
    assert set(book["release_id"]) == {arrived.before, arrived.release_id}
    lines = (arrived.state.settings.release_ledger / "event.jsonl").read_text().splitlines()
    events = [line.split('"event": "')[1].split('"')[0] for line in lines]
    assert events == ["published", "published", "rolled_back", "published_again"]
    assert book.filter(pl.col("release_id") == arrived.before, pl.col("value_status") == "incomplete").height > 0


@pytest.mark.slow  # a state and a night of its own
def test_a_child_that_outlives_its_night_keeps_the_writers_right(tmp_path):
    """Only the night's own process is killed: dbt still writes, and the next night waits for it."""
    state = make_demo(tmp_path, students=200)
    log = tmp_path / "first.log"
    with log.open("w") as handle:
        process = subprocess.Popen(**state.command("nightly"), stderr=handle, start_new_session=True)
        started = after("plan: ", 4)
        while process.poll() is None and not started(log.read_text()):
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    met = kill_when(state, ("nightly",), "once it has the writer's right", after("begin: "))
    assert met.was_running
    told = (tmp_path / "killed.log").read_text()
    assert f"Waiting: the warehouse in {state.settings.home} is being written by night" in told
