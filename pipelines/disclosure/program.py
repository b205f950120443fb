"""Programs in whole numbers, and one defect of the solver mended.

What belongs here: the call of the solver. What does not: what is asked, so that searches, certificates and attacks,
which share no code with each other, may share this.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp

INFEASIBLE = 2  # scipy's status


def solve_whole(
    cost: np.ndarray, constraints: LinearConstraint, bounds: Bounds, integrality: np.ndarray, **options: float
) -> OptimizeResult:
    """scipy.optimize.milp; what it calls infeasible is solved once more without presolve, and only that counts.

    HiGHS's presolve calls some programs infeasible that are not (ERGO-Code/HiGHS, issues 1958, 2388 and 3090): official
    tables had no certificate for that, and their release was refused.
    """
    asked = {"constraints": constraints, "bounds": bounds, "integrality": integrality}
    outcome = milp(cost, **asked, options=options)
    if outcome.status == INFEASIBLE:
        outcome = milp(cost, **asked, options=options | {"presolve": False})
    return outcome
