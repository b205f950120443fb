"""Revisions: whoever joins every release ever made learns nothing of a small group, nor of the few who changed."""

from __future__ import annotations

import dataclasses
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from disclosure_auditor import GROUP, SMALL, SMALL_BANDS, cube, mart_rows, organization, rank_determined, register

from pipelines.disclosure.certify import verify
from pipelines.disclosure.declare import declare
from pipelines.disclosure.detect import detect
from pipelines.disclosure.earlier import CELL, MART, ROW, beside, read_earlier
from pipelines.disclosure.protect import protect, publish, rows
from pipelines.disclosure.stranger.attack import attack_release
from pipelines.disclosure.stranger.rules import Rules
from pipelines.disclosure.suppress import Suppressor
from pipelines.errors import P20wError
from pipelines.registers import read_seed
from pipelines.release.revision import withdrawn_share
from pipelines.settings import load

N, WIDTH = SMALL.minimum_count, SMALL.interval_width
SCHOOLS = (0, 1, 2, 10, 11, 12)
PLACES = organization(2, 3)


def somebody(generator, school=None) -> tuple:
    """School, gender, disability and outcome of a person."""
    return (
        int(generator.choice(SCHOOLS)) if school is None else school,
        str(generator.choice(list("fmmffmx"))),
        str(generator.choice(list("yzzz"))),
        bool(generator.integers(0, 2)),
    )


def declared(people: list[tuple]):
    return declare(cube([("one", *who, yes) for *who, yes in people]), PLACES, GROUP, register("one"))


def released(protected, version: int) -> pl.DataFrame:
    """What a release tells, in the columns of ROW."""
    names = PLACES.select("organization_key", "organization_level", "organization_id_state")
    return (
        rows(protected, SMALL_BANDS)
        .join(names, on="organization_key")
        .with_columns(version=pl.lit(version))
        .select(list(ROW))
        .cast(ROW)
    )


def changed(generator, people: list[tuple]) -> list[tuple]:
    """A resubmission: a few students come, go or change; now and then a class of ten."""
    people = list(people)
    kind = generator.integers(0, 8)
    if kind == 0:
        people.pop(int(generator.integers(0, len(people))))
    elif kind == 1:
        people.append(somebody(generator))
    elif kind == 2:
        at = int(generator.integers(0, len(people)))
        people[at] = (*people[at][:3], not people[at][3])
    else:
        school, gender = int(generator.choice(SCHOOLS)), str(generator.choice(list("fm")))
        people += [(school, gender, "z", kind == 7 or k % 3 > 0) for k in range(12)]
    return people


@pytest.fixture(scope="module")
def revisions():
    """Thirty releases of one cohort, each protected against all before, and made only where it withdraws no more than
    policy allows; every tenth is a signed correction, which knows no limit. Pairs (declaration, protected), and what
    all of them told."""
    generator = np.random.default_rng(3)
    people = [somebody(generator, school) for school in SCHOOLS for _ in range(int(generator.integers(10, 30)))]
    history, made, tried = pl.DataFrame(schema=ROW), [], people
    while len(made) < 30:
        declaration = declared(tried)
        protected = protect(declaration, SMALL, SMALL_BANDS, b"key", beside(declaration, history))
        assert not protected.detection.findings and not protected.certificates.uncertified and not protected.flaws
        table = released(protected, len(made))
        before = history.filter(pl.col("version") == len(made) - 1)
        if len(made) % 10 == 9 or withdrawn_share(before, table, CELL) <= SMALL.revision_loss_share:
            history, people = pl.concat([history, table]), tried
            made.append((declaration, protected))
        tried = changed(generator, people)
    return made, history


def told(history: pl.DataFrame) -> pl.DataFrame:
    """One row a cell: the lists of what the releases told (null: hidden), in order."""
    complete = history.with_columns(
        complement_count=pl.col("denominator_count") - pl.col("numerator_count"),
    )
    counts = ("denominator_count", "numerator_count", "complement_count")
    return complete.sort("version").group_by(CELL).agg(*counts, "version", "value_status")


def test_thirty_revisions_differ_by_nobody_or_by_a_group(revisions):
    _, history = revisions
    compared = 0
    for row in told(history).iter_rows(named=True):
        for name in ("denominator_count", "numerator_count", "complement_count"):
            for a, b in combinations(row[name], 2):
                if a is not None and b is not None:
                    assert a == b or abs(a - b) >= N
                    compared += a != b
    assert compared > 50  # the classes of ten are told


