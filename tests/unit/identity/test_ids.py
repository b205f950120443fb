"""Laws of the lasting ids: quiet nights are silent, order is irrelevant, what comes back gets its id back."""

import itertools

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.identity.ids import fold, hold

SECTORS = ("k12", "workforce", "postsecondary")


class Registry:
    """The vault's append-only tables, held in memory, with keys that count up instead of random ones."""

    def __init__(self):
        self.counter = itertools.count(1000)
        self.history = pl.DataFrame(schema={"record_key": pl.Int64, "person_key": pl.Int64, "link_number": pl.Int64})
        self.persons = pl.DataFrame(schema={"person_key": pl.Int64, "age_rank": pl.Int64})
        self.redirects = {}
        self.night = 0

    def run(self, groups, order=None):
        """Fold a partition given as a list of lists of record keys; returns tonight's Fold."""
        self.night += 1
        rows = [
            {"record_key": key, "component": min(group), "sector": SECTORS[key % 3], "rule": "x"}
            for group in groups
            for key in group
        ]
        if order is not None:
            rows = [rows[i] for i in order]
        members = pl.DataFrame(
            rows,
            schema={"record_key": pl.Int64, "component": pl.Int64, "sector": pl.String, "rule": pl.String},
        )
        folded = fold(members, self.history, self.persons, lambda n: [next(self.counter) for _ in range(n)])
        start = self.history.height
        self.history = pl.concat(
            [
                self.history,
                folded.links.select(
                    "record_key", "person_key", link_number=pl.int_range(pl.len(), dtype=pl.Int64) + start
                ),
            ]
        )
        self.persons = pl.concat(
            [
                self.persons,
                pl.DataFrame(
                    {"person_key": folded.minted, "age_rank": [self.night] * len(folded.minted)},
                    schema=self.persons.schema,
                ),
            ]
        )
        self.redirects.update(dict(folded.redirects.iter_rows()))
        return folded

    def person_of(self):
        present = self.history.sort("link_number").group_by("record_key", maintain_order=True).last()
        return dict(present.select("record_key", "person_key").iter_rows())


def groups_of(labels):
    found = {}
    for key, label in enumerate(labels, start=1):
        found.setdefault(label, []).append(key)
    return list(found.values())


partitions = st.lists(st.integers(0, 4), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(partitions)
def test_a_night_on_which_nothing_changed_appends_nothing(labels):
    registry = Registry()
    registry.run(groups_of(labels))
    quiet = registry.run(groups_of(labels))
    assert quiet.links.height == quiet.events.height == quiet.redirects.height == len(quiet.minted) == 0


@settings(max_examples=40, deadline=None)
@given(partitions, st.lists(st.integers(0, 4), min_size=12, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_records_changes_neither_ids_nor_events(first, second, random):
    plain, shuffled = Registry(), Registry()
    for labels in (first, second[: len(first)]):
        groups = groups_of(labels)
        order = list(range(len(labels)))
        random.shuffle(order)
        a, b = plain.run(groups), shuffled.run(groups, order)
        assert a.events.rows() == b.events.rows()
        assert a.links.rows() == b.links.rows()
    assert plain.person_of() == shuffled.person_of()


@settings(max_examples=40, deadline=None)
@given(partitions)
def test_a_merge_of_everything_undone_gives_every_record_its_first_id(labels):
    registry = Registry()
    groups = groups_of(labels)
    registry.run(groups)
    before = registry.person_of()
    registry.run([list(range(1, len(labels) + 1))])
    undone = registry.run(groups)
    assert registry.person_of() == before
    assert undone.minted == []


@settings(max_examples=60, deadline=None)
@given(partitions, st.sets(st.integers(1, 12), max_size=6))
def test_records_that_vanish_and_come_back_get_their_ids_back(labels, gone):
    registry = Registry()
    groups = groups_of(labels)
    registry.run(groups)
    before = registry.person_of()
    registry.run([kept for group in groups if (kept := [key for key in group if key not in gone])])
    registry.run(groups)
    assert registry.person_of() == before


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=8, max_size=8), min_size=1, max_size=5))
def test_every_component_has_one_id_of_its_own_after_any_history(nights):
    registry = Registry()
    for labels in nights:
        groups = groups_of(labels)
        registry.run(groups)
        person_of = registry.person_of()
        named = [{person_of[key] for key in group} for group in groups]
        assert all(len(ids) == 1 for ids in named)
        assert len(set().union(*named)) == len(groups)
        # An id in use redirects nowhere.
        assert all(registry.redirects.get(key, key) == key for ids in named for key in ids)


