"""Building a release again from what is kept, and comparing the bytes.

What belongs here: which inputs a release had and laying them into a home of its own: deliveries, the identity log as
it stood then, the decision, the release before. What does not: the night that runs there (the caller gives it), the
tables themselves (`build`). Nothing of the real home is changed.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import polars as pl

from pipelines.disclosure.private.budget import FILE as BUDGET
from pipelines.identity.current import forget_derived
from pipelines.identity.vault import open_vault
from pipelines.release import build, ledger, metadata
from pipelines.release.candidate import remove_tree
from pipelines.release.gate import load_decision
from pipelines.release.publish import ReleaseError
from pipelines.release.revision import Revision
from pipelines.settings import Settings

# run_pipeline(settings, build_id): run a night on that home up to the candidate.
Pipeline = Callable[[Settings, str], object]
# Tables of the vault that only grow, and the column that says which build added a row.
IDENTITY_LOG = {
    "identity_record": "first_build",
    "person": "minted_build",
    "person_link": "valid_from_build",
    "person_event": "build_id",
    "person_redirect": "build_id",
    "queue_item": "build_id",
}


def rebuild(settings: Settings, release_id: str, run_pipeline: Pipeline, scratch: Path | None = None) -> list[str]:
    """Make a release's Parquet and CSV files again from what is kept, and name each one whose bytes differ.

    Kept deliveries and the vault are copied to a scratch home (default below `work/`), there the identity log is cut
    to what it held when the release was built; `run_pipeline` runs a night there up to the candidate; the recorded
    decision then puts the tables together. An empty list means: the same bytes. The scratch home is removed
    afterwards unless it was named. Errors: ReleaseError when code, libraries or registers here are not those that
    made the release, or when the release, its decision or one of its deliveries is not kept.
    """
    folder = settings.releases / release_id
    if not (folder / "release.json").exists():
        raise ReleaseError(f"There is no release {release_id}; `p20w release list` names those that are kept.")
    described = metadata.read_release(folder)
    _require_same_code(settings, described)
    try:
        decision = load_decision(settings, release_id)
    except FileNotFoundError:
        raise ReleaseError(
            f"The exact decision that made {release_id} is not kept: the release cannot be built again."
        ) from None
    home = scratch or settings.work / f"rebuild-{release_id}"
    remove_tree(home)
    there = dataclasses.replace(settings, home=home)
    try:
        _lay_deliveries(settings, there, described)
        _lay_releases(settings, there, described["build_id"])
        if settings.vault.exists():
            shutil.copytree(settings.vault, there.vault)
            cut_identity_log(there, described["build_id"])
        run_pipeline(there, described["build_id"])
        previous = settings.releases / described["previous_release"] if described["previous_release"] else None
        if previous is not None and not previous.exists():
            raise ReleaseError(f"The release before, {previous.name}, is not kept: its rows cannot be repeated.")
        assembled = build.assemble(
            there,
            decision,
            date.fromisoformat(described["data_as_of"]),
            previous,
            Revision.from_dict(described),
        )
        build.write_tables(assembled, home / "rebuilt", release_id)
        return _compare(home / "rebuilt", metadata.read_checksums(folder))
    finally:
        if scratch is None:
            remove_tree(home)


def cut_identity_log(there: Settings, build_id: str) -> None:
    """Take from a copy of the vault what builds later than `build_id` added to it: records, people, links, verdicts.

    What was found out later (two people are one, a record belongs to another) would change the numbers of an earlier
    release. Never call it on the real vault.
    """
    started = datetime.strptime(build_id[:15], "%Y%m%dT%H%M%S")  # build ids sort by the time (UTC) that they begin with
    with open_vault(there) as con:
        for table, added_by in IDENTITY_LOG.items():
            con.execute(f"DELETE FROM vault.{table} WHERE {added_by} > ?", [build_id])
        con.execute('DELETE FROM vault.verdict WHERE "at" > ?', [started])
        # Derived from what was cut, so the night that runs there must not build on it.
        forget_derived(con)


def _require_same_code(settings: Settings, described: dict) -> None:
    """Errors: ReleaseError when code, libraries or registers here are not those that made the release."""
    release_id, made_by, here = described["release_id"], described["git_commit"], metadata.git_commit(settings.root)
    if metadata.code_digest(settings.root) != described["code_sha256"]:
        if made_by == metadata.NOT_A_CHECKOUT:
            what = "Install the very package that made it"
        elif made_by.endswith(metadata.MODIFIED):
            what = f"It was made by changed files on top of commit {made_by.removesuffix(metadata.MODIFIED)}: use these"
        else:
            what = f"Check out commit {made_by} and run `make setup`"
        raise ReleaseError(
            f"{release_id} cannot be built again by the code here ({here}), which is not the code that made it. "
            f"{what}, then run this command again."
        )
    if metadata.lock_digest(settings.root) != described["lock_sha256"]:
        raise ReleaseError(
            f"{release_id} was made with other libraries: requirements.lock differs. Check out commit {made_by} and "
            "run `make setup`, then run this command again."
        )
    seeds, before = metadata.seed_digests(settings), described["seed_sha256"]
    changed = sorted(name for name in seeds.keys() | before.keys() if seeds.get(name) != before.get(name))
    if changed:
        raise ReleaseError(
            f"{release_id} was made with other registers and policies: {', '.join(changed)} changed in "
            f"{settings.seeds}. Put back those of commit {made_by}, then run this command again."
        )


def _lay_deliveries(settings: Settings, there: Settings, described: dict) -> None:
    """Lay the deliveries that a release read into another home's landing."""
    there.home.mkdir(parents=True)
    os.chmod(there.home, 0o700)
    known = pl.read_parquet(settings.evidence / "ledger.parquet")
    for delivery_id in ledger.deliveries(settings, described):
        kept = settings.landing / ".received" / delivery_id
        rows = known.filter(pl.col("delivery_id") == delivery_id)
        if rows.is_empty() or not kept.exists() or "destroyed" in rows["status"].to_list():
            raise ReleaseError(
                f"Delivery {delivery_id} is no longer kept: {described['release_id']} stays, but cannot be built again."
            )
        place = rows.row(0, named=True)
        shutil.copytree(kept, there.landing / place["submitter"] / place["package"] / place["period"])


