"""Running the nightly job from the command line: the same job, recorded in the same instance, as the schedule runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from pipelines import planner, writer_lock
from pipelines.progress import say
from pipelines.settings import Settings, child_environment

INSTANCE_FILE = """\
# Written by p20w. Runs, events and schedules of this home are kept here; usage reports are off.
telemetry:
  enabled: false
run_monitoring:
  enabled: false
event_log_storage:
  module: pipelines.defs.event_log
  class: OpenSqliteEventLogStorage
  config:
    base_dir: {folder}
"""


def prepare_instance(configuration: Settings) -> Path:
    """Folder of the orchestrator's instance below the home, with its settings."""
    home = configuration.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    close_home(configuration)
    file = home / "dagster.yaml"
    # The folder is where Dagster itself would keep them.
    wanted = INSTANCE_FILE.format(folder=json.dumps(str(home.resolve() / "history" / "runs")))
    if not file.exists() or file.read_text() != wanted:
        file.write_text(wanted)
    return home


def close_home(configuration: Settings) -> None:
    """Let others pass through the home to `releases/` and into nothing else."""
    os.umask(0o077)
    os.chmod(configuration.home, 0o711)
    configuration.releases.mkdir(exist_ok=True)
    os.chmod(configuration.releases, 0o755)
    for folder in configuration.restricted:
        folder.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o700)
    if not configuration.warehouse_file.exists():
        # Made empty and closed first, so that it is never readable for others, not even for a moment.
        import duckdb

        duckdb.connect(str(configuration.warehouse_file)).close()
    os.chmod(configuration.warehouse_file, 0o600)


def run_nightly(configuration: Settings) -> int:
    """Run the job to its end. Returns 0 also when the decision refuses or nothing is due, 1 when a step failed."""
    build_id = planner.new_build_id()
    if not run_job(configuration, "nightly", build_id):
        return 1
    from pipelines.release.night import outcome

    say(f"Night {build_id}: {outcome(configuration)}")
    return 0


def run_job(configuration: Settings, name: str, build_id: str) -> bool:
    """Run a job in this process, recorded in the home's instance. Says which step failed, and returns False then."""
    home = prepare_instance(configuration)
    writer_lock.acquire(configuration, f"night {build_id}")
    from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

    from pipelines.definitions import defs

    with DagsterInstance.from_config(str(home)) as instance:
        # We hold the writer's right, so a run that says it is still going died without a word.
        unfinished = [
            DagsterRunStatus.QUEUED,
            DagsterRunStatus.NOT_STARTED,
            DagsterRunStatus.STARTING,
            DagsterRunStatus.STARTED,
            DagsterRunStatus.CANCELING,
        ]
        for run in instance.get_runs(RunsFilter(statuses=unfinished)):
            instance.report_run_failed(run, "The process of this run ended before the run did.")
        job = defs().resolve_job_def(name)
        result = job.execute_in_process(
            # Events are in the instance; on the terminal each step says one line of its own.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance=instance,
            tags={"p20w/build_id": build_id},
            raise_on_error=False,
        )
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            cause = error.cause if error is not None and error.cause is not None else error
            # The sentence alone, without the name of its class.
            told = re.sub(r"^[\w.]+: ", "", cause.message.strip()) if cause else "a step failed"
            say(f"Night {build_id}: {told}")
    return result.success


def rebuild_release(configuration: Settings, release_id: str) -> list[str]:
    """Build a release again in a home of its own, by the same job up to the candidate. Returns the differences."""
    from pipelines.release.publish import ReleaseError
    from pipelines.release.rebuild import rebuild

    def run_candidate(there: Settings, build_id: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", "candidate", "--build", build_id],
            env=child_environment(there),
            cwd=there.root,
        )
        if done.returncode:
            raise ReleaseError(f"{release_id} could not be built again: the job stopped. See {there.logs}.")

    writer_lock.acquire(configuration, f"p20w release rebuild {release_id}")
    return rebuild(configuration, release_id, run_candidate)
