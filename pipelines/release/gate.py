"""May this leave the building? Recorded evidence of one build in, a decision for each family out, fail-closed.

What belongs here: which evidence must exist, what each failing check touches, publish, hold or refuse.
What does not: making evidence (`pipelines.quality`, `pipelines.disclosure`, `pipelines.intake`) and carrying the
decision out (`build`, `publish`).

- refuse everything: evidence is absent or unreadable, disclosure found something, or an error check failed on the
  tables that every number rests on (`seeds/policy/shared_core.csv`) or on who is the same person.
- hold a family, wholly or for the years touched: its last released rows stay; rows never released become incomplete.
  Indicators that count certified deliveries only are held where a delivery is preliminary. Nested official
  families are held together: one that came later could be subtracted from the others.
- refuse a family: nothing of it can be shown.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from pipelines.disclosure.linked import NESTING, linked_families
from pipelines.disclosure.told_once import CHECK_ID as TOLD_ONCE
from pipelines.errors import MissingFileError
from pipelines.planner import day_of
from pipelines.quality import check_result
from pipelines.quality.dbt_results import PHASES
from pipelines.registers import RegisterError, read_seed, rows_in_force
from pipelines.release.candidate import Candidate, all_families
from pipelines.release.waivers import Waiver, load_waivers
from pipelines.settings import Settings

ATTACK = "disclosure.release.attack"
_FAILING = ("fail", "error", "skipped")
# Whether the delivery in use is certified: a warning, for some indicators a reason to wait.
_CERTIFIED = r"^intake\..+\.certified$"
_YEARS = re.compile(r"^[+-]?\d+(;[+-]?\d+)*$")  # offsets from the cohort year, as in -3;-2;-1;0


@dataclass(frozen=True)
class Reason:
    """Why a family is not published as it is. The last three fields are restricted: they stay out of `gate.json`.

    check_id: the check that failed; for what was skipped, the failed checks that caused it, as a `;`-list.
    family: another family that is the cause, as a `;`-list where several are; '' = none.
    """

    code: str
    check_id: str = ""
    family: str = ""
    collection: str = ""
    submitter: str = ""
    school_year: int | None = None
    failing_count: int | None = None
    total_count: int | None = None
    message: str = ""

    def public(self) -> dict:
        """Without counts and messages, which may tell about few people."""
        return {name: value for name, value in asdict(self).items() if name not in _RESTRICTED}


_RESTRICTED = ("failing_count", "total_count", "message")


@dataclass
class FamilyDecision:
    """decision: publish, hold or refuse; held_years: None = all years, else the years that are held (cohort years)."""

    family: str
    mart: str
    decision: str = "publish"
    held_years: list[int] | None = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    def hold(self, years: set[int] | None, reason: Reason) -> None:
        """Hold these years too (None = all)."""
        self.decision = "hold"
        if years is None or self.held_years is None:
            self.held_years = None
        else:
            self.held_years = sorted(set(self.held_years) | years)
        self.reasons.append(reason)


@dataclass
class GateDecision:
    """The decision on one candidate. outcome: publish (families decide for themselves) or refuse (nothing leaves)."""

    build_id: str
    candidate_id: str
    outcome: str
    decided_on: str
    families: dict[str, FamilyDecision]
    reasons: list[Reason] = field(default_factory=list)
    waivers: list[dict] = field(default_factory=list)
    waiver_errors: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """One sentence for logs and command line."""
        if self.outcome == "refuse":
            return f"Refused: {', '.join(sorted({reason.code for reason in self.reasons}))}."
        count = {
            name: sum(1 for family in self.families.values() if family.decision == name)
            for name in ("publish", "hold", "refuse")
        }
        return f"{count['publish']} families to publish, {count['hold']} held, {count['refuse']} refused."

    def public(self) -> dict:
        """The edition that everyone may read: decisions and coded reasons, no counts."""
        return {
            "build_id": self.build_id,
            "candidate_id": self.candidate_id,
            "outcome": self.outcome,
            "decided_on": self.decided_on,
            "reasons": _distinct([reason.public() for reason in self.reasons]),
            "families": [
                {
                    "family": family.family,
                    "mart": family.mart,
                    "decision": family.decision,
                    "held_years": "all" if family.held_years is None else family.held_years,
                    "reasons": _distinct([reason.public() for reason in family.reasons]),
                }
                for family in self.families.values()
            ],
            "waivers": self.waivers,
            "waiver_errors": self.waiver_errors,
        }

    def exact(self) -> dict:
        """The restricted edition: everything."""
        return asdict(self)


def decide(settings: Settings, build_id: str, candidate: Candidate, today: date | None = None) -> GateDecision:
    """Decide on a candidate by the evidence recorded under `build_id`.

    Writes `evidence/gate/<build_id>.json` (exact, restricted) and `candidate/gate.json` (public). Never raises for bad
    evidence: what cannot be read refuses everything.
    """
    today = today or date.today()
    decision = GateDecision(build_id, candidate.id, "publish", today.isoformat(), {})
    try:
        _decide(settings, decision, candidate, today)
    except Exception as error:  # fail-closed: whatever went wrong, nothing leaves; foreign words may hold values
        own = isinstance(error, RegisterError)
        decision.outcome = "refuse"
        decision.reasons.append(
            Reason("evidence_unreadable", message=str(error) if own else f"Reading it raised {type(error).__name__}.")
        )
    if decision.outcome == "refuse":
        for family in decision.families.values():
            family.decision, family.held_years = "refuse", None
    save_decision(settings, decision, build_id)
    if settings.candidate.exists():
        _write(settings.candidate / "gate.json", decision.public())
    return decision


def save_decision(settings: Settings, decision: GateDecision, name: str) -> None:
    """Keep the exact decision as `evidence/gate/<name>.json`; name: a build id, or the id of the release made by it.

    A build may be decided on again (another waiver, another day); what a release was made by does not change.
    """
    _write(settings.evidence / "gate" / f"{name}.json", decision.exact())


def load_decision(settings: Settings, name: str) -> GateDecision:
    """The decision kept for a build or a release. Errors: FileNotFoundError when there is none."""
    path = settings.evidence / "gate" / f"{name}.json"
    if not path.exists():
        raise MissingFileError(f"No decision is kept for {name}: run the night again.")
    stored = json.loads(path.read_text())
    stored["reasons"] = [Reason(**reason) for reason in stored["reasons"]]
    stored["families"] = {
        name: FamilyDecision(**{**family, "reasons": [Reason(**reason) for reason in family["reasons"]]})
        for name, family in stored["families"].items()
    }
    return GateDecision(**stored)


def _decide(settings: Settings, decision: GateDecision, candidate: Candidate, today: date) -> None:
    decision.families = {
        family: FamilyDecision(family, mart) for family, mart in all_families(settings, candidate).items()
    }
    waivers, decision.waiver_errors = load_waivers(settings, today)
    checks = check_result.read(settings, decision.build_id)
    decision.reasons += absent_evidence(checks, candidate.id)

    thresholds = load_thresholds(settings, day_of(decision.build_id))
    core = {row["table_name"] for row in read_seed(settings, "policy/shared_core.csv")}
    touches = Touches(settings, list(decision.families))
    used: dict[Waiver, None] = {}
    counted = (pl.col("severity") == "error") | pl.col("check_id").str.contains(_CERTIFIED)
    for check in (
        checks.filter(counted).sort("check_id", "collection", "submitter", "school_year").iter_rows(named=True)
    ):
        check["status"] = judged_status(check, thresholds)
        if check["layer"] == "expectation" and check["input_fingerprint"] != candidate.id:
            continue  # about another candidate: neither proof nor finding; its absence is reported above
        if check["status"] not in _FAILING:
            continue
        if is_disclosure(check):
            decision.reasons.append(_reason("disclosure_finding", check))
            continue
        waiver = next((waiver for waiver in waivers if waiver.covers(check)), None)
        if waiver is not None:
            used[waiver] = None
            continue
        if check["layer"] == "linkage" or _table(check) in core:
            decision.reasons.append(_reason("shared_core_failed", check))
            continue
        for family, years in touches.of(check).items():
            decision.families[family].hold(years, _reason(_code(check), check))
    decision.waivers = [waiver.as_dict() for waiver in used]
    if decision.reasons:
        decision.outcome = "refuse"
        return
    for family in decision.families.values():
        _without_echoes(family)
    _hold_linked(settings, decision.families)
    for family in decision.families.values():
        _without_rows(settings, family, candidate)


def absent_evidence(checks: pl.DataFrame, candidate_id: str) -> list[Reason]:
    """One reason for each kind of evidence that this build lacks."""
    reasons = []
    ids = set(checks["check_id"])
    for phase in PHASES:
        if not any(f"{layer}.dbt_{phase}.run_results_recorded" in ids for layer in ("warehouse", "linkage")):
            reasons.append(
                Reason("evidence_absent", f"dbt_{phase}", message=f"No results of the {phase} models and their tests.")
            )
    for layer in ("intake", "disclosure"):
        if checks.filter((pl.col("layer") == layer) & ~pl.col("check_id").is_in([ATTACK, TOLD_ONCE])).is_empty():
            reasons.append(Reason("evidence_absent", layer, message=f"No result of {layer} is recorded."))
    attacked = checks.filter((pl.col("check_id") == ATTACK) & (pl.col("input_fingerprint") == candidate_id))
    if attacked.is_empty():
        reasons.append(Reason("evidence_absent", ATTACK, message="Nobody attacked this candidate as a stranger would."))
    expectations = checks.filter((pl.col("layer") == "expectation") & (pl.col("input_fingerprint") == candidate_id))
    if expectations.is_empty():
        reasons.append(Reason("evidence_absent", "expectation", message="No expectation was tried on this candidate."))
    if checks.filter((pl.col("check_id") == TOLD_ONCE) & (pl.col("input_fingerprint") == candidate_id)).is_empty():
        message = "Nobody looked whether this candidate tells people whom an official table hides."
        reasons.append(Reason("evidence_absent", TOLD_ONCE, message=message))
    return reasons


def load_thresholds(settings: Settings, day: date) -> list[tuple[str, float]]:
    """(check id pattern, largest share that may fail) of `policy/check_threshold.csv` as it stands on a day, in its
    order."""
    found = []
    for number, row in rows_in_force(settings.seeds / "policy" / "check_threshold.csv", "check_id", day):
        try:
            share = float(row["maximum_share"])
            if not 0 <= share <= 1:  # also what is not a number: nothing would ever exceed it
                raise ValueError
            found.append((row["check_id"], share))
        except (KeyError, TypeError, ValueError):
            raise RegisterError(
                f"policy/check_threshold.csv, line {number}: needs check_id and a share from 0 to 1 in maximum_share."
            ) from None
    return found


def is_disclosure(check: dict) -> bool:
    """Whether a check says if people are given away: nobody can waive it, and no threshold lets it pass."""
    return check["layer"] == "disclosure" or check["category"] == "disclosure"


def judged_status(check: dict, thresholds: list[tuple[str, float]]) -> str:
    """The status of a check with the thresholds in force applied to its stored counts; the first matching pattern
    counts.

    Only a counted status is judged again: a check that could not run, or was skipped, stays what it is. No threshold
    applies to disclosure: one finding is one too many.
    """
    if is_disclosure(check):
        return check["status"]
    if check["status"] in ("pass", "warn", "fail") and check["total_count"]:
        for pattern, maximum in thresholds:
            if fnmatch.fnmatchcase(check["check_id"], pattern):
                return "fail" if check["failing_count"] / check["total_count"] > maximum else "pass"
    return check["status"]


class Touches:
    """Which families and years a failing check touches."""

    def __init__(self, settings: Settings, families: list[str]):
        self.families = families
        registered = read_seed(settings, "registers/indicator.csv")
        rows = {row["indicator_code"]: row for row in registered}
        rows |= {row["family"]: row for row in read_seed(settings, "registers/family.csv")}
        self.collections = {family: set((row["collections"] or "").split(";")) for family, row in rows.items()}
        self.reads_years = {family: row.get("reads_years") or "" for family, row in rows.items()}
        self.certified = {family for family, row in rows.items() if row.get("certification_rule") == "certified"}

    def of(self, check: dict) -> dict[str, set[int] | None]:
        """Family → cohort years touched (None = all). What cannot be told touches everything."""
        if re.match(_CERTIFIED, check["check_id"]):
            by_collection = self._of_collection(check)
            return {family: years for family, years in by_collection.items() if family in self.certified}
        if check["family"] is not None:
            names = set(check["family"].split(";")) - {""}
            if "*" in names:
                names = set(self.families)
            found = [
                family
                for family in self.families
                # What no register describes cannot be told to be untouched.
                if family in names or (names and family not in self.collections)
            ]
            direct = check["layer"] == "expectation"  # its year is the cohort year of the rows it read
            year = check["school_year"]
            return {family: {year} if direct and year is not None else self.years(family, year) for family in found}
        return self._of_collection(check)

    def _of_collection(self, check: dict) -> dict[str, set[int] | None]:
        collection = check["collection"]
        if not collection or collection.startswith("shared__"):
            found = self.families
        else:
            found = [
                family
                for family in self.families
                if family not in self.collections or collection in self.collections[family]
            ]
        return {family: self.years(family, check["school_year"]) for family in found}

    def years(self, family: str, school_year: int | None) -> set[int] | None:
        """Cohort years that read deliveries of this school year; None = all, also where the register does not say."""
        offsets = self.reads_years.get(family, "").replace("\u2212", "-")
        if school_year is None or not _YEARS.match(offsets):
            return None
        return {school_year - int(offset) for offset in offsets.split(";")}


def _without_echoes(family: FamilyDecision) -> None:
    """Where the family's own check failed, that says why; what was skipped because of it only repeats it."""
    own = {reason.check_id for reason in family.reasons if reason.code != "skipped_because_of_failure"}
    family.reasons = [
        reason for reason in family.reasons if reason.code != "skipped_because_of_failure" or reason.check_id not in own
    ]


