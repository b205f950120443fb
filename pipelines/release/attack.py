"""The attack of a stranger on what is about to be published: evidence for the gate, and a last word at publication.

What belongs here: which folders are attacked beside which, and keeping what was found. What does not: the attack itself
(`pipelines.disclosure.stranger`). Sentences of findings tell hidden counts: they go to restricted evidence alone.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from pipelines import planner
from pipelines.disclosure.stranger.attack import ReleaseAttack, attack_release, report
from pipelines.disclosure.stranger.rules import Rules, rules_of
from pipelines.errors import P20wError
from pipelines.quality import check_result
from pipelines.registers import read_seed
from pipelines.release import ledger
from pipelines.release.candidate import load_candidate
from pipelines.release.gate import ATTACK
from pipelines.settings import Settings


def attack_candidate(settings: Settings, build_id: str) -> ReleaseAttack | None:
    """Attack the candidate beside every release ever shown and record the check; None where no attack was possible,
    which is recorded as a failure: without evidence nothing is published."""
    candidate = load_candidate(settings)
    try:
        found = attack_folder(settings, build_id, settings.candidate)
        count, message = _said(found)
        status = "fail" if found.findings else "warn" if count else "pass"
    except P20wError as error:
        found, status, count, message = None, "error", 0, str(error)
    check_result.record(
        settings,
        build_id,
        "release_attack",
        [
            {
                "check_id": ATTACK,
                "layer": "disclosure",
                "category": "disclosure",
                "severity": "error",
                "status": status,
                "failing_count": count,
                "total_count": found.figures if found else 0,
                "family": "*",
                "message": message,
                "input_fingerprint": candidate.id,
            }
        ],
    )
    return found


def _said(found: ReleaseAttack) -> tuple[int, str]:
    """How many figures a committee should hear of, and the sentence."""
    if found.findings:
        return len(found.findings), f"{len(found.findings)} findings; the arithmetic is in the restricted evidence."
    sentence = f"No finding among {found.figures} figures."
    if found.unsettled:
        sentence += (
            f" Of {found.unsettled} hidden values the time given did not suffice to show that nothing follows: set "
            "P20W_ATTACK_SECONDS higher to know."
        )
    if found.past:
        sentence += (
            f" Earlier releases give {len(found.past)} values away, which this one cannot take back; the arithmetic is "
            "in the restricted evidence."
        )
    if found.likely:
        sentence += (
            f" To whoever runs the suppressor again {len(found.likely)} hidden figures are likely small; restricted "
            "evidence names them."
        )
    return found.unsettled + len(found.past) + len(found.likely), sentence


def public_rules(settings: Settings, day: date) -> Rules:
    """The rules that a release publishes, and that it is attacked by."""
    registered, declared = (read_seed(settings, f"registers/{name}.csv") for name in ("indicator", "statistic"))
    return rules_of(settings, registered, declared, day)


def attack_folder(settings: Settings, build_id: str, folder: Path) -> ReleaseAttack:
    """Attack the tables in `folder`/data beside all releases; findings go to evidence/disclosure/<build_id>__attack, or
    __attack_of_release for what is about to be published. Errors: P20wError when a release that was shown is gone."""
    rules = public_rules(settings, planner.day_of(build_id))
    shown = [settings.releases / release_id for release_id in sorted(ledger.recorded(settings))]
    gone = [path.name for path in shown if not path.exists()]
    if gone:
        raise P20wError(
            f"Release {', '.join(gone)} was shown, but its folder is gone from {settings.releases}. Nobody can tell "
            "what it gives away beside a new one: restore the folder from a backup."
        )
    found = attack_release(folder, rules, shown, settings.attack_seconds)
    report(found)
    evidence = settings.evidence / "disclosure"
    evidence.mkdir(parents=True, exist_ok=True, mode=0o700)
    pl.DataFrame(
        [(build_id, each.rule, each.sentence) for each in found.findings]
        + [(build_id, each.rule, each.sentence) for each in found.likely]
        + [(build_id, "past", each.sentence) for each in found.past],
        schema={"build_id": pl.String, "rule": pl.String, "sentence": pl.String},
        orient="row",
    ).write_parquet(evidence / f"{build_id}__attack{'' if folder == settings.candidate else '_of_release'}.parquet")
    return found
