"""Policy is data, and a slip in it is an error that names it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date

import numpy as np
import pytest
from disclosure_auditor import BANDS, DAY, POLICY, SEEDS

from pipelines.disclosure.bands import load_bands, share_text
from pipelines.disclosure.policy import Policy, load_policy

PROTECTION = (SEEDS / "protection.csv").read_text()
BAND = (SEEDS / "rate_band.csv").read_text()


def protection(tmp_path, old, new, day=DAY):
    """Load the protection seed with one text replaced."""
    assert old in PROTECTION
    path = tmp_path / "protection.csv"
    path.write_text(PROTECTION.replace(old, new))
    return load_policy(path, day)


def bands(tmp_path, old, new):
    """Load the band seed with one text replaced."""
    assert old in BAND
    path = tmp_path / "rate_band.csv"
    path.write_text(BAND.replace(old, new, 1))
    return load_bands(path, POLICY, DAY)


def test_the_defaults_are_those_of_the_committee():
    assert (POLICY.minimum_count, POLICY.accountability_minimum, POLICY.interval_width) == (10, 30, 3)
    assert (POLICY.minimum_employers, POLICY.top_employer_share, POLICY.median_rounding) == (3, 0.8, 500)
    assert (POLICY.employer_estimate_margin, POLICY.median_pool) == (0.1, 3)
    assert POLICY.zero_rule == "hideable"
    assert (POLICY.decoy_share, POLICY.decoy_reach, POLICY.report_minimum_rows) == (0.05, 3, 100)
    assert (POLICY.quarantine_low_share, POLICY.quarantine_high_share) == (0.005, 0.05)
    assert (POLICY.loss_low_share, POLICY.loss_high_share) == (0.1, 0.5)


@pytest.mark.parametrize("name", ["minimum_count", "interval_width", "zero_rule", "top_employer_share", "decoy_reach"])
def test_a_misspelled_parameter_is_named(tmp_path, name):
    with pytest.raises(ValueError, match=f"row .*'{name}s' is not a protection parameter"):
        protection(tmp_path, f"{name},", f"{name}s,")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("minimum_count,10", "minimum_count,ten", "'minimum_count' is 'ten'"),
        ("minimum_count,10", "minimum_count,1", "'minimum_count' is 1; it must lie"),
        ("zero_rule,hideable", "zero_rule,hidden", "'zero_rule' is 'hidden'"),
        ("marker,*", "marker,7", "'marker' is '7'; it must be 1 to"),
        ("accountability_minimum,30", "accountability_minimum,5", "accountability_minimum .5. is below"),
        ("interval_width,3", "interval_width,12", "interval_width .12. is above"),
        ("repair_rounds,40", "minimum_count,40", "'minimum_count' has two values"),
        ("decoy_reach,3", "decoy_reach,1", "'decoy_reach' is 1; it must lie"),
        ("report_minimum_rows,100", "report_minimum_rows,9", "report_minimum_rows .9. is below"),
        ("quarantine_low_share,0.005", "quarantine_low_share,0.05", "quarantine_low_share .0.05. is not below"),
        ("loss_high_share,0.5", "loss_high_share,0.05", "loss_low_share .0.1. is not below loss_high_share"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, old, new, message):
    with pytest.raises(ValueError, match=message):
        protection(tmp_path, old, new)


@pytest.mark.parametrize("name", ["median_rounding", "decoy_reach", "report_minimum_rows"])
def test_a_missing_parameter_is_named(tmp_path, name):
    path = tmp_path / "protection.csv"
    path.write_text("\n".join(line for line in PROTECTION.splitlines() if not line.startswith(name)))
    with pytest.raises(ValueError, match=f"no value in force on 2026-11-21 for {name}"):
        load_policy(path, DAY)


def test_a_release_of_before_a_rule_was_policy_is_attacked_by_what_held_then():
    newer = {"decoy_reach", "report_minimum_rows", "quarantine_low_share", "quarantine_high_share"}
    newer |= {"loss_low_share", "loss_high_share"}
    assert Policy(**{name: value for name, value in asdict(POLICY).items() if name not in newer}) == POLICY


def test_the_newest_value_in_force_counts(tmp_path):
    path = tmp_path / "protection.csv"
    path.write_text(PROTECTION + "minimum_count,11,board,2026-01-01,more\nminimum_count,12,board,2027-01-01,later\n")
    assert load_policy(path, DAY).minimum_count == 11
    assert load_policy(path, date(2025, 12, 31)).minimum_count == 10


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("21,40", "22,40", "row 3: denominator_low is 22 but must be 21"),
        ("10,20", "11,20", "row 2: denominator_low is 11 but must be 10"),
        ("0.10", "x", "row 3: low_share is 'x'"),
        ("0.05", "0.02", "row 4: with 41 people the band leaves 1 possible"),
        ("0.20,0.80", "0.40,0.60", "row 2: with 10 people fewer than interval_width"),
        ("301,,", "301,900,", "last band ends at 900"),
    ],
)
def test_a_wrong_band_is_named(tmp_path, old, new, message):
    with pytest.raises(ValueError, match=message):
        bands(tmp_path, old, new)


def test_bands_hold_at_their_edges():
    denominators = np.array([9, 10, 20, 21, 100, 101, 301, 5000])
    low, high, _, _ = BANDS.limits(denominators)
    assert low.tolist() == [-1, 2, 4, 2, 5, 2, 3, 50]
    assert high.tolist() == [10, 8, 16, 19, 95, 99, 298, 4950]
    assert BANDS.band(np.array([10, 10, 10]), np.array([2, 3, 8])).tolist() == [-1, 0, 1]


def test_a_share_reads_as_a_percentage():
    assert [share_text(share) for share in (100, 250, 2000, 9950)] == ["1%", "2.5%", "20%", "99.5%"]
