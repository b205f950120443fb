"""The one caller of dbt: the parse, and the three phases of a night, each a child process.

What belongs here: command lines, targets, who gets the vault's key. What does not: SQL (`dbt_project/`), and what a
failed test means (`quality/` records it, `release/` decides on it).
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines import planner, writer_lock
from pipelines.progress import say
from pipelines.settings import Settings, child_environment
from schemas import collections

PHASES = {
    # phase: (dbt target, what it selects)
    "identity": ("vault", ["+tag:vault"]),
    "warehouse": ("warehouse", ["tag:warehouse", "resource_type:seed"]),
    "mart": ("warehouse", ["tag:mart"]),
}


PARSED = "partial_parse.msgpack"  # dbt's name of what it keeps of a parse


class DbtCrashed(RuntimeError):
    """dbt ended without results: not a failed test, but no evidence at all."""


@dataclass(frozen=True)
class PhaseResult:
    """What one dbt call left behind: its results, and how many nodes did not succeed."""

    phase: str
    run_results: Path
    manifest: Path
    failed_nodes: int
    seconds: float


def indicator_codes(settings: Settings) -> list[str]:
    """Codes of the indicator register in its order; the cubes model loops over them."""
    return [row["indicator_code"] for row in _indicators(settings)]


def variables(settings: Settings) -> dict[str, object]:
    """What the models loop over: indicators, those of them with a median, and collections; and a build's own date.

    The date is passed only where it is not today's: a new value makes dbt parse the whole project again.
    """
    register = _indicators(settings)
    found: dict[str, object] = {
        "indicator_codes": [row["indicator_code"] for row in register],
        "median_indicator_codes": [row["indicator_code"] for row in register if row["value_kind"] == "rate_and_median"],
        "collections": sorted(collections()),
    }
    day = planner.build_date(settings)
    if day is not None and day != datetime.now(UTC).date():
        found["build_date"] = day.isoformat()
    return found


def _indicators(settings: Settings) -> list[dict[str, str]]:
    with (settings.seeds / "registers" / "indicator.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def manifest_path(settings: Settings) -> Path:
    return settings.dbt_dir / "target" / "manifest.json"


def source_fingerprint(settings: Settings) -> str:
    """Hash of every file that dbt reads: models, macros, tests and seeds, read from disk."""
    digest = hashlib.sha256()
    roots = [settings.dbt_dir / name for name in ("models", "macros", "tests", "analyses")] + [settings.seeds]
    files = [path for root in roots for path in root.rglob("*") if path.suffix in {".sql", ".yml", ".csv", ".md"}]
    files += [settings.dbt_dir / "dbt_project.yml", settings.dbt_dir / "profiles.yml"]
    for path in sorted(files):
        base = settings.seeds if path.is_relative_to(settings.seeds) else settings.dbt_dir
        digest.update(str(path.relative_to(base)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def identity_basis(settings: Settings) -> str:
    """Hash of what the tables inside the vault are made by: their models and seeds, every macro, DuckDB's version."""
    from pipelines.identity.policy import load_policy, tiers_in_force

    nodes = json.loads(ensure_manifest(settings).read_text())["nodes"].values()
    files = {(settings.dbt_dir / node["original_file_path"]).resolve() for node in nodes if "vault" in node["tags"]}
    files |= set((settings.dbt_dir / "macros").rglob("*.sql")) | {settings.dbt_dir / "dbt_project.yml"}
    files |= set(settings.vault.glob("tokens.digest"))  # another key makes other tokens of the same records
    # Policy is dated: a row may come into force although no file changed.
    day = planner.policy_day(settings)
    policy = load_policy(settings.seeds / "policy" / "identity_parameter.csv", day)
    tiers = tiers_in_force(settings.seeds / "policy" / "match_tier.csv", day)
    digest = hashlib.sha256(f"{duckdb.__version__} {policy} {tiers}".encode())
    for path in sorted(files, key=lambda path: path.name):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def ensure_manifest(settings: Settings) -> Path:
    """The manifest of the project as it is on disk; parsed again only when a file that dbt reads changed."""
    manifest, stamp = manifest_path(settings), settings.dbt_dir / "target" / "source_fingerprint"
    wanted = source_fingerprint(settings)
    if manifest.exists() and stamp.exists() and stamp.read_text() == wanted:
        return manifest
    _call(settings, ["parse"], target="warehouse", target_path=manifest.parent, secret=False, label="dbt parse")
    stamp.write_text(wanted)
    return manifest


def phase_folder(settings: Settings, phase: str) -> Path:
    """Where dbt compiles a phase and leaves its results; for the identity phase inside the vault's folder."""
    return (settings.vault if PHASES[phase][0] == "vault" else settings.work) / "dbt" / phase


