"""A night ended with SIGKILL at twenty points, publication included, one after another on the same home."""

from __future__ import annotations

import os

import pytest
from homes import State, after, copy_deliveries, kill_when, make_demo

pytestmark = pytest.mark.slow


def points(state: State) -> list[tuple[str, object]]:
    """Where to kill: by what the night has said, or by what it has written."""
    settings = state.settings

    def release_without_link(_: str) -> bool:
        return any(settings.releases.glob("r*-*"))

    def link_without_record(_: str) -> bool:
        return os.path.lexists(state.current)

    return [
        ("as it starts", after("")),
        ("as the instance is made", lambda _: any(settings.dagster_home.rglob("*.db"))),
        ("once the build has begun", after("begin: ")),
        ("as the first delivery is copied", after("Intake of child_welfare:")),
        ("in the middle of intake", after("Intake of k12:", 0.7)),
        ("at the end of intake", after("intake workforce: ")),
        ("as dbt starts on the vault", after("plan: ", 1)),
        ("while dbt writes the vault", after("plan: ", 7)),
        ("while identity runs", after(r"dbt identity: [\d.]+ s", 0.2)),
        ("as dbt starts on the warehouse", after("identity: ", 1)),
        ("while dbt writes staging and core", after("identity: ", 9)),
        ("while dbt writes indicators and cubes", after("identity: ", 16)),
        ("as disclosure control starts", after(r"dbt warehouse: [\d.]+ s", 0.5)),
        ("while disclosure control runs", after(r"dbt warehouse: [\d.]+ s", 6)),
        ("while dbt writes marts", after("disclosure: ", 7)),
        ("as the candidate is exported", after(r"dbt mart: [\d.]+ s", 0.05)),
        ("while expectations are tried", after("candidate: ", 1.5)),
        ("as the first files of the release are written", lambda _: any(settings.releases.glob(".building-*"))),
        ("as pages are written", lambda _: any(settings.releases.glob(".building-*/site/*"))),
        ("as checksums are written", lambda _: any(settings.releases.glob(".building-*/checksums.sha256"))),
        ("once the folder has its name", release_without_link),
        ("once the link shows it", link_without_record),
    ]


def test_readers_see_nothing_or_a_whole_release_and_the_next_night_just_runs(tmp_path):
    state = make_demo(tmp_path / "killed", students=300)
    for point, is_there in points(state):
        killed = kill_when(state, ("nightly",), point, is_there)
        assert killed.problems == [], point
        # The last two windows are a moment wide; the night may have ended before the signal came.
        if point not in ("once the folder has its name", "once the link shows it"):
            assert killed.was_running, f"{point}: {(tmp_path / 'killed' / 'killed.log').read_text()[-2000:]}"
    said = state.p20w("nightly").stderr
    assert state.problems() == []
    assert "is the current release" in said or "stays the current release" in said
    assert [path.name for path in state.settings.releases.glob(".*")] == []

    undisturbed = copy_deliveries(state, tmp_path / "undisturbed", with_vault=True)
    undisturbed.p20w("nightly")
    from pipelines.release.candidate import load_candidate

    assert load_candidate(state.settings).id == load_candidate(undisturbed.settings).id
