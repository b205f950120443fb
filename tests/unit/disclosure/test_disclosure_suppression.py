"""After suppression a slow exact reader learns nothing of a small group."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from disclosure_auditor import (
    BANDS,
    GROUP,
    POLICY,
    SMALL,
    SMALL_BANDS,
    audit,
    cube,
    organization,
    read_rows,
    register,
)
from hypothesis import HealthCheck, given, settings, strategies

from pipelines.disclosure.certify import verify
from pipelines.disclosure.declare import declare, from_table
from pipelines.disclosure.detect import detect
from pipelines.disclosure.protect import protect, publish, rows
from pipelines.disclosure.suppress import Pattern, Suppressor
from pipelines.settings import settings as project_settings

QUIET = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@strategies.composite
def population(draw, codes=("one",), most=14):
    """People of up to two LEAs with two or three schools, drawn school by school."""
    leas, schools = draw(strategies.integers(1, 2)), draw(strategies.integers(1, 3))
    people = []
    for lea in range(leas):
        for school in range(schools):
            size = draw(strategies.integers(1, most))
            for _ in range(size):
                gender = draw(strategies.sampled_from("fmmffmx"))
                disability = draw(strategies.sampled_from("yzzz"))
                outcome = draw(strategies.integers(0, 3))
                # Nested outcomes: who has the inner one has the outer one.
                people += [
                    (code, lea * 10 + school, gender, disability, outcome > rank) for rank, code in enumerate(codes)
                ]
    return leas, schools, people


@QUIET
@given(population(), strategies.binary(min_size=4, max_size=4))
def test_nothing_small_can_be_worked_out_of_a_protected_table(drawn, secret):
    _audited(drawn, secret)


def _audited(drawn, secret) -> None:
    leas, schools, people = drawn
    declaration = declare(cube(people), organization(leas, schools), GROUP, register("one"))
    protected = protect(declaration, SMALL, SMALL_BANDS, secret)
    assert not protected.detection.findings
    assert not audit(declaration, protected.published, SMALL.minimum_count, SMALL.interval_width)


@pytest.mark.slow
@settings(QUIET, max_examples=1_000)
@given(population(), strategies.binary(min_size=4, max_size=4))
def test_nothing_small_can_be_worked_out_of_many_protected_tables(drawn, secret):
    _audited(drawn, secret)


@pytest.mark.parametrize("reach", [2, 3, 5])
def test_decoys_are_drawn_up_to_as_many_times_the_minimum_as_policy_says(reach):
    sizes = {0: 2, 1: 5, 2: 8, 10: 11, 11: 14, 12: 17}
    people = [("one", school, "f", "z", False) for school, size in sizes.items() for _ in range(size)]
    declaration = declare(cube(people), organization(2, 3), GROUP, register("one"))
    policy = replace(SMALL, decoy_share=1.0, decoy_reach=reach)
    decoy = Suppressor(declaration, policy, SMALL_BANDS, b"key").pattern.decoy
    drawn = declaration.cells.filter(pl.Series(decoy))["denominator_count"]
    assert SMALL.minimum_count <= drawn.min() and drawn.max() == reach * SMALL.minimum_count - 1


@settings(QUIET, max_examples=12)
@given(population(codes=("outer", "inner"), most=9), strategies.binary(min_size=4, max_size=4))
def test_nested_indicators_are_protected_together(drawn, secret):
    leas, schools, people = drawn
    declaration = declare(
        cube(people), organization(leas, schools), GROUP, register("outer", "inner", nested_in={"inner": "outer"})
    )
    assert len(declaration.nesting.outer)
    protected = protect(declaration, SMALL, SMALL_BANDS, secret)
    assert not protected.detection.findings
    assert not audit(declaration, protected.published, SMALL.minimum_count, SMALL.interval_width)


@settings(QUIET, max_examples=12)
@given(population(most=9), strategies.data(), strategies.binary(min_size=4, max_size=4))
def test_overlapping_indicators_are_protected_together_and_the_earlier_one_is_left_as_it_is(drawn, data, secret):
    leas, schools, people = drawn
    # Who graduated in time received a diploma of the year, but for a few; and a few others did too.
    recipients = [
        ("going", *who, data.draw(strategies.booleans()))
        for _, *who, yes in people
        if yes != (data.draw(strategies.integers(0, 7)) == 0)
    ]
    places = organization(leas, schools)
    both = register("going", "one", overlaps={"one": "going"})
    protected = protect(declare(cube(people + recipients), places, GROUP, both), SMALL, SMALL_BANDS, secret)
    assert not protected.detection.findings
    assert not audit(protected.declaration, protected.published, SMALL.minimum_count, SMALL.interval_width)
    # The earlier table does not know of the later one when it comes out.
    alone = Suppressor(declare(cube(people), places, GROUP, register("one")), SMALL, SMALL_BANDS, secret).close()
    together = Suppressor(protected.declaration, SMALL, SMALL_BANDS, secret).close()
    mine = (protected.declaration.cells["indicator_code"] == "one").to_numpy()
    assert (together.hide_d[mine] == alone.hide_d).all() and (together.hide_n[mine] == alone.hide_n).all()


def test_a_hidden_numerator_is_not_told_by_a_table_of_the_same_people():
    """47 of 50 graduate: that nobody may know, so the table of these graduates does not say that they are 47."""

    def people(code, sizes):
        return [(code, school, "f", "z", k < yes) for school, (size, yes) in enumerate(sizes) for k in range(size)]

    graduates = people("grad", [(50, 47), (90, 60), (80, 55), (70, 50)])
    college = people("coll", [(47, 25), (60, 30), (55, 25), (50, 25)])
    overlap = register("coll", "grad", overlaps={"grad": "coll"})
    declaration = declare(cube(graduates + college), organization(1, 4), GROUP, overlap)
    protected = protect(declaration, POLICY, BANDS, b"key")
    assert not protected.flaws
    whole, part = declaration.overlap.whole, declaration.overlap.part
    hidden = protected.published.n[part] < 0
    assert hidden.any() and (protected.published.d[whole[hidden]] < 0).all()
    shown = protected.published.d.copy()
    shown[whole[hidden]] = declaration.d[whole[hidden]]
    told = replace(protected.published, d=shown)
    flaws = verify(declaration, told, protected.certificates, POLICY.minimum_count, POLICY.interval_width)
    assert any("nearly the same people" in flaw for flaw in flaws)


@settings(QUIET, max_examples=15)
@given(population(), strategies.randoms(use_true_random=False))
def test_rows_in_any_order_give_the_same_bytes(drawn, random):
    leas, schools, people = drawn
    exact, places = cube(people), organization(leas, schools)
    order = list(range(exact.height))
    random.shuffle(order)
    first, second = (
        rows(protect(declare(table, place, group, register("one")), SMALL, SMALL_BANDS, b"key"), SMALL_BANDS)
        for table, place, group in ((exact, places, GROUP), (exact[order], places.reverse(), GROUP.reverse()))
    )
    assert first.write_csv().encode() == second.write_csv().encode()


def test_levels_that_do_not_add_up_are_protected_with_their_residual_known():
    people = [
        ("one", school, "fm"[i % 2], "yz"[i % 3 > 0], i % 4 > 0) for school in (0, 1, 2) for i in range(8 + school)
    ]
    exact = cube(people)
    twice = (pl.col("organization_key") == 0) & (pl.col("group_code").is_in(["all", "f", "z"]))
    exact = exact.with_columns(
        denominator_count=pl.col("denominator_count") + 2 * twice, numerator_count=pl.col("numerator_count") + twice
    )
    declaration = declare(exact, organization(1, 3), GROUP, register("one", attribution="school=each_school"))
    assert set(declaration.relation.residual_d[declaration.relation.kind == "level"]) == {0, -2}
    assert not [problem for problem in declaration.problem if problem["rule"] == "additivity"]
    protected = protect(declaration, SMALL, SMALL_BANDS, b"key")
    assert not protected.detection.findings
    assert not audit(declaration, protected.published, 3, 2)


def test_a_level_declared_additive_that_is_not_is_reported():
    exact = cube([("one", 0, "f", "y", True)] * 20).with_columns(
        denominator_count=pl.col("denominator_count") + (pl.col("organization_key") == 0)
    )
    declaration = declare(exact, organization(1, 1), GROUP, register("one"))
    assert {problem["rule"] for problem in declaration.problem} == {"additivity"}


def test_a_value_is_shown_only_where_numerator_and_complement_reach_the_minimum():
    people = [("one", 0, "fm"[i % 2], "yz"[i % 3 > 0], i % 5 > 0) for i in range(600)]
    declaration = declare(cube(people), organization(1, 1), GROUP, register("one"))
    table = rows(protect(declaration, POLICY, BANDS, b"key"), BANDS)
    whole = table.filter(pl.col("breakdown_code") == "all")
    assert whole["value_status"].to_list() == ["shown"] * 3
    assert whole["rate"].to_list() == [800_000] * 3
    shown = table.filter(pl.col("value_status") == "shown")
    assert (shown["numerator_count"] >= 10).all()
    assert (shown["denominator_count"] - shown["numerator_count"] >= 10).all()
    assert table.filter(pl.col("group_code") == "x")["value_status"].unique().to_list() == ["no_students"]


def test_a_high_rate_with_few_others_is_banded_by_the_size_of_its_group():
    people = [("one", i % 3, "fmx"[i % 3], "yz"[i % 2], i not in (3, 9)) for i in range(180)]
    declaration = declare(cube(people), organization(1, 3), GROUP, register("one"))
    table = rows(protect(declaration, POLICY, BANDS, b"key"), BANDS)
    banded = table.filter(pl.col("value_status") == "banded")
    assert banded.height
    assert banded["numerator_count"].null_count() == banded.height
    expected = {30: "≥90%", 60: "≥95%", 90: "≥95%", 180: "≥98%"}
    assert all(
        label == expected[size] for size, label in zip(banded["denominator_count"], banded["rate_label"], strict=True)
    )
    assert (banded["rate_high"] == 1_000_000).all()


def test_the_published_reason_does_not_tell_primary_cells_from_partners():
    people = [("one", i % 3, "fm"[i % 2], "yz"[i % 7 > 0], i % 3 > 0) for i in range(120)]
    protected = protect(declare(cube(people), organization(1, 3), GROUP, register("one")), POLICY, BANDS, b"key")
    table = rows(protected, BANDS)
    hidden = protected.pattern.hide_n & ~protected.pattern.primary_n & ~protected.pattern.primary_d
    assert hidden.any()
    reasons = table.filter(pl.col("value_status") == "suppressed")["suppression_reason"]
    assert reasons.unique().to_list() == ["small_group"]


def test_a_repair_hides_no_figure_of_the_whole_state_while_something_smaller_is_left():
    people = [("one", lea * 10 + i % 2, "fm"[i % 2], "yz"[i % 3 > 0], i % 2 > 0) for lea in (0, 1) for i in range(120)]
    declaration = declare(cube(people), organization(2, 2), GROUP, register("one"))
    suppressor = Suppressor(declaration, POLICY, BANDS, b"key")
    suppressor.close()
    place = declaration.cells.select("organization_id_state", "breakdown_code", "group_code").rows()
    whole = place.index(("STATE", "all", "all"))
    target = place.index(("L0", "all", "all"))
    # The state's whole figure stands right beside the LEA's; the groups of the LEA do too.
    assert suppressor.repair([("d", target)], effort=4)
    assert suppressor.pattern.hide_d[target] and not suppressor.pattern.hide_d[whole]


def test_findings_of_one_cause_are_repaired_once():
    people = [("one", school, "fm"[i % 2], "yz"[i % 3 > 0], i % 2 > 0) for school in range(3) for i in range(240)]
    declaration = declare(cube(people), organization(1, 3), GROUP, register("one"))
    place = declaration.cells.select("organization_id_state", "breakdown_code", "group_code").rows()
    targets = [("d", place.index((f"S0{school}", "gender", "f"))) for school in range(3)]
    hidden = []
    for reach in (0, 2):
        suppressor = Suppressor(declaration, POLICY, BANDS, b"key")
        suppressor.close()
        hidden.append(suppressor.repair(targets, effort=1, reach=reach))
    assert 0 < hidden[1] < hidden[0]


def test_what_a_figure_of_a_level_costs_is_policy():
    people = [("one", school, "fm"[i % 2], "z", i % 3 > 0) for school in range(3) for i in range(30)]
    declaration = declare(cube(people), organization(1, 3), GROUP, register("one"))

    def cost(**changed):
        return Suppressor(declaration, replace(SMALL, **changed), SMALL_BANDS, b"key").base_cost

    level = declaration.cells["organization_level"].to_numpy()
    whole = (declaration.cells["breakdown_code"] == "all").to_numpy()
    plain = cost(state_cost=0, lea_cost=0, whole_cost=0)
    assert set(np.round(cost(state_cost=9, lea_cost=0, whole_cost=0) - plain, 6)[level == "state"]) == {9}
    assert set(np.round(cost(state_cost=0, lea_cost=7, whole_cost=0) - plain, 6)[level == "lea"]) == {7}
    assert set(np.round(cost(state_cost=9, lea_cost=7, whole_cost=0) - plain, 6)[level == "school"]) == {0}
    assert set(np.round(cost(state_cost=0, lea_cost=0, whole_cost=5) - plain, 6)[whole]) == {5}


def test_two_secrets_choose_partners_differently_somewhere():
    # School 0 has 5 girls; the girls of one of three nearly equal schools must be hidden with them.
    size = {0: 5, 1: 40, 2: 41, 3: 42}
    people = [("one", school, "f", "z", i % 2 > 0) for school, girls in size.items() for i in range(girls)]
    people += [("one", school, "m", "z", i % 2 > 0) for school in size for i in range(60)]
    declaration = declare(cube(people), organization(1, 4), GROUP, register("one"))
    patterns = {protect(declaration, POLICY, BANDS, bytes([key])).pattern.hide_n.tobytes() for key in range(12)}
    assert len(patterns) > 1


# --- counterexamples that users of other tools have published ----------------------------------------------


def _published_counterexample(name: str) -> list[dict[str, str]]:
    path = project_settings().real_data / "disclosure" / name
    if not path.exists():
        pytest.skip(f"third-party file disclosure/{name} is absent (setting P20W_REAL_DATA)")
    return read_rows(path)


def _linked(keys: list[tuple[str, ...]], values: list[int], sums: list[tuple[int, ...]]):
    """A table of sums of `values` over the given groupings of dimensions, all ties declared."""
    names: dict[tuple, int] = {}
    counts: list[int] = []

    def cell(name: tuple, value: int) -> int:
        if name not in names:
            names[name] = len(counts)
            counts.append(value)
        return names[name]

    ties = []
    for key, value in zip(keys, values, strict=True):
        cell(key, value)
    levels = [tuple(range(len(keys[0]))), *sums]
    for outer in sums:
        finer = [level for level in levels if set(outer) < set(level) and len(level) == len(outer) + 1]
        for inner in finer or [levels[0]]:
            parents: dict[tuple, dict[tuple, int]] = {}
            for key, value in zip(keys, values, strict=True):
                up = tuple(key[i] if i in outer else "*" for i in range(len(key)))
                down = tuple(key[i] if i in inner else "*" for i in range(len(key)))
                parents.setdefault(up, {}).setdefault(down, 0)
                parents[up][down] += value
            for up, members in parents.items():
                children = [cell(down, value) for down, value in members.items()]
                if up not in members:
                    ties.append((cell(up, sum(members.values())), children))
    frame = pl.DataFrame({"denominator_count": counts, "numerator_count": [0] * len(counts)})
    return from_table(frame, ties)


def _people_hold(declaration, n_min: int, zero_rule: str) -> None:
    """The published count table (only D matters) is safe, and hiding just its small cells was not."""
    policy = replace(SMALL, minimum_count=n_min, accountability_minimum=n_min, zero_rule=zero_rule)
    protected = protect(declaration, policy, SMALL_BANDS, b"key")
    assert not protected.detection.findings
    problems = audit(declaration, protected.published, n_min, 2)
    assert not [problem for problem in problems if problem.startswith(("d", "residual of people"))]


def _primary_only(declaration, n_min: int, zero_rule: str) -> list[str]:
    policy = replace(SMALL, minimum_count=n_min, accountability_minimum=n_min, zero_rule=zero_rule)
    small = (declaration.d >= 1) & (declaration.d < n_min)
    pattern = Pattern(small, np.ones(len(small), bool), np.zeros(len(small), np.int8), small, small, ~small, ~small)
    published = publish(declaration, pattern, SMALL_BANDS, policy)
    found = detect(published, declaration.relation, declaration.nesting, n_min, 2).findings
    return [finding.sentence for finding in found if finding.variable == "d"]


@pytest.mark.parametrize("n_min", [3, 4, 5])
@pytest.mark.parametrize("zero_rule", ["hideable", "shown"])
def test_three_singletons_in_a_row_are_protected(n_min, zero_rule):
    content = _published_counterexample("usersupport135_three_singletons.csv")
    keys = [(row["var1"], row["var2"]) for row in content]
    declaration = _linked(keys, [int(row["values"]) for row in content], [(0,), (1,), ()])
    # Three hidden cells that sum to 3, none of which can be 0: every one is 1.
    assert _primary_only(declaration, 3, "shown")
    _people_hold(declaration, n_min, zero_rule)


@pytest.mark.parametrize("n_min", [3, 4, 5])
def test_linked_tables_that_are_safe_alone_are_protected_together(n_min):
    content = _published_counterexample("usersupport136_linked_unsafe.csv")
    keys = [(row["region"], row["county"], row["group"]) for row in content]
    declaration = _linked(keys, [int(row["n"]) for row in content], [(1,), (2,), ()])
    # County 2 hides K, L and M; the group BIG is L and M; so K is the difference.
    assert any("exactly 3" in sentence for sentence in _primary_only(declaration, 4, "hideable"))
    _people_hold(declaration, n_min, "hideable")


def test_numbers_are_the_same_type_in_every_row():
    declaration = declare(cube([("one", 0, "f", "y", True)] * 4), organization(1, 1), GROUP, register("one"))
    table = rows(protect(declaration, POLICY, BANDS, b"key"), BANDS)
    assert table.schema["denominator_count"] == pl.Int64
    assert np.all(table["value_status"].to_numpy() != "")
