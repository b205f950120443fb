"""Cut a large table into blocks that are protected one by one, and know again a block that did not change.

What belongs here: which codes of the longest dimension form a block, the problem of some of its codes, and what is kept
of a block's result from one run to the next. What does not: the search for moves (shares), the checks (verify).

A block is some of what stands directly below the longest dimension's total, such as districts, with all that lies below
them, crossed with all other dimensions. Its moves stay inside it and the total. So its result follows from its own
cells only; what no block can do for itself is done afterwards with the whole table in view.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
import scipy
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pipelines.disclosure.table.family import Dimension, Table, write_parts, write_table
from pipelines.disclosure.table.problem import UNLIMITED, Certificates, Problem
from pipelines.disclosure.table.verify import Seals
from pipelines.errors import MissingFileError, P20wError

BLOCK_CELLS = 120_000  # numbers of a block, at least and on average: in smaller ones less finds room, more is hidden,
LEAST_ATOMS = 8  # and so many districts on average, so that one always finds another to exchange people with
FILE = "blocks.parquet"
SEALS = "seals.parquet"
KEPT = {"digest": pl.String} | {
    name: pl.List(pl.Int64 if name == "amount" else pl.Int32)
    for name in ("move", "cell", "amount", "certified", "by", "hidden")
}


@dataclass(frozen=True)
class Part:
    """Some codes of one dimension. cells: flat cells of the whole table in the order of the part's own, ascending."""

    problem: Problem
    cells: np.ndarray


@dataclass(frozen=True)
class Result:
    """Of one block, its cells counted from 0. hidden: cells that are hidden and that no move of it touches yet."""

    proof: Certificates
    hidden: np.ndarray


@dataclass
class Memory:
    """Results of blocks by digest: before, of an earlier run; now, of this one. reused: how many were the same.

    ends: how many moves the blocks have, one after the other, each with those before it. seals: of the verification.
    """

    secret: bytes
    before: dict[str, Result] = field(default_factory=dict)
    now: dict[str, Result] = field(default_factory=dict)
    reused: int = 0
    ends: list[int] = field(default_factory=list)
    seals: Seals = field(init=False)

    def __post_init__(self) -> None:
        self.seals = Seals(self.secret)


def long_axis(table: Table) -> int:
    """The dimension along which a table is cut: the one with most codes."""
    return int(np.argmax([len(each.codes) for each in table.dimensions]))


def atoms(dimension: Dimension) -> np.ndarray:
    """Per code the number of the connected part it lies in, the total left out. Shape (codes,); the total has -1."""
    count = len(dimension.codes)
    relation = np.repeat(dimension.parent, np.diff(dimension.start))
    inner = relation != 0
    graph = sparse.coo_matrix((np.ones(inner.sum()), (relation[inner], dimension.member[inner])), shape=(count, count))
    found = connected_components(graph, directed=False)[1]
    found = np.where(np.arange(count) == 0, -1, found)
    return np.append(-1, np.unique(found[1:], return_inverse=True)[1])


