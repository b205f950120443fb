"""The detector finds what a stranger could work out, planted attack by planted attack."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from disclosure_auditor import BANDS, GROUP, POLICY, audit, cube, organization, register

from pipelines.disclosure.certify import verify
from pipelines.disclosure.declare import declare, from_table
from pipelines.disclosure.detect import UNKNOWN, Published, detect
from pipelines.disclosure.protect import protect, publish
from pipelines.disclosure.suppress import Pattern


def attack(d, sums, hide_d=(), n=None, hide_n=(), bounds=None, nestings=None, overlaps=None, programs=True):
    """Publish a hand-made table with the given cells hidden and return what the detector finds."""
    d = np.array(d)
    n = d // 2 if n is None else np.array(n)
    declaration = from_table(pl.DataFrame({"denominator_count": d, "numerator_count": n}), sums, nestings, overlaps)
    closed_d, closed_n = np.zeros(len(d), bool), np.zeros(len(d), bool)
    closed_d[list(hide_d)] = True
    closed_n[[*hide_d, *hide_n]] = True
    low, high = np.zeros(len(d), int), d.copy()
    for cell, (least, most) in (bounds or {}).items():
        low[cell], high[cell] = least, most
    published = Published(
        np.where(closed_d, UNKNOWN, d),
        np.where(closed_n, UNKNOWN, n),
        low,
        high,
        declaration.cells["label"].to_list(),
    )
    return detect(
        published, declaration.relation, declaration.nesting, 10, 3, overlap=declaration.overlap, programs=programs
    )


def told(detection, rule=None, variable=None):
    """Sentences of the findings of a rule and variable."""
    return [f.sentence for f in detection.findings if rule in (None, f.rule) and variable in (None, f.variable)]


def test_subtraction_of_shown_members_from_a_total_is_found_and_printed():
    # A1: 100 = 60 + 36 + hidden.
    detection = attack([100, 60, 36, 4], [(0, [1, 2, 3])], hide_d=[3])
    sentences = told(detection, "residual", "d")
    assert sentences and "100" in sentences[0] and "- 60" in sentences[0] and "= 4" in sentences[0]


def test_subtraction_across_linked_margins_is_found():
    # A1: schools of an LEA and groups of a school: the pair hidden in the row is undone by the column.
    #      0 all, 1 f, 2 m (LEA); 3 all, 4 f, 5 m (school A); 6 all, 7 f, 8 m (school B)
    sums = [(0, [1, 2]), (3, [4, 5]), (6, [7, 8]), (0, [3, 6]), (1, [4, 7]), (2, [5, 8])]
    detection = attack([200, 100, 100, 105, 5, 100, 95, 95, 0], sums, hide_d=[4, 5])
    assert told(detection, "residual", "d")


def test_the_complement_of_a_one_sided_flag_is_found():
    # A1: 'all' minus 'English learner' is a group although it is never shown.
    detection = attack([60, 53, 7], [(0, [1, 2])], hide_d=[2])
    assert "60" in told(detection, "residual", "d")[0]


def rank_attack(values):
    """Rows hide two or three cells and columns two or three, yet together they fix a cell."""
    # 3 x 3 grid 0..8, row totals 9..11, column totals 12..14, total 15.
    grid = np.array(values).reshape(3, 3)
    d = [*grid.ravel(), *grid.sum(axis=1), *grid.sum(axis=0), grid.sum()]
    sums = [(9 + r, [3 * r, 3 * r + 1, 3 * r + 2]) for r in range(3)]
    sums += [(12 + c, [c, 3 + c, 6 + c]) for c in range(3)]
    sums += [(15, [9, 10, 11]), (15, [12, 13, 14])]
    return d, sums


def test_several_sums_together_that_fix_a_cell_are_found_with_their_combination():
    # A2: hidden (0,0) (0,1) (1,0) (1,1) in the corner, and (0,2) with its row total: two rows minus two columns
    # leave (0,2) alone, though each sum by itself has at least two hidden members.
    d, sums = rank_attack([20, 30, 4, 40, 50, 60, 70, 80, 90])
    # Column 2's total and row 2 hide more, so that (0,2) has company in every single sum.
    detection = attack(d, sums, hide_d=[0, 1, 2, 3, 4, 14, 15], programs=False)
    sentences = told(detection, "determined", "d")
    assert any("cell 2 is exactly 4" in sentence and " x [" in sentence for sentence in sentences)


def test_a_small_sum_of_hidden_members_is_found_though_no_cell_is_fixed():
    # A3: 2 and 3 hidden together tell of five people.
    assert told(attack([100, 95, 2, 3], [(0, [1, 2, 3])], hide_d=[2, 3]), "residual", "d")


def test_a_small_sum_of_numerators_is_found_though_the_groups_are_large():
    # A3: nobody of two groups of 40 graduated.
    detection = attack([180, 100, 40, 40], [(0, [1, 2, 3])], n=[60, 60, 0, 0], hide_n=[2, 3])
    assert told(detection, "residual", "n")


def test_everybody_of_hidden_groups_is_found_by_the_complement():
    # A3: the 80 of two hidden groups are all in the numerator: their complement is 0.
    detection = attack([180, 100, 40, 40], [(0, [1, 2, 3])], n=[140, 60, 40, 40], hide_n=[2, 3])
    assert told(detection, "residual", "n")


def test_a_group_surely_below_the_minimum_is_found_by_bounds():
    # A4: columns cap each hidden cell although the row hides 12 people in two cells of unknown split.
    #      0 row total 12+, 1 a, 2 b; 3 col a total with 4 shown 30; 5 col b total with 6 hidden
    sums = [(0, [1, 2]), (3, [1, 4]), (5, [2, 6])]
    detection = attack([12, 6, 6, 36, 30, 56, 50], sums, hide_d=[1, 2, 5, 6])
    assert told(detection, None, "d")
    detection = attack([15, 7, 8, 14, 7, 58, 50], [(0, [1, 2]), (3, [1, 4]), (5, [2, 6])], hide_d=[1, 2, 4])
    assert detection.findings


def test_zeros_that_are_always_shown_narrow_what_is_hidden():
    # A4: three hidden cells of at least 1 sum to 11, so none can be more than 9.
    d = np.array([31, 20, 1, 1, 9])
    declaration = from_table(pl.DataFrame({"denominator_count": d, "numerator_count": d * 0}), [(0, [1, 2, 3, 4])])
    hidden = np.array([False, False, True, True, True])

    def found(least):
        published = Published(
            np.where(hidden, UNKNOWN, d),
            np.where(d > 0, UNKNOWN, 0),
            np.zeros(5, int),
            d,
            declaration.cells["label"].to_list(),
            least_d=least,
        )
        return detect(published, declaration.relation, declaration.nesting, 10, 3)

    assert told(found(1), None, "d")
    assert not told(found(0), None, "d")


def test_a_cell_with_too_few_possible_values_is_found():
    # A4: of 23 in the numerator at most 20 are in one cell and at most 4 in the other, which so has 3 or 4.
    detection = attack([40, 20, 20], [(0, [1, 2])], n=[23, 3, 20], hide_n=[1, 2], bounds={1: (0, 4), 2: (16, 20)})
    assert not told(detection, "residual")
    assert "between 3 and 4" in told(detection, "bounds", "n")[0]


def test_bands_that_narrow_each_other_are_found():
    # A6: total 44 of 120 shown; one part shown, two banded parts whose bands meet in one value only.
    detection = attack(
        [120, 60, 30, 30], [(0, [1, 2, 3])], n=[36, 30, 3, 3], hide_n=[2, 3], bounds={2: (0, 3), 3: (0, 3)}
    )
    assert told(detection, None, "n")


def test_a_rate_of_one_hundred_percent_in_bands_is_found():
    # A6: bands leave 17..20 and 17..20, the shown parent says 40 of 40.
    detection = attack([40, 20, 20], [(0, [1, 2])], n=[40, 20, 20], hide_n=[1, 2], bounds={1: (16, 20), 2: (16, 20)})
    assert detection.findings


def test_a_small_difference_of_nested_cells_is_found():
    # A7: 57 enrolled within 16 months, 53 in the fall: four people.
    detection = attack([100, 100], [], n=[57, 53], nestings=[(0, 1)])
    sentences = told(detection, None, "xn")
    assert sentences and "between 4 and 4" in sentences[0]


def test_a_large_or_empty_difference_of_nested_cells_is_fine():
    assert not attack([100, 100], [], n=[57, 30], nestings=[(0, 1)]).findings
    assert not attack([100, 100], [], n=[57, 57], nestings=[(0, 1)]).findings


@pytest.mark.parametrize("recipients", [57, 49])
def test_a_small_difference_of_overlapping_cells_is_found_on_either_side(recipients):
    # A7: 53 of a cohort of 90 graduated in time; 57 (or 49) people received a diploma in that year.
    detection = attack([90, recipients], [], n=[53, 20], overlaps=[(1, 0)])
    assert [(f.variable, f.cell, f.other) for f in detection.findings] == [("xd", 1, -1)]
    assert f"between {recipients - 53} and {recipients - 53}" in told(detection)[0]


def test_a_large_or_empty_difference_of_overlapping_cells_is_fine():
    assert not attack([90, 80], [], n=[53, 20], overlaps=[(1, 0)]).findings
    assert not attack([90, 43], [], n=[53, 20], overlaps=[(1, 0)]).findings
    assert not attack([90, 53], [], n=[53, 20], overlaps=[(1, 0)]).findings


def test_a_small_difference_of_overlapping_cells_is_found_though_one_of_them_is_hidden():
    # A7: a numerator that is left out, but follows from its total: 93 - 40 = 53, against 57.
    detection = attack([150, 90, 60, 57], [(0, [1, 2])], n=[93, 53, 40, 20], hide_n=[1], overlaps=[(3, 1)])
    assert told(detection, None, "xd")


def test_linear_programs_find_what_bounds_propagation_does_not():
    # A4: x + y = 18, y + z = 18, x + z = 18, so every one is 9; each pair alone allows 0 to 18.
    detection = attack([18, 18, 18, 9, 9, 9], [(0, [3, 4]), (1, [4, 5]), (2, [3, 5])], hide_d=[3, 4, 5])
    assert told(detection, "determined", "d")


def test_an_inequality_that_only_all_ties_together_show_is_found_by_a_program():
    # x + y = 12, y + z = 12, x + z + w = 14 with w hidden beside a shown sum: x = z = 12 - y, so 2x <= 14: x < 10.
    detection = attack(
        [12, 12, 14, 6, 6, 6, 2], [(0, [3, 4]), (1, [4, 5]), (2, [3, 5, 6])], hide_d=[3, 4, 5, 6], hide_n=[0, 1, 2]
    )
    assert told(detection, "program", "d")


def test_a_hidden_value_that_is_surely_large_is_no_finding():
    assert not attack([100, 60, 40], [(0, [1, 2])], hide_d=[0]).findings


def test_one_more_cell_shown_is_found_where_a_slow_exact_reader_learns_of_another():
    people = [("one", i % 2, "fm"[i % 9 > 0], "yz"[i % 2], i % 3 > 0) for i in range(90)]
    declaration = declare(cube(people), organization(1, 2), GROUP, register("one"))
    protected = protect(declaration, POLICY, BANDS, b"key")
    assert not protected.detection.findings
    pattern = protected.pattern
    outcomes = []
    for cell in np.flatnonzero(pattern.hide_d & (declaration.d > 0)):
        # A planted slip: one hidden cell is published after all. Often its partners are given away.
        hide_d, hide_n = pattern.hide_d.copy(), pattern.hide_n.copy()
        hide_d[cell] = hide_n[cell] = False
        slip = Pattern(hide_d, hide_n, pattern.band, pattern.primary_d, pattern.primary_n, pattern.decoy, pattern.late)
        published = publish(declaration, slip, BANDS, POLICY)
        found = detect(published, declaration.relation, declaration.nesting, 10, 3).findings
        learned = [each for each in audit(declaration, published, 10, 3) if not each.startswith("insider")]
        assert bool(found) == bool(learned), f"cell {cell}"
        outcomes.append(bool(found))
        # That it is small and told is a flaw in any case.
        flaws = verify(declaration, published, protected.certificates, 10, 3)
        assert not pattern.primary_d[cell] or any("fewer than the minimum are told" in each for each in flaws)
    assert sum(outcomes) >= 3


def test_a_numerator_beside_a_hidden_denominator_is_refused():
    declaration = from_table(pl.DataFrame({"denominator_count": [20], "numerator_count": [10]}), [])
    published = Published(np.array([-1]), np.array([10]), np.array([0]), np.array([20]), ["cell 0"])
    with pytest.raises(ValueError, match="hide it too"):
        detect(published, declaration.relation, declaration.nesting, 10, 3)
