"""Releases after the first: an open reader, going back, building again."""

from __future__ import annotations

from test_faults import LONG_MART, expected_after_missing, rows_of, same_rows


def test_a_reader_sees_the_same_rows_across_a_publication(arrived):
    assert arrived.reader_before == arrived.reader_after
    assert arrived.reader_before


def test_what_was_incomplete_is_published_once_it_has_come(arrived, missing, night):
    released, before = arrived.state.table(LONG_MART), missing.state.table(LONG_MART)
    assert "incomplete" in set(before["value_status"])
    assert set(released["value_status"]) == set(night.table(LONG_MART)["value_status"])
    for year in (int(missing.preliminary.period), int(missing.district_missing.period)):
        assert year in expected_after_missing(missing)["chronic_absenteeism"]
        now, without = (rows_of(table, "chronic_absenteeism", year) for table in (released, night.table(LONG_MART)))
        assert now.height > 0 and same_rows(now, without), year


def test_a_release_is_rolled_back_and_published_again(arrived):
    assert arrived.moves == [arrived.before, arrived.release_id]
    assert arrived.state.problems() == []


def test_a_release_is_built_again_with_the_same_bytes(rebuilt):
    assert rebuilt.exit_code == 0, rebuilt.said[-3000:]
    assert "was rebuilt: the same Parquet and CSV bytes." in rebuilt.said


def test_only_an_officer_publishes_or_rolls_back(night):
    told = night.p20w("release", "publish", "--approved-by", "nobody", check=False)
    assert told.returncode != 0
    assert "nobody is not an officer in office" in told.stderr
    assert "Traceback" not in told.stderr
