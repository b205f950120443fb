"""`p20w protect`: hide what gives people away in a table of counts, prove it, verify the proof, then write.

What belongs here: the order of the steps, the choice of the engine by size, the rows that are written and the report.
What does not: the search (search, cubes), the checks (verify), the reading of the table (family).

Which cells are primary, the report and the certificates are restricted evidence: a certificate tells the exact count of
a hidden cell to whoever reads it with the published table. They are written only where --evidence says.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.disclosure.table.blocks import Memory, read_memory, write_memory
from pipelines.disclosure.table.cubes import solve_by_cubes
from pipelines.disclosure.table.family import (
    COMPLEMENT,
    Table,
    check_out,
    read_counts,
    read_family,
    write_parts,
    write_table,
)
from pipelines.disclosure.table.problem import Certificates, Problem, pose
from pipelines.disclosure.table.search import solve, solve_by_parts
from pipelines.disclosure.table.shares import solve_shares
from pipelines.disclosure.table.verify import verify
from pipelines.errors import MissingFileError, P20wError

SMALL = 3_000  # cells that may be hidden, up to which every move is a program over the whole table,
MEDIUM = 12_000  # and up to which it is one over a part of it: about a minute
KEY_BYTES = 32
MOVES_AT_ONCE = 20_000  # moves in one frame of evidence
EVIDENCE_COLUMNS = ("certificate", "change")


@dataclass(frozen=True)
class Protected:
    """What was done, in numbers. hidden = primaries + decoys + partners; certified: hidden counts below n, each
    with a move.

    With a numerator cells are counts, numerators and complements. blocks: those that the table was cut into, 0 where it
    was not; reused: those taken over from an earlier run.
    """

    cells: int
    primaries: int
    decoys: int
    partners: int
    certified: int
    moves: int
    key_was_drawn: bool
    blocks: int
    reused: int

    def as_text(self, out: Path) -> str:
        said = (
            f"{self.cells} cells, {self.primaries + self.decoys + self.partners} hidden: {self.primaries} for "
            f"themselves, {self.decoys} as decoys, {self.partners} as partners. {self.certified} counts certified by "
            f"{self.moves} moves, all verified. Written to {out}."
        )
        if self.reused:
            said += f" {self.reused} of {self.blocks} blocks had not changed and were taken over."
        if self.key_was_drawn:
            said += " The key was drawn for this run: another run will choose other partners (see --key-file)."
        return said


def protect_file(
    table: Path,
    family: Path,
    out: Path,
    key_file: Path | None,
    evidence: Path | None,
    by_block: bool = False,
    before: Path | None = None,
) -> Protected:
    """Protect a table and write it whole, or raise P20wError and write nothing.

    by_block: a large table with a numerator block by block; the evidence then keeps each block's result. before: folder
    of evidence of such an earlier run, from which blocks that did not change are taken over (implies by_block).

    The output has every cell, totals included: the dimensions' columns, their parents columns, the count (empty where
    hidden) and status (shown, hidden). Same table and key, same bytes, in whatever order the rows came.
    """
    check_out(out, table, family, key_file)
    if evidence is not None and evidence.is_file():
        raise P20wError(f"--evidence {evidence} is a file; name a folder that only those with exact counts may read.")
    if before is not None and key_file is None:
        raise P20wError("--before needs the --key-file of the earlier run: under another key every block is another.")
    secret = read_key(key_file) if key_file else secrets.token_bytes(KEY_BYTES)
    memory = read_memory(before, secret) if before is not None else Memory(secret) if by_block else None
    declared = read_family(family)
    for dimension in declared.dimensions:
        if dimension.column in EVIDENCE_COLUMNS:
            raise P20wError(
                f"{family.name}: the evidence needs the column {dimension.column} for itself: rename it in the table."
            )
    exact = read_counts(table, declared)
    problem = pose(exact, secret)
    proof = choose(problem, memory)
    hidden = problem.primary | proof.touched(len(problem.value))
    lost = loss(problem, hidden, proof) if evidence is not None else None
    primaries, decoys = int((problem.primary & ~problem.decoy).sum()), int(problem.decoy.sum())
    del problem  # as large as all that verification needs
    frame = protected_frame(exact, hidden)
    ends, seals = ((), None) if memory is None else (memory.ends, memory.seals)
    wrong = verify(exact, frame, *evidence_parts(exact, proof, ends), seals)
    if wrong:
        raise P20wError(
            f"The protection of {table.name} did not pass its own verification, so nothing was written. Report this "
            "with the family file: " + " ".join(wrong)
        )
    if evidence is None:
        write_table(frame, out)
    else:
        with _kept_together(evidence) as folder:
            _write_evidence(folder, *evidence_parts(exact, proof), lost)
            if memory is not None:
                write_memory(memory, folder)
            write_table(frame, out)
    return Protected(
        cells=len(hidden),
        primaries=primaries,
        decoys=decoys,
        partners=int(hidden.sum()) - primaries - decoys,
        certified=len(proof.certified),
        moves=int(np.count_nonzero(np.diff(proof.move, prepend=-1))),
        key_was_drawn=key_file is None,
        blocks=0 if memory is None else len(memory.now),
        reused=0 if memory is None else memory.reused,
    )


@contextmanager
def _kept_together(evidence: Path) -> Iterator[Path]:
    """A folder to write to. Its files come into `evidence` when the body ended well; else nothing is left of them."""
    is_new, folder = not evidence.exists(), evidence / ".evidence.tmp"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        yield folder
        for path in folder.iterdir():
            path.replace(evidence / path.name)
    except OSError as error:
        raise P20wError(
            f"--evidence {evidence} could not be written: {error.strerror or 'the system refused'}."
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if is_new:
            with suppress(OSError):  # it holds the evidence
                evidence.rmdir()


def _write_evidence(folder: Path, moves: Iterator[pl.DataFrame], certified: pl.DataFrame, report: dict) -> None:
    """certificates.parquet, certified.parquet and report.json."""
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    write_parts(moves, folder / "certificates.parquet")
    write_table(certified, folder / "certified.parquet")


def choose(problem: Problem, memory: Memory | None = None) -> Certificates:
    """What to hide, with its proof: by programs in a small table, by cubes in a large one, which hide somewhat more.

    memory: protect by block, with blocks to take over and where this run's are kept. Only a large table with a
    numerator is cut into blocks; any other is done at once.
    """
    if not problem.primary.any():
        none = np.zeros(0, dtype=np.int64)
        return Certificates(none, none, none, none, none)
    cells = int(problem.movable.sum())
    if problem.table.family.numerator:
        return solve_shares(problem, memory)
    engine = solve if cells <= SMALL else solve_by_parts if cells <= MEDIUM else solve_by_cubes
    return engine(problem)


def read_key(path: Path) -> bytes:
    """The key in a file of hexadecimal digits. Raises P20wError when there is none or it is shorter than 32 bytes."""
    if not path.is_file():
        raise MissingFileError(f"There is no key file {path}.")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (ValueError, UnicodeDecodeError):
        key = b""
    if len(key) < KEY_BYTES:
        raise P20wError(f"The key file {path} must hold {2 * KEY_BYTES} hexadecimal digits or more, made at random.")
    return key


def protected_frame(table: Table, hidden: np.ndarray) -> pl.DataFrame:
    """Every cell as its readers see it, in the order of the codes. hidden: per cell.

    With a numerator a row has the count, its numerator and complement, each empty where hidden, and the ends of the
    numerator's band where it has one: at_least, at_most, only beside a shown count.
    """
    family = table.family
    if not family.numerator:
        return _statuses(table, np.arange(table.value.size), table.value.ravel(), hidden)
    count, part, rest = (each.ravel() for each in np.moveaxis(table.value, -1, 0))
    shut, part_shut, rest_shut = np.moveaxis(hidden.reshape(-1, 3), -1, 0)
    rows = Table(family, table.dimensions[:-1], table.value[..., 0])
    frame = _statuses(rows, np.arange(len(count)), count, shut)
    low, _ = family.ends(count)
    least, most = family.ranges(count, part)
    banded = part_shut & ~shut & (low >= 0)
    columns = {
        family.numerator: (part, ~part_shut),
        COMPLEMENT: (rest, ~rest_shut),
        "at_least": (least, banded),
        "at_most": (most, banded),
    }
    return frame.with_columns(
        pl.when(pl.Series(shown)).then(pl.Series(number)).otherwise(None).alias(name)
        for name, (number, shown) in columns.items()
    )


def _statuses(table: Table, cells: np.ndarray, count: np.ndarray, hidden: np.ndarray) -> pl.DataFrame:
    shown = pl.Series(~hidden)
    return (
        _coded(table, cells, parents=True)
        .with_columns(pl.Series(table.family.count, count), shown.alias("status"))
        .with_columns(
            pl.when(pl.col("status")).then(pl.col(table.family.count)).alias(table.family.count),
            pl.when(pl.col("status")).then(pl.lit("shown")).otherwise(pl.lit("hidden")).alias("status"),
        )
    )


def evidence_frames(table: Table, proof: Certificates) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Moves (certificate, the dimensions' columns, change) and certified cells (certificate, these columns)."""
    return _moves(table, proof, slice(None)), _certified(table, proof)


