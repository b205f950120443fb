"""One small synthetic state, its first night, and what later nights make of it. `homes` says how they are made."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import canaries
import pytest
import stories
from homes import Job, Nights, State, copy_state

from pipelines.release.candidate import remove_tree

# In this order: what the others wait for comes first.
JOBS = {
    "night": Job(stories.first_night),
    "canary": Job(canaries.canary_night),
    "missing": Job(stories.missing, ("night",)),
    "third_party": Job(stories.third_party),
    "arrived": Job(stories.arrived, ("night", "missing")),
    "spoiled": Job(stories.spoiled, ("night",)),
    "rebuilt": Job(stories.rebuilt, ("night",)),
}
NIGHTS = pytest.StashKey[Nights]()


def jobs_of(item: pytest.Item) -> list[str]:
    """The homes that a test looks at, in the order in which they are made."""
    return [name for name in JOBS if name in getattr(item, "fixturenames", ())]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every other test first: the homes are made meanwhile."""
    order = list(JOBS)
    items.sort(key=lambda item: max((order.index(name) for name in jobs_of(item)), default=-1))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Begin the homes that the selected tests use before the first test of all, whichever it is."""
    if session.config.option.collectonly:
        return
    wanted = {name for item in session.items for name in jobs_of(item)}
    for name in reversed(JOBS):
        if name in wanted:
            wanted.update(JOBS[name].needs)
    if wanted:
        session.stash[NIGHTS] = Nights(Path(tempfile.mkdtemp(prefix="p20w-homes-")), JOBS, wanted)


def pytest_sessionfinish(session: pytest.Session) -> None:
    made = session.stash.get(NIGHTS, None)
    if made is None:
        return
    made.close()
    if session.testsfailed:
        print(f"\nThe homes of the integration tests are kept in {made.folder}.")
    else:  # a gigabyte that nobody will look at
        remove_tree(made.folder)


@pytest.fixture(scope="session")
def nights(request: pytest.FixtureRequest) -> Nights:
    return request.session.stash[NIGHTS]


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
