"""Runs in an interpreter of its own that has gconfid 2.0.4 (GPL): python gconfid_oracle.py FOLDER.

Reads jobs.json, a list of {table, setting}, {table, setting, hidden, targets} or {table, audit}. table: {value, need,
sums, minimum}: counts, how far a sensitive cell must be able to move (0 of others), sums as lists of places with the
total first. Writes answers.jsonl, a line a job: {hidden, seconds}, the places that gconfid hides, null where it gives
up; of an audit {ill_protected}: how many sensitive cells gconfid's own audit finds told too well. Nothing of this
project is imported.

gconfid lets every cell move as far down as up, by TotalNoise over constraint_scale, and asks no more of a cell than its
TotalNoise. So two ways of telling it what a reader knows are tried. together: one run, every cell moves as far as its
count allows (count - 1: a hidden cell is known to be 1 or more), a sensitive cell at least as far as it must move
itself, which lets it fall below 1 where it helps others; with groups: the sensitive parts of a sum that are fewer than
n together are sensitive as an aggregate too. one by one: a run for each sensitive cell, in which only it, its sums and
its parts may move that far and no other cell farther than its count allows, unless there is no such way. hidden and
targets: the same for the targets alone, beside what is hidden already. Costs follow the counts.
"""

import json
import logging
import sys
import time
from pathlib import Path

import gconfid
import pandas as pd

FAR = 1_000_000  # what no count of these tables comes near
NAMES = ["CellId", "TotalNoise", "Sensitivity", "Status", "Type", "Count"]


def frames(table: dict, aggregates: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cells with somebody and their sums. Places are one less than CellId."""
    value, need = table["value"], table["need"]
    noise = [float(max(far, count - 1)) for far, count in zip(need, value, strict=True)]
    cells = [
        (i + 1, noise[i], float(need[i]), "S" if need[i] else "V", "C", float(value[i]))
        for i in range(len(value))
        if value[i]
    ]
    sums = [[(i + 1, 1 if k else -1) for k, i in enumerate(each) if value[i]] for each in table["sums"]]
    sums = [each for each in sums if len(each) > 1]
    if aggregates:
        for number, each in enumerate(table["sums"]):
            small = [i for i in each[1:] if need[i]]
            together = sum(value[i] for i in small)
            if len(small) > 1 and together < table["minimum"]:
                name = len(value) + number + 1
                far = float(table["minimum"] - together)
                cells.append((name, sum(noise[i] for i in small), far, "S", "A", float(together)))
                sums.append([(name, -1), *((i + 1, 1) for i in small)])
    rows = [(float(k + 1), float(cell), sign) for k, each in enumerate(sums) for cell, sign in each]
    frame = pd.DataFrame(cells, columns=NAMES).astype({"CellId": float})
    return frame, pd.DataFrame(rows, columns=["ConstraintId", "CellId", "Coefficient"])


def suppress(cells: pd.DataFrame, sums: pd.DataFrame, first: str, second: str | None = None) -> set[int] | None:
    """Places that gconfid hides, or None where it gives up."""
    more = {"cost_function2": second, "cost_var2": "Count"} if second else {}
    job = gconfid.Suppression(
        incell=cells,
        inconstraint=sums,
        cost_function1=first,
        cost_var1="Count",
        constraint_scale=1,
        skip_validation=True,  # half of the time, and the same frames again and again
        logger=quiet,
        **more,
    )
    if job.outsuppress is None:
        return None
    found = job.outsuppress.to_pandas()
    return {int(i) - 1 for i in found.loc[(found.OutStatus == "X") & (found.Type == "C"), "CellId"]}


def related(sums: list[list[int]], target: int) -> set[int]:
    """The target, the sums that it is a part of at any remove, and its own parts likewise: they rise with it."""
    found = {target}
    for upward in (True, False):
        ahead = [target]
        while ahead:
            at = ahead.pop()
            if upward:
                near = [each[0] for each in sums if at in each[1:]]
            else:
                near = [part for each in sums if each[0] == at for part in each[1:]]
            ahead += [i for i in near if i not in found]
            found.update(near)
    return found


def one_by_one(table: dict, cost: str, hidden: set[int], targets: list[int], pool: set[int]) -> set[int] | None:
    """`hidden` and what gconfid hides in the pool for each target in turn, the one with the farthest to go first."""
    cells, sums = frames(table)
    hidden = set(hidden)
    for target in sorted(targets, key=lambda i: (-table["need"][i], i)):
        mine = cells.CellId == target + 1
        free = cells.assign(
            Sensitivity=cells.Sensitivity.where(mine, 0.0),
            Status=["X" if int(i) - 1 in hidden else "V" if int(i) - 1 in pool else "P" for i in cells.CellId],
        )
        free.loc[mine, "Status"] = "S"
        over = related(table["sums"], target)
        lifted = cells.CellId.map(lambda i, over=over: int(i) - 1 in over)
        noise = (cells.Count - 1).clip(lower=table["need"][target] * lifted)
        safe = free.assign(TotalNoise=noise.clip(lower=0.5))
        safe.loc[noise == 0, "Status"] = "P"  # it cannot fall, so it may not move
        found = suppress(safe, sums, cost) or suppress(free, sums, cost)
        if found is None:
            return None
        hidden |= found
    return hidden


def answer(job: dict) -> dict:
    """One line of answers.jsonl."""
    table = job["table"]
    if "audit" in job:
        return {"ill_protected": ill_protected(table, job["audit"])}
    began, setting = time.process_time(), job["setting"]
    every = set(range(len(table["value"])))
    own = [i for i, need in enumerate(table["need"]) if need]
    if "targets" in job:
        found = one_by_one(table, setting["first"], set(job["hidden"]), job["targets"], every)
    elif setting["together"]:
        found = suppress(*frames(table, setting["aggregates"]), setting["first"], setting["second"])
    else:
        found = one_by_one(table, setting["first"], set(own), own, every)
        if found is not None and setting["second"]:
            found = one_by_one(table, setting["second"], set(own), own, found)
    return {"hidden": found and sorted(found), "seconds": time.process_time() - began}


def ill_protected(table: dict, hidden: list[int]) -> int:
    """Sensitive cells whose interval gconfid's audit finds narrower than need: hidden cells may be 1 or very many."""
    cells, sums = frames(table)
    places = {i + 1 for i in hidden}
    # The audit asks no more of a cell than TotalNoise and reckons with bounds less TotalNoise: a shift changes neither.
    cells["TotalNoise"] = cells.Count + FAR
    cells["TotalLB"], cells["TotalUB"] = 1.0 + FAR, 3.0 * FAR
    cells["OutStatus"] = ["X" if i in places else "P" for i in cells.CellId]
    cells["NetVariation"] = 0.0
    found = gconfid.Auditing(incell=cells, inconstraint=sums, logger=quiet).outaudit.to_pandas()
    shown = int(((cells.Status == "S") & (cells.OutStatus == "P")).sum())
    if "ProblemIndicator" not in found:  # everything is hidden, and there is nothing to reckon with
        return shown
    return shown + int(((found.Status == "S") & (found.OutStatus == "X") & (found.ProblemIndicator != 0)).sum())


quiet = logging.getLogger("quiet")
quiet.addHandler(logging.NullHandler())
quiet.propagate = False
folder = Path(sys.argv[1])
with (folder / "answers.jsonl").open("w") as out:
    for job in json.loads((folder / "jobs.json").read_text()):
        out.write(json.dumps(answer(job)) + "\n")
        out.flush()