def _lay_releases(settings: Settings, there: Settings, build_id: str) -> None:
    """Lay what earlier releases told into another home: tables are protected against all of it."""
    there.release_ledger.mkdir(parents=True)
    there.releases.mkdir(parents=True)
    for record in sorted(settings.release_ledger.glob("r*.parquet")):
        made_by = pl.read_parquet(record, columns=["build_id"])["build_id"].unique().to_list()
        if made_by and made_by[0] < build_id:
            shutil.copyfile(record, there.release_ledger / record.name)
            os.symlink(settings.releases / record.stem, there.releases / record.stem)
    # What was drawn for private statistics is told again, never drawn again.
    if (settings.release_ledger / BUDGET).exists():
        shutil.copyfile(settings.release_ledger / BUDGET, there.release_ledger / BUDGET)


def _compare(folder: Path, expected: dict[str, str]) -> list[str]:
    found = {path.relative_to(folder).as_posix(): metadata.sha256(path) for path in folder.rglob("*") if path.is_file()}
    wanted = {name: digest for name, digest in expected.items() if name.startswith(("data/", "csv/"))}
    differences = []
    for name in sorted(found.keys() | wanted.keys()):
        if name not in found:
            differences.append(f"{name} is in the release but was not made again.")
        elif name not in wanted:
            differences.append(f"{name} was made again but is not in the release.")
        elif found[name] != wanted[name]:
            differences.append(f"{name} differs from the release.")
    return differences