def test_thirty_revisions_do_not_tell_what_all_of_a_class_did(revisions):
    _, history = revisions
    classes = 0
    for row in told(history).iter_rows(named=True):
        pairs = list(zip(row["denominator_count"], row["numerator_count"], strict=True))
        for at, (d, n) in enumerate(pairs):
            for d_then, n_then in pairs[:at]:
                if None in (n, n_then) or abs(d - d_then) < N or (d, n) in pairs[:at]:
                    continue
                classes += 1
                assert n != n_then and d - n != d_then - n_then
    assert classes > 20


def test_what_was_hidden_stays_hidden_in_thirty_revisions(revisions):
    _, history = revisions
    for row in told(history).iter_rows(named=True):
        for name in ("denominator_count", "numerator_count"):
            hidden = [value is None for value in row[name]]
            assert hidden == sorted(hidden)
    assert history.filter(pl.col("value_status") == "shown").height > 300


def test_what_is_told_no_more_is_marked_as_withdrawn(revisions):
    _, history = revisions
    marked = 0
    for row in told(history).iter_rows(named=True):
        for at, status in enumerate(row["value_status"]):
            before = any(value is not None for value in row["numerator_count"][:at])
            if status == "withdrawn":
                assert row["numerator_count"][at] is None
                marked += 1
            elif status == "suppressed":
                assert not before
    assert marked > 10


def test_joined_with_all_other_releases_no_small_group_is_determined(revisions):
    """The reader takes a hidden figure for unchanged wherever another release tells it."""
    made, history = revisions
    ever = told(history)
    solved = 0
    for declaration, protected in made:
        cells = declaration.cells.join(ever, on=CELL, how="left", maintain_order="left")
        relation = declaration.relation
        for name, hidden, value, other in (
            ("denominator_count", protected.published.d < 0, declaration.d, declaration.d),
            ("numerator_count", protected.published.n < 0, declaration.n, declaration.d - declaration.n),
        ):
            guessed = np.array([any(each is not None for each in seen) for seen in cells[f"{name}_right"].to_list()])
            unknown = np.flatnonzero(hidden & ~guessed & (declaration.d > 0))
            small = [int(i) for i in unknown if 1 <= value[i] < N or (name[0] == "n" and other[i] < N)]
            equations = []
            for tie in range(relation.count):
                if name[0] == "n" and not relation.in_numerator[tie]:
                    continue
                around = [(int(relation.parent[tie]), 1)]
                around += [(int(member), -1) for member in relation.member[relation.relation == tie]]
                equations.append({cell: sign for cell, sign in around if cell in set(unknown.tolist())})
            fixed = rank_determined([row for row in equations if row], unknown.tolist())
            assert not fixed & set(small)
            solved += len(small)
    assert solved > 100


def test_a_stranger_who_joins_all_releases_before_learns_nothing(revisions, tmp_path):
    """Not even where he takes a sum whose total and told members stayed the same to be about the same people."""
    made, _ = revisions
    adds_up = {"attribution": dict.fromkeys(("school", "lea", "state"), "one_school"), "nested_in": [], "overlaps": []}
    declared_columns = [
        [row["table_name"], row["column_name"], row["says"]] for row in read_seed(load({}), "registers/statistic.csv")
    ]
    said = Rules(N, WIDTH, SMALL.zero_rule, {"one": adds_up}, declared_columns)
    folders = []
    for number, (_, protected) in enumerate(made):
        folders.append(tmp_path / f"{number:02}")
        (folders[-1] / "data").mkdir(parents=True)
        mart_rows(protected, SMALL_BANDS, PLACES).write_parquet(folders[-1] / "data" / f"{MART}.parquet")
    for number in (1, 2, 9, 19, 29):
        attack = attack_release(folders[number], said, folders[:number])
        assert attack.findings == [] and attack.past == () and attack.compared > number // 2


