"""Making a release the one that everyone reads: built beside the others, renamed whole, the link swapped.

What belongs here: when to publish, the order of the steps, what an interrupted night left behind, going back.
What does not: contents (`build`, `metadata`), the decision (`gate`), building an old release again (`rebuild`).

At every instant `releases/current` names a complete release: a kill leaves at most a hidden folder, a finished folder
that was never shown, or a release that the ledger does not know yet, and the next start settles each of them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipelines import planner, writer_lock
from pipelines.disclosure.stranger.rules import ask_more, write_rules
from pipelines.disclosure.told_once import told_again
from pipelines.registers import active_officers
from pipelines.release import build, clock, ledger, metadata
from pipelines.release.attack import attack_folder, public_rules
from pipelines.release.candidate import combined_digest, load_candidate, remove_tree
from pipelines.release.gate import GateDecision, linked, save_decision
from pipelines.release.revision import revision
from pipelines.settings import Settings

# pages(settings, build_id, release_dir, gate): write release_dir/site; data/, release.json and gate.json are there.
Pages = Callable[[Settings, str, Path, dict], object]
# inventory(settings, build_id, out_csv): write the collection inventory.
Inventory = Callable[[Settings, str, Path], object]


class ReleaseError(RuntimeError):
    """A release could not be made, found or trusted; the sentence says which and what to do."""


@dataclass(frozen=True)
class PublishResult:
    """status: published, unchanged, not_due or refused; release_id: the current release afterwards ('' = none)."""

    status: str
    release_id: str
    message: str


def publish(
    settings: Settings,
    build_id: str,
    decision: GateDecision,
    approved_by: str | None = None,
    *,
    today: date | None = None,
    pages: Pages | None = None,
    inventory: Inventory | None = None,
) -> PublishResult:
    """Publish the candidate as decided, where it is due or an officer approves it, and where anything changed.

    The first release of an installation is always due. `pages` and `inventory` write their parts of the folder;
    without them the release has none. Errors: ReleaseError when the candidate is not the one decided on, or the
    approver is no officer.
    """
    today = today or date.today()
    recover(settings)
    shown = current(settings)
    shown_id = shown.name if shown else ""
    if approved_by is not None:
        require_officer(settings, approved_by, today)
    if decision.outcome != "publish":
        return PublishResult("refused", shown_id, f"Not released. {decision.summary()}")
    if load_candidate(settings).id != decision.candidate_id:
        raise ReleaseError(
            f"The candidate changed after the decision of build {decision.build_id}: run the night again."
        )
    last = last_release_date(settings)
    data_as_of = planner.day_of(build_id)
    rules = public_rules(settings, data_as_of)
    is_stricter = shown is not None and ask_more(rules, shown)
    groups = linked(settings, decision.families)
    allowed = revision(settings, today, ledger.standing(settings, shown), groups, is_stricter)
    assembled = build.assemble(settings, decision, data_as_of, shown, allowed)
    if not assembled.tables:
        return PublishResult("refused", shown_id, "Not released: every family is refused, there is nothing to show.")
    digests = assembled.digest()
    content_id = combined_digest(digests)
    if shown is not None and metadata.read_release(shown)["content_id"] == content_id:
        return PublishResult("unchanged", shown_id, f"Nothing changed: {shown_id} stays the current release.")
    if approved_by is None and not clock.due(settings, today, last):
        coming = clock.next_date(settings, today)
        when = f"the next date of the release clock is {coming}" if coming else "the release clock names no later date"
        return PublishResult("not_due", shown_id, f"No release is due: {when}. The candidate is kept.")

    release_id = f"r{today:%Y%m%d}-{content_id[:8]}"
    target = settings.releases / release_id
    by = approved_by or "release clock"
    if target.exists():  # shown before, then rolled back: the same rows are the same release
        _swap(settings, release_id)
        ledger.log(settings, "published_again", release_id, shown_id, by)
        return PublishResult("published", release_id, f"{release_id} is the current release again.")

    settings.releases.mkdir(parents=True, exist_ok=True)
    working = settings.releases / f".building-{release_id}"
    working.mkdir()
    build.write_tables(assembled, working, release_id)
    write_rules(rules, working)
    twice = told_again(settings, build_id, working / "data")
    if twice:
        remove_tree(working)
        return PublishResult(
            "refused",
            shown_id,
            f"Not released: {twice} rows tell people whom an official table of the release hides, or wage records that "
            "are told privately. Find out why pipelines/disclosure/one_way.py or private let them through.",
        )
    if any(row.origin != "new" for row in assembled.origins):
        # Other rows than the gate's evidence is about: attacked once more, as they will stand there.
        found = attack_folder(settings, build_id, working)
        if found.findings:
            remove_tree(working)
            return PublishResult(
                "refused",
                shown_id,
                f"Not released: beside rows of earlier releases {len(found.findings)} figures would give people away. "
                f"The arithmetic is in the restricted evidence of {build_id}.",
            )
    described = {
        "release_id": release_id,
        "previous_release": shown_id,
        "released_on": today.isoformat(),
        "data_as_of": data_as_of.isoformat(),
        "approved_by": by,
        "build_id": build_id,
        "candidate_id": decision.candidate_id,
        "content_id": content_id,
        **metadata.provenance(settings),
        **ledger.keep_deliveries(settings, release_id, metadata.delivery_ids(settings)),
        # Corrections that changed nothing are not spent, and a rebuild does without them.
        **dataclasses.replace(allowed, corrections=assembled.corrections).as_dict(),
        "tables": {mart: {"rows": assembled.tables[mart].height, "digest": digest} for mart, digest in digests.items()},
        "years": [dataclasses.asdict(row) for row in assembled.origins],
    }
    metadata.write_json(working / "release.json", described)
    gate = decision.public()
    metadata.write_json(working / "gate.json", gate)
    words = metadata.dictionary(settings, working)
    metadata.write_dictionary(working / "dictionary.csv", words)
    build.write_database(settings, working, words)
    build.copy_example_queries(working)
    if inventory is not None:
        inventory(settings, build_id, working / "collection_inventory.csv")
    if pages is not None:
        pages(settings, build_id, working, gate)
    metadata.write_data_package(working, release_id, today)
    metadata.write_checksums(working)
    build.seal(working)
    save_decision(settings, decision, release_id)
    os.rename(working, target)
    build.flush(settings.releases)
    _swap(settings, release_id)
    ledger.append(settings, target)
    ledger.log(settings, "published", release_id, shown_id, by)
    return PublishResult("published", release_id, f"{release_id} is the current release. {decision.summary()}")


def recover(settings: Settings) -> None:
    """Settle what an interrupted night left: unfinished folders and links go, the current release is recorded.

    The caller holds the writer's right. Every night begins with it, because protection and attack look at the releases
    that the ledger knows: one that is shown and not recorded would be compared with nothing. Errors: ReleaseError when
    the ledger lacks a release that was shown once.
    """
    if not settings.releases.exists():
        return
    for left in settings.releases.glob(".building-*"):
        remove_tree(left)
    for left in settings.releases.glob(".current-*"):
        left.unlink()
    shown = current(settings)
    if shown is not None and shown.name not in ledger.recorded(settings):
        ledger.append(settings, shown)
        ledger.log(settings, "published", shown.name, metadata.read_release(shown)["previous_release"], "recovered")
    known = ledger.recorded(settings)
    for folder in releases(settings):
        if folder.name in known:
            continue
        if metadata.read_release(folder)["previous_release"] != (shown.name if shown else ""):
            raise ReleaseError(
                f"The release ledger does not know {folder.name}, which does not follow the current release either: "
                f"was it lost? Restore {settings.release_ledger} from a backup. What was told once counts for ever."
            )
        remove_tree(folder)  # renamed into place, but nobody ever saw it


def current(settings: Settings) -> Path | None:
    """Folder of the current release, or None."""
    link = settings.releases / "current"
    return settings.releases / os.readlink(link) if link.is_symlink() and link.exists() else None


def releases(settings: Settings) -> list[Path]:
    """Folders of all complete releases, newest first."""
    found = [path for path in settings.releases.glob("r*-*") if path.is_dir() and not path.is_symlink()]
    return sorted(found, key=lambda path: (path.name[:9], _order(path)), reverse=True)


def list_releases(settings: Settings) -> list[str]:
    """One line for each release, newest first; the current one is marked."""
    shown = current(settings)
    lines = []
    for folder in releases(settings):
        described = metadata.read_release(folder)
        mark = "  (current)" if shown is not None and folder.name == shown.name else ""
        lines.append(
            f"{folder.name}  released {described['released_on']}  data as of {described['data_as_of']}  "
            f"{len(described['tables'])} tables  by {described['approved_by']}{mark}"
        )
    return lines or ["There is no release yet."]


def last_release_date(settings: Settings) -> date | None:
    """Date of the newest release that was ever shown, or None."""
    shown = current(settings)
    ids = ledger.recorded(settings) | ({shown.name} if shown else set())
    return max((ledger.released_on(release_id) for release_id in ids), default=None)


def rollback(settings: Settings, release_id: str, approved_by: str, today: date | None = None) -> str:
    """Make an earlier release the current one again. Returns a sentence; errors: ReleaseError."""
    from pipelines.release.verify import verify

    require_officer(settings, approved_by, today or date.today())
    writer_lock.acquire(settings, f"p20w release rollback {release_id}")  # or a night's unfinished folder would go
    recover(settings)
    shown = current(settings)
    shown_id = shown.name if shown else ""
    if release_id == shown_id:
        return f"{release_id} is the current release already."
    problems = verify(settings, release_id)
    if problems:
        raise ReleaseError(f"{release_id} cannot become the current release: {' '.join(problems)}")
    _swap(settings, release_id)
    ledger.log(settings, "rolled_back", release_id, shown_id, approved_by)
    return f"{release_id} is the current release again, in place of {shown_id or 'none'}."


def require_officer(settings: Settings, name: str, today: date) -> None:
    """Errors: ReleaseError when that name is not in office in `registers/officer.csv`."""
    if name not in active_officers(settings, today):
        raise ReleaseError(f"{name} is not an officer in office in registers/officer.csv; only an officer may approve.")


def _swap(settings: Settings, release_id: str) -> None:
    """Point `releases/current` at a release in one step."""
    link = settings.releases / f".current-{os.getpid()}"
    link.unlink(missing_ok=True)
    os.symlink(release_id, link)
    os.replace(link, settings.releases / "current")
    build.flush(settings.releases)


def _order(folder: Path) -> float:
    return folder.stat().st_mtime
