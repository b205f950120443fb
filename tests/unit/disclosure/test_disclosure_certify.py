"""Certificates of the official tables: every sensitive value has one, and none survives tampering by 1."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest
from disclosure_auditor import GROUP, SMALL, SMALL_BANDS, cube, organization, register

from pipelines.disclosure.certify import certify, verify
from pipelines.disclosure.declare import declare, from_table
from pipelines.disclosure.protect import protect, publish
from pipelines.disclosure.suppress import Pattern, Suppressor

N, WIDTH = SMALL.minimum_count, SMALL.interval_width


def tables():
    """Two LEAs of three schools, two nested outcomes, small groups in most of them."""
    generator = np.random.default_rng(5)
    people = []
    for school in (0, 1, 2, 10, 11, 12):
        for _ in range(int(generator.integers(2, 15))):
            gender, disability = generator.choice(list("fmmffmx")), generator.choice(list("yzzz"))
            outcome = int(generator.integers(0, 3))
            people += [(code, school, gender, disability, outcome > k) for k, code in enumerate(("outer", "inner"))]
    return declare(cube(people), organization(2, 3), GROUP, register("outer", "inner", nested_in={"inner": "outer"}))


@pytest.fixture(scope="module")
def certified():
    declaration = tables()
    protected = protect(declaration, SMALL, SMALL_BANDS, b"key")
    return declaration, protected.published, certify(declaration, protected.published, N, WIDTH)


def test_every_sensitive_value_has_a_certificate_and_all_hold(certified):
    declaration, published, certificates = certified
    hidden = published.d < 0
    small = int(((declaration.d >= 1) & (declaration.d < N) & hidden).sum())
    assert small > 5
    assert certificates.uncertified == []
    assert certificates.certified.filter(variable="d").height == small
    assert set(certificates.certified["variable"]) >= {"d", "n"}
    assert verify(declaration, published, certificates, N, WIDTH) == []


def test_a_small_value_that_follows_from_a_sum_gets_no_certificate():
    """With primary cells hidden only, subtraction tells them: no move exists."""
    declaration = tables()
    pattern = Suppressor(declaration, SMALL, SMALL_BANDS, b"key").pattern
    pattern.hide_n |= pattern.hide_d
    published = publish(declaration, pattern, SMALL_BANDS, SMALL)
    certificates = certify(declaration, published, N, WIDTH)
    assert certificates.uncertified
    assert any("have no certificate" in each for each in verify(declaration, published, certificates, N, WIDTH))


def test_the_same_input_gives_the_same_moves(certified):
    declaration, published, certificates = certified
    again = certify(declaration, published, N, WIDTH)
    assert again.moves.equals(certificates.moves) and again.certified.equals(certificates.certified)


@pytest.mark.parametrize("by", [1, -1])
def test_a_move_changed_by_one_fails(certified, by):
    declaration, published, certificates = certified
    for row in range(0, certificates.moves.height, 1 + certificates.moves.height // 6):
        changed = certificates.moves.with_row_index("row").with_columns(
            amount=pl.col("amount") + pl.when(pl.col("row") == row).then(by).otherwise(0)
        )
        tampered = dataclasses.replace(certificates, moves=changed.drop("row"))
        assert verify(declaration, published, tampered, N, WIDTH)


def test_a_published_count_changed_by_one_fails(certified):
    declaration, published, certificates = certified
    for name in ("d", "n"):
        value = getattr(published, name)
        for cell in np.flatnonzero(value >= 0)[:: 1 + int((value >= 0).sum()) // 4]:
            changed = value.copy()
            changed[cell] += 1
            assert verify(declaration, dataclasses.replace(published, **{name: changed}), certificates, N, WIDTH)


def test_a_certificate_taken_away_fails(certified):
    declaration, published, certificates = certified
    for row in range(0, certificates.certified.height, 1 + certificates.certified.height // 6):
        kept = certificates.certified.filter(pl.arange(0, pl.len()) != row)
        less = dataclasses.replace(certificates, certified=kept)
        assert verify(declaration, published, less, N, WIDTH) == ["Sensitive values have no certificate: 1."]


@pytest.mark.parametrize(("sizes", "is_told"), [((1, 2), True), ((2, 2), False)])
def test_a14_hidden_groups_that_make_the_minimum_together_tell_whoever_is_one_of_them(sizes, is_told):
    """A school of 3 girls and boys and 40 others: one of the three knows that the others are fewer than three."""
    d = np.array([sum(sizes) + 40, *sizes, 40])
    cells = pl.DataFrame({"denominator_count": d, "numerator_count": d // 2})
    declaration = from_table(cells, [(0, [1, 2, 3])])
    hidden = np.array([False, True, True, False])
    pattern = Pattern(hidden, ~np.eye(4, dtype=bool)[0], *(np.zeros(4, dtype=int) for _ in range(5)))
    published = publish(declaration, pattern, SMALL_BANDS, SMALL)
    flaws = verify(declaration, published, certify(declaration, published, N, WIDTH), N, WIDTH)
    assert any("one of them knows the others" in each for each in flaws) == is_told
    # The suppressor hides one more.
    assert (Suppressor(declaration, SMALL, SMALL_BANDS, b"key").close().hide_d[[0, 3]].any()) == is_told


def test_a_small_group_must_reach_the_minimum_and_be_far_from_what_it_is():
    """Of two groups of 2 that make 4 each may have 0 to 4: enough values, but none is 3 above the truth."""
    cells = pl.DataFrame({"denominator_count": [44, 2, 2, 40], "numerator_count": [22, 1, 1, 20]})
    declaration = from_table(cells, [(0, [1, 2, 3])])
    hidden = np.array([False, True, True, False])
    pattern = Pattern(hidden, ~np.eye(4, dtype=bool)[0], *(np.zeros(4, dtype=int) for _ in range(5)))
    published = publish(declaration, pattern, SMALL_BANDS, SMALL)
    near = certify(declaration, published, N, 2)
    assert verify(declaration, published, near, N, 2) == []
    assert any("not far enough" in each for each in verify(declaration, published, near, N, 3))
    assert {("d", 1, -1), ("d", 2, -1)} <= set(certify(declaration, published, N, 3).uncertified)


def test_what_is_hidden_for_room_is_told_apart_from_what_stands_in_a_sum():
    """Loss by the choice of policy: the suppressor hides what sums ask for, repair what bounds and certificates do."""
    generator = np.random.default_rng(3)
    people = [
        ("one", school, generator.choice(list("fmmffmx")), generator.choice(list("yzzz")), generator.integers(0, 2) > 0)
        for school in (0, 1, 2, 10, 11, 12)
        for _ in range(int(generator.integers(2, 15)))
    ]
    declaration = declare(cube(people), organization(2, 3), GROUP, register("one"))
    first = Suppressor(declaration, SMALL, SMALL_BANDS, b"key").close()
    protected = protect(declaration, SMALL, SMALL_BANDS, b"key")
    late = protected.pattern.late
    assert protected.rounds and late.any()
    assert (protected.pattern.hide_n[late] | protected.pattern.hide_d[late]).all()
    same = (protected.pattern.hide_d == first.hide_d) & (protected.pattern.hide_n == first.hide_n)
    assert (same | late).all()


def test_known_moves_stay_proof_when_more_is_hidden(certified):
    declaration, published, certificates = certified
    shown = np.flatnonzero((published.d >= N) & (published.n < 0))[:3]
    assert len(shown)
    less = dataclasses.replace(published, d=published.d.copy())
    less.d[shown] = -1
    again = certify(declaration, less, N, WIDTH, certificates)
    held = {tuple(row) for row in again.certified.select("variable", "cell", "other").rows()}
    assert held >= {tuple(row) for row in certificates.certified.select("variable", "cell", "other").rows()}
    assert "Moves break a sum" not in " ".join(verify(declaration, less, again, N, WIDTH))