def evidence_parts(
    table: Table, proof: Certificates, ends: Sequence[int] = ()
) -> tuple[Iterator[pl.DataFrame], pl.DataFrame]:
    """The same, the moves in one or several frames after each other: those of a large table need much room.

    ends: numbers of moves before which a frame ends in any case.
    """
    count = int(proof.move.max(initial=-1)) + 1
    firsts = [first for a, b in pairwise(sorted({0, count, *ends})) for first in range(a, b, MOVES_AT_ONCE)] or [0]
    rows = np.searchsorted(proof.move, np.array([*firsts, max(count, 1)]))
    return (_moves(table, proof, slice(a, b)) for a, b in pairwise(rows.tolist())), _certified(table, proof)


def _certified(table: Table, proof: Certificates) -> pl.DataFrame:
    return _coded(table, proof.certified).insert_column(0, pl.Series("certificate", proof.by))


def _moves(table: Table, proof: Certificates, rows: slice) -> pl.DataFrame:
    moves = _coded(table, proof.cell[rows]).with_columns(pl.Series("change", proof.amount[rows]))
    return moves.insert_column(0, pl.Series("certificate", proof.move[rows]))


def _coded(table: Table, cells: np.ndarray, parents: bool = False) -> pl.DataFrame:
    """The columns that name cells, as enumerations: a table of millions of cells repeats few codes."""
    columns = []
    for dimension, index in zip(table.dimensions, np.unravel_index(cells, table.value.shape), strict=True):
        texts = {dimension.column: dimension.codes}
        if parents:
            texts |= dict(zip(dimension.parents, dimension.up, strict=True))
        for name, text in texts.items():
            values = [each or None for each in text]
            kind = pl.Enum(list(dict.fromkeys(each for each in values if each)))
            columns.append(pl.Series(name, values, dtype=kind).gather(index))
    return pl.DataFrame(columns)