@pytest.mark.parametrize("seed", range(5))
def test_a_partner_that_was_told_before_and_did_not_change_protects_nobody(seed, tmp_path):
    """Nearly all of one gender leave a school. Beside it, what the first release told is no hiding place."""
    generator = np.random.default_rng(seed)
    people = [
        (school, gender, "z", k % 2 == 0)
        for school in SCHOOLS
        for gender in "fm"
        for k in range(int(generator.integers(12, 40)))
    ]
    school, gender = int(generator.choice(SCHOOLS)), str(generator.choice(list("fm")))
    there = [who for who in people if who[:2] == (school, gender)]
    left = [who for who in people if who[:2] != (school, gender)] + there[:2]
    first = protect(declared(people), SMALL, SMALL_BANDS, b"key")
    second = declared(left)
    revised = protect(second, SMALL, SMALL_BANDS, b"key", beside(second, released(first, 0)))
    assert not revised.flaws and not revised.detection.findings and not revised.certificates.uncertified
    assert (revised.pattern.primary_d & (second.d == 2)).any()
    for protected, name in ((first, "first"), (revised, "second")):
        (tmp_path / name / "data").mkdir(parents=True)
        mart_rows(protected, SMALL_BANDS, PLACES).write_parquet(tmp_path / name / "data" / f"{MART}.parquet")
    adds_up = {"attribution": dict.fromkeys(("school", "lea", "state"), "one_school"), "nested_in": [], "overlaps": []}
    columns = [
        [row["table_name"], row["column_name"], row["says"]] for row in read_seed(load({}), "registers/statistic.csv")
    ]
    said = Rules(N, WIDTH, SMALL.zero_rule, {"one": adds_up}, columns)
    assert attack_release(tmp_path / "second", said, [tmp_path / "first"]).findings == []


def test_a_move_of_what_an_earlier_release_told_and_is_the_same_fails_verification(revisions):
    made, history = revisions
    declaration, protected = made[0]
    assert not protected.flaws and protected.certificates.moves.height
    # As if a release before had told all that this one hides.
    told = released(protected, 0).with_columns(
        denominator_count=pl.Series(declaration.d), numerator_count=pl.Series(declaration.n)
    )
    wrong = verify(
        declaration,
        protected.published,
        protected.certificates,
        N,
        WIDTH,
        dataclasses.replace(beside(declaration, released(protected, 0)), versions=beside(declaration, told).versions),
    )
    assert any("told and that is the same" in sentence for sentence in wrong)


def test_what_hidden_groups_have_together_changes_by_nobody_or_by_a_group(revisions):
    made, history = revisions
    declaration = made[-1][0]
    key = {tuple(row[:-1]): row[-1] for row in declaration.cells.select(*CELL, "cell").rows()}
    count = len(declaration.d)
    relation = declaration.relation
    tables = []
    for _, rows_ in sorted(history.partition_by("version", as_dict=True).items()):
        d = np.full(count, np.nan)
        for row in rows_.iter_rows(named=True):
            cell = key.get(tuple(row[name] for name in CELL))
            if cell is not None and row["denominator_count"] is not None:
                d[cell] = row["denominator_count"]
        tables.append(d)
    compared = 0
    for before, after in combinations(tables, 2):
        for tie in range(relation.count):
            parent, members = relation.parent[tie], relation.member[relation.relation == tie]
            hidden = members[np.isnan(after[members])]
            shown = members[~np.isnan(after[members])]
            change = (after[parent] - before[parent]) - (after[shown] - before[shown]).sum()
            if len(hidden) and not np.isnan(change):
                assert change == 0 or abs(change) >= N
                compared += 1
    assert compared > 1_000


@pytest.mark.parametrize("seed", range(6))
def test_the_same_people_again_give_the_same_table(seed):
    """Schools of a handful of students included, where even the empty groups are silent."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 14, len(SCHOOLS))
    people = [somebody(generator, school) for school, size in zip(SCHOOLS, sizes, strict=True) for _ in range(size)]
    declaration = declared(people)
    first = protect(declaration, SMALL, SMALL_BANDS, b"key")
    again = protect(declaration, SMALL, SMALL_BANDS, b"key", beside(declaration, released(first, 0)))
    assert rows(again, SMALL_BANDS).equals(rows(first, SMALL_BANDS))


@pytest.mark.parametrize("seed", range(6))
def test_a_group_that_nobody_is_in_anywhere_gives_nobody_away_twice(seed):
    """The empty groups beside a tiny school's hidden figure are silent; the same groups of its district show zero."""
    generator = np.random.default_rng(seed)
    sizes = (1, 30, 40, 25, 50, 2)
    people = [somebody(generator, school) for school, size in zip(SCHOOLS, sizes, strict=True) for _ in range(size)]
    declaration = declared([(school, "m" if gender == "x" else gender, *rest) for school, gender, *rest in people])
    first = protect(declaration, SMALL, SMALL_BANDS, b"key")
    history = released(first, 0)
    empty = history.filter(pl.col("group_code") == "x").group_by("organization_level").agg("value_status")
    told = dict(empty.rows())
    assert "suppressed" in told["school"] and "no_students" in told["lea"]
    again = protect(declaration, SMALL, SMALL_BANDS, b"key", beside(declaration, history))
    assert rows(again, SMALL_BANDS).equals(rows(first, SMALL_BANDS))
    assert not again.repaired


