"""The end of a night: publish what is due with its pages, keep the restricted report, say what happened.

What belongs here: putting the pages of `pipelines.reports` into the release that `publish` builds. What does not:
the decision (`gate`), the files (`build`, `publish`) and the pages themselves.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from pipelines.release import publish as publishing
from pipelines.release.gate import GateDecision, load_decision
from pipelines.reports.inventory import build_inventory, inventory_page
from pipelines.reports.quality import build_quality
from pipelines.reports.site import build_site
from pipelines.settings import Settings


def publish_if_due(settings: Settings, build_id: str, approved_by: str | None = None) -> str:
    """Publish the candidate if it is due or approved, then write the restricted report. Returns a sentence."""
    decision = load_decision(settings, build_id)
    result = publishing.publish(
        settings,
        build_id,
        decision,
        approved_by,
        pages=release_pages,
        inventory=build_inventory,
    )
    restricted_pages(settings, build_id, decision)
    (settings.work / "outcome.json").write_text(json.dumps({"status": result.status, "message": result.message}))
    return result.message


def publish_approved(settings: Settings, approved_by: str) -> str:
    """Publish the candidate of the last complete night by an officer's approval."""
    from pipelines import planner, writer_lock

    writer_lock.acquire(settings, "p20w release publish")
    last = planner.last_good(settings)
    if last is None:
        raise publishing.ReleaseError("There is no candidate: no night has run to its end. Run `p20w nightly` first.")
    if last.get("overwritten_by"):  # deliveries, links and tables may be of two nights
        raise publishing.ReleaseError(
            f"Night {last['overwritten_by']} did not run to its end: nothing is published from what it left. "
            "Run `p20w nightly` again, then approve."
        )
    return publish_if_due(settings, last["build_id"], approved_by)


def outcome(settings: Settings) -> str:
    """What the last night did, in a sentence."""
    path = settings.work / "outcome.json"
    return json.loads(path.read_text())["message"] if path.exists() else "No night has run to its end."


def release_pages(settings: Settings, build_id: str, release_dir: Path, gate: dict) -> None:
    """The public site of a release."""
    described = json.loads((release_dir / "release.json").read_text())
    site = release_dir / "site"
    build_site(settings, release_dir / "data", site, gate)
    stamp = {"release_id": described["release_id"], "data_as_of": described["data_as_of"]}
    told = {**stamp, "data": release_dir / "data"}
    build_quality(settings, build_id, site / "quality.html", "public", gate, date.today(), **told)
    inventory_page(settings, release_dir / "collection_inventory.csv", site / "inventory.html", **stamp)


def restricted_pages(settings: Settings, build_id: str, decision: GateDecision) -> None:
    """The restricted edition of the quality report, in the evidence folder, whether or not anything was published."""
    shown = publishing.current(settings)
    stamp = {"release_id": shown.name if shown else "none", "data_as_of": build_id[:8]}
    folder = settings.evidence / "reports"
    exact = decision.public() | {"waivers": decision.waivers, "waiver_errors": decision.waiver_errors}
    build_quality(settings, build_id, folder / "quality.html", "restricted", exact, date.today(), **stamp)
    from pipelines.reports.page import copy_style

    copy_style(folder)
