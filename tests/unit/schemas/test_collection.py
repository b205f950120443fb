"""A table is cast and checked as its collection declares, and no finding repeats a value."""

import datetime as dt

import polars as pl
import pytest

from schemas import collections
from schemas.collection import Collection, Field, optional, required

ATTENDANCE = {
    "student_id_state": "900000001",
    "school_year": "2024",
    "school_id_state": "5",
    "term_code": "fall",
    "lea_id_state": "1",
    "membership_days": "90",
    "absence_days": "3.5",
    "term_begin_date": "2023-08-15",
    "term_end_date": "2023-12-20",
}


def table(base: dict, *changes: dict) -> pl.DataFrame:
    rows = [{**base, **change, "source_row": number} for number, change in enumerate(changes, 1)]
    return pl.DataFrame(rows, schema={name: pl.String for name in base} | {"source_row": pl.Int64})


def findings(name: str, frame: pl.DataFrame, package: str | None = None) -> set[tuple[int, str, str]]:
    collection = collections()[name]
    typed, failures = collection.cast_table(frame)
    found = pl.concat([failures, collection.check_table(typed, package)])
    assert found["message"].str.ends_with(".").all()
    return set(found.select("source_row", "rule_id", "columns").rows())


def test_there_are_the_collections_of_five_sectors_and_the_directory():
    found = collections()
    assert len(found) >= 18
    assert {c.sector for c in found.values()} == {
        "shared",
        "early_childhood",
        "k12",
        "postsecondary",
        "workforce",
        "child_welfare",
    }


def test_no_direct_identifier_is_a_column_of_an_accepted_file():
    for collection in collections().values():
        names = [name for name, _ in collection.accepted_columns()]
        assert len(names) == len(set(names))
        assert not set(names) & set(collection.direct_columns())
        assert {"school_year", "submitter", "package", "period", "certification", "delivery_id", "source_row"} <= set(
            names
        )


def test_accepted_columns_hold_keys_in_place_of_direct_identifiers():
    wage = dict(collections()["workforce__wage"].accepted_columns())
    assert wage["record_key"] == wage["employer_key"] == "BIGINT"
    assert "ssn" not in wage and "employer_account_number" not in wage
    program = dict(collections()["early_childhood__program_enrollment"].accepted_columns())
    assert program["provider_key"] == "BIGINT" and program["birth_year"] == "INTEGER" and program["sex_code"]
    assert "record_key" not in dict(collections()["shared__organization"].accepted_columns())


def test_a_good_row_has_no_findings_and_its_types():
    collection = collections()["k12__attendance"]
    typed, failures = collection.cast_table(table(ATTENDANCE, {}))
    assert failures.is_empty() and collection.check_table(typed).is_empty()
    assert typed["absence_days"].dtype == pl.Decimal(12, 3)
    assert typed["term_begin_date"].to_list() == [dt.date(2023, 8, 15)]
    assert typed["source_row"].to_list() == [1]


def test_cells_that_do_not_cast_name_row_and_column_and_never_the_value():
    frame = table(ATTENDANCE, {}, {"absence_days": "Dolores", "term_end_date": "2023-02-30"}, {"school_year": "2O24"})
    typed, failures = collections()["k12__attendance"].cast_table(frame)
    assert failures.select("row", "source_row", "columns").rows() == [
        (1, 2, "absence_days"),
        (1, 2, "term_end_date"),
        (2, 3, "school_year"),
    ]
    assert set(failures["rule_id"]) == {"k12__attendance.type"}
    assert not failures["message"].str.contains("Dolores|2O24").any()
    assert typed.height == 3 and typed["absence_days"][1] is None


def test_row_rules_ranges_and_missing_values_are_found():
    frame = table(
        ATTENDANCE,
        {"absence_days": "91"},
        {"term_end_date": "2023-08-01"},
        {"membership_days": "-1", "absence_days": "-2"},
        {"student_id_state": None},
        {"school_id_state": "  "},
    )
    assert findings("k12__attendance", frame) == {
        (1, "k12__attendance.absence_within_membership", "absence_days|membership_days"),
        (2, "k12__attendance.term_end_on_or_after_begin", "term_begin_date|term_end_date"),
        (3, "k12__attendance.range", "membership_days"),
        (3, "k12__attendance.range", "absence_days"),
        (4, "k12__attendance.missing", "student_id_state"),
        (5, "k12__attendance.missing", "school_id_state"),
    }


