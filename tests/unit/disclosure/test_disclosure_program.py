"""A program that has a solution is not called infeasible."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from pipelines.disclosure.program import INFEASIBLE, solve_whole

# Changes of fourteen hidden counts (nine denominators, then numerators of the first rows), found in a synthetic state:
# eight sums that stay, and five numerators that stay within their denominators. To change nothing is always possible.
SUMS = [
    {1: 1, 2: -1, 3: -1},
    {1: 1, 4: -1, 5: -1},
    {1: 1, 6: -1},
    {4: -1, 7: -1},
    {0: -1, 5: -1, 8: -1},
    {9: 1, 10: -1, 11: -1},
    {9: 1, 12: -1},
    {9: 1, 13: -1},
]
WITHIN = {(1, 9): 128, (2, 10): 82, (3, 11): 46, (4, 12): 6, (6, 13): 2}
LEAST = np.array([-4, -152, -89, -64, -7, -4, -3, 0, 0, -25, -7, -18, -1, -1], dtype=float)


@pytest.fixture
def asked():
    """What milp takes: cost, and the rest by name."""
    matrix = np.zeros((len(SUMS) + len(WITHIN), len(LEAST)))
    for row, signs in enumerate(SUMS):
        matrix[row, list(signs)] = list(signs.values())
    for row, (larger, smaller) in enumerate(WITHIN, start=len(SUMS)):
        matrix[row, [larger, smaller]] = 1, -1
    low = np.array([0] * len(SUMS) + [-apart for apart in WITHIN.values()], dtype=float)
    high = np.array([0] * len(SUMS) + [np.inf] * len(WITHIN), dtype=float)
    assert (matrix @ np.zeros(len(LEAST)) >= low).all() and (low <= high).all()
    return np.zeros(len(LEAST)), {
        "constraints": LinearConstraint(matrix, low, high),
        "bounds": Bounds(LEAST, LEAST + 1e7),
        "integrality": np.ones(len(LEAST)),
    }


def test_what_presolve_alone_calls_infeasible_is_solved(asked):
    cost, rest = asked
    found = solve_whole(cost, **rest)
    assert found.status == 0
    assert (rest["constraints"].A @ np.round(found.x) == 0)[: len(SUMS)].all()


def test_the_solver_still_needs_it(asked):
    """When this fails, HiGHS is mended and `solve_whole` can go."""
    cost, rest = asked
    assert milp(cost, **rest).status == INFEASIBLE


def test_what_is_infeasible_stays_infeasible(asked):
    cost, rest = asked
    rest["constraints"] = [rest["constraints"], LinearConstraint(np.eye(len(LEAST))[:1], 2e7, np.inf)]
    assert solve_whole(cost, **rest).status == INFEASIBLE
