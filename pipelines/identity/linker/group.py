"""From weights of pairs to groups of records.

What belongs here: components, and the division of a component that holds more than one person. What does not: how
pairs are weighed (model.py).

A chain of plausible pairs may run through many people. So each component is put together anew: the two groups with the
highest mean weight over all of their pairs join first, until no mean reaches the joining weight (average linkage). A
bridge of one strong pair between two groups that otherwise disagree does not hold. A pair counts by how many of its
values could be compared: two records that have nothing in common to compare say nothing for or against.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def components(count: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Label of each of `count` nodes (0-based) joined by edges a-b. Shape (count,)."""
    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def group(
    count: int,
    a: np.ndarray,
    b: np.ndarray,
    weight: np.ndarray,
    said: np.ndarray,
    join_weight: float,
    tie_weight: float,
    absent_weight: float,
    only_once: np.ndarray | None = None,
) -> np.ndarray:
    """Group of each node, as the smallest node in it. Shape (count,).

    a, b: nodes of each pair (0-based, a < b), each pair once; weight: bits; said: how many values were compared. Pairs
    that are not given weigh `absent_weight`, as if one value had been compared. only_once: (count,) class of each node
    or -1; a group holds at most one node of a class.
    """
    tied = (weight >= tie_weight) & (said > 0)
    label = components(count, a[tied], b[tied])
    size = np.bincount(label, minlength=1)
    inside = np.flatnonzero(label[a] == label[b])
    inside = inside[np.lexsort((b[inside], a[inside], label[a[inside]]))]
    found = np.arange(count)
    if not len(inside):
        return found
    of = label[a[inside]]
    begins = np.flatnonzero(np.r_[True, of[1:] != of[:-1]])
    ends = np.r_[begins[1:], len(of)]
    least = np.minimum.reduceat(np.where(said[inside] > 0, weight[inside], join_weight), begins)
    nodes = size[of[begins]]
    whole = (least >= join_weight) & (ends - begins == nodes * (nodes - 1) // 2)
    if only_once is not None:
        clashes = (only_once[a[inside]] == only_once[b[inside]]) & (only_once[a[inside]] >= 0)
        whole &= ~np.logical_or.reduceat(clashes, begins)
    # Most components are one person beyond doubt: every pair is there, and each reaches the joining weight.
    smallest = np.full(len(size), count)
    np.minimum.at(smallest, label, np.arange(count))
    is_whole = np.zeros(len(size), dtype=bool)
    is_whole[of[begins[whole]]] = True
    found = np.where(is_whole[label], smallest[label], found)
    for begin, end in zip(begins[~whole], ends[~whole], strict=True):
        pairs = inside[begin:end]
        ends_of, weighed = (zip(x[pairs].tolist(), y[pairs].tolist(), strict=True) for x, y in ((a, b), (weight, said)))
        edges = dict(zip(ends_of, weighed, strict=True))
        for members in average_linkage(edges, join_weight, absent_weight, only_once):
            found[members] = min(members)
    return found


def average_linkage(
    edges: dict[tuple[int, int], tuple[float, float]],
    join_weight: float,
    absent_weight: float,
    only_once: np.ndarray | None = None,
) -> Iterable[list[int]]:
    """Divide the nodes of `edges` into groups; among equal means the pair with the smallest nodes joins first.

    edges: two nodes -> the weight of the pair in bits, and how many values were compared.
    """
    members = {node: [node] for edge in edges for node in edge}
    classes = {
        node: ({int(only_once[node])} if only_once is not None and only_once[node] >= 0 else set()) for node in members
    }
    # For each two groups with a pair between them: the sum of weight times values, of values, and how many pairs.
    between: dict[int, dict[int, tuple[float, float, int]]] = {node: {} for node in members}
    for (x, y), (weight, said) in edges.items():
        between[x][y] = between[y][x] = (weight * said, said, 1)

    def mean(x: int, y: int) -> float:
        total, said, stated = between[x][y]
        absent = len(members[x]) * len(members[y]) - stated
        return (total + absent * absent_weight) / (said + absent) if said + absent else -math.inf

    age = dict.fromkeys(members, 0)
    heap = [(-mean(x, y), x, y, 0, 0) for x, y in edges]
    heapq.heapify(heap)
    while heap:
        negative, x, y, age_x, age_y = heapq.heappop(heap)
        if -negative < join_weight:
            break
        if age.get(x) != age_x or age.get(y) != age_y or classes[x] & classes[y]:
            continue
        # The group keeps the name of its smallest node, so that ties are broken by nodes alone.
        members[x] += members.pop(y)
        classes[x] |= classes.pop(y)
        del age[y], between[x][y]
        age[x] += 1
        for z, (total, said, stated) in between.pop(y).items():
            if z == x:
                continue
            del between[z][y]
            before = between[x].get(z, (0.0, 0.0, 0))
            between[x][z] = between[z][x] = (before[0] + total, before[1] + said, before[2] + stated)
        for z in between[x]:
            first, second = min(x, z), max(x, z)
            heapq.heappush(heap, (-mean(x, z), first, second, age[first], age[second]))
    return members.values()
