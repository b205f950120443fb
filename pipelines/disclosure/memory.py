"""What the night before made of the official tables, so that a part in which nothing changed costs nothing.

What belongs here: cutting the tables into parts that share no sum, and keeping and finding again a part's result. What
does not: protection itself (protect). A part is known again only if its cells, counts and ties, what earlier releases
told, the policy, the key and the code are all the same; and what is found again is verified in plain SQL like all else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pipelines.disclosure.bands import Bands
from pipelines.disclosure.certify import CERTIFIED, MOVE
from pipelines.disclosure.declare import Declaration, Nesting, Overlap, Relation
from pipelines.disclosure.earlier import Earlier
from pipelines.disclosure.policy import Policy
from pipelines.settings import Settings

# Whatever one of these says may change what is hidden or proven.
CODE = (
    "bands.py",
    "certify.py",
    "declare.py",
    "decoy.py",
    "detect.py",
    "earlier.py",
    "memory.py",
    "program.py",
    "protect.py",
    "suppress.py",
)
PATTERN = (
    "is_denominator_hidden",
    "is_numerator_hidden",
    "band",
    "is_primary_denominator",
    "is_primary_numerator",
    "is_decoy",
    "is_hidden_for_room",
)


@dataclass(frozen=True)
class Part:
    """Cells that share no tie with any other: their numbers in the whole declaration, and their own declaration."""

    cells: np.ndarray
    declaration: Declaration
    earlier: Earlier


@dataclass(frozen=True)
class Kept:
    """Result of a part, its cells counted from 0. pattern: PATTERN; moves, certified: MOVE and CERTIFIED; figures:
    what the attack said of the part's size."""

    pattern: pl.DataFrame
    moves: pl.DataFrame
    certified: pl.DataFrame
    figures: dict[str, int]


@dataclass
class Memory:
    """Results of the night before by the digest of their part."""

    parts: dict[str, Kept] = field(default_factory=dict)


def parts(declaration: Declaration, earlier: Earlier) -> list[Part]:
    """The parts of a declaration, in the order of their first cells. Families are never cut."""
    relation, nesting, overlap = declaration.relation, declaration.nesting, declaration.overlap
    count = len(declaration.d)
    if not count:
        return []
    family = (
        declaration.cells["family"].to_numpy() if "family" in declaration.cells.columns else np.zeros(count, np.int64)
    )
    first = np.unique(family, return_index=True)[1]
    ends = [
        (np.arange(count), first[np.unique(family, return_inverse=True)[1]]),
        (relation.member, relation.parent[relation.relation]),
        (nesting.outer, nesting.inner),
        (overlap.whole, overlap.part),
    ]
    a, b = (np.concatenate([end[side] for end in ends]).astype(np.int64) for side in (0, 1))
    graph = sparse.coo_matrix((np.ones(len(a)), (a, b)), shape=(count, count))
    label = connected_components(graph, directed=False)[1]
    order = np.argsort(label, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    return [_part(declaration, earlier, cells) for cells in sorted(groups, key=lambda each: each[0])]


def digest(part: Part, policy: Policy, bands: Bands, secret: bytes) -> str:
    """Digest of everything that a part's result follows from. Keyed, because exact counts are in it."""
    made = hmac.new(hashlib.sha256(secret).digest(), f"{policy} {_code()}".encode(), hashlib.sha256)
    declaration, earlier = part.declaration, part.earlier
    made.update("\n".join(declaration.cells["label"].to_list()).encode())
    arrays = [declaration.d, declaration.n, declaration.cells["level_rank"].to_numpy()]
    arrays += [*vars(declaration.relation).values(), *vars(declaration.nesting).values()]
    arrays += [*vars(declaration.overlap).values(), *vars(bands).values()]
    arrays += [each for version in earlier.versions for each in version] + earlier.absent
    arrays += [earlier.hidden_d, earlier.hidden_n, earlier.unbanded, earlier.cell, earlier.variable, earlier.value]
    for array in arrays:
        array = np.ascontiguousarray(array)
        made.update(f"{array.dtype} {array.shape}".encode())
        made.update(array.tobytes())
    return made.hexdigest()


def recall(settings: Settings, build_id: str) -> Memory:
    """What the newest build before this one kept."""
    folder = settings.evidence / "disclosure"
    kept = sorted(path for path in folder.glob("*__part.json") if path.name.split("__")[0] < build_id)
    if not kept:
        return Memory()
    before = kept[-1].name.split("__")[0]
    files = [folder / f"{before}{end}.parquet" for end in ("", "__move", "__certified")]
    if not all(path.exists() for path in files):
        return Memory()
    cells, moves, certified = (pl.read_parquet(path) for path in files)
    if not set(PATTERN) <= set(cells.columns):  # other code wrote it
        return Memory()
    found = {}
    of_part = cells.partition_by("part", as_dict=True)
    for entry in json.loads(kept[-1].read_text()):
        mine = of_part[entry["part"],].sort("cell")
        place = mine.select("cell").with_row_index("own").cast(pl.Int64)
        other = place.rename({"cell": "other", "own": "own_other"})
        own_moves = moves.join(place, on="cell", maintain_order="left").with_columns(cell="own")
        first = own_moves["move"].min() or 0  # moves of a part are numbered one after the other
        own_moves = own_moves.with_columns(pl.col("move") - first).select(list(MOVE)).cast(MOVE)
        own_certified = (
            certified.join(place, on="cell", maintain_order="left")
            .join(other, on="other", how="left", maintain_order="left")
            .with_columns(
                *(pl.when(pl.col(name) >= 0).then(pl.col(name) - first).otherwise(-1) for name in ("down", "up")),
                cell="own",
                other=pl.col("own_other").fill_null(-1),
            )
            .select(list(CERTIFIED))
            .cast(CERTIFIED)
        )
        found[entry["digest"]] = Kept(mine.select(PATTERN), own_moves, own_certified, entry["figures"])
    return Memory(found)


def forget(settings: Settings, build_id: str) -> None:
    """Before this build's evidence is written again: digests of the old evidence must not meet the new."""
    (settings.evidence / "disclosure" / f"{build_id}__part.json").unlink(missing_ok=True)


def keep(settings: Settings, build_id: str, entries: list[dict]) -> None:
    """Keep which part of this build's evidence has which digest (part, digest, figures)."""
    path = settings.evidence / "disclosure" / f"{build_id}__part.json"
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(entries, indent=1))
    os.replace(temporary, path)