def linked(settings: Settings, families: Iterable[str]) -> dict[str, set[str]]:
    """Official indicator → those of the families nested with it, itself included.

    Families that only overlap do not wait for each other: graduation is due years before college-going, and the later
    table hides what the overlap would tell.
    """
    among = set(families)
    register = read_seed(settings, "registers/indicator.csv")
    official = (row for row in register if row.get("protection") == "official" and row["indicator_code"] in among)
    return linked_families(official, by=(NESTING,))


def _hold_linked(settings: Settings, families: dict[str, FamilyDecision]) -> None:
    """Hold what is linked with a held official family, for the same cohort years."""
    # Links reach through others already, so what is held for its own reasons says everything.
    held = {code: family.held_years for code, family in families.items() if family.decision == "hold"}
    for code, group in sorted(linked(settings, families).items()):
        for other in sorted(group & held.keys() - {code}):
            own, years = families[code].held_years, held[other]
            if own is None or (years is not None and set(years) <= set(own)):
                continue
            families[code].hold(
                None if years is None else set(years) - set(own),
                Reason(
                    "linked_family_held",
                    family=other,
                    message=f"{other} is held for these years; published later, it could be subtracted from {code}.",
                ),
            )


def _without_rows(settings: Settings, family: FamilyDecision, candidate: Candidate) -> None:
    """Tell families that cannot be held or published because there are no rows to show."""
    released = (settings.releases / "current" / "data" / f"{family.mart}.parquet").exists()
    if family.mart not in candidate.marts:
        reason = Reason("not_in_candidate", message=f"The night made no table {family.mart}.")
        if released:
            family.hold(None, reason)
        else:
            family.decision, family.held_years = "refuse", None
            family.reasons.append(reason)
    elif family.decision == "hold" and not released:
        schema = pl.read_parquet_schema(settings.candidate / "data" / f"{family.mart}.parquet")
        if "value_status" not in schema:
            family.decision, family.held_years = "refuse", None
            family.reasons.append(
                Reason("nothing_released_before", message=f"{family.mart} cannot mark rows as incomplete.")
            )