def last_outcome(settings: Settings, phase: str) -> dict[str, dict]:
    """Results of the phase's last run by dbt's unique id; empty when there are none."""
    results = phase_folder(settings, phase) / "run_results.json"
    if not results.exists():
        return {}
    return {entry["unique_id"]: entry for entry in json.loads(results.read_text())["results"]}


def run_phase(settings: Settings, phase: str, full_refresh: bool = False) -> PhaseResult:
    """Run one phase. Failed tests and models are results, not errors; only a crash raises DbtCrashed.

    The identity phase derives every table anew when `full_refresh` asks for it, when its policy or models changed, and
    when its run before did not end well; otherwise it recomputes what tonight's records touch.
    """
    from pipelines.identity import current

    target, select = PHASES[phase]
    target_path = phase_folder(settings, phase)
    target_path.mkdir(parents=True, exist_ok=True)
    results = target_path / "run_results.json"
    results.unlink(missing_ok=True)
    manifest = ensure_manifest(settings)
    reuse_parse(settings, manifest, target_path, target)
    basis = identity_basis(settings) if phase == "identity" else ""
    if phase == "identity":
        full_refresh = current.begin_phase(settings, basis) or full_refresh
    started = time.monotonic()
    arguments = ["build", "--select", *select, "--exclude-resource-type", "unit_test"]
    if full_refresh:
        arguments.append("--full-refresh")
    _call(settings, arguments, target, target_path, secret=target == "vault", label=f"dbt {phase}", results=results)
    outcome = json.loads(results.read_text())["results"]
    failed = sum(result["status"] not in {"success", "pass", "warn"} for result in outcome)
    if phase == "identity" and not failed:
        current.end_phase(settings, basis)
    return PhaseResult(phase, results, target_path / "manifest.json", failed, time.monotonic() - started)


def reuse_parse(settings: Settings, manifest: Path, target_path: Path, target: str) -> None:
    """Put what dbt parsed before for the same target beside its results, unless it is there: it looks itself for files
    that changed since. Another target, or another vault's key, is another project to it, parsed as a whole once."""
    own = target_path / PARSED
    same = [phase_folder(settings, phase) for phase, (other, _) in PHASES.items() if other == target]
    for folder in (*same, manifest.parent) if not own.exists() else ():
        if (folder / PARSED).exists():
            shutil.copyfile(folder / PARSED, own)
            return


def command(settings: Settings, arguments: list[str], target: str, target_path: Path) -> list[str]:
    """The command line of one dbt call; `dbt_project/` is always the root."""
    return [
        sys.executable, "-m", "dbt.cli.main", "--no-use-colors", *arguments,
        "--project-dir", str(settings.dbt_dir), "--profiles-dir", str(settings.dbt_dir), "--target", target,
        "--target-path", str(target_path), "--log-path", str(log_path(settings, target)),
        "--vars", json.dumps(variables(settings)),
    ]  # fmt: skip


def log_path(settings: Settings, target: str) -> Path:
    """Folder of dbt's log. In the vault an error may quote a value, so that log stays inside, and so do the results."""
    return (settings.vault if target == "vault" else settings.logs) / "dbt"


def environment(settings: Settings, secret: bool) -> dict[str, str]:
    """Environment of a dbt call, which runs in the home. The vault's key goes to the one child that needs it, under a
    name dbt scrubs. Paths are the same in every home: where one differs, dbt parses the whole project again."""
    from pipelines.identity import vault

    settings.logs.mkdir(parents=True, exist_ok=True)
    extra = {"P20W_WAREHOUSE_FILE": os.path.relpath(settings.warehouse_file, settings.home)}
    if secret:
        extra.update(vault.dbt_environment(settings))
    return child_environment(settings, **extra)


def _call(
    settings: Settings,
    arguments: list[str],
    target: str,
    target_path: Path,
    secret: bool,
    label: str,
    results: Path | None = None,
) -> None:
    settings.work.mkdir(parents=True, exist_ok=True)
    last, tail = time.monotonic(), []
    with subprocess.Popen(
        command(settings, arguments, target, target_path),
        env=environment(settings, secret),
        cwd=settings.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=writer_lock.inherited(),
    ) as process:
        for line in process.stdout:
            tail = [*tail[-30:], line.rstrip()]
            step = re.search(r"(\d+) of (\d+) (OK|PASS|WARN|FAIL|ERROR|SKIP)", line)
            if step and time.monotonic() - last > 10:
                last = time.monotonic()
                say(f"{label}: {step[1]} of {step[2]}")
    if process.returncode == 0:
        return
    # Exit code 1 with results: some node failed, which is evidence. Anything else is a crash.
    if process.returncode == 1 and results is not None and results.exists():
        return
    # In the vault dbt's own words could quote a value: only the place of the log is told.
    detail = "" if secret else "\n" + "\n".join(tail)
    raise DbtCrashed(
        f"{label} stopped with exit code {process.returncode}; its log is in {log_path(settings, target)}.{detail}"
    )
