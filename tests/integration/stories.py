"""What happens to the small state, night after night: the long jobs whose results several tests look at.

What belongs here: the order of events and what is noted on the way. What does not: judging it (the tests).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl
from homes import OFFICER, Killed, State, after, copy_deliveries, copy_state, kill_when, make_demo, state_at

from pipelines.demo_state.faults import Planted, plant


def first_night(folder: Path) -> State:
    """The demo state's first night, without a fault."""
    state = make_demo(folder)
    state.p20w("nightly")
    return state


def third_party(folder: Path) -> State | None:
    """The first night on real third-party files; None where they are not."""
    state = state_at(folder)
    if not state.settings.real_data.is_dir():
        return None
    state.p20w("nightly", "--real")
    return state


@dataclass(frozen=True)
class Missing:
    """A first night with three faults: its state, what was planted, what the night said."""

    state: State
    late_file: Planted
    district_missing: Planted
    preliminary: Planted
    said: str


def missing(folder: Path, night: State) -> Missing:
    """Take two deliveries away and the certification of a third, and run the first night, with the keys of the
    faultless state."""
    state = copy_deliveries(night, folder, with_vault=True)
    late, district = (plant(state.settings, name) for name in ("late_file", "district_missing"))
    uncertified = withhold_certification(state)
    said = state.p20w("nightly").stderr
    return Missing(state, late, district, uncertified, said)


def withhold_certification(state: State) -> Planted:
    """Leave the first district's oldest annual collection uncertified.

    The demo's own fault does this to the newest one; there it would hold nothing that the missing district does not.
    """
    places = state.settings.landing.glob("lea_*/k12_annual/*")
    place = min(places, key=lambda path: (path.name, path.parts))
    (place / "certification.json").unlink()
    truth = pl.read_parquet(state.settings.truth / "record_truth.parquet")
    here = (pl.col("submitter") == place.parts[-3]) & (pl.col("package") == "k12_annual")
    records = truth.filter(here & (pl.col("period") == place.name)).height
    return Planted("preliminary", place.parts[-3], "k12_annual", place.name, "", records)


@dataclass(frozen=True)
class Spoiled:
    """A later night with two faults, and what publishing by approval said afterwards."""

    state: State
    shifted_columns: Planted
    duplicate_delivery: Planted
    said: str
    published: str


def spoiled(folder: Path, night: State) -> Spoiled:
    """Spoil one district's newest delivery, send others twice, run a night, ask for publication."""
    state = copy_state(night, folder / "copy")
    shifted, repeated = (plant(state.settings, name) for name in ("shifted_columns", "duplicate_delivery"))
    said = state.p20w("nightly").stderr
    published = state.p20w("release", "publish", "--approved-by", OFFICER).stdout
    return Spoiled(state, shifted, repeated, said, published)


@dataclass(frozen=True)
class Rebuilt:
    """What `p20w release rebuild` said of the first release, and its exit code."""

    exit_code: int
    said: str


def rebuilt(folder: Path, night: State) -> Rebuilt:
    """Build the first release again."""
    state = copy_state(night, folder / "copy")
    done = state.p20w("release", "rebuild", state.release_id, check=False)
    return Rebuilt(done.returncode, done.stdout + done.stderr)


@dataclass(frozen=True)
class Arrived:
    """What was missing came; nights and publications were killed; in the end the release was published.

    `before`, `release_id`: the release shown before and after. `reader_before`, `reader_after`: the digest of all
    rows as a connection opened before the publication saw them, before and after it. `moves`: the current release
    after each of: roll back, publish again.
    """

    state: State
    before: str
    release_id: str
    night_kills: list[Killed]
    publish_kills: list[Killed]
    said: str
    published: str
    reader_before: str
    reader_after: str
    moves: list[str]


def arrived(folder: Path, whole: State, start: Missing) -> Arrived:
    """Deliver and certify what was missing, kill the night twice and the publication three times, then let both end."""
    state = copy_state(start.state, folder / "copy")
    before = state.release_id
    for planted in (start.late_file, start.district_missing, start.preliminary):
        place = Path(planted.submitter) / planted.package / planted.period
        shutil.copytree(whole.settings.landing / place, state.settings.landing / place, dirs_exist_ok=True)
    shutil.copytree(whole.settings.truth, state.settings.truth, dirs_exist_ok=True)
    night_kills = [
        kill_when(state, ("nightly",), "while deliveries are taken in", after("Intake of k12:", 0.3)),
        kill_when(state, ("nightly",), "while dbt builds the warehouse", after("identity: ", 8)),
    ]
    said = state.p20w("nightly").stderr
    database = str(state.current.resolve() / "p20w.duckdb")
    with duckdb.connect(database, read_only=True) as reader:
        reader_before = digest(reader)
        releases = state.settings.releases
        approve = ("release", "publish", "--approved-by", OFFICER)
        publish_kills = [
            kill_when(state, approve, "as the first files are written", lambda _: any(releases.glob(".building-*"))),
            kill_when(state, approve, "as pages are written", lambda _: any(releases.glob(".building-*/site/*"))),
            kill_when(
                state,
                approve,
                "as checksums are written",
                lambda _: any(releases.glob(".building-*/checksums.sha256")),
            ),
        ]
        published = state.p20w(*approve).stdout
        reader_after = digest(reader)
    release_id = state.release_id
    moves = []
    state.p20w("release", "rollback", before, "--approved-by", OFFICER)
    moves.append(state.release_id)
    state.p20w(*approve)
    moves.append(state.release_id)
    return Arrived(
        state, before, release_id, night_kills, publish_kills, said, published, reader_before, reader_after, moves
    )


def digest(reader: duckdb.DuckDBPyConnection) -> str:
    """One text for all rows of all tables that a reader sees."""
    tables = sorted(name for (name,) in reader.execute("SELECT table_name FROM duckdb_tables()").fetchall())
    found = []
    for table in tables:
        rows, total = reader.execute(f'SELECT count(*), sum(hash(each)) FROM "{table}" AS each').fetchone()
        found.append(f"{table} {rows} {total}")
    return "\n".join(found)