def one_school(numbers: dict[str, tuple[int, int]]):
    """A school with a group f and a group m: (people, of whom in the numerator)."""
    people = [("one", 0, gender, "z", i < yes) for gender, (size, yes) in numbers.items() for i in range(size)]
    return declare(cube(people), organization(1, 1), GROUP, register("one"))


def test_a_student_who_came_after_the_release_is_not_told():
    before, after = one_school({"f": (40, 20), "m": (30, 15)}), one_school({"f": (41, 21), "m": (30, 15)})
    first = protect(before, SMALL, SMALL_BANDS, b"key")
    history = released(first, 0)
    assert history.filter(pl.col("value_status") == "shown").height > 8
    alone = publish(after, Suppressor(after, SMALL, SMALL_BANDS, b"key").close(), SMALL_BANDS, SMALL)
    earlier = beside(after, history)
    arguments = (after.relation, after.nesting, N, WIDTH)
    assert not detect(alone, *arguments, overlap=after.overlap).findings  # by itself the new table is safe
    assert detect(alone, *arguments, overlap=after.overlap, earlier=earlier).findings  # beside the old one it is not
    assert any("earlier release told" in each for each in verify(after, alone, first.certificates, N, WIDTH, earlier))
    second = protect(after, SMALL, SMALL_BANDS, b"key", earlier)
    assert not second.detection.findings and not second.flaws
    statuses = dict(
        released(second, 1).filter(pl.col("organization_level") == "school").select("group_code", "value_status").rows()
    )
    assert statuses["f"] == statuses["all"] == "withdrawn"


@pytest.mark.parametrize(("more", "all_know"), [((12, 0), True), ((12, 12), True), ((12, 5), False), ((-12, 0), True)])
def test_what_all_of_a_group_did_who_came_or_went_after_the_release_is_not_told(more, all_know):
    """Twelve came, none of whom graduated: 20 of 40 and then 20 of 52 would say so of each of them."""
    before, after = (
        one_school({"f": (40, 20), "m": (30, 15)}),
        one_school({"f": (40 + more[0], 20 + more[1]), "m": (30, 15)}),
    )
    first = protect(before, SMALL, SMALL_BANDS, b"key")
    earlier = beside(after, released(first, 0))
    second = protect(after, SMALL, SMALL_BANDS, b"key", earlier)
    assert not second.detection.findings and not second.flaws and not second.certificates.uncertified
    girls = np.array([label.endswith("gender f") for label in after.cells["label"]])
    assert (second.published.n[girls] < 0).all() == all_know
    alone = protect(after, SMALL, SMALL_BANDS, b"key")
    flaws = verify(after, alone.published, second.certificates, N, WIDTH, earlier)
    assert any("what everyone did who came or went" in each for each in flaws) == all_know
    # What is told a second time is told no further.
    third = beside(after, pl.concat([released(first, 0), released(alone, 1)]))
    assert (protect(after, SMALL, SMALL_BANDS, b"key", third).published.n[girls] >= 0).all()


def test_an_outcome_that_was_amended_is_not_told():
    """The same people, one diploma more: the denominator may stay, the numerator may not."""
    before, after = one_school({"f": (40, 20), "m": (30, 15)}), one_school({"f": (40, 21), "m": (30, 15)})
    second = protect(
        after, SMALL, SMALL_BANDS, b"key", beside(after, released(protect(before, SMALL, SMALL_BANDS, b"key"), 0))
    )
    whole = (after.cells["breakdown_code"] == "all").to_numpy()
    assert (second.published.n[whole] < 0).all() and not second.flaws


def test_an_old_partner_is_not_shown_when_the_small_group_has_grown():
    """f was hidden with m for its sake; m shown now would tell what f was then."""
    before, after = (
        one_school({"f": (2, 1), "m": (30, 15), "x": (40, 20)}),
        one_school({"f": (12, 6), "m": (30, 15), "x": (40, 20)}),
    )
    first = protect(before, SMALL, SMALL_BANDS, b"key")
    hidden = first.published.d < 0
    assert (hidden & (before.d >= N)).any()
    second = protect(after, SMALL, SMALL_BANDS, b"key", beside(after, released(first, 0)))
    assert (second.published.d[hidden] < 0).all()
    shown = dataclasses.replace(second.published, d=np.where(hidden, after.d, second.published.d))
    assert any(
        "earlier release hid" in each
        for each in verify(after, shown, second.certificates, N, WIDTH, beside(after, released(first, 0)))
    )