def _code(check: dict) -> str:
    if check["status"] == "skipped":
        return "skipped_because_of_failure"
    if re.match(_CERTIFIED, check["check_id"]):
        return "delivery_not_certified"
    if check["layer"] == "intake":
        return "delivery_missing_or_failing" if check["category"] == "completeness" else "delivery_below_quality"
    return {"expectation": "implausible", "release": "release_rule_failed"}.get(check["layer"], "check_failed")


def _reason(code: str, check: dict) -> Reason:
    causes = check["cause"] if code == "skipped_because_of_failure" else ""
    models = [cause.split(".")[1] for cause in causes.split(";") if cause.count(".") > 1]
    return Reason(
        code,
        causes or check["check_id"],
        ";".join(sorted({model.removeprefix("ind_").split("__")[0] for model in models if model.startswith("ind_")})),
        check["collection"] or "",
        check["submitter"] or "",
        check["school_year"],
        check["failing_count"],
        check["total_count"],
        check["message"] or "",
    )


def _table(check: dict) -> str:
    parts = check["check_id"].split(".")
    return parts[1] if len(parts) > 2 and check["layer"] == "warehouse" else ""


def _distinct(rows: list[dict]) -> list[dict]:
    return [json.loads(text) for text in dict.fromkeys(json.dumps(row, sort_keys=True) for row in rows)]


def _write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)
