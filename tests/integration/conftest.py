"""One small synthetic state, its first night, and what later nights make of it. `homes` says how they are made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import canaries
import pytest
import stories
from homes import Nights, State, copy_state

from pipelines.release.candidate import remove_tree

# In this order: what the others wait for comes first.
JOBS = {
    "night": stories.first_night,
    "canary": canaries.canary_night,
    "missing": stories.missing,
    "spoiled": stories.spoiled,
    "arrived": stories.arrived,
    "rebuilt": stories.rebuilt,
    "third_party": stories.third_party,
}
NEEDS = {"missing": ["night"], "spoiled": ["night"], "rebuilt": ["night"], "arrived": ["night", "missing"]}
_wanted: list[str] = []


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which homes the selected tests use, so that they are made side by side."""
    used = {name for item in session.items for name in getattr(item, "fixturenames", ()) if name in JOBS}
    used |= {need for name in used for need in NEEDS.get(name, ())}
    _wanted[:] = [name for name in JOBS if name in used]


@pytest.fixture(scope="session")
def nights(request, tmp_path_factory) -> Iterator[Nights]:
    folder = tmp_path_factory.mktemp("homes")
    made = Nights(folder, JOBS, _wanted)
    yield made
    made.close()
    if not request.session.testsfailed:  # a gigabyte that nobody will look at
        remove_tree(folder)


@pytest.fixture(scope="session")
def night(nights: Nights) -> State:
    """The small state after its first night. Read it; a test that writes takes `own_copy`."""
    return nights.get("night")


@pytest.fixture
def own_copy(night: State, tmp_path: Path) -> Iterator[State]:
    """A copy of the state after its first night, to be changed freely."""
    yield copy_state(night, tmp_path / "copy")
    remove_tree(tmp_path / "copy")


@pytest.fixture(scope="session")
def missing(nights: Nights) -> stories.Missing:
    """A first night without the newest state assessment and one district's newest annual collection."""
    return nights.get("missing")


@pytest.fixture(scope="session")
def spoiled(nights: Nights) -> stories.Spoiled:
    """A later night on which one district's columns have shifted and other files came twice."""
    return nights.get("spoiled")


@pytest.fixture(scope="session")
def arrived(nights: Nights) -> stories.Arrived:
    """After `missing`: the files come, nights and publications are killed, and in the end all is published."""
    return nights.get("arrived")


@pytest.fixture(scope="session")
def rebuilt(nights: Nights) -> stories.Rebuilt:
    """The first release, built again."""
    return nights.get("rebuilt")


@pytest.fixture(scope="session")
def canary(nights: Nights) -> canaries.Canary:
    """A first night over deliveries with unmistakable identifiers in good rows and in broken ones."""
    return nights.get("canary")


@pytest.fixture(scope="session")
def third_party(real_data: Path, nights: Nights) -> State:
    """The real third-party files after their first night; skips without them."""
    return nights.get("third_party")