def _part(declaration: Declaration, earlier: Earlier, cells: np.ndarray) -> Part:
    """The declaration and history of some cells. No tie leads out of them."""
    place = np.full(len(declaration.d), -1)
    place[cells] = np.arange(len(cells))
    relation, nesting, overlap = declaration.relation, declaration.nesting, declaration.overlap
    ties = np.flatnonzero(place[relation.parent] >= 0)
    number = np.full(relation.count, -1)
    number[ties] = np.arange(len(ties))
    members = np.flatnonzero(number[relation.relation] >= 0) if len(relation.relation) else np.zeros(0, np.int64)
    nested = np.flatnonzero(place[nesting.outer] >= 0)
    overlapping = np.flatnonzero(place[overlap.whole] >= 0)
    own = Declaration(
        declaration.cells[cells],
        Relation(
            place[relation.parent[ties]],
            relation.kind[ties],
            relation.residual_d[ties],
            relation.residual_n[ties],
            relation.in_numerator[ties],
            number[relation.relation[members]],
            place[relation.member[members]],
        ),
        Nesting(place[nesting.outer[nested]], place[nesting.inner[nested]], nesting.in_denominator[nested]),
        Overlap(place[overlap.whole[overlapping]], place[overlap.part[overlapping]]),
        [],
    )
    compared = np.flatnonzero(place[earlier.cell] >= 0)
    versions = [
        ((d[cells], n[cells]), absent[cells])
        for (d, n), absent in zip(earlier.versions, earlier.absent, strict=True)
        if (d[cells] >= 0).any() or (n[cells] >= 0).any()
    ]
    history = Earlier(
        [told for told, _ in versions],
        earlier.hidden_d[cells],
        earlier.hidden_n[cells],
        earlier.unbanded[cells],
        place[earlier.cell[compared]],
        earlier.variable[compared],
        earlier.value[compared],
        [absent for _, absent in versions],
    )
    return Part(cells, own, history)


def _code() -> str:
    """Digest of the modules of protection: another code may protect otherwise."""
    made = hashlib.sha256()
    for name in CODE:
        made.update((Path(__file__).parent / name).read_bytes())
    return made.hexdigest()
