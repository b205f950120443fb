"""A10 on a table that `p20w protect` may have made: the protection again on every table that agrees with it.

What belongs here: exact tables made of what is published and a guess, and the patterns that the protection makes of
them. What does not: what follows for a reader (pipelines/disclosure/rerun). Small tables only: where more than a few
tables agree with what is published, a reader would need years.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipelines.disclosure.rerun import TABLES, given_away, key_of
from pipelines.disclosure.table.attack.equations import System, every_table, is_count
from pipelines.disclosure.table.family import HIDDEN, Table
from pipelines.disclosure.table.problem import decoys_of, pose
from pipelines.disclosure.table.protect import choose

LARGEST = 300  # cells of a table that is gone through


def run_again(
    system: System, low: np.ndarray, high: np.ndarray, is_late: Callable[[], bool] = lambda: False
) -> np.ndarray | None:
    """Positions in system.cell of what a second run gives away; None where it tells nothing.

    low, high: proven bounds of the hidden cells.
    """
    table = system.table
    if table.value.size > LARGEST or not len(low):
        return None
    tables = every_table(system.matrix, system.by_column, system.right, low, high, TABLES)
    if tables is None:
        return None
    family = table.family
    return given_away(
        tables,
        is_count(table, system.cell),
        lambda guess, run: _comes_out(table, system.cell, guess, run),
        family.minimum,
        is_late,
    )


def _comes_out(table: Table, cell: np.ndarray, guess: np.ndarray, run: int) -> bool:
    """Whether the protection of the table with that guess hides what is hidden; every second run with the decoys that
    fit the pattern best."""
    pattern = (table.value == HIDDEN).ravel()
    value = table.value.ravel().copy()
    value[cell] = guess
    exact = replace(table, value=value.reshape(table.value.shape), least=None, most=None)
    fitting = None
    if table.family.decoy_share and run % 2 == 0:
        fitting = pattern & decoys_of(exact, np.zeros(len(value)))
    problem = pose(exact, key_of(run), fitting)
    if (problem.primary & ~pattern).any():
        return False
    return bool(((problem.primary | choose(problem).touched(len(value))) == pattern).all())
