"""A stranger reads the published files and nothing else: a protected release tells nothing, each planted one does."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from disclosure_auditor import (
    BANDS,
    DAY,
    GROUP,
    POLICY,
    SMALL,
    SMALL_BANDS,
    audit,
    cube,
    mart_rows,
    organization,
    register,
)
from scipy.optimize import Bounds, LinearConstraint, milp

from pipelines.disclosure.declare import declare
from pipelines.disclosure.protect import protect
from pipelines.disclosure.stranger.attack import attack_release
from pipelines.disclosure.stranger.figures import HIDDEN, MART, equations, figures, read_rows
from pipelines.disclosure.stranger.rules import SAYS, Rules, read_rules, rules_of, write_rules
from pipelines.errors import P20wError
from pipelines.registers import read_seed
from pipelines.release.attack import public_rules
from pipelines.settings import load

PLACES = organization(2, 3)
ADDS_UP = {"school": "one_school", "lea": "one_school", "state": "one_school"}


STATISTICS = [
    [row["table_name"], row["column_name"], row["says"]] for row in read_seed(load({}), "registers/statistic.csv")
]


def rules(**indicators: dict) -> Rules:
    said = {
        code: {"attribution": ADDS_UP, "nested_in": [], "overlaps": [], **more} for code, more in indicators.items()
    }
    bands = [column.tolist() for column in asdict(SMALL_BANDS).values()]
    return Rules(SMALL.minimum_count, SMALL.interval_width, SMALL.zero_rule, said, STATISTICS, asdict(SMALL), bands)


ONE = rules(one={})
NESTED = rules(outer={}, inner={"nested_in": ["outer"]})


def write(folder: Path, rows: pl.DataFrame) -> Path:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    rows.write_parquet(folder / "data" / f"{MART}.parquet")
    return folder


def somebody(generator, schools=(0, 1, 2, 10, 11, 12)) -> list[tuple]:
    return [
        (school, str(generator.choice(list("fmmffmx"))), str(generator.choice(list("yzzz"))), generator.integers(0, 3))
        for school in schools
        for _ in range(int(generator.integers(6, 24)))
    ]


@pytest.fixture(scope="module")
def nested():
    """A protected release of two nested indicators; its mart's rows."""
    people = somebody(np.random.default_rng(5))
    counted = [(code, *who, outcome > k) for *who, outcome in people for k, code in enumerate(("outer", "inner"))]
    declaration = declare(cube(counted), PLACES, GROUP, register("outer", "inner", nested_in={"inner": "outer"}))
    return mart_rows(protect(declaration, SMALL, SMALL_BANDS, b"key"), SMALL_BANDS, PLACES)


def truth() -> pl.DataFrame:
    """Exact counts of what `nested` protects, without empty groups."""
    people = somebody(np.random.default_rng(5))
    exact = cube([(code, *who, outcome > k) for *who, outcome in people for k, code in enumerate(("outer", "inner"))])
    return exact.join(PLACES.select("organization_key", "organization_id_state"), on="organization_key")


def told(sizes: dict[tuple[int, str], tuple[int, int]]) -> pl.DataFrame:
    """Mart's rows of the schools of one LEA, all told; (people, of whom in the numerator) by school and group."""
    places = organization(1, 1 + max(school for school, _ in sizes))
    groups = pl.DataFrame(
        {"breakdown_code": ["all", *["gender"] * 4, "disability"], "group_code": ["all", *"fmxw", "z"]}
    )
    people = [
        ("one", school, group, "z", i < yes) for (school, group), (size, yes) in sizes.items() for i in range(size)
    ]
    declaration = declare(cube(people), places, groups, register("one"))
    rows = mart_rows(protect(declaration, SMALL, SMALL_BANDS, b"key"), SMALL_BANDS, places)
    key = ["organization_level", "organization_id_state", "breakdown_code", "group_code"]
    exact = declaration.cells.select(*key, d="denominator_count", n="numerator_count")
    return (
        rows.join(exact, on=key)
        .with_columns(denominator_count="d", numerator_count="n")
        .with_columns(
            *(pl.lit(None, pl.Decimal(9, 6)).alias(name) for name in ("rate", "rate_low", "rate_high")),
            rate_label=pl.lit(""),
            value_status=pl.when(pl.col("d") > 0).then(pl.lit("shown")).otherwise(pl.lit("no_students")),
            suppression_reason=pl.lit(""),
        )
        .drop("d", "n")
    )


def one_school(**groups: tuple[int, int]) -> pl.DataFrame:
    """The same of a single school, which is its LEA and the state too."""
    return told({(0, group): size for group, size in groups.items()})


EVERYWHERE = pl.lit(True)