def cut(table: Table) -> list[np.ndarray]:
    """The blocks of a table: ascending codes of its longest dimension, the total's not among them.

    Which block an atom belongs to follows from its first code's text, so that a new district moves no other one.
    """
    dimension = table.dimensions[long_axis(table)]
    atom = atoms(dimension)
    count = int(atom.max()) + 1
    most = min(table.value.size // BLOCK_CELLS, count // LEAST_ATOMS)
    if most < 2:
        return [np.arange(1, len(dimension.codes))]
    bits = most.bit_length() - 1
    first = np.unique(atom[1:], return_index=True)[1] + 1
    of = np.array([_hash(dimension.codes[code]) >> (32 - bits) for code in first])
    block = np.append(-1, of[atom[1:]])
    return [np.flatnonzero(block == each) for each in np.unique(of)]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def part_of(problem: Problem, codes: np.ndarray) -> Part:
    """The problem of some codes of the longest dimension, with all that is connected below the total, and of the total.

    codes: ascending, without the total. All other codes stay as they are.
    """
    table = problem.table
    axis, shape = long_axis(table), table.value.shape
    codes = np.append(0, codes)
    dimension = _restricted(table.dimensions[axis], codes)
    columns = {
        name: np.ascontiguousarray(getattr(problem, name).reshape(shape).take(codes, axis))
        for name in ("value", "primary", "decoy", "least", "most", "movable", "small", "need", "price")
    }
    own = replace(
        table,
        dimensions=[dimension if k == axis else each for k, each in enumerate(table.dimensions)],
        value=columns["value"],
    )
    before, after = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
    cells = (np.arange(before)[:, None, None] * shape[axis] + codes[:, None]) * after + np.arange(after)
    return Part(Problem(own, **{name: each.ravel() for name, each in columns.items()}), cells.ravel())


def block_of(problem: Problem, codes: np.ndarray) -> tuple[Part, np.ndarray]:
    """The problem of one block, and which of its cells are the total's.

    Those stand for the whole table's, of which the block must not depend: they count the block's people only, so that
    what has room here has it there; and they have no band.
    """
    part = part_of(problem, codes)
    own, axis = part.problem, long_axis(problem.table)
    total = np.zeros(own.shape, dtype=bool)
    total[(slice(None),) * axis + (0,)] = True
    value = own.table.value.copy()
    value[total] = value.take(_tops(own.table.dimensions[axis]), axis).sum(axis=axis).ravel()
    total, n = total.ravel(), problem.minimum
    price, there, here = own.price.copy(), own.value[total], value.ravel()[total]
    price[total] += np.log2(np.maximum(here, n) + 1.0) - np.log2(np.maximum(there, n) + 1.0)
    price[total] = np.round(price[total], 6)  # no trace of the whole's count
    least, most = own.least.copy(), own.most.copy()
    least[total], most[total] = 0, UNLIMITED
    false = {name: getattr(own, name) & ~total for name in ("primary", "decoy", "small")}
    movable = own.movable | total
    if problem.table.family.zeros_shown:
        movable &= value.ravel() > 0
    need = np.where(total, problem.interval, own.need)
    table = replace(own.table, value=value)
    return Part(
        Problem(table, value.ravel(), least=least, most=most, movable=movable, need=need, price=price, **false),
        part.cells,
    ), total


def _tops(dimension: Dimension) -> np.ndarray:
    """Members of the total's first relation."""
    relation = int(np.flatnonzero(dimension.parent == 0)[0])
    return dimension.member[dimension.start[relation] : dimension.start[relation + 1]]


def _restricted(dimension: Dimension, codes: np.ndarray) -> Dimension:
    """A dimension with some of its codes, and of each relation those members that are among them."""
    place = np.full(len(dimension.codes), -1)
    place[codes] = np.arange(len(codes))
    relation = np.repeat(np.arange(len(dimension.parent)), np.diff(dimension.start))
    inside = (place[dimension.member] >= 0) & (place[dimension.parent[relation]] >= 0)
    relation, member = relation[inside], place[dimension.member[inside]]
    kept, start = np.unique(relation, return_index=True)
    return Dimension(
        dimension.column,
        dimension.total,
        [dimension.codes[code] for code in codes],
        [dimension.level[code] for code in codes],
        place[dimension.parent[kept]],
        np.append(start, len(relation)).astype(np.int64),
        member,
    )


# --- what is kept -------------------------------------------------------------------------------------------


def digest(problem: Problem, secret: bytes) -> str:
    """Digest of everything that a block's result follows from. Keyed, because exact counts are in it."""
    made = hmac.new(hashlib.sha256(secret).digest(), digestmod=hashlib.sha256)
    made.update(f"{problem.table.family} {np.__version__} {scipy.__version__}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):  # another code may protect otherwise
        made.update(path.read_bytes())
    for dimension in problem.table.dimensions:
        made.update(repr((dimension.column, dimension.codes)).encode())
    arrays = [each for d in problem.table.dimensions for each in (d.parent, d.start, d.member)]
    arrays += [getattr(problem, name) for name in ("value", "primary", "least", "most", "movable", "small", "price")]
    for array in arrays:
        made.update(f"{array.dtype} {array.shape}".encode())
        made.update(np.ascontiguousarray(array))
    return made.hexdigest()


def read_memory(folder: Path, secret: bytes) -> Memory:
    """What an earlier run kept in its folder of evidence. Raises P20wError where there is none or it is damaged."""
    path = folder / FILE
    if not path.is_file():
        raise MissingFileError(f"--before {folder}: there is no {FILE}. Name the --evidence folder of an earlier run.")
    try:
        rows = pl.read_parquet(path)
        if dict(rows.schema) != KEPT:
            raise ValueError
        memory = Memory(secret)
        for name, *lists in zip(*(rows[column] for column in KEPT), strict=True):
            *columns, hidden = (each.to_numpy() for each in lists)
            memory.before[name] = Result(Certificates(*columns), hidden)
        memory.seals.before = frozenset(pl.read_parquet(folder / SEALS)["seal"])
    except (pl.exceptions.PolarsError, OSError, ValueError, AttributeError):
        raise _damaged(path) from None
    return memory


def write_memory(memory: Memory, folder: Path) -> None:
    """Keep what this run made and verified. Restricted: it tells hidden counts as the certificates do."""

    def row(name: str, result: Result) -> pl.DataFrame:
        lists = {**vars(result.proof), "hidden": result.hidden}
        columns = (pl.Series(column, each).cast(KEPT[column].inner).implode() for column, each in lists.items())
        return pl.DataFrame([pl.Series("digest", [name]), *columns])

    # A table that was not cut has no row.
    rows = chain([pl.DataFrame(schema=KEPT)], (row(name, result) for name, result in memory.now.items()))
    write_parts(rows, folder / FILE)
    write_table(pl.DataFrame({"seal": sorted(memory.seals.now)}, schema={"seal": pl.String}), folder / SEALS)


def known(memory: Memory, name: str, problem: Problem) -> Result | None:
    """The kept result of a block with this digest, or None. Raises P20wError where it names cells that are not there.

    Whether its moves hold is for the verification to say, which knows again what it verified.
    """
    result = memory.before.get(name)
    if result is None:
        return None
    proof = result.proof
    is_whole = len({len(proof.move), len(proof.cell), len(proof.amount)}) == 1 and len(proof.certified) == len(proof.by)
    moves = int(proof.move.max(initial=-1)) + 1
    for numbers, most in (
        (proof.move, moves),
        (proof.by, moves),
        *((cells, len(problem.value)) for cells in (proof.cell, proof.certified, result.hidden)),
    ):
        is_whole = is_whole and not ((numbers < 0) | (numbers >= most)).any()
    if not is_whole or (np.diff(proof.move) < 0).any():
        raise _damaged(Path(FILE))
    memory.reused += 1
    return result


def _damaged(path: Path) -> P20wError:
    return P20wError(f"{path.name} of --before is damaged: run again without --before.")
