"""The ledger of what private statistics have cost: a line a drawing, with what was drawn. Lines are never changed.

What belongs here: reading and appending `release_ledger/privacy_budget.jsonl` (restricted), and the rules of spending.
What does not: the noise (mechanism), who is counted (earnings).

- The same people and wages again (equal keyed digest) take the result that was kept, and spend nothing: nights and
  rebuilds never average, and give the same bytes.
- Changed data takes the result that was kept too, until a revision date has come since it was drawn; then it is drawn
  again, or taken from an earlier line with the same digest. The kept result stays where the budget is used up.
- A drawing is spent when it is drawn, published or not: whoever saw a candidate saw it.
- Recorded first, then used: a result is given out only after its line is on disk. A night killed in between has shown
  its noise to nobody. A last line without its end was never used, and is cut off before the next one is written.
- A build sees the lines of builds up to its own: a rebuild finds what that build found.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import P20wError
from pipelines.settings import Settings

FILE = "privacy_budget.jsonl"
FIELDS = ("build_id", "family", "cohort_year", "epsilon", "budget", "why", "data_digest", "mechanism", "results")
FIRST, REVISED, AGAIN = "first", "revision", "kept_again"
ROUNDING = 1e-9  # sums of floating-point epsilons


@dataclass(frozen=True)
class Told:
    """The line in use for a cohort year (None: nothing may be told); epsilon spent on that cohort year so far, this
    drawing and its revisions; and a sentence where the budget refused another one."""

    line: dict | None
    spent: float
    refused: str = ""


def read(settings: Settings) -> list[dict]:
    """All lines in order. Errors: P20wError naming a line that is none."""
    return _parse(_path(settings))[0]


def take(
    settings: Settings,
    build_id: str,
    family: str,
    cohort_year: int,
    digest: str,
    *,
    budget: float,
    cost: Callable[[], float],
    draw: Callable[[], tuple[dict, list[dict]]],
    is_revised: Callable[[str], bool],
) -> Told:
    """The result of a family's cohort year in this build, drawn and recorded if it must be and may be.

    digest: of people and wages, keyed; cost: epsilon of one drawing; draw: its (mechanism, results); is_revised:
    whether a revision date has come since the build named. cost and draw are called only where something is to draw.
    """
    lines = [line for line in read(settings) if line["build_id"] <= build_id]
    mine = [line for line in lines if (line["family"], line["cohort_year"]) == (family, cohort_year)]
    used = mine[-1] if mine else None
    told = sum(old["epsilon"] for old in mine)
    if used is not None and (
        used["build_id"] == build_id or used["data_digest"] == digest or not is_revised(used["build_id"])
    ):
        return Told(used, told)
    line = {"build_id": build_id, "family": family, "cohort_year": cohort_year, "budget": budget, "data_digest": digest}
    known = next((old for old in reversed(mine) if old["data_digest"] == digest), None)
    if known is not None:
        kept = {name: known[name] for name in ("mechanism", "results")}
        return Told(_append(settings, line | {"epsilon": 0.0, "why": AGAIN} | kept), told)
    price = cost()
    spent = sum(old["epsilon"] for old in lines if old["family"] == family)
    if spent + price > budget + ROUNDING:
        stays = "the earlier result stays" if used is not None else "nothing is told of it"
        return Told(
            used,
            told,
            f"{family}, cohort year {cohort_year}: drawing it costs epsilon {price:.4g}, {spent:.4g} of the budget of "
            f"{budget:.4g} is spent, so {stays}. A larger budget is a row of seeds/policy/private_statistic.csv.",
        )
    described, results = draw()
    why = FIRST if used is None else REVISED
    drawn = {"epsilon": price, "why": why, "mechanism": described, "results": results}
    return Told(_append(settings, line | drawn), told + price)


def _append(settings: Settings, line: dict) -> dict:
    """Put a line on disk and return it as a later build will read it."""
    text = json.dumps({name: line[name] for name in FIELDS}) + "\n"
    path = _path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = _parse(path)[1]
    is_new = not path.exists()
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as handle:
        handle.truncate(whole)  # a torn last line was never used
        handle.seek(whole)
        handle.write(text.encode())
        handle.flush()
        os.fsync(handle.fileno())
    if is_new:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return json.loads(text)


def _parse(path: Path) -> tuple[list[dict], int]:
    """Lines, and the bytes that they take: a last line without its end is left out."""
    content = path.read_bytes() if path.exists() else b""
    whole = content.rfind(b"\n") + 1
    lines = []
    for number, text in enumerate(content[:whole].splitlines(), start=1):
        try:
            line = json.loads(text)
            if set(line) != set(FIELDS):
                raise ValueError
        except ValueError:
            raise P20wError(
                f"{path.name}, line {number}, is not a line of the privacy budget. Restore release_ledger/{path.name} "
                "from a backup: without it nobody knows what was spent."
            ) from None
        lines.append(line)
    return lines, whole


def _path(settings: Settings) -> Path:
    return settings.release_ledger / FILE