def test_two_groups_hidden_together_do_not_tell_that_one_student_came():
    """Each figure that is told changed by a group or not at all, but what is left for f and m changed by one."""
    before = one_school({"f": (2, 1), "m": (12, 6), "x": (40, 20)})
    after = one_school({"f": (2, 1), "m": (13, 6), "x": (51, 26)})
    first = protect(before, SMALL, SMALL_BANDS, b"key")
    names = dict(zip(before.cells["label"], range(len(before.d)), strict=True))
    school = {code: next(i for name, i in names.items() if name.endswith(f"S00, gender {code}")) for code in "fmx"}
    whole = next(i for name, i in names.items() if name.endswith("S00, all all"))
    assert (first.published.d[[school["f"], school["m"]]] < 0).all()
    assert (first.published.d[[school["x"], whole]] > 0).all()
    second = protect(after, SMALL, SMALL_BANDS, b"key", beside(after, released(first, 0)))
    assert (second.published.d[[school["x"], whole]] < 0).any()


def test_a_school_that_opened_does_not_make_the_change_of_hidden_ones_readable():
    """S0 and S1 of a district are hidden together; they grew by two, while S2 came with twenty. The district's figure
    grew by 22: less the new school's that tells two."""

    def table(sizes):
        return declared([(school, "f", "z", k % 2 == 0) for school, size in sizes.items() for k in range(size)])

    before, after = table({0: 2, 1: 12, 10: 20, 11: 20}), table({0: 2, 1: 14, 2: 20, 10: 20, 11: 20})
    first = protect(before, SMALL, SMALL_BANDS, b"key")
    second = protect(after, SMALL, SMALL_BANDS, b"key", beside(after, released(first, 0)))
    assert not second.flaws

    def told(protected, level):
        rows_ = released(protected, 0).filter(pl.col("organization_level") == level, pl.col("group_code") == "all")
        return dict(rows_.select("organization_id_state", "denominator_count").rows())

    assert told(first, "school")["S00"] is None and told(first, "school")["S01"] is None
    for parent, members in (("L0", ("S00", "S01", "S02")), ("STATE", ("L0", "L1"))):
        level, inner = ("lea", "school") if parent == "L0" else ("state", "lea")
        then, now = (told(each, level)[parent] for each in (first, second))
        known = [(told(first, inner).get(name, 0), told(second, inner)[name]) for name in members]
        if then is None or now is None or all(b is not None for _, b in known):
            continue
        hidden = (now - sum(b for _, b in known if b is not None)) - (then - sum(a for a, b in known if b is not None))
        assert hidden == 0 or abs(hidden) >= N, parent


def test_releases_are_read_in_order_and_a_lost_one_is_an_error(tmp_path):
    settings = load({"P20W_HOME": str(tmp_path)})
    declaration = one_school({"f": (40, 20), "m": (30, 15)})
    table = (
        released(protect(declaration, SMALL, SMALL_BANDS, b"key"), 0)
        .drop("version")
        .with_columns(protection=pl.lit("official"))
    )
    changed_table = table.with_columns(pl.col("denominator_count") + 12)
    for name, build, content in (
        ("r20261201-00000001", "20261201T000000-aaaa", table),
        ("r20261202-00000002", "20261202T000000-aaaa", table),  # repeats the rows of the first
        ("r20261203-00000003", "20261203T000000-aaaa", changed_table),
        ("r20261204-00000004", "20261204T000000-aaaa", table),  # after the build that asks
    ):
        folder = settings.releases / name / "data"
        folder.mkdir(parents=True)
        content.write_parquet(folder / "mart_indicator__organization.parquet")
        settings.release_ledger.mkdir(exist_ok=True)
        pl.DataFrame({"build_id": [build]}).write_parquet(settings.release_ledger / f"{name}.parquet")
    history = read_earlier(settings, "20261204T000000-aaaa")
    assert sorted(history["version"].unique().to_list()) == [0, 2]
    assert history.height == 2 * table.height
    (settings.releases / "r20261202-00000002").rename(tmp_path / "gone")
    with pytest.raises(P20wError, match="r20261202-00000002 was shown"):
        read_earlier(settings, "20261204T000000-aaaa")
