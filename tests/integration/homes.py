"""Homes with a night behind them, and how tests run our commands on them.

What belongs here: making, copying, spoiling and killing homes. What does not: what a test claims about them.

A night costs a minute or more, so each home is made once a session, two at a time, and only where a selected test
asks for it (`Nights`).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pipelines.settings import ROOT, Settings, child_environment, load

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
class Nights:
    """Results of long jobs by name, worked off two at a time in the order given; a job may wait for an earlier one."""

    def __init__(self, folder: Path, jobs: dict[str, Callable[[Nights, Path], object]], wanted: list[str]):
        self.folder = folder
        self.jobs = jobs
        self.pool = ThreadPoolExecutor(max_workers=2)
        self.futures: dict[str, Future] = {}
        for name in jobs:
            if name in wanted:
                self.start(name)

    def start(self, name: str) -> Future:
        if name not in self.futures:
            folder = self.folder / name
            folder.mkdir()
            self.futures[name] = self.pool.submit(self.jobs[name], self, folder)
        return self.futures[name]

    def get(self, name: str) -> object:
        """The job's result; raises what the job raised."""
        return self.start(name).result()

    def close(self) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)
