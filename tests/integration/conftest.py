"""One small synthetic state and its first night, shared by the tests that look at what a night leaves behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.settings import ROOT, Settings, child_environment, load

STUDENTS = 1_500


@dataclass(frozen=True)
class State:
    """A home with its settings, and a way to run our commands on it as a user would."""

    settings: Settings

    def p20w(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", *arguments],
            cwd=ROOT,
            env=child_environment(self.settings),
            capture_output=True,
            text=True,
        )
        if check:
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done

    @property
    def current(self) -> Path:
        return self.settings.releases / "current"


def state_at(folder: Path) -> State:
    return State(
        load(
            {
                "P20W_HOME": str(folder / "state"),
                "P20W_TRUTH": str(folder / "truth"),
                "P20W_VAULT_KEY_FILE": str(folder / "vault.key"),
            }
        )
    )


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> State:
    """The deliveries of a small state, landed and not yet read."""
    state = state_at(tmp_path_factory.mktemp("demo"))
    state.p20w("demo", "--students", str(STUDENTS), "--seed", "7")
    return state


@pytest.fixture(scope="session")
def night(demo: State) -> State:
    """The small state after its first night. Read it; a test that writes takes `own_copy`."""
    demo.p20w("nightly")
    return demo


@pytest.fixture
def own_copy(night: State, tmp_path: Path) -> State:
    """A copy of the state after its first night, to be changed freely."""
    source = night.settings.home.parent
    shutil.copytree(source, tmp_path / "copy", symlinks=True)
    return state_at(tmp_path / "copy")
