"""What the night before proved of the official tables, so that a block in which nothing changed costs nothing.

What belongs here: keeping and finding again cleared blocks and moves. What does not: proof. A block counts as cleared
only where everything that a reader knows of it is the same, and a move only where it is possible in tonight's table:
both are judged anew by the modules that made them (detect, certify), so a wrong memory costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pipelines.disclosure.certify import CERTIFIED, MOVE, Certificates
from pipelines.disclosure.declare import CELL, Declaration
from pipelines.settings import Settings


@dataclass
class Memory:
    """cleared: fingerprints of blocks that an attack cleared. known: moves of the night before, on tonight's cells."""

    cleared: set[bytes] = field(default_factory=set)
    known: Certificates | None = None


def recall(settings: Settings, build_id: str, declaration: Declaration) -> Memory:
    """What the newest build before this one kept; empty where there is none or the attack's code is another."""
    folder = settings.evidence / "disclosure"
    kept = sorted(path for path in folder.glob("*__cleared.json") if path.name.split("__")[0] < build_id)
    if not kept:
        return Memory()
    content = json.loads(kept[-1].read_text())
    cleared = {bytes.fromhex(mark) for mark in content["cleared"]} if content["code"] == _code() else set()
    before = kept[-1].name.split("__")[0]
    cells, moves = folder / f"{before}.parquet", folder / f"{before}__move.parquet"
    if not cells.exists() or not moves.exists():
        return Memory(cleared)
    then = pl.read_parquet(cells, columns=[*CELL, "cell"]).rename({"cell": "then"})
    now = declaration.cells.select(*CELL, now="cell").cast({name: then.schema[name] for name in CELL})
    place = then.join(now, on=CELL, nulls_equal=True).select(cell="then", now="now")
    moved = pl.read_parquet(moves).join(place, on="cell", how="left", maintain_order="left")
    gone = moved.filter(pl.col("now").is_null()).select("move").unique()
    moved = moved.join(gone, on="move", how="anti").drop("cell").rename({"now": "cell"}).select(list(MOVE)).cast(MOVE)
    return Memory(cleared, Certificates(moved, pl.DataFrame(schema=CERTIFIED), []))


def keep(settings: Settings, build_id: str, cleared: set[bytes]) -> None:
    """Keep the cleared blocks of this build beside its evidence; moves and cells are kept there already."""
    path = settings.evidence / "disclosure" / f"{build_id}__cleared.json"
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps({"code": _code(), "cleared": sorted(mark.hex() for mark in cleared)}))
    os.replace(temporary, path)


def _code() -> str:
    """Digest of the attack: what another attack cleared is not cleared."""
    return hashlib.sha256((Path(__file__).parent / "detect.py").read_bytes()).hexdigest()
