"""The orchestrator's history over connections that stay open: nothing is lost, and others read it meanwhile."""

import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from pipelines.defs.event_log import MOST_OPEN, OpenSqliteEventLogStorage
from pipelines.defs.run import prepare_instance
from pipelines.settings import ROOT


@dg.asset
def one(context: dg.AssetExecutionContext) -> int:
    context.log.info("made")
    return 1


@dg.asset_check(asset=one)
def one_is_one(one: int) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=one == 1)


def made(instance: dg.DagsterInstance) -> str:
    """Run both once; the run's id."""
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = dg.materialize([one, one_is_one], instance=instance, run_config=quiet)
    assert result.success
    return result.run_id


def events(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [record.event_log_entry.message for record in instance.get_records_for_run(run_id).records]


@pytest.fixture
def folder(home) -> str:
    return str(prepare_instance(home))


def test_a_night_keeps_its_events_here_and_others_read_them_while_it_is_open(folder):
    with dg.DagsterInstance.from_config(folder) as instance, dg.DagsterInstance.from_config(folder) as other:
        assert isinstance(instance.event_log_storage, OpenSqliteEventLogStorage)
        runs = [made(instance) for _ in range(MOST_OPEN + 2)]
        assert len(instance.event_log_storage._engines) <= MOST_OPEN
        told = [events(other, run) for run in runs]
        assert all(len(each) == len(told[0]) > 10 for each in told)
        assert other.get_latest_materialization_event(one.key).run_id == runs[-1]
        assert len(other.event_log_storage.get_asset_check_execution_history(one_is_one.check_key, 99)) == len(runs)


def test_the_history_that_dagster_itself_kept_is_still_there(folder):
    file = Path(folder) / "dagster.yaml"
    ours = file.read_text()
    file.write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.from_config(folder) as before:
        run = made(before)
        told = events(before, run)
    file.write_text(ours)
    with dg.DagsterInstance.from_config(folder) as instance:
        assert events(instance, run) == told
        assert instance.get_latest_materialization_event(one.key).run_id == run


def test_what_a_killed_process_had_written_is_there(folder):
    program = (
        "import os, signal, sys; import dagster as dg; from tests.unit.defs.test_event_log import made\n"
        "instance = dg.DagsterInstance.from_config(sys.argv[1]); print(made(instance), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, folder],
        capture_output=True, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert killed.returncode == -9, killed.stderr
    with dg.DagsterInstance.from_config(folder) as instance:
        assert instance.get_run_by_id(killed.stdout.strip()).status == dg.DagsterRunStatus.SUCCESS
        assert len(events(instance, killed.stdout.strip())) > 10


def test_whoever_watches_a_run_is_told_of_events_that_another_instance_writes(folder):
    with dg.DagsterInstance.from_config(folder) as instance, dg.DagsterInstance.from_config(folder) as other:
        run, told = made(instance), []
        other.watch_event_logs(run, None, lambda entry, _: told.append(entry.message))
        until = time.monotonic() + 60
        while len(told) < len(events(instance, run)) and time.monotonic() < until:
            time.sleep(0.05)
        instance.report_engine_event("said later", instance.get_run_by_id(run))
        while "said later" not in told and time.monotonic() < until:
            time.sleep(0.05)
        assert told == events(instance, run)


def test_a_history_that_is_wiped_begins_anew(folder):
    with dg.DagsterInstance.from_config(folder) as instance:
        run = made(instance)
        instance.event_log_storage.wipe()
        assert events(instance, run) == []
        assert len(events(instance, made(instance))) > 10