def hide(rows: pl.DataFrame, *groups: str, where: pl.Expr = EVERYWHERE, only_numerator: bool = False) -> pl.DataFrame:
    """The rows with these groups hidden, at every level if not `where`."""
    which = pl.col("group_code").is_in(groups) & where
    names = ["numerator_count"] if only_numerator else ["denominator_count", "numerator_count"]
    return rows.with_columns(
        *(pl.when(which).then(None).otherwise(pl.col(name)).alias(name) for name in names),
        value_status=pl.when(which).then(pl.lit("suppressed")).otherwise("value_status"),
        suppression_reason=pl.when(which).then(pl.lit("small_group")).otherwise("suppression_reason"),
    )


def found(folder: Path, said: Rules = ONE, earlier: tuple = ()) -> set[str]:
    return {each.rule for each in attack_release(folder, said, earlier).findings}


def test_a_protected_release_tells_nothing(nested, tmp_path):
    attack = attack_release(write(tmp_path, nested), NESTED)
    assert attack.findings == [] and attack.unsettled == 0
    assert attack.hidden > 50 and attack.figures == nested.height


def test_a_release_beside_itself_tells_nothing(nested, tmp_path):
    folder = write(tmp_path / "one", nested)
    again = write(tmp_path / "two", nested)
    attack = attack_release(folder, NESTED, (again, again))
    assert attack.findings == [] and attack.compared == 1  # the same version is compared once


