"""The partition joins what belongs together, keeps two persons apart, and depends on no order."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.identity.partition import dates_agree_nearly, numbers_agree_nearly, partition

RECORD = {
    "record_key": pl.Int64, "sector": pl.String, "ssn": pl.String, "student_id_state": pl.String, "birth_date": pl.Date,
}  # fmt: skip
PAIR = {
    "record_key_a": pl.Int64, "record_key_b": pl.Int64, "tier": pl.Int64, "rule": pl.String, "joins": pl.String,
    "follower": pl.Int64,
}  # fmt: skip
OLD, YOUNG = date(2001, 3, 4), date(2006, 11, 20)


def record(key, sector="k12", ssn=None, student_id=None, born=None):
    return (key, sector, ssn, student_id, born)


def link(a, b, tier=10):
    return (min(a, b), max(a, b), tier, f"tier_{tier}", "link", None)


def attach(follower, target, tier=80):
    return (min(follower, target), max(follower, target), tier, f"tier_{tier}", "attach", follower)


def split(records, pairs, **more):
    return partition(
        pl.DataFrame(records, schema=RECORD, orient="row"), pl.DataFrame(pairs, schema=PAIR, orient="row"), **more
    )


def component(found):
    return dict(found.members.select("record_key", "component").iter_rows())


def test_linked_records_are_one_component_named_by_its_smallest_key():
    found = split([record(k) for k in (7, 3, 9, 1)], [link(7, 3), link(3, 9)])
    assert component(found) == {1: 1, 3: 3, 7: 3, 9: 3}
    assert dict(found.members.select("record_key", "rule").iter_rows())[1] == "alone"


def test_two_student_ids_with_irreconcilable_birth_dates_lose_the_weakest_link_between_them():
    records = [record(1, student_id="A", born=OLD), record(2, student_id="A", born=OLD),
               record(3, student_id="B", born=YOUNG), record(4, student_id="B", born=YOUNG), record(5)]  # fmt: skip
    found = split(records, [link(1, 2, 10), link(3, 4, 10), link(2, 5, 40), link(5, 3, 46)])
    assert component(found) == {1: 1, 2: 1, 5: 1, 3: 3, 4: 3}
    assert found.conflicts.rows() == [(3, 5, "tier_46", "two_student_ids_and_birth_dates")]


def test_two_student_ids_with_near_birth_dates_stay_one_person():
    found = split(
        [record(1, student_id="A", born=date(2001, 3, 4)), record(2, student_id="B", born=date(2001, 4, 3))],
        [link(1, 2)],
    )
    assert component(found) == {1: 1, 2: 1}


def test_two_ssns_each_confirmed_by_a_second_sector_are_two_persons():
    records = [record(1, "k12", "123456780"), record(2, "postsecondary", "123456780"),
               record(3, "k12", "987654320"), record(4, "postsecondary", "987654320")]  # fmt: skip
    found = split(records, [link(1, 2, 30), link(3, 4, 30), link(1, 3, 42)])
    assert component(found) == {1: 1, 2: 1, 3: 3, 4: 3}
    assert found.conflicts["reason"].to_list() == ["two_confirmed_ssns"]


def test_a_number_alone_follows_its_one_person_and_of_two_persons_neither():
    found = split([record(1), record(2), record(3)], [attach(2, 1, 70)])
    assert component(found)[2] == 1
    found = split([record(1), record(2), record(3)], [attach(2, 1, 70), attach(2, 3, 70)])
    assert component(found) == {1: 1, 2: 2, 3: 3}
    assert found.undetermined.rows() == [
        (2, 1, "two_persons_carry_the_number"),
        (2, 3, "two_persons_carry_the_number"),
    ]


def test_wages_linked_to_each_other_follow_together():
    wages = [record(5, "workforce", "1"), record(6, "workforce", "1")]
    found = split([record(1), *wages], [link(5, 6, 60), attach(6, 1)])
    assert component(found) == {1: 1, 5: 1, 6: 1}


def test_a_refused_wage_is_told_beside_the_person_whose_number_it_carries():
    refused = pl.DataFrame({"record_key": [5], "anchor_record_key": [2]})
    found = split([record(1), record(2), record(5, "workforce")], [link(1, 2)], refused=refused)
    assert component(found)[5] == 5
    assert found.undetermined.rows() == [(5, 1, "names_do_not_agree")]


def test_two_followers_that_point_at_each_other_end_in_one_component():
    found = split([record(k) for k in (1, 2, 3, 4)], [link(1, 2), link(3, 4), attach(1, 3), attach(4, 2)])
    assert set(component(found).values()) == {1}


def test_verdicts_of_a_steward_bind():
    verdicts = pl.DataFrame({"record_key_a": [1, 3], "record_key_b": [2, 4], "verdict": ["distinct", "same"]})
    found = split([record(k) for k in (1, 2, 3, 4)], [link(1, 2)], verdicts=verdicts)
    assert component(found) == {1: 1, 2: 2, 3: 3, 4: 3}
    found = split([record(1), record(2)], [attach(2, 1)], verdicts=verdicts.head(1))
    assert component(found) == {1: 1, 2: 2}


@pytest.mark.parametrize(
    ("a", "b", "near"),
    [("123456789", "123456789", True), ("123456789", "123456788", True), ("123456789", "213456789", True),
     ("123456789", "321456789", False), ("123456789", "12345678", False)],
)  # fmt: skip
def test_one_digit_or_one_exchange_is_near(a, b, near):
    assert numbers_agree_nearly(a, b) is near


def test_exchanged_day_and_month_and_one_wrong_part_are_near():
    assert dates_agree_nearly(date(2001, 3, 4), date(2001, 4, 3))
    assert dates_agree_nearly(date(2001, 3, 4), date(2002, 3, 4))
    assert dates_agree_nearly(None, date(2002, 3, 4))
    assert not dates_agree_nearly(date(2001, 3, 4), date(2002, 3, 5))


KEYS = st.integers(1, 9)
RECORDS = st.fixed_dictionaries(
    {k: st.tuples(st.sampled_from(["A", "B", None]), st.sampled_from([OLD, YOUNG, None])) for k in range(1, 10)}
)
LINKS = st.lists(st.tuples(KEYS, KEYS, st.sampled_from([10, 40, 46])).filter(lambda p: p[0] != p[1]), max_size=14)
FOLLOWS = st.lists(st.tuples(KEYS, KEYS).filter(lambda p: p[0] != p[1]), max_size=4)


@settings(max_examples=80, deadline=None)
@given(RECORDS, LINKS, FOLLOWS, st.randoms(use_true_random=False))
def test_input_order_changes_nothing_and_no_link_joins_a_contradiction(facts, links, follows, random):
    records = [record(key, student_id=number, born=born) for key, (number, born) in facts.items()]
    pairs = [link(a, b, tier) for a, b, tier in links]
    first = split(records, pairs + [attach(a, b) for a, b in follows])
    shuffled = pairs + [attach(a, b) for a, b in follows]
    random.shuffle(records)
    random.shuffle(shuffled)
    second = split(records, shuffled)
    assert first.members.rows() == second.members.rows()
    assert first.conflicts.rows() == second.conflicts.rows()
    assert first.undetermined.rows() == second.undetermined.rows()
    label = component(split(records, pairs))
    for a, (number_a, born_a) in facts.items():
        for b, (number_b, born_b) in facts.items():
            if label[a] == label[b] and None not in (number_a, number_b, born_a, born_b):
                assert number_a == number_b or dates_agree_nearly(born_a, born_b)
