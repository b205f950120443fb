"""Runs in an interpreter of its own that has pytauargus 0.6.0 (EUPL): python tauargus_oracle.py FOLDER.

Reads jobs.json, a list of {table, setting}: a table as gconfid_oracle reads it, and as setting {by}, cells or value:
what of the hidden cells is to be least. Writes answers.jsonl, a line a job: {hidden, seconds}, the places that the
optimal method of tau-Argus hides, null where it gives up. Nothing of this project is imported.

The whole specification can be told: a hidden cell is 1 or more, a sensitive one must be able to rise as far as it must.
What is proved is so in fractions, not in whole numbers. After MINUTES the best pattern found so far is taken.
"""

import json
import sys
import time
from pathlib import Path

from pytauargus._tauargus import HiTaSCtrl

MINUTES = 1


def written(table: dict, by: str, path: Path) -> None:
    """The table in the solver's own format: cells (number, value, weight, status, bounds, protection), then sums."""
    most = 4 * max(table["value"])
    lines = ["0", str(len(table["value"]))]
    for i, (value, need) in enumerate(zip(table["value"], table["need"], strict=True)):
        status, least, greatest = ("z", 0, 0) if not value else ("u" if need else "s", 1, most)
        lines.append(f"{i} {value} {1 if by == 'cells' else max(value, 1)} {status} {least} {greatest} 0 {need} 0")
    lines.append(str(len(table["sums"])))
    for total, *parts in table["sums"]:
        lines.append(f"0 {1 + len(parts)} : {total} (-1) " + " ".join(f"{part} (1)" for part in parts))
    path.write_text("\n".join(lines) + "\n")


def answer(job: dict, folder: Path) -> dict:
    """One line of answers.jsonl."""
    table, began = job["table"], time.process_time()
    given, found = folder / "given.jj", folder / "found.jj"
    written(table, job["setting"]["by"], given)
    code = HiTaSCtrl().full_jj(in_file_jj=str(given), out_file=str(found), max_time=MINUTES)
    seconds = time.process_time() - began
    if code > 1:
        return {"hidden": None, "seconds": seconds}
    own = {i for i, need in enumerate(table["need"]) if need}
    return {"hidden": sorted(own | {int(word) for word in found.read_text().split()}), "seconds": seconds}


folder = Path(sys.argv[1])
with (folder / "answers.jsonl").open("w") as out:
    for job in json.loads((folder / "jobs.json").read_text()):
        out.write(json.dumps(answer(job, folder)) + "\n")
        out.flush()