def loss(problem: Problem, hidden: np.ndarray, proof: Certificates) -> dict:
    """What protection costs, by level: cells with a count, primaries, decoys, partners, people in hidden cells."""
    table, shape = problem.table, problem.shape
    names, which = [], np.zeros((1,) * len(shape), dtype=np.int32)
    for axis, dimension in enumerate(table.dimensions):
        levels = list(dict.fromkeys(dimension.level))
        number = np.array([levels.index(name) for name in dimension.level], dtype=np.int32)
        which = which * len(levels) + number.reshape([-1 if k == axis else 1 for k in range(len(shape))])
        names.append(levels)
    which, count = which.ravel(), int(np.prod([len(levels) for levels in names]))

    def by_level(cells: np.ndarray, number: np.ndarray | None = None) -> list[int]:
        found = np.zeros(count, dtype=np.int64)
        np.add.at(found, which[cells], 1 if number is None else number[cells])
        return found.tolist()

    rows = pl.DataFrame(
        {
            "cells": by_level(problem.value > 0),
            "primaries": by_level(problem.primary & ~problem.decoy),
            "decoys": by_level(problem.decoy),
            "partners": by_level(hidden & ~problem.primary),
            "people_hidden": by_level(hidden, problem.value),
        }
    )
    columns = [each.column for each in table.dimensions]
    rows = pl.DataFrame(list(product(*names)), schema=columns, orient="row").hstack(rows)
    return {
        "restricted": "This report and the certificates beside it tell hidden counts. They stay with the exact counts.",
        "minimum": problem.minimum,
        "interval": problem.interval,
        "zeros": "shown" if table.family.zeros_shown else "hideable",
        "certified": len(proof.certified),
        "uncertified": 0,
        "loss": rows.to_dicts(),
    }
