"""Decoys: counts that are not small and are hidden all the same, drawn by the secret key.

What belongs here: which counts may be drawn, for the official tables and for any other alike. What does not: their
protection, which is that of any hidden count, and how many are drawn (policy).

Whoever runs the program again on every table that could be the true one knows: what was hidden first is small. Often no
table in which a certain count is not small leads to the published pattern, so the count is surely small. Where any
count from n to a few times n may have been drawn, such a table does lead to it, under some key; nobody but who holds
the key can tell a decoy from a small count.
"""

from __future__ import annotations

import numpy as np

# Up to this many times n a count may be drawn. A small count and its partner hold n together, seldom many times n: one
# of them has room to be a decoy in some other table. Up to 2 n, four small counts in a hundred were still given away.
REACH = 3


def decoys(value: np.ndarray, minimum: int, share: float, draw: np.ndarray) -> np.ndarray:
    """Which counts are hidden as if they were small. value: people; draw: [0, 1) of the key; share: of those that may
    be drawn. All arrays have one shape."""
    return (value >= minimum) & (value < REACH * minimum) & (draw < share)