def hidden_people(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of `nested` that hide their people, with these as `d`."""
    key = ["indicator_code", "organization_id_state", "breakdown_code", "group_code"]
    return rows.filter(pl.col("denominator_count").is_null()).join(truth().select(*key, d="denominator_count"), on=key)


def tell(rows: pl.DataFrame, what: pl.DataFrame) -> pl.DataFrame:
    """The rows with the people of `what` (hidden_people) told."""
    key = ["indicator_code", "organization_id_state", "breakdown_code", "group_code"]
    told_too = rows.join(what.select(*key, "d"), on=key, how="left", maintain_order="left")
    return told_too.with_columns(denominator_count=pl.coalesce("denominator_count", "d")).drop("d")


FEW = pl.col("d").is_between(1, SMALL.minimum_count - 1)


def test_every_hidden_figure_that_is_told_after_all_gives_something_away(nested, tmp_path):
    """Each small count that is hidden, told by one row more: the stranger says so."""
    small = hidden_people(nested).filter(FEW).head(4)
    assert small.height == 4
    for number in range(small.height):
        assert found(write(tmp_path / str(number), tell(nested, small[number])), NESTED)


def test_partners_that_are_told_after_all_give_away_whom_they_protect(nested, tmp_path):
    """Of a total that is told all hidden groups but the small one are told again: the stranger tells its people."""
    here = ["indicator_code", "organization_id_state", "breakdown_code"]
    total = nested.filter(pl.col("breakdown_code") == "all", pl.col("denominator_count").is_not_null())
    hidden = hidden_people(nested).filter(pl.col("breakdown_code") != "all").join(total, on=here[:2], how="semi")
    one_small = hidden.filter(FEW.sum().over(here) == 1)
    protected = one_small.filter(FEW).unique(here, maintain_order=True).head(6)
    assert protected.height >= 4
    for number, row in enumerate(protected.iter_rows(named=True)):
        partners = one_small.join(protected[number], on=here, how="semi").filter(~FEW)
        assert partners.height
        attack = attack_release(write(tmp_path / str(number), tell(nested, partners)), NESTED)
        sentences = [each.sentence for each in attack.findings]
        named = f"{row['organization_id_state']}, {row['breakdown_code']} {row['group_code']}"
        assert any(f"= {row['d']}: {row['indicator_code']}" in each and f"{named}." in each for each in sentences)


def test_a1_subtraction_of_all_other_groups(tmp_path):
    rows = hide(one_school(f=(2, 1), m=(30, 15), x=(40, 20)), "f")
    assert "residual" in found(write(tmp_path, rows))


def test_a1_the_complement_of_a_flag_is_a_figure_too(tmp_path):
    """Of 40 students 39 are in the numerator: everyone but one."""
    assert "bounds" in found(write(tmp_path, one_school(f=(40, 39), m=(30, 15))))


def test_a2_sums_that_each_hide_two_solve_a_figure_together(tmp_path):
    """Schools 0 and 1 hide f and m, schools 2 and 3 hide x and w; x of school 0 is hidden too. Of each sum two or three
    figures are hidden, yet the two schools less the two groups leave x of school 0."""
    sizes = {(school, group): (20 + school, 10) for school in range(4) for group in "fmxw"} | {(0, "x"): (2, 1)}
    rows = told(sizes)
    school = pl.col("organization_id_state")
    rows = hide(rows, "f", "m", where=school.is_in(["S00", "S01"]))
    rows = hide(rows, "x", "w", where=school.is_in(["S02", "S03"]))
    safe = write(tmp_path / "safe", rows)
    # The two of school 0 are told there, and nothing else follows.
    assert all("is told" in each.sentence or each.rule == "undeclared" for each in attack_release(safe, ONE).findings)
    attack = attack_release(write(tmp_path / "bridge", hide(rows, "x", where=school == "S00")), ONE)
    assert any("people of" in each.sentence and "between 2 and 2" in each.sentence for each in attack.findings)
    assert all(each.rule == "bounds" for each in attack.findings)


@pytest.mark.parametrize("schools", [(2, 1, 1), (1, 1, 1, 1, 1, 1, 2)])
def test_a11_a_place_that_has_rows_is_not_empty(tmp_path, schools):
    """More people together than the minimum, and yet no school can have that many, because each has someone."""
    assert sum(schools) > SMALL.minimum_count
    rows = told({(school, "f"): (people, 0) for school, people in enumerate(schools)})
    hidden = pl.lit(None, pl.Int64)
    at_school = pl.col("organization_level") == "school"
    planted = rows.with_columns(
        denominator_count=pl.when(at_school).then(hidden).otherwise("denominator_count"),
        numerator_count=hidden,
        value_status=pl.lit("suppressed"),
        suppression_reason=pl.lit("small_group"),
    )
    assert "bounds" in found(write(tmp_path / "planted", planted))
    places = organization(1, len(schools))
    people = [("one", school, "f", "z", False) for school, count in enumerate(schools) for _ in range(count)]
    people += [("one", 0, "m", "z", k % 2 == 0) for k in range(40)]
    declaration = declare(cube(people), places, GROUP, register("one"))
    protected = protect(declaration, SMALL, SMALL_BANDS, b"key")
    assert audit(declaration, protected.published, SMALL.minimum_count, SMALL.interval_width) == []
    assert not protected.flaws and not protected.certificates.uncertified
    assert found(write(tmp_path / "made", mart_rows(protected, SMALL_BANDS, places))) == set()


def test_a3_two_hidden_groups_that_are_few_together(tmp_path):
    rows = hide(one_school(f=(1, 0), m=(1, 1), x=(40, 20)), "f", "m")
    assert "residual" in found(write(tmp_path, rows))


def test_a3_nobody_of_the_hidden_groups_is_in_the_numerator(tmp_path):
    rows = hide(one_school(f=(20, 0), m=(10, 0), x=(40, 20)), "f", "m", only_numerator=True)
    assert "residual" in found(write(tmp_path, rows))


def test_a4_a_partner_that_leaves_too_little_room(tmp_path):
    """A band says at most 10% of three people: 0."""
    rows = hide(one_school(f=(3, 0), m=(30, 15), x=(40, 20)), "f", "m", only_numerator=True)
    banded = pl.col("group_code") == "f"
    rows = rows.with_columns(
        rate_low=pl.when(banded).then(Decimal("0.000000")).otherwise("rate_low"),
        rate_high=pl.when(banded).then(Decimal("0.100000")).otherwise("rate_high"),
        value_status=pl.when(banded).then(pl.lit("banded")).otherwise("value_status"),
        suppression_reason=pl.when(banded).then(pl.lit("band")).otherwise("suppression_reason"),
    )
    assert "bounds" in found(write(tmp_path, rows))


def test_a5_one_student_more_than_in_the_last_release(tmp_path):
    before = write(tmp_path / "before", one_school(f=(30, 15), m=(40, 20)))
    after = write(tmp_path / "after", one_school(f=(31, 16), m=(40, 20)))
    assert found(after) == set()
    assert found(after, ONE, (before,)) >= {"revision"}
    grown = write(tmp_path / "grown", one_school(f=(36, 18), m=(40, 20)))
    assert found(grown, ONE, (before,)) == set()  # six came, three of them in the numerator


def test_a5_what_hidden_groups_have_together_changed_by_one(tmp_path):
    before = write(tmp_path / "before", hide(one_school(f=(2, 1), m=(12, 6), x=(40, 20)), "f", "m"))
    after = write(tmp_path / "after", hide(one_school(f=(2, 1), m=(13, 6), x=(51, 26)), "f", "m"))
    assert "residual_of_revision" in found(after, ONE, (before,))


def last_two(sizes: dict, old: tuple, new: tuple, folder: Path, before: dict | None = None):
    """The attack on a release of one school that hides the groups `new`, beside one that hid the groups `old`, each of
    which tells nothing by itself. before: the sizes then, if others."""
    first = write(folder / "first", hide(one_school(**(before or sizes)), *old))
    second = write(folder / "second", hide(one_school(**sizes), *new))
    assert found(first) == found(second) == set()
    return attack_release(second, ONE, (first,))


@pytest.mark.parametrize(("now", "rules_found"), [((42, 15), {"entered"}), ((42, 27), {"entered"}), ((42, 20), set())])
def test_a5_a_group_came_of_whom_nobody_or_everybody_is_in_the_numerator(now, rules_found, tmp_path):
    first = write(tmp_path / "first", one_school(f=(30, 15), m=(40, 20)))
    second = write(tmp_path / "second", one_school(f=now, m=(40, 20)))
    attack = attack_release(second, ONE, (first,))
    assert {each.rule for each in attack.findings} == rules_found
    assert not rules_found or any("+12 people" in each.sentence for each in attack.findings)
    # An earlier release that told the same is past.
    again = attack_release(write(tmp_path / "third", one_school(f=now, m=(40, 20))), ONE, (first, second))
    assert again.findings == [] and {each.rule for each in again.past} == rules_found


def test_a5_a_group_came_to_hidden_ones_of_whom_nobody_is_in_the_numerator(tmp_path):
    """f and m are hidden together: what is told says that of the twelve who came to them nobody is in the numerator."""
    sizes = {"f": (2, 1), "m": (30, 15), "x": (40, 20)}
    attack = last_two({**sizes, "m": (42, 15)}, ("f", "m"), ("f", "m"), tmp_path, sizes)
    assert {each.rule for each in attack.findings} == {"entered"}
    assert any("gender f" in each.about and "gender m" in each.about for each in attack.findings)


def test_a5_another_partner_than_in_the_last_release(tmp_path):
    """72 - 30 - 40 = 2: of the two figures that the group needs this release tells one, and the last one the other."""
    attack = last_two({"f": (2, 1), "m": (30, 15), "x": (40, 20)}, ("f", "m"), ("f", "x"), tmp_path)
    assert {each.rule for each in attack.findings} == {"joined"} and attack.past == ()
    assert any("= 2: one all 2026, school S00, gender f" in each.sentence for each in attack.findings)
    assert any("gender f lies between 2 and 2" in each.sentence for each in attack.findings)


def test_a5_two_groups_that_are_few_together_with_another_partner(tmp_path):
    sizes = {"f": (1, 0), "m": (30, 15), "x": (40, 20), "w": (1, 1)}
    attack = last_two(sizes, ("f", "w", "m"), ("f", "w", "x"), tmp_path)
    assert any("= 2: one all 2026, school S00, gender f" in each.sentence for each in attack.findings)


def test_a5_the_same_partners_or_one_more_tell_nothing(tmp_path):
    sizes = {"f": (2, 1), "m": (30, 15), "x": (40, 20), "w": (20, 10)}
    assert last_two(sizes, ("f", "m"), ("f", "m"), tmp_path / "same").findings == []
    assert last_two(sizes, ("f", "m"), ("f", "m", "x"), tmp_path / "more").findings == []
    assert last_two(sizes, ("f", "m", "x"), ("f", "m", "w"), tmp_path / "other").findings == []  # two of them are open


def test_a5_nothing_is_carried_over_to_a_school_that_changed(tmp_path):
    """Seven came: whether x is one of those that grew is not to be read."""
    sizes = {"f": (2, 1), "m": (30, 15), "x": (47, 24)}
    attack = last_two(sizes, ("f", "m"), ("f", "x"), tmp_path, {**sizes, "x": (40, 20)})
    assert attack.findings == []


def test_a5_what_the_last_release_hid_and_this_one_tells(tmp_path):
    """School 1 grew, so that its small group of then is no figure of tonight; school 0 is as it was, and its group,
    hidden then with the other's, is told now: so the other school's of then is known."""
    sizes = {(school, group): (20, 10) for school in range(3) for group in "fm"} | {(1, "f"): (2, 1)}
    grown = {**sizes, (1, "f"): (12, 6)}
    school = pl.col("organization_id_state")
    then = hide(told(sizes), "f", "m", where=school.is_in(["S00", "S01"]))
    first, second = write(tmp_path / "first", then), write(tmp_path / "second", told(grown))
    assert found(first) == found(second) == set()
    attack = attack_release(second, ONE, (first,))
    assert "joined" in {each.rule for each in attack.findings}
    assert any("S01, gender f lies between 2 and 2" in each.sentence for each in attack.findings)


def test_a5_what_earlier_releases_gave_away_is_told_apart_from_what_this_one_does(tmp_path):
    sizes = {"f": (2, 1), "m": (30, 15), "x": (40, 20)}
    assert last_two(sizes, ("f", "m"), ("f", "x"), tmp_path).findings
    folders = [tmp_path / "first", tmp_path / "second"]
    again = attack_release(write(tmp_path / "third", hide(one_school(**sizes), "f", "m")), ONE, folders)
    assert again.findings == [] and {each.rule for each in again.past} == {"joined"}
    assert "earlier releases" in again.as_text()


OUTSIDE = ("four_year_graduation", "chronic_absenteeism")


def test_a6_every_denominator_known_from_elsewhere_tells_no_hidden_numerator(tmp_path):
    """Federal files publish the people of every school and group; with all of them at hand no numerator is exact."""
    hidden = 0
    for seed, (policy, bands) in enumerate([(SMALL, SMALL_BANDS), (SMALL, SMALL_BANDS), (POLICY, BANDS)]):
        generator = np.random.default_rng(seed)
        people = [
            (code, school, gender, disability, outcome > 0)
            for code in OUTSIDE
            for school, gender, disability, outcome in somebody(generator)
            for _ in range(1 if policy is SMALL else 4)
        ]
        declaration = declare(cube(people), PLACES, GROUP, register(*OUTSIDE))
        rows = mart_rows(protect(declaration, policy, bands, b"key"), bands, PLACES)
        said = rules(**{code: {} for code in OUTSIDE})
        seen = figures(read_rows(write(tmp_path / str(seed), rows)), said)
        key = ["indicator_code", "organization_id_state", "breakdown_code", "group_code"]
        exact = seen.rows.join(
            declaration.cells.select(*key, d="denominator_count", n="numerator_count"),
            on=key,
            how="left",
            maintain_order="left",
        )
        d, n = exact["d"].to_numpy(), exact["n"].to_numpy()
        open_ = np.flatnonzero((seen.n == HIDDEN) & (d > 0))
        place = {int(at): number for number, at in enumerate(open_)}
        # Of his own making: sums over what is hidden, bands of the people known from elsewhere, and whole numbers.
        lines, right = [], []
        for tie in range(len(seen.parent)):
            row = np.zeros(len(open_))
            rest = 0
            around = [(seen.parent[tie], 1), *((at, -1) for at in seen.member[seen.start[tie] : seen.start[tie + 1]])]
            for at, sign in around:
                if int(at) in place:
                    row[place[int(at)]] += sign
                elif d[at]:
                    rest -= sign * n[at]
            if row.any():
                lines.append(row)
                right.append(rest)
        rule = LinearConstraint(np.array(lines), right, right)
        box = Bounds(seen.n_low[open_], np.minimum(seen.n_high[open_], d[open_]))
        low, high = n[open_].astype(float), n[open_].astype(float)
        for number in range(len(open_)):
            for sign in (1.0, -1.0):
                if low[number] < high[number]:
                    break
                goal = np.zeros(len(open_))
                goal[number] = sign
                table = np.rint(milp(goal, constraints=rule, bounds=box, integrality=np.ones(len(open_))).x)
                low, high = np.minimum(low, table), np.maximum(high, table)
        sensitive = np.minimum(n[open_], d[open_] - n[open_]) < policy.minimum_count
        assert not (sensitive & (low == high)).any()
        hidden += int(sensitive.sum())
    assert hidden > 100


def test_a6_a_rate_beside_a_hidden_numerator(tmp_path):
    rows = hide(one_school(f=(20, 10), m=(30, 15), x=(40, 20)), "f", "m", only_numerator=True)
    rows = rows.with_columns(rate=pl.when(pl.col("group_code") == "f").then(Decimal("0.5")).otherwise("rate"))
    assert found(write(tmp_path, rows)) == {"contradiction"}


@pytest.mark.parametrize("yes", [0, 40])
def test_a6_nobody_and_everybody(tmp_path, yes):
    assert "bounds" in found(write(tmp_path, one_school(f=(40, yes), m=(30, 15))))


def test_a7_nested_tables_that_differ_by_one(tmp_path):
    outer, inner = one_school(f=(30, 16), m=(40, 20)), one_school(f=(30, 15), m=(40, 20))
    both = pl.concat(
        [outer.with_columns(indicator_code=pl.lit("outer")), inner.with_columns(indicator_code=pl.lit("inner"))]
    )
    assert "difference" in found(write(tmp_path, both), NESTED)


def test_a7_graduates_of_one_table_are_nearly_the_people_of_another(tmp_path):
    said = rules(graduates={"overlaps": ["college"]}, college={})
    part, whole = one_school(f=(60, 31), m=(70, 20)), one_school(f=(30, 15), m=(20, 10))
    both = pl.concat(
        [part.with_columns(indicator_code=pl.lit("graduates")), whole.with_columns(indicator_code=pl.lit("college"))]
    )
    assert "difference" in found(write(tmp_path, both), said)


EACH = {"school": "each_school", "lea": "once_per_level", "state": "once_per_level"}
EACH_SCHOOL = rules(one={"attribution": EACH})


def three_schools(twice: int, *hidden: str) -> pl.DataFrame:
    """Three schools of one LEA; `twice` boys count at two of them, and once above. The groups are hidden at school 1,
    where two girls are."""
    sizes = {(0, "f"): (40, 20), (0, "m"): (30, 15), (1, "f"): (2, 1), (1, "m"): (30, 15), (2, "f"): (20, 10)}
    rows = hide(told({**sizes, (2, "m"): (20, 10)}), *hidden, where=pl.col("organization_id_state") == "S01")
    above = (pl.col("organization_level") != "school") & pl.col("group_code").is_in(["all", "m", "z"])
    return rows.with_columns(
        *(
            pl.when(above).then(pl.col(name) - less).otherwise(name).alias(name)
            for name, less in (("denominator_count", 2 * twice), ("numerator_count", twice))
        )
    )


def test_a7_each_school_against_the_lea_where_nobody_counts_twice(tmp_path):
    """62 - 40 - 20 = 2: all students of the schools are as many as those of the LEA."""
    attack = attack_release(write(tmp_path, three_schools(0, "f", "m")), EACH_SCHOOL)
    assert {each.rule for each in attack.findings} == {"residual", "bounds"}
    assert any("62" in each.sentence and "= 2: one all 2026, school S01, gender f" in each.sentence
               for each in attack.findings)  # fmt: skip
    assert any("S01, gender f lies between 2 and 2" in each.sentence for each in attack.findings)


def test_a7_each_school_against_the_lea_where_so_few_count_twice_that_they_do_not_matter(tmp_path):
    """With n = 10 a group of 2 to 8 is small, whoever of six it is that counts twice; one of 2 to 14 may be not."""
    ten = replace(EACH_SCHOOL, minimum=10)
    rows = hide(three_schools(3, "f", "m"), "y")
    attack = attack_release(write(tmp_path / "few", rows), ten)
    assert any("Or up to 6 more" in each.sentence for each in attack.findings if "people of" in each.sentence)
    assert any("S01, gender f lies between 2 and 8: surely" in each.sentence for each in attack.findings)
    attack = attack_release(write(tmp_path / "many", hide(three_schools(6, "f", "m"), "y")), ten)
    assert not any(each.sentence.startswith("people of") for each in attack.findings)


@pytest.mark.parametrize("more", [1, -1])
def test_a7_nothing_is_taken_for_granted_of_an_lea_in_which_one_group_speaks_against_it(more, tmp_path):
    """One of group w counts at two schools and a girl at none, or the other way round: the totals do not show it."""
    sizes = {(school, group): (30, 15) for school in range(3) for group in "fmw"} | {(1, "f"): (2, 1)}
    school, group, ten = pl.col("organization_id_state"), pl.col("group_code"), replace(EACH_SCHOOL, minimum=10)
    rows = hide(told(sizes), "f", "m", where=school == "S01")
    assert found(write(tmp_path / "as_many", rows), ten) == {"residual", "bounds"}
    change = pl.when((school == "S02") & (group == "w")).then(more).when((school == "S00") & (group == "f")).then(-more)
    rows = rows.with_columns(denominator_count=pl.col("denominator_count") + change.otherwise(0))
    assert not [each for each in attack_release(write(tmp_path / "moved", rows), ten).findings
                if each.about.startswith("people of")]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_a7_a_protected_table_of_each_school_tells_nothing(seed, tmp_path):
    """A few students count at two schools, with an outcome at each. Second runs of the suppressor are left out."""
    generator = np.random.default_rng(seed)
    people = [("one", *who, outcome > 0) for *who, outcome in somebody(generator)]
    once = cube(people)
    key = [name for name in once.columns if name not in ("denominator_count", "numerator_count")]
    moved = [
        (*who[:1], (who[1] // 10) * 10 + (who[1] + 1) % 3, *who[2:4], bool(generator.integers(0, 2)))
        for who in people
        if generator.random() < 0.05
    ]
    parts = [once, cube(moved).join(PLACES.filter(organization_level="school"), on="organization_key", how="semi")]
    counts = pl.concat(parts).group_by(key).agg(pl.col("denominator_count", "numerator_count").sum()).sort(key)
    registered = register("one", attribution=";".join(f"{level}={what}" for level, what in EACH.items()))
    rows = mart_rows(
        protect(declare(counts, PLACES, GROUP, registered), SMALL, SMALL_BANDS, b"key"), SMALL_BANDS, PLACES
    )
    assert moved and found(write(tmp_path, rows), replace(EACH_SCHOOL, policy=None)) == set()


def test_a8_an_amount_of_money_in_an_official_row(tmp_path):
    rows = one_school(f=(30, 15), m=(40, 20)).with_columns(value_amount=pl.lit(31_500, pl.Int64))
    assert found(write(tmp_path, rows)) == {"contradiction"}


def test_a9_a_reason_that_tells_which_figures_are_small(tmp_path):
    rows = hide(one_school(f=(2, 1), m=(30, 15), x=(40, 20)), "f", "m")
    telling = pl.when(pl.col("group_code") == "m").then(pl.lit("partner")).otherwise("suppression_reason")
    assert "contradiction" in found(write(tmp_path, rows.with_columns(suppression_reason=telling)))


def test_a11_a_column_that_nobody_declared_is_not_published(tmp_path):
    rows = one_school(f=(30, 15), m=(40, 20)).with_columns(rank_of_school=pl.lit(1))
    attack = attack_release(write(tmp_path, rows), ONE)
    assert [each.rule for each in attack.findings] == ["undeclared"] and "rank_of_school" in attack.findings[0].sentence


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("tag", SAYS)
def test_a11_a_control_limit_beside_a_hidden_denominator_under_any_tag(tag, as_text, nested, tmp_path):
    """p + 3 sqrt(p (1 - p) / D) of groups that are hidden gives D to whoever knows p."""
    said = replace(NESTED, statistics=[*STATISTICS, [MART, "control_limit", tag]])
    key = ["indicator_code", "organization_id_state", "breakdown_code", "group_code"]
    people = truth().select(*key, d="denominator_count")
    exact = nested.select(key).join(people, on=key, how="left", maintain_order="left")
    limit = (90 + 300 * (0.09 / exact["d"]).sqrt()).alias("control_limit")  # in percent: no small count by itself
    limit = limit.round(4).cast(pl.String) if as_text else limit
    hides = pl.any_horizontal(pl.col("denominator_count", "numerator_count").is_null())
    rows = nested.with_columns(limit)
    attack = attack_release(write(tmp_path / "everywhere", rows), said)
    assert {each.rule for each in attack.findings} == {"undeclared"}
    assert all("control_limit" in each.sentence and "leave it empty" in each.sentence for each in attack.findings)
    rows = rows.with_columns(control_limit=pl.when(~hides).then("control_limit").otherwise(None))
    assert found(write(tmp_path / "beside_what_is_told", rows), said) == set()


def test_a11_a_year_of_the_hidden_and_a_table_of_numbers_alone(nested, tmp_path):
    """A count that passes for a year, and one in a table that counts nobody by its own account."""
    rows = nested.with_columns(opened=pl.lit(2000) + pl.col("group_code").rank("dense").cast(pl.Int64))
    said = replace(NESTED, statistics=[*STATISTICS, [MART, "opened", "time"], ["mart_limit", "*", "measure"]])
    assert found(write(tmp_path / "year", rows), said) == {"undeclared"}
    folder = write(tmp_path / "table", nested)
    said = replace(said, statistics=[*said.statistics, ["mart_limit", "control_limit", "measure"]])
    pl.DataFrame({"control_limit": [0.93]}).write_parquet(folder / "data" / "mart_limit.parquet")
    assert found(folder, said) == {"undeclared"}


@pytest.mark.parametrize(("column", "value"), [("rate_label", "≤3%"), ("rate", Decimal("0.431000"))])
def test_a11_a_column_that_is_reckoned_with_says_nothing_else(column, value, nested, tmp_path):
    status = "banded" if column == "rate_label" else "shown"
    assert nested.filter(pl.col("value_status") == status).height
    told = pl.when(pl.col("value_status") == status).then(pl.lit(value)).otherwise(column).alias(column)
    assert "contradiction" in found(write(tmp_path, nested.with_columns(told)), NESTED)


def test_a12_a_small_count_in_any_other_table(tmp_path):
    folder = write(tmp_path, one_school(f=(30, 15), m=(40, 20)))
    flow = pl.DataFrame({"cohort_year": [2026], "person_count": [2], "protection": ["perturbed"]})
    flow.write_parquet(folder / "data" / "mart_transition__high_school__college.parquet")
    assert found(folder) == {"undeclared"}
    flow.with_columns(person_count=3).write_parquet(folder / "data" / "mart_transition__high_school__college.parquet")
    assert found(folder) == set()


def test_a_statistic_without_a_constraint_is_an_error():
    row = {"table_name": "mart_x", "column_name": "trend", "says": "count", "constraint": "n and more"}
    assert rules_of(load({}), [], [row], DAY).says("mart_x") == {"trend": "count"}
    for change in ({"says": "arrow"}, {"constraint": " "}):
        with pytest.raises(P20wError, match="statistic.csv, line 2.*mart_x.trend"):
            rules_of(load({}), [], [{**row, **change}], DAY)


PLACE_AND_GROUP = ["organization_id_state", "breakdown_code", "group_code"]


def insiders_learn(folder: Path, exact: pl.DataFrame, beside: int) -> list[tuple[int, int]]:
    """What one person of a hidden group can tell too well: (people of the small group, people of the reader's group).

    The reader is one of the small group itself or of `beside` others that stand in a sum with it, knows that this one
    person is there, and asks an integer program of the published figures. exact: PLACE_AND_GROUP, d.
    """
    said = Rules(POLICY.minimum_count, POLICY.interval_width, POLICY.zero_rule, ONE.indicators, STATISTICS)
    seen = figures(read_rows(folder), said)
    system = equations(seen)
    count = seen.rows.join(exact, on=PLACE_AND_GROUP, how="left", maintain_order="left")["d"].to_numpy()[system.figure]
    rule = LinearConstraint(system.matrix, system.right, system.right)
    of_d = np.flatnonzero(system.kind == "d")
    small = [at for at in of_d if 1 <= count[at] < POLICY.minimum_count]
    assert small
    learned = []
    for at in small:
        near = system.matrix[system.by_column[:, [at]].tocoo().row].indices
        near = [column for column in dict.fromkeys(near) if system.kind[column] == "d" and count[column] > 0]
        for known in {at, *near[:beside]}:
            low, high = system.low.astype(float), np.minimum(system.high, 10_000).astype(float)
            low[known] = max(low[known], 1.0)
            values = []
            for sign in (1.0, -1.0):
                goal = np.zeros(len(low))
                goal[at] = sign
                best = milp(goal, constraints=rule, bounds=Bounds(low, high), integrality=np.ones(len(low)))
                values.append(round(best.x[at]))
            if values[1] < POLICY.minimum_count or values[1] - values[0] + 1 < POLICY.interval_width:
                learned.append((int(count[at]), int(count[known])))
    return learned


def counted(people: list[tuple]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The protected rows of these people, and the exact counts."""
    declaration = declare(cube(people), PLACES, GROUP, register("one"))
    rows = mart_rows(protect(declaration, POLICY, BANDS, b"key"), BANDS, PLACES)
    return rows, declaration.cells.select(*PLACE_AND_GROUP, d="denominator_count")


def test_a14_one_of_the_group_is_the_reader(tmp_path):
    """Who is one of a small hidden group, or of one hidden beside it, knows of one person more; and still cannot tell
    how many the group has, nor that it is small."""
    generator = np.random.default_rng(8)
    people = []
    for school in (0, 1, 2, 10, 11, 12):
        for _ in range(int(generator.integers(30, 80))):
            who = (str(generator.choice(list("fffmmmmx"))), str(generator.choice(list("yzzzzz"))))
            people.append(("one", school, *who, bool(generator.integers(0, 2))))
    rows, exact = counted(people)
    assert insiders_learn(write(tmp_path, rows), exact, 2) == []


def two_of_one_and_two() -> pl.DataFrame:
    """A school's rows that hide groups of 1 and 2 people, and of the third its numerator only."""
    rows = hide(one_school(f=(1, 1), m=(2, 1), x=(40, 20)), "f", "m")
    return hide(rows, "x", only_numerator=True)


def test_a14_two_hidden_groups_that_make_the_minimum_together(tmp_path):
    """Whoever is one of the three knows that the other group has fewer than three people."""
    folder = write(tmp_path / "new", two_of_one_and_two())
    assert found(folder) == {"insider"}
    assert insiders_learn(folder, told({(0, g): (size, 0) for g, size in zip("fmx", (1, 2, 40), strict=True)}).select(
        *PLACE_AND_GROUP, d="denominator_count"), 1)  # fmt: skip
    four = hide(hide(one_school(f=(2, 1), m=(2, 1), x=(40, 20)), "f", "m"), "x", only_numerator=True)
    assert found(write(tmp_path / "four", four)) == set()


def test_a14_what_an_earlier_release_told_to_those_of_the_group_is_not_held_against_this_one(tmp_path):
    before = write(tmp_path / "before", two_of_one_and_two())
    attack = attack_release(write(tmp_path / "now", two_of_one_and_two()), ONE, (before,))
    assert attack.findings == [] and {each.rule for each in attack.past} == {"insider"}


def test_figures_that_cannot_all_be_true_are_a_finding(tmp_path):
    rows = hide(one_school(f=(2, 1), m=(30, 15), x=(40, 20)), "f", "m")
    more = pl.when(pl.col("group_code") == "x").then(90).otherwise("denominator_count")
    assert "contradiction" in found(write(tmp_path, rows.with_columns(denominator_count=more)))


def test_the_rules_are_published_and_read_back(tmp_path):
    settings = load({})
    said = public_rules(settings, DAY)
    write_rules(said, tmp_path)
    assert read_rules(tmp_path) == said
    assert said.adds_up("four_year_graduation", "school") and not said.adds_up("chronic_absenteeism", "school")
    assert ("college_going_fall", "college_going_16_month") in said.pairs("nested_in")  # through 12 months
    assert set(json.loads((tmp_path / "disclosure_rules.json").read_text())) == {
        "minimum", "interval", "zeros", "indicators", "statistics", "policy", "bands",
    }  # fmt: skip
    with pytest.raises(P20wError, match="disclosure_rules.json"):
        read_rules(tmp_path / "elsewhere")


def one_table(seed: int, decoy_share: float, folder: Path):
    """A release of one table without bands that a suppressor made whose key decides nothing but decoys; its rules."""
    generator = np.random.default_rng(seed)
    people = [
        (school, str(generator.choice(list("fmmmx"))), str(generator.choice(list("yzzz"))), generator.integers(0, 3))
        for school in ((0, 1), (0, 10), (0, 1, 10))[seed % 3]
        for _ in range(int(generator.integers(6, 16)))
    ]
    policy = replace(SMALL, decoy_share=decoy_share)
    no_bands = replace(SMALL_BANDS, first=SMALL_BANDS.first + 10**6)
    counted = [("one", *who, outcome > 0) for *who, outcome in people]
    protected = protect(declare(cube(counted), PLACES, GROUP, register("one")), policy, no_bands, b"key")
    known = replace(ONE, policy=asdict(policy), bands=[column.tolist() for column in asdict(no_bands).values()])
    return write(folder, mart_rows(protected, no_bands, PLACES)), known


@pytest.mark.parametrize("seed", [3, 22])
def test_a10_a_small_count_that_only_a_second_run_of_the_suppressor_tells(seed, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.disclosure.suppress.NEAR_EQUAL", 1e-9)
    caught = attack_release(*one_table(seed, 0.0, tmp_path / "without"))
    assert {each.rule for each in caught.likely} == {"rerun"} and not caught.findings
    with_decoys = attack_release(*one_table(seed, 0.05, tmp_path / "with"))
    assert with_decoys.judged and not with_decoys.findings and not with_decoys.likely
