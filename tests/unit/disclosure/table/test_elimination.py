"""The published method that ours is compared with does what its description says: against elimination in fractions."""

from __future__ import annotations

import numpy as np
import pytest
from elimination import eliminated, in_order, repaired, small_groups
from loss_auditor import loss_table, sensitive, violations
from table_auditor import Cell, Small, random_table


def square(**counts: int) -> Small:
    """Three places by three grades, 20 in each but where said (p0g0=3), with n = 5 and an interval of 2."""
    places, grades = [f"p{i}" for i in range(3)], [f"g{i}" for i in range(3)]
    count = {(p, g): counts.get(p + g, 20) for p in places for g in grades}
    count |= {("all", g): sum(count[p, g] for p in places) for g in grades}
    count |= {(p, "every"): sum(count[p, g] for g in grades) for p in [*places, "all"]}
    sums = [[("all", places)], [("every", grades)]]
    return Small(["p", "g"], ["all", "every"], [[], []], [[], []], [{}, {}], sums, count, set(), 5, True, 2)


def test_zeros_are_shown_first_and_then_the_largest_of_equal_ones_a_total():
    small = square(p0g0=3, p0g1=0, p0g2=0, p1g0=90)
    order = in_order(small)
    assert order[:3] == [("p0", "g1"), ("p0", "g2"), ("all", "every")]
    assert order[-2:] == [("p0", "every"), ("p0", "g0")]
    assert [small.count[cell] for cell in order[2:]] == sorted((n for n in small.count.values() if n), reverse=True)


def test_the_last_of_equal_cells_that_complete_a_rectangle_are_hidden():
    assert eliminated(square(p0g0=3), False) == {("p0", "g0"), ("p0", "g2"), ("p2", "g0"), ("p2", "g2")}
    assert eliminated(square(), True) == set()


def by_fractions(small: Small) -> set[Cell]:
    """The same choice, slowly: a cell is shown unless it and what is shown determine a sensitive cell."""
    own = set(sensitive(small))
    hidden = {cell for cell in small.count if small.count[cell]}
    for cell in in_order(small):
        small.hidden = hidden - {cell}
        if cell not in own and not small.determined() & own:
            hidden.discard(cell)
    return hidden


def test_what_is_hidden_is_what_elimination_in_fractions_hides():
    rng, partners = np.random.default_rng(4), 0
    for _ in range(8):
        small = random_table([("nested", 4), ("flat", 3)], rng)
        expected = by_fractions(small)
        assert eliminated(small, False) == expected
        partners += len(expected) - len(sensitive(small))
    assert partners > 20


def test_small_parts_of_a_sum_that_are_fewer_than_n_together_are_a_row_of_the_residual_rule():
    small = square(p0g0=3, p0g1=1, p1g0=2)
    assert small_groups(small) == [[("p0", "g0"), ("p0", "g1")]]  # 3 and 2, in a column, are n together


@pytest.mark.parametrize("seed", [0, 1, 3, 4, 7])
def test_the_residual_rule_leaves_no_sum_of_hidden_parts_below_n(seed):
    small = loss_table(np.random.default_rng(seed))
    small.hidden = eliminated(small, True)
    assert small.residuals() == 0


def test_without_the_residual_rule_a_sum_of_hidden_parts_is_told():
    small = square(p0g0=3, p0g1=1)
    small.hidden = eliminated(small, False)
    assert small.residuals() == 1


def test_repair_hides_more_until_nothing_is_told_too_well_and_no_more_than_that():
    small = loss_table(np.random.default_rng(3))
    first = eliminated(small, True)
    small.hidden = first
    assert violations(small)
    more = repaired(small, first) - first
    assert more and violations(small) == []
    last = max(more, key=in_order(small).index)
    small.hidden = (first | more) - {last}
    assert violations(small)


def test_repair_leaves_a_pattern_that_protects_as_it_is():
    small = square(p0g0=3)
    first = eliminated(small, True)
    assert repaired(small, first) == first