def test_of_two_persons_that_prove_one_the_larger_survives_and_the_other_redirects():
    registry = Registry()
    registry.run([[1, 2, 3], [4, 5]])
    large, small = registry.person_of()[1], registry.person_of()[4]
    folded = registry.run([[1, 2, 3, 4, 5]])
    assert registry.person_of() == dict.fromkeys(range(1, 6), large)
    assert folded.redirects.rows() == [(small, large)]
    assert folded.events["event"].to_list() == ["merge"]


def test_with_equal_records_more_sectors_survive_and_then_the_older():
    registry = Registry()
    registry.run([[3, 6], [1, 2]])  # 3 and 6 are of one sector, 1 and 2 of two
    wide = registry.person_of()[1]
    registry.run([[1, 2, 3, 6]])
    assert set(registry.person_of().values()) == {wide}
    registry = Registry()
    registry.run([[4, 5]])
    old = registry.person_of()[4]
    registry.run([[4, 5], [1, 2]])
    registry.run([[1, 2, 4, 5]])
    assert set(registry.person_of().values()) == {old}


def test_after_a_wrong_merge_is_undone_both_have_their_first_ids_again():
    registry = Registry()
    registry.run([[1, 2, 3], [4, 5]])
    before = registry.person_of()
    registry.run([[1, 2, 3, 4, 5]])
    undone = registry.run([[1, 2, 3], [4, 5]])
    assert registry.person_of() == before
    assert undone.events["evidence"].to_list() == ["former_id_returned"]
    assert undone.minted == []


def held(registry, close, loose):
    """Components of tonight: record -> component. close, loose: the group of each record 1, 2, ... by any name."""
    rows = [(key, loose[key - 1], close[key - 1]) for key in range(1, len(close) + 1)]
    members = pl.DataFrame(rows, schema={"record_key": pl.Int64, "loose": pl.Int64, "close": pl.Int64}, orient="row")
    return dict(hold(members, registry.history).select("record_key", "component").iter_rows())


def test_people_become_one_at_the_high_weight_and_stay_one_down_to_the_low_one():
    registry = Registry()
    assert held(registry, [1, 1, 3], [1, 1, 1]) == {1: 1, 2: 1, 3: 3}  # never one before: the low weight joins nobody
    registry.run([[1, 2], [3]])
    assert held(registry, [1, 1, 3], [1, 1, 1]) == {1: 1, 2: 1, 3: 3}  # two ids stay two
    registry.run([[1, 2, 3]])
    assert held(registry, [1, 1, 3], [1, 1, 1]) == {1: 1, 2: 1, 3: 1}  # one id stays one
    assert held(registry, [1, 1, 3], [1, 1, 3]) == {1: 1, 2: 1, 3: 3}  # until the low weight fails too


def test_a_new_group_joins_no_person_at_the_low_weight():
    registry = Registry()
    registry.run([[1, 2]])
    assert held(registry, [1, 1, 3], [1, 1, 1]) == {1: 1, 2: 1, 3: 3}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=8), st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_a_part_of_the_people_folded_alone_gets_what_it_gets_among_all(before, after):
    def night(registry, groups):
        registry.run(groups)
        return registry.person_of()

    # Blocks: records that share a label on either night are folded together; 100 more keys are people of their own.
    whole, part = Registry(), Registry()
    others = [[key] for key in range(100, 104)]
    first, second = groups_of(before), groups_of(after)
    night(whole, first + others)
    night(part, first + others)
    expected = night(whole, second + others)
    found = night(part, second)  # the others are not touched, so they are not given
    assert {key: found[key] for key in range(1, 9)} == {key: expected[key] for key in range(1, 9)}
    assert {key: found[key] for key in range(100, 104)} == {key: expected[key] for key in range(100, 104)}
