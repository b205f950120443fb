"""Homes with a night behind them, and how tests run our commands on them.

What belongs here: making, copying, spoiling and killing homes. What does not: what a test claims about them.

A night costs a minute or more, so each home is made once a session, two at a time beside the other tests, and only
where a selected test asks for it (`Nights`).
"""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pipelines.settings import LEAST_ATTACK_SECONDS, ROOT, Settings, child_environment, load
from pipelines.settings import settings as here

STUDENTS = 1_000
SEED = 7
OFFICER = "demo_chair"
LONGEST_SECONDS = 1_500  # of one command, on a busy machine


@dataclass(frozen=True)
class State:
    """A home with its settings, and a way to run our commands on it as a user would."""

    settings: Settings
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder that holds home, truth and key: what a copy copies."""
        return self.settings.home.parent

    @property
    def current(self) -> Path:
        return self.settings.releases / "current"

    @property
    def release_id(self) -> str:
        return os.readlink(self.current)

    def command(self, *arguments: str) -> dict:
        """Keyword arguments of a process that runs `p20w` on this home."""
        return {
            "args": [sys.executable, "-m", "pipelines.cli", *arguments],
            "cwd": self.settings.root,
            "env": child_environment(self.settings, **self.extra),
        }

    def p20w(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            **self.command(*arguments), capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
        )
        if check:
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done

    def table(self, mart: str) -> pl.DataFrame:
        """A table of the current release without the two columns that publication adds."""
        return pl.read_parquet(self.current / "data" / f"{mart}.parquet").drop("data_as_of", "release_id")

    def candidate(self, mart: str) -> pl.DataFrame:
        return pl.read_parquet(self.settings.candidate / "data" / f"{mart}.parquet")

    def last_build(self) -> str:
        """Build whose evidence stands for the newest night."""
        from pipelines import planner

        return planner.last_good(self.settings)["build_id"]

    def checks(self) -> pl.DataFrame:
        """Check results of the newest night."""
        from pipelines.quality import check_result

        return check_result.read(self.settings, self.last_build())

    def problems(self) -> list[str]:
        """What is wrong with the current release; nothing when there is none yet, or a whole one."""
        from pipelines.release.verify import verify

        return verify(self.settings) if os.path.lexists(self.current) else []


def state_at(folder: Path, root: Path | None = None, **extra: str) -> State:
    """The state whose home, truth and key are in `folder`; `root`: another checkout that runs it."""
    from dataclasses import replace

    settings = load(
        {
            "P20W_HOME": str(folder / "state"),
            "P20W_TRUTH": str(folder / "truth"),
            "P20W_VAULT_KEY_FILE": str(folder / "vault.key"),
            "P20W_SEEDS": str((root or ROOT) / "seeds"),
            "P20W_REAL_DATA": str(here().real_data),
            # Each night attacks its candidate, and each mixed release; what a longer attack finds is the units' to say.
            "P20W_ATTACK_SECONDS": str(LEAST_ATTACK_SECONDS),
        }
    )
    return State(replace(settings, root=root or ROOT), extra)


def make_demo(folder: Path, students: int = STUDENTS, **extra: str) -> State:
    """A state whose deliveries are landed and not yet read."""
    state = state_at(folder, **extra)
    state.p20w("demo", "--students", str(students), "--seed", str(SEED))
    return state


def copy_state(source: State, folder: Path, **extra: str) -> State:
    """A copy that may be changed freely."""
    shutil.copytree(source.folder, folder, symlinks=True)
    return state_at(folder, **extra)


def copy_deliveries(source: State, folder: Path, with_vault: bool = False) -> State:
    """A new home with the same deliveries and truth; with the vault it gives the same keys, hence the same tables."""
    state = state_at(folder)
    shutil.copytree(source.settings.landing, state.settings.landing, ignore=shutil.ignore_patterns(".*"))
    shutil.copytree(source.settings.truth, state.settings.truth)
    if with_vault:
        shutil.copytree(source.settings.vault, state.settings.vault)
        shutil.copyfile(source.settings.vault_key_file, state.settings.vault_key_file)
    return state


# --- killing ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Killed:
    """What a kill met: where it was aimed, whether the process still ran, what readers saw afterwards."""

    point: str
    was_running: bool
    problems: list[str]
    release: str


def kill_when(state: State, arguments: tuple[str, ...], point: str, is_there: Callable[[str], bool]) -> Killed:
    """Run a command in a process group of its own and end all of it with SIGKILL once `is_there(its stderr)`.

    `is_there` is asked every few milliseconds and may look at files as well.
    """
    log = state.folder / "killed.log"
    with log.open("w") as handle:
        process = subprocess.Popen(
            **state.command(*arguments), stdout=subprocess.DEVNULL, stderr=handle, start_new_session=True
        )
    until = time.monotonic() + LONGEST_SECONDS
    while process.poll() is None and not is_there(log.read_text()):
        if time.monotonic() > until:
            break
        time.sleep(0.004)
    was_running = process.poll() is None
    if was_running:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    shown = os.readlink(state.current) if os.path.lexists(state.current) else ""
    return Killed(point, was_running, state.problems(), shown)


def after(line: str, seconds: float = 0.0) -> Callable[[str], bool]:
    """True from `seconds` after the command wrote a line to stderr that begins as the pattern says."""
    seen: list[float] = []

    def is_there(text: str) -> bool:
        if not seen and re.search(f"^{line}", text, re.MULTILINE):
            seen.append(time.monotonic())
        return bool(seen) and time.monotonic() - seen[0] >= seconds

    return is_there


# --- homes made in the background -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Job:
    """A long job in a folder of its own, called with the folder and the results of the jobs that it needs."""

    make: Callable[..., object]
    needs: tuple[str, ...] = ()


class Nights:
    """Results of long jobs by name: two at a time, each begun once what it needs is there, in the order given.

    They run in processes of their own, because a killer that shares its interpreter with a running test may come too
    late. What a job returns, or raises, must be picklable.
    """

    def __init__(self, folder: Path, jobs: dict[str, Job], wanted: set[str]):
        self.folder = folder
        self.jobs = {name: job for name, job in jobs.items() if name in wanted}
        self.pool = ProcessPoolExecutor(max_workers=2, mp_context=multiprocessing.get_context("spawn"))
        self.results: dict[str, Future] = {name: Future() for name in self.jobs}
        self.begun: set[str] = set()
        self.lock = threading.RLock()  # a job that is done at once is noted while the next are begun
        self._begin_what_can()

    def get(self, name: str) -> object:
        """The job's result; raises what the job, or one that it needs, raised."""
        return self.results[name].result()

    def close(self) -> None:
        """Wait for what runs and forget what has not begun."""
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _begin_what_can(self) -> None:
        with self.lock:
            for name, job in self.jobs.items():
                if name in self.begun or not all(self.results[need].done() for need in job.needs):
                    continue
                self.begun.add(name)
                folder = self.folder / name
                folder.mkdir()
                try:
                    needed = [self.results[need].result() for need in job.needs]
                    running = self.pool.submit(job.make, folder, *needed)
                except Exception as error:  # of a job that this one needs: each test that waits is told the same
                    self.results[name].set_exception(error)
                    continue
                running.add_done_callback(lambda done, name=name: self._note(name, done))

    def _note(self, name: str, done: Future) -> None:
        if done.cancelled():
            self.results[name].cancel()
        elif done.exception() is not None:
            self.results[name].set_exception(done.exception())
        else:
            self.results[name].set_result(done.result())
        self._begin_what_can()
