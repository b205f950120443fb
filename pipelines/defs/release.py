"""From exact cubes to a published release: protection, candidate, expectations, decision, pages, publication."""

from collections.abc import Callable, Iterator

import dagster as dg

from pipelines import planner
from pipelines.defs.boundary import evidence_build, step, untouched
from pipelines.defs.identity import LINK_QUALITY
from pipelines.defs.warehouse import phase_models

MARTS = [dg.AssetKey(["marts", node["name"]]) for node in phase_models("mart").values()]
OFFICIAL = dg.AssetKey(["protected", "official_indicator"])
PRIVATE = dg.AssetKey(["protected", "private_earnings"])
CANDIDATE = dg.AssetKey(["candidate", "marts"])
EXPECTATIONS = dg.AssetKey(["evidence", "expectations"])
ATTACK = dg.AssetKey(["evidence", "release_attack"])
DECISION = dg.AssetKey(["evidence", "decision"])
SITE = dg.AssetKey(["releases", "site"])
INVENTORY = dg.AssetKey(["releases", "collection_inventory"])
RELEASE = dg.AssetKey(["releases", "current"])
QUALITY_REPORT = dg.AssetKey(["evidence", "quality_report"])


def _protected(name: str, protect: Callable) -> dg.MaterializeResult:
    """A step that writes a table of the schema protected; on an untouched night the table stays as it is."""
    with step(name) as settings:
        reason = untouched(settings)
        if reason is not None:
            return dg.MaterializeResult(metadata={"state": f"kept: {reason}"})
        summary = protect(settings, planner.current_build(settings))
    return dg.MaterializeResult(metadata=summary.as_metadata())


@dg.asset(
    key=OFFICIAL,
    deps=[dg.AssetKey(["cubes", "cube_indicator"])],
    group_name="protected",
    description="Official annual tables after suppression, detected by independent code.",
)
def official_indicator() -> dg.MaterializeResult:
    from pipelines.disclosure.protect import protect_official

    return _protected("disclosure", protect_official)


@dg.asset(
    key=PRIVATE,
    deps=[dg.AssetKey(["cubes", "cube_indicator"]), dg.AssetKey(["core", "dim_organization"])],
    group_name="protected",
    description="Earnings by differential privacy, where a state decided so, instead of all else of the same records.",
)
def private_earnings() -> dg.MaterializeResult:
    from pipelines.disclosure.private.earnings import protect_private

    return _protected("private_earnings", protect_private)


@dg.asset(key=CANDIDATE, deps=MARTS, group_name="release", description="The marts of tonight, as files with one order.")
def candidate() -> dg.MaterializeResult:
    from pipelines.disclosure.loss import write_perturbed_loss
    from pipelines.disclosure.told_once import check_told_once
    from pipelines.release.candidate import build_candidate

    with step("candidate") as settings:
        reason = untouched(settings)
        if reason is not None:
            return dg.MaterializeResult(metadata={"state": f"kept: {reason}"})
        built = build_candidate(settings, planner.current_build(settings))
        check_told_once(settings, planner.current_build(settings), built.id)
        write_perturbed_loss(settings, planner.current_build(settings))
    return dg.MaterializeResult(metadata={"candidate": built.id})


@dg.asset(key=EXPECTATIONS, deps=[CANDIDATE], group_name="release", description="Plausibility of the candidate.")
def expectations() -> dg.MaterializeResult:
    from pipelines.quality.expectations import run_expectations

    with step("expectations") as settings:
        reason = untouched(settings)
        if reason is not None:
            return dg.MaterializeResult(metadata={"state": f"kept: {reason}"})
        outcome = run_expectations(settings, planner.current_build(settings))
    return dg.MaterializeResult(metadata={"state": outcome})


@dg.asset(
    key=ATTACK, deps=[CANDIDATE], group_name="release", description="What a stranger learns of the candidate: nothing."
)
def release_attack() -> dg.MaterializeResult:
    from pipelines.release.attack import attack_candidate

    with step("release_attack") as settings:
        reason = untouched(settings)
        if reason is not None:
            return dg.MaterializeResult(metadata={"state": f"kept: {reason}"})
        found = attack_candidate(settings, planner.current_build(settings))
    return dg.MaterializeResult(metadata={"findings": len(found.findings) if found else "not attacked"})


@dg.asset(
    key=DECISION,
    deps=[EXPECTATIONS, ATTACK, LINK_QUALITY],
    group_name="release",
    description="Decision, family by family, fail-closed.",
)
def decision() -> dg.MaterializeResult:
    from pipelines.release.candidate import load_candidate
    from pipelines.release.gate import decide

    with step("decision") as settings:
        decided = decide(settings, evidence_build(settings), load_candidate(settings))
    return dg.MaterializeResult(metadata={"decision": decided.summary()})


# Pages print the release's id and the rows that the decision left, so that they are made while it is put together; the
# release is shown only when all of it is there. One step, therefore, and its parts in the order in which they are made.
PUBLISHED = {
    INVENTORY: ([DECISION], "What is collected, under which law, and who reads it: a row an element."),
    SITE: ([DECISION, INVENTORY], "The public pages: overview, organizations, flows, quality, inventory."),
    RELEASE: ([DECISION, SITE], "What everyone reads, swapped whole."),
    QUALITY_REPORT: ([DECISION, RELEASE, LINK_QUALITY], "The quality report with exact counts, for the data team."),
}


@dg.multi_asset(
    name="publish",
    specs=[
        dg.AssetSpec(key, deps=deps, group_name="release", description=description)
        for key, (deps, description) in PUBLISHED.items()
    ],
)
def publish() -> Iterator[dg.MaterializeResult]:
    from pipelines.release.night import publish_if_due

    with step("publish") as settings:
        outcome = publish_if_due(settings, evidence_build(settings))
        planner.mark_good(settings)
    for key in PUBLISHED:
        yield dg.MaterializeResult(asset_key=key, metadata={"outcome": outcome})
