"""What protection of small tables costs, ours beside others': `make bench-loss`.

What belongs here: random hierarchical tables, one specification for all (`loss_auditor`), every pattern judged and
priced by the same auditor, and build/bench/loss.json: a list of {setting, tables, compared, gave_up, violations_theirs,
violations_ours, median_cells_ratio, median_value_ratio, ...}, one row for each way of asking another. What does not:
how others choose. Two are programs, which run in the interpreter that P20W_ORACLE_PYTHON names and share nothing with
this project: gconfid 2.0.4 and, where it is there too, pytauargus 0.6.0 (its optimal method, on tables of up to OPTIMAL
cells). Without them the comparison is with `elimination` alone, our own reading of GaussSuppression's published method.

Ratios are ours / theirs over the tables where both patterns have no violation: cells and value of all that is hidden;
partners and partners_value without the sensitive cells, which all hide. violations: tables with a sensitive cell that
is told too well. "repaired": gconfid asked again, cell by cell, for those that the auditor found told too well;
elimination's cells shown again one by one while the auditor allows it. "least of all": for each table and measure the
best of all of gconfid's patterns without violation, or of elimination's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pipelines.disclosure.table.family import read_counts, read_family
from pipelines.disclosure.table.problem import pose
from pipelines.disclosure.table.protect import choose
from pipelines.settings import ROOT

AUDITORS = ROOT / "tests" / "unit" / "disclosure" / "table"
sys.path.insert(0, str(AUDITORS))

from elimination import eliminated, repaired  # noqa: E402
from loss_auditor import loss, loss_table, sensitive, violations  # noqa: E402
from table_auditor import Cell, Small  # noqa: E402

ORACLE = "P20W_ORACLE_PYTHON"  # an interpreter that has gconfid 2.0.4 and perhaps pytauargus 0.6.0
SCRIPTS = {"gconfid": "gconfid_oracle.py", "pytauargus": "tauargus_oracle.py"}
TABLES = 50
OPTIMAL = 150  # cells; larger ones take minutes
ROUNDS = 4  # of repair
MEASURES = ("cells", "value", "partners", "partners_value")
LEAST = "{}, least of all"
GCONFID = {
    f"gconfid, {how}, {first} then {second}".replace(" then None", "").lower(): {
        "together": how != "one by one",
        "aggregates": how == "together with groups",
        "first": first,
        "second": second,
    }
    for how, first, second in (
        ("together", "SIZE", "INFORMATION"),
        ("together", "DIGITS", "INFORMATION"),
        ("together", "CONSTANT", None),
        ("together with groups", "DIGITS", "INFORMATION"),
        ("one by one", "DIGITS", "INFORMATION"),
    )
}
TAU = {f"tau-argus, least {by}": {"by": by} for by in ("cells", "value")}


def ours(small: Small, folder: Path) -> set[Cell]:
    """What the product hides."""
    table, family = small.write(folder)
    exact = read_counts(table, read_family(family))
    problem = pose(exact, b"a key for the bench, not secret")
    hidden = problem.primary | choose(problem).touched(len(problem.value))
    places = zip(*np.unravel_index(np.flatnonzero(hidden), exact.value.shape), strict=True)
    return {tuple(d.codes[i] for d, i in zip(exact.dimensions, place, strict=True)) for place in places}


def told(small: Small) -> dict:
    """A table as gconfid_oracle reads it."""
    cells = list(small.count)
    at, own = {cell: i for i, cell in enumerate(cells)}, set(sensitive(small))
    return {
        "value": [small.count[cell] for cell in cells],
        "need": [max(small.minimum - small.count[c], small.interval) if c in own else 0 for c in cells],
        "sums": [[at[total], *(at[part] for part in parts)] for total, parts in small.every_sum()],
        "minimum": small.minimum,
    }


def programs(interpreter: str | None) -> list[str]:
    """Which programs the interpreter has. Says so where it has not even gconfid."""
    probe = f"from importlib.util import find_spec; print(*(n for n in {list(SCRIPTS)} if find_spec(n)))"
    found = []
    if interpreter:
        found = subprocess.run([interpreter, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    if "gconfid" not in found:
        print(f"Compared with elimination only: {ORACLE} names no interpreter that has gconfid 2.0.4.", file=sys.stderr)
        return []
    return found


def ask(program: str, interpreter: str, jobs: list[dict], folder: Path, may_fail: bool = False) -> list[dict]:
    """Answers of a program's script, in a process of its own. may_fail: where it ends early, it gave up on the rest."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    script = AUDITORS / SCRIPTS[program]
    # There: pytauargus leaves files with counts where it runs.
    done = subprocess.run([interpreter, str(script), str(folder)], capture_output=True, text=True, cwd=folder)
    if done.returncode and not may_fail:
        sys.exit(f"{script.name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    answers = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    return answers + [{"hidden": None, "seconds": 0.0}] * (len(jobs) - len(answers))


def judged(small: Small, hidden: set[Cell]) -> tuple[list, dict]:
    """Violations and loss of a pattern."""
    small.hidden = hidden
    return violations(small), loss(small)


def priced(small: Small, answer: dict) -> tuple[dict, list[Cell]]:
    """An answer as {violations: cells, None where the program gave up, loss, seconds}, and the cells told too well."""
    if answer["hidden"] is None:
        return {"violations": None, "loss": None, "seconds": answer["seconds"]}, sensitive(small)
    cells = list(small.count)
    wrong, cost = judged(small, {cells[i] for i in answer["hidden"]})
    return {"violations": len(wrong), "loss": cost, "seconds": answer["seconds"]}, [cell for cell, _, _ in wrong]


def by_gconfid(small: Small, interpreter: str, folder: Path) -> dict[str, dict]:
    """By setting, and repaired, what gconfid's pattern costs and how many cells it leaves told too well."""
    table, at = told(small), {cell: i for i, cell in enumerate(small.count)}
    found: dict[str, dict] = {}
    jobs = {name: {"table": table, "setting": setting} for name, setting in GCONFID.items()}
    for turn in range(1 + ROUNDS):
        again = {}
        for name, answer in zip(jobs, ask("gconfid", interpreter, list(jobs.values()), folder), strict=True):
            result, wrong = priced(small, answer)
            spent = found[name]["seconds"] if turn else 0
            found[name] = result | {"seconds": result["seconds"] + spent}
            if not jobs[name]["setting"]["together"]:
                continue
            repaired = name if turn else name + ", repaired"
            found[repaired] = found[name]
            if wrong and (answer["hidden"] is not None or not turn):
                targets = [at[cell] for cell in wrong]
                start = {"hidden": targets if answer["hidden"] is None else answer["hidden"], "targets": targets}
                again[repaired] = jobs[name] | start
        jobs = again
        if not jobs:
            break
    return found | least("gconfid", found)


def least(of: str, found: dict[str, dict]) -> dict[str, dict]:
    """The row of the best of all that was found."""
    good = [each["loss"] for each in found.values() if each["violations"] == 0]
    best = {
        "violations": 0 if good else min((f["violations"] for f in found.values() if f["loss"]), default=None),
        "loss": {measure: min(each[measure] for each in good) for measure in MEASURES} if good else None,
        "seconds": sum(each["seconds"] for each in found.values()),
    }
    return {LEAST.format(of): best}


def by_elimination(small: Small) -> dict[str, dict]:
    """By rule, and repaired, what the published method's pattern costs and how many cells it leaves told too well."""
    at, found = {cell: i for i, cell in enumerate(small.count)}, {}

    for residuals in (False, True):
        name, began = "elimination" + ", residual rule" * residuals, time.process_time()
        first = eliminated(small, residuals)
        middle = time.process_time()
        second = repaired(small, first)
        for each, hidden, end in ((name, first, middle), (name + ", repaired", second, time.process_time())):
            answer = {"hidden": sorted(at[cell] for cell in hidden), "seconds": end - began}
            found[each], _ = priced(small, answer)
    return found | least("elimination", found)


def by_tau(small: Small, interpreter: str, folder: Path) -> dict[str, dict]:
    """The same by the optimal method of tau-Argus."""
    table, found = told(small), {}
    for name, setting in TAU.items():  # a process each: under load it was seen to end without a word
        (answer,) = ask("pytauargus", interpreter, [{"table": table, "setting": setting}], folder, may_fail=True)
        found[name], _ = priced(small, answer)
    return found


def one(seed: int, interpreter: str | None, has: list[str]) -> dict:
    """A table with everybody's patterns, judged. ill_protected is there where gconfid is."""
    small = loss_table(np.random.default_rng(seed))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.process_time()
        hidden = ours(small, folder)
        seconds = time.process_time() - began
        wrong, mine = judged(small, hidden)
        found, audit = by_elimination(small), {}
        if "gconfid" in has:
            at = {cell: i for i, cell in enumerate(small.count)}
            job = {"table": told(small), "audit": sorted(at[cell] for cell in hidden)}
            (audit,) = ask("gconfid", interpreter, [job], folder)
            found |= by_gconfid(small, interpreter, folder)
        if "pytauargus" in has and len(small.count) <= OPTIMAL:
            found |= by_tau(small, interpreter, folder)
    return {
        "seed": seed,
        "cells": len(small.count),
        "sensitive": len(sensitive(small)),
        "violations": len(wrong),
        **audit,
        "loss": mine,
        "seconds": seconds,
        "theirs": found,
    }


def summary(setting: str, results: list[dict]) -> dict:
    """One row of loss.json."""
    each = [(result, result["theirs"][setting]) for result in results if setting in result["theirs"]]
    pairs = [(r["loss"], t["loss"]) for r, t in each if t["violations"] == 0 and r["violations"] == 0]
    medians = {
        f"median_{measure}_ratio": round(float(np.median([_ratio(a[measure], b[measure]) for a, b in pairs])), 3)
        for measure in MEASURES
        if pairs
    }
    audited = [r["ill_protected"] for r, _ in each if "ill_protected" in r]
    return {
        "setting": setting,
        "tables": len(each),
        "compared": len(pairs),
        "gave_up": sum(t["violations"] is None for _, t in each),
        "violations_theirs": sum(bool(t["violations"]) for _, t in each),
        "violations_ours": sum(bool(r["violations"]) for r, _ in each),
        **({"ours_ill_protected_by_gconfid_s_audit": sum(map(bool, audited))} if audited else {}),
        **medians,
        "median_seconds_ours": round(float(np.median([r["seconds"] for r, _ in each])), 2),
        "median_seconds_theirs": round(float(np.median([t["seconds"] for _, t in each])), 2),
    }


def _ratio(ours: int, theirs: int) -> float:
    return ours / theirs if theirs else 1.0 if ours == theirs else np.inf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=TABLES)
    parser.add_argument("--first", type=int, default=0, help="the seed of the first table")
    parser.add_argument("--each", type=Path, help="where to write what was found of each table")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "loss.json")
    chosen = parser.parse_args()
    interpreter = os.environ.get(ORACLE)
    has = programs(interpreter)
    results = []
    for seed in range(chosen.first, chosen.first + chosen.tables):
        result = one(seed, interpreter, has)
        results.append(result)
        best = [result["theirs"][name]["loss"] for name in result["theirs"] if name.endswith("least of all")]
        print(seed, result["cells"], result["sensitive"], result["violations"], result["loss"], *best, flush=True)
        if chosen.each:
            chosen.each.write_text(json.dumps(results) + "\n")
    settings = dict.fromkeys(name for result in results for name in result["theirs"])
    rows = [summary(setting, results) for setting in settings]
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
        print(" ".join(f"{value}" for value in row.values()))
    print(f"Written: {chosen.out}")


if __name__ == "__main__":
    main()
