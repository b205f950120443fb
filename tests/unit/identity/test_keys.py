"""Keys are random, stable for equal identifiers, and minted in bulk."""

import polars as pl
import pytest

from pipelines.identity.keys import (
    export_organization_keys,
    mapped_keys,
    organization_keys,
    random_keys,
    record_keys,
)
from pipelines.identity.vault import open_vault


def test_random_keys_are_distinct_positive_63_bit_and_avoid_what_is_taken():
    keys = random_keys(5000)
    assert len(set(keys.tolist())) == 5000
    assert keys.min() > 0
    assert 2**60 < keys.max() < 2**63


def test_equal_identifiers_of_a_sector_share_a_key_over_deliveries(home):
    rows = pl.DataFrame({"ssn": ["1", "2", "1"], "surname": ["A", None, "A"], "wage_amount": [1, 2, 3]})
    with open_vault(home) as con:
        first = record_keys(con, rows, "workforce", "build-1")
        again = record_keys(con, rows.reverse(), "workforce", "build-2")
        other = record_keys(con, rows, "postsecondary", "build-2")
        stored = con.execute("SELECT count(*), min(first_build) FROM identity_record").fetchone()
    assert first[0] == first[2] != first[1]
    assert again.to_list() == first.reverse().to_list()
    assert not set(other) & set(first)
    assert stored == (4, "build-1")


def test_blanks_are_nulls_and_a_bad_date_is_no_date(home):
    rows = pl.DataFrame({"surname": ["A", " A ", "A", "A"], "middle_name": [None, "", " ", None],
                         "birth_date": ["2001-02-03", "2001-02-03", "2001-02-03", "3 Feb"]})  # fmt: skip
    with open_vault(home) as con:
        keys = record_keys(con, rows, "k12", "b")
        dates = con.execute("SELECT birth_date FROM identity_record ORDER BY birth_date NULLS FIRST").fetchall()
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert dates[0] == (None,) and len(dates) == 2


def test_an_empty_frame_gives_an_empty_series(home):
    with open_vault(home) as con:
        assert record_keys(con, pl.DataFrame({"ssn": []}), "k12", "b").len() == 0


def test_wages_and_the_employer_file_share_the_employers_key_and_its_name_is_filled_in(home):
    with open_vault(home) as con:
        wage = mapped_keys(con, "employer", pl.DataFrame({"employer_account_number": ["77", None, "78"]}))
        file = mapped_keys(
            con,
            "employer",
            pl.DataFrame({"employer_account_number": ["77"], "ein": ["12"], "employer_name": ["Mill"]}),
        )
        stored = con.execute(
            "SELECT ein, employer_name FROM key_employer WHERE employer_account_number = '77'"
        ).fetchall()
    assert wage[1] is None and wage[0] == file[0] != wage[2]
    assert stored == [("12", "Mill")]


def test_an_employer_without_account_is_known_by_its_ein(home):
    rows = pl.DataFrame(
        {"employer_account_number": [None, None], "ein": ["5", "5"]}, schema_overrides={"ein": pl.String}
    )
    with open_vault(home) as con:
        first = mapped_keys(con, "employer", rows)
        assert first[0] == first[1] == mapped_keys(con, "employer", rows)[0]
        assert first[0] is not None


def test_providers_and_organizations_have_keys_of_their_own(home):
    with open_vault(home) as con:
        provider = mapped_keys(con, "provider", pl.DataFrame({"provider_id": ["9", None, "9"]}))
        assert provider[0] == provider[2] and provider[1] is None
        rows = pl.DataFrame({"organization_level": ["lea", "school", None], "organization_id_state": ["1", "1", "1"]})
        organization = organization_keys(con, rows)
        assert organization[0] != organization[1] and organization[2] is None
        export_organization_keys(con, home)
    exported = pl.read_parquet(home.exchange / "organization_key.parquet")
    assert exported.columns == ["organization_key", "organization_level", "organization_id_state"]
    assert exported.height == 2


def test_an_unknown_kind_is_refused(home):
    with open_vault(home) as con, pytest.raises(ValueError, match="employer and provider"):
        mapped_keys(con, "person", pl.DataFrame({"ssn": ["1"]}))