def test_exit_before_entry_and_a_wrong_code_are_found_and_local_codes_are_accepted():
    base = {
        "student_id_state": "1",
        "school_year": "2024",
        "school_id_state": "5",
        "entry_date": "2023-08-15",
        "lea_id_state": "1",
        "grade_level_code": "09",
        "exit_date": None,
        "exit_withdrawal_type_code": None,
    }
    frame = table(
        base,
        {"grade_level_code": "9"},
        {"exit_date": "2023-08-14"},
        {"exit_withdrawal_type_code": "01927"},
        {"grade_level_code": "nine"},
    )
    rule = "k12__enrollment"
    expected = {
        (2, f"{rule}.exit_on_or_after_entry", "entry_date|exit_date"),
        (3, f"{rule}.exit_date_with_type", "exit_date|exit_withdrawal_type_code"),
        (4, f"{rule}.code_set", "grade_level_code"),
    }
    assert findings("k12__enrollment", frame, "k12_annual") == expected
    assert findings("k12__enrollment", frame, "kra") == expected | {(1, f"{rule}.code_set", "grade_level_code")}
    assert findings("k12__enrollment", frame) == expected


def test_wages_quarters_and_social_security_numbers_are_plausible():
    base = {
        "ssn": "900123456",
        "employer_account_number": "0000000001",
        "wage_year": "2024",
        "wage_quarter": "1",
        "wage_amount": "1000",
    }
    frame = table(base, {}, {"ssn": "12345"}, {"wage_quarter": "5"}, {"wage_amount": "-1"}, {"wage_amount": "1.5"})
    assert findings("workforce__wage", frame) == {
        (2, "workforce__wage.ssn_nine_digits", "ssn"),
        (3, "workforce__wage.range", "wage_quarter"),
        (4, "workforce__wage.range", "wage_amount"),
        (5, "workforce__wage.type", "wage_amount"),
        (5, "workforce__wage.missing", "wage_amount"),
    }


def test_birth_dates_in_the_future_or_before_1900_are_found():
    base = {
        "student_id_state": "1",
        "school_year": "2024",
        "lea_id_state": "1",
        "given_name": "Ada",
        "surname": "Reyes",
        "birth_date": "2010-01-01",
    }
    tomorrow = (dt.date.today() + dt.timedelta(days=1)).isoformat()
    frame = table(base, {}, {"birth_date": tomorrow}, {"birth_date": "1899-12-31"})
    assert findings("k12__student", frame) == {
        (2, "k12__student.birth_date_plausible", "birth_date"),
        (3, "k12__student.birth_date_plausible", "birth_date"),
    }


def test_the_school_year_is_the_july_to_june_year_of_the_period_start():
    collection = collections()["workforce__wage"]
    base = {"ssn": "900123456", "employer_account_number": "1", "wage_year": "2024", "wage_amount": "1"}
    base["wage_quarter"] = "2"
    typed, _ = collection.cast_table(table(base, {}, {"wage_quarter": "3"}))
    assert typed.select(collection.school_year()).to_series().to_list() == [2024, 2025]


def test_a_search_that_found_nobody_needs_no_institution():
    base = {
        "student_id_state": "1",
        "given_name": "Ada",
        "surname": "Reyes",
        "is_record_found": "false",
        "search_date": "2024-11-01",
    }
    collection = collections()["postsecondary__enrollment"]
    assert findings(collection.name, table(base, {})) == set()
    assert findings(collection.name, table(base, {"is_record_found": "Y"})) == {
        (1, "postsecondary__enrollment.found_has_institution", "is_record_found|institution_id|term_begin_date")
    }
    typed, _ = collection.cast_table(table(base, {}))
    assert typed.select(collection.school_year()).item() == 2025


@pytest.mark.parametrize("name", sorted(collections()))
def test_an_empty_table_and_a_blank_row_pass_through_every_check(name):
    collection = collections()[name]
    text = {column: pl.String for column in collection.columns}
    typed, failures = collection.cast_table(pl.DataFrame(schema=text))
    assert failures.is_empty() and collection.check_table(typed).is_empty()
    typed, failures = collection.cast_table(pl.DataFrame({column: [None] for column in text}, schema=text))
    found = collection.check_table(typed)
    missing = set(found.filter(pl.col("rule_id") == f"{name}.missing")["columns"])
    assert missing == {field.element for field in collection.fields if not field.nullable}


def test_a_collection_with_an_undeclared_element_is_an_error():
    with pytest.raises(ValueError, match="shoe_size"):
        Collection("k12__shoe", "Shoes", "One row per shoe.", ("shoe_size",), (Field("shoe_size"),))


def test_a_key_must_consist_of_fields():
    with pytest.raises(ValueError, match="key column"):
        Collection("k12__x", "X", "One row.", ("city",), (*required("school_year"), *optional("surname")))
