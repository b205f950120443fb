"""What tonight touches.

First version: a night whose inputs are the same as the last good build's touches nothing, and everything otherwise.
Inputs are the active deliveries, every seed, every model and macro, our own code, the lock file and the identity
log's verdicts. What does not belong here: doing any of it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from pipelines.errors import P20wError
from pipelines.settings import Settings


@dataclass(frozen=True)
class Plan:
    """One night: its build id, the fingerprint of its inputs, and whether they differ from the last good build's."""

    build_id: str
    fingerprint: str
    is_touched: bool
    reason: str


def new_build_id(now: datetime | None = None) -> str:
    """Sortable by time, unique by four random hex digits."""
    return (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%S") + "-" + secrets.token_hex(2)


def begin(settings: Settings, build_id: str | None = None) -> str:
    """Start a night: remember its build id for every later step, whichever process runs it."""
    build_id = build_id or new_build_id()
    _write(settings.work / "build.json", {"build_id": build_id})
    return build_id


def current_build(settings: Settings) -> str:
    """Build id of the night that is running."""
    return json.loads((settings.work / "build.json").read_text())["build_id"]


def build_date(settings: Settings) -> date | None:
    """The day (UTC) for which tonight's build reads dated policy; None before the first build."""
    path = settings.work / "build.json"
    return day_of(current_build(settings)) if path.exists() else None


def policy_day(settings: Settings) -> date:
    """The day for which dated policy is read where nobody names one: that of the running build, before the first build
    today (UTC, in which builds are dated)."""
    return build_date(settings) or datetime.now(UTC).date()


def day_of(build_id: str) -> date:
    """The day a build id starts with: a rebuild applies the policy of the day of the build, not of today.

    Errors: P20wError when it starts with none.
    """
    try:
        return datetime.strptime(build_id[:8], "%Y%m%d").date()
    except ValueError:
        raise P20wError(
            f"Build id '{build_id}' does not start with a date like 20261121, so the policy in force is unknown."
        ) from None


def plan(settings: Settings) -> Plan:
    """Compare tonight's inputs with those of the last good build. Call it once intake has ended."""
    build_id = current_build(settings)
    parts = input_parts(settings)
    fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    last = last_good(settings)
    if last is None:
        touched, reason = True, "no earlier complete build"
    elif last.get("overwritten_by"):
        touched, reason = True, f"build {last['overwritten_by']} did not run to its end"
    elif last["fingerprint"] == fingerprint:
        touched, reason = False, f"the same inputs as build {last['build_id']}"
    else:
        changed = sorted(name for name in parts if parts[name] != last.get("parts", {}).get(name))
        touched, reason = True, "changed: " + ", ".join(changed)
    if touched and last is not None:
        # From here on tables and candidate are no longer that build's, even if tonight stops half way.
        _write(_last_good_file(settings), {**last, "overwritten_by": build_id})
    result = Plan(build_id, fingerprint, touched, reason)
    _write(settings.work / "plan.json", {**asdict(result), "parts": parts})
    return result


def read_plan(settings: Settings) -> Plan:
    """The plan that this night made."""
    stored = json.loads((settings.work / "plan.json").read_text())
    stored.pop("parts")
    return Plan(**stored)


def last_good(settings: Settings) -> dict | None:
    """Build id, fingerprint and parts of the last build that ran to its end, or None."""
    path = _last_good_file(settings)
    return json.loads(path.read_text()) if path.exists() else None


def mark_good(settings: Settings) -> None:
    """Record that this night ran to its end, so that an unchanged one costs nothing.

    A night that changed nothing made no evidence of its own: the build before it stays the last good one.
    """
    made = json.loads((settings.work / "plan.json").read_text())
    if made["is_touched"]:
        _write(_last_good_file(settings), made)


def _last_good_file(settings: Settings) -> Path:
    return settings.evidence / "last_good_build.json"


def input_parts(settings: Settings) -> dict[str, str]:
    """Hash of each kind of input."""
    from pipelines.intake import views

    deliveries = hashlib.sha256()
    for collection, files in sorted(views.active_files(settings).items()):
        deliveries.update(f"{collection}:{','.join(sorted(path.name for path in files))}\n".encode())
    return {
        "deliveries": deliveries.hexdigest(),
        "expected deliveries": _hash_bytes(settings.evidence / "intake_state.json"),
        "seeds": _hash_tree(settings.seeds, {".csv"}),
        "policy in force": _policy_in_force(settings.seeds / "policy", build_date(settings)),
        "models": _hash_tree(settings.dbt_dir, {".sql", ".yml"}, skip={"target", "logs"}),
        "code": _hash_tree(settings.root / "pipelines", {".py", ".sql", ".html", ".css"})
        + _hash_tree(settings.root / "schemas", {".py"}),
        "libraries": _hash_bytes(settings.root / "requirements.lock"),
        "verdicts": _hash_bytes(settings.vault / "verdicts.digest"),
        "tokens": _hash_bytes(settings.vault / "tokens.digest"),
    }


def _policy_in_force(folder: Path, day: date | None) -> str:
    """Of each policy the newest effective date reached: a row may come into force without a file being changed."""
    today = (day or datetime.now(UTC).date()).isoformat()
    newest = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as handle:
            dates = [row.get("effective_date") or "" for row in csv.DictReader(handle)]
        newest[path.name] = max((text for text in dates if text <= today), default="")
    return hashlib.sha256(json.dumps(newest, sort_keys=True).encode()).hexdigest()


def _hash_tree(root: Path, suffixes: set[str], skip: frozenset[str] | set[str] = frozenset()) -> str:
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in suffixes and not skip.intersection(path.relative_to(root).parts):
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _hash_bytes(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def _write(path: Path, content: dict) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1, sort_keys=True))
    os.replace(temporary, path)
