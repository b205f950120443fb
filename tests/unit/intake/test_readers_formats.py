"""Every format is read as declared, with the dirt that agencies' files carry. Names and numbers here are made up."""

import polars as pl
import pytest

from pipelines.intake.readers import UnreadableFile, read_file, transforms
from pipelines.settings import load
from schemas import collections


@pytest.fixture
def read(tmp_path):
    configuration = load({"P20W_HOME": str(tmp_path / "home")})

    def reader(package, name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_file(path, package, "someone", "2024", configuration)

    return reader


STUDENT = "StudentStateID,SchoolYear,DistrictCode,FirstName,MiddleName,LastName,Suffix,BirthDate,Sex,HispanicLatino\n"


def test_csv_gives_every_element_of_the_collection_as_text(read):
    content = read("k12_annual", "student.csv", STUDENT + "11,2023-2024,7, Ada ,,Reyes,,9/1/2010,F,Y\n")
    table = content.tables["k12__student"]
    assert table.columns == [*collections()["k12__student"].columns, "source_row"]
    row = table.row(0, named=True)
    assert (row["given_name"], row["middle_name"], row["school_year"]) == ("Ada", None, "2024")
    assert (row["birth_date"], row["is_hispanic"], row["is_asian"]) == ("2010-09-01", "true", None)
    assert (content.record_count, content.not_collected_count, content.unmapped_columns) == (1, 0, [])


def test_csv_finds_headers_by_alias_and_lists_unknown_ones(read):
    header = STUDENT.replace("StudentStateID", "SSID").replace("Suffix", "Shoe")
    content = read("k12_annual", "student.csv", header + "11,2024,7,Ada,,Reyes,44,9/1/2010,F,\n")
    assert content.tables["k12__student"]["student_id_state"].to_list() == ["11"]
    assert content.unmapped_columns == ["Shoe"]


def test_csv_without_a_required_header_is_refused_with_header_and_aliases(read):
    with pytest.raises(UnreadableFile) as refused:
        read("k12_annual", "student.csv", STUDENT.replace("BirthDate", "Born") + "11,2024,7,Ada,,Reyes,,9/1/2010,F,\n")
    sentence = str(refused.value)
    assert "student.csv" in sentence and "BirthDate or DOB (for birth_date)" in sentence
    assert "FirstName" in sentence


def test_csv_whose_first_line_is_a_person_is_refused_without_repeating_it(read):
    with pytest.raises(UnreadableFile) as refused:
        read("k12_annual", "student.csv", "900000077,2024,7,Zebulina,,Quartermain,,9/1/2010,F,\n")
    assert "Zebulina" not in str(refused.value) and "900000077" not in str(refused.value)


def test_csv_with_a_mapped_header_twice_is_refused(read):
    with pytest.raises(UnreadableFile, match="more than once"):
        read("k12_annual", "student.csv", STUDENT.replace("Suffix", "LastName") + "11,2024,7,A,,B,C,9/1/2010,F,\n")


def test_csv_with_a_byte_order_mark_and_empty_columns_reads_where_declared(read):
    header = "\ufeffStateStudentID,TestCode,Subject,SchoolYear,,,\r\n"
    content = read("state_assessment", "assessment.csv", header + "11,SUM  ,ELA,2024,,,\r\n12,SUM,MATH,2024,,,\r\n")
    assert content.tables["k12__assessment_result"]["assessment_code"].to_list() == ["SUM", "SUM"]
    assert content.unmapped_columns == []


def test_a_byte_order_mark_is_not_guessed_away(read):
    with pytest.raises(UnreadableFile, match="StudentStateID"):
        read("k12_annual", "student.csv", "\ufeff" + STUDENT + "11,2024,7,Ada,,Reyes,,9/1/2010,F,\n")


PREK = "CHILD_NO;LAST_NAME;FIRST_NAME;BIRTH_DT;START_DT;END_DT;SITE_CODE;SEX\n"


def test_windows_1252_names_and_semicolons_read_as_declared(read):
    line = "5;Muñoz-O’Hara;Zoë;20190203;20230901;;S1;F\n"
    content = read("state_prek", "state_prek.csv", (PREK + line).encode("windows-1252"))
    row = content.tables["early_childhood__program_enrollment"].row(0, named=True)
    assert (row["surname"], row["given_name"], row["birth_date"]) == ("Muñoz-O’Hara", "Zoë", "2019-02-03")
    assert (row["program_type_code"], row["exit_date"]) == ("state_prek", None)


def test_a_file_in_another_encoding_is_refused_even_where_the_bad_byte_is_not_read(read):
    bad = (STUDENT.strip() + ",Note\n11,2024,7,Ada,,Reyes,,9/1/2010,F,,Zoë\n").encode("windows-1252")
    with pytest.raises(UnreadableFile, match="encoding utf-8"):
        read("k12_annual", "student.csv", bad)


def test_empty_lines_are_no_records_and_short_lines_lose_only_their_end(read):
    lines = "11,2024,7,Ada,,Reyes,,9/1/2010,F,Y\n\n12,2024,7,Bo,,Lund,,9/1/2010\n"
    content = read("k12_annual", "student.csv", STUDENT + lines)
    table = content.tables["k12__student"]
    assert content.record_count == 2
    assert table.select("student_id_state", "sex_code", "source_row").rows() == [("11", "F", 1), ("12", None, 2)]


def test_a_line_with_more_fields_than_headers_is_named_and_blanked(read):
    lines = "11,2024,7,Ada,,Reyes,,9/1/2010,F,Y,,\n12,2024,7,Bo,x,y,Lund,,9/1/2010,F,Y\n"
    content = read("k12_annual", "student.csv", STUDENT + lines)
    table = content.tables["k12__student"]
    assert content.record_count == 2 and list(content.broken_rows) == [2]
    assert table["given_name"].to_list() == ["Ada", None]


def test_line_ends_inside_quotation_marks_belong_to_the_value(read):
    content = read("k12_annual", "student.csv", STUDENT + '11,2024,7,"A\nda","","Reyes, Jr",,9/1/2010,F,Y\n')
    assert content.record_count == 1
    assert content.tables["k12__student"]["surname"].to_list() == ["Reyes, Jr"]


def test_a_quotation_mark_that_never_closes_refuses_the_file(read):
    lines = '11,2024,7,"Ada,,Reyes,,9/1/2010,F,Y\n12,2024,7,Bo,,Lund,,9/1/2010,F,Y\n'
    with pytest.raises(UnreadableFile, match="quotation mark"):
        read("k12_annual", "student.csv", STUDENT + lines)


def test_a_header_without_lines_is_an_empty_delivery_and_an_empty_file_is_refused(read):
    content = read("k12_annual", "student.csv", STUDENT)
    assert content.record_count == 0 and content.tables["k12__student"].is_empty()
    with pytest.raises(UnreadableFile):
        read("k12_annual", "student.csv", "")


def test_a_value_that_a_transform_cannot_read_fails_its_type_and_is_not_passed_on(read):
    content = read("k12_annual", "student.csv", STUDENT + "11,2022-2024,7,Ada,,Reyes,,2010-09-01,F,maybe\n")
    collection = collections()["k12__student"]
    _, failures = collection.cast_table(content.tables["k12__student"])
    assert set(failures["columns"]) == {"school_year", "birth_date", "is_hispanic"}


STUDENTTRACKER = (
    "Requester Return Field,First Name,Last Name,Record Found Y/N,Search Date,College Code/Branch,Enrollment Begin,"
    "Enrollment End,Enrollment Status,Graduated?,Graduation Date,Degree Title\n"
    "11,ADA,REYES,Y,20241101,008083-00,20230820,20231215,F,N,,\n"
    "11,ADA,REYES,Y,20241101,008083-00,,,,Y,20240515,BACHELOR OF ARTS\n"
    "12,JOSÉ,LUND,N,20241101,,,,,,,\n"
)


def test_a_filter_sends_enrollments_and_degrees_of_one_file_to_their_collections(read):
    content = read("nsc_return", "studenttracker.csv", STUDENTTRACKER.encode("iso-8859-1"))
    enrollment = content.tables["postsecondary__enrollment"]
    award = content.tables["postsecondary__award"]
    columns = ("source_row", "is_record_found", "institution_id")
    assert enrollment.select(columns).rows() == [(1, "true", "00808300"), (3, "false", None)]
    assert award.select("source_row", "award_date", "credential_level_code").rows() == [(2, "2024-05-15", "bachelor")]
    assert (content.record_count, content.not_collected_count) == (3, 0)


def test_a_studenttracker_file_with_other_header_spellings_is_read(read):
    other = STUDENTTRACKER.replace("Requester Return Field", "REQUESTER_RETURN_FIELD").replace(
        "First Name", "FirstName"
    )
    content = read("nsc_return", "studenttracker.csv", other.encode("iso-8859-1"))
    assert content.tables["postsecondary__enrollment"]["given_name"].to_list() == ["ADA", "JOSÉ"]


def wage_line(ssn="900123456", first="ADA", last="REYES", wage="0000012345"):
    return f"{ssn}{first:<15}Q{last:<20}99{'77':0>10}00001{'990000001'}20241{wage}"


def test_fixed_width_lines_are_cut_at_their_places(read):
    assert len(wage_line()) == 86
    text = wage_line() + "\r\n" + wage_line(first="JOSÉ", last="MUÑOZ") + "\r\n\r\n"
    content = read("wages", "wages.txt", text.encode("iso-8859-1"))
    table = content.tables["workforce__wage"]
    assert content.record_count == 2
    row = table.row(0, named=True)
    assert (row["ssn"], row["surname"], row["middle_name"], row["state_fips"]) == ("900123456", "REYES", "Q", "99")
    assert (row["employer_account_number"], row["ein"], row["wage_year"]) == ("0000000077", "990000001", "2024")
    typed, failures = collections()["workforce__wage"].cast_table(table)
    assert failures.is_empty() and typed["wage_amount"].to_list() == [12345, 12345]
    assert table["surname"][1] == "MUÑOZ"


def test_a_wage_cut_short_by_the_line_end_is_blank_and_never_another_number(read):
    content = read("wages", "wages.txt", wage_line()[:-2] + "\n" + wage_line() + "\n")
    table = content.tables["workforce__wage"]
    assert table["wage_amount"].to_list() == [None, "0000012345"]
    assert table["wage_year"].to_list() == ["2024", "2024"]


def test_parquet_columns_become_text_whatever_their_type(read, tmp_path):
    import datetime as dt

    path = tmp_path / "frame"
    pl.DataFrame(
        {
            "ChildID": [5],
            "ServiceBegin": ["20230901"],
            "ChildFirstName": ["Ada"],
            "ChildLastName": ["Reyes"],
            "ChildBirthYearMonth": [201902],
            "ChildEthnicity": [1],
            "TypeOfCare": [4],
            "Copayment": [12.5],
            "ReportDate": [dt.date(2024, 1, 1)],
        }
    ).write_parquet(path)
    content = read("subsidy", "subsidy.parquet", path.read_bytes())
    row = content.tables["early_childhood__program_enrollment"].row(0, named=True)
    assert (row["child_id"], row["birth_month"], row["entry_date"]) == ("5", "2019-02", "2023-09-01")
    assert (row["is_hispanic"], row["care_type_code"], row["copayment_amount"]) == ("true", "04", "12.5")
    assert content.unmapped_columns == ["ReportDate"]


def test_a_file_that_is_no_parquet_is_refused(read):
    with pytest.raises(UnreadableFile, match="Parquet"):
        read("subsidy", "subsidy.parquet", b"not at all")


ATTENDANCE = """<?xml version="1.0" encoding="UTF-8"?>
<InterchangeStudentAttendance xmlns="http://ed-fi.org/5.2.0">
  <!-- a remark -->
  <StudentSchoolAttendanceEvent>
    <StudentReference><StudentIdentity><StudentUniqueId>11 </StudentUniqueId></StudentIdentity></StudentReference>
    <SchoolReference><SchoolIdentity><SchoolId>7</SchoolId></SchoolIdentity></SchoolReference>
    <SessionReference><SessionIdentity><SchoolYear>2021-2022</SchoolYear></SessionIdentity></SessionReference>
    <AttendanceEvent>
      <EventDate>2021-09-01</EventDate>
      <AttendanceEventCategory>uri://ed-fi.org/AttendanceEventCategoryDescriptor#Tardy</AttendanceEventCategory>
    </AttendanceEvent>
  </StudentSchoolAttendanceEvent>
  <SomethingElse><A>1</A></SomethingElse>
  <StudentSchoolAttendanceEvent>
    <SchoolReference><SchoolIdentity><SchoolId>8</SchoolId></SchoolIdentity></SchoolReference>
  </StudentSchoolAttendanceEvent>
</InterchangeStudentAttendance>
"""


def test_xml_records_are_numbered_by_their_place_and_other_elements_count_as_not_collected(read):
    content = read("edfi_xml", "StudentSchoolAttendance.xml", ATTENDANCE)
    table = content.tables["k12__attendance_event"]
    assert (content.record_count, content.not_collected_count) == (3, 1)
    assert content.unmapped_columns == ["SomethingElse"]
    columns = ("source_row", "student_id_state", "school_id_state", "attendance_category_code", "school_year")
    assert table.select(columns).rows() == [(1, "11", "7", "Tardy", "2022"), (3, None, "8", None, None)]


def test_xml_that_is_not_well_formed_is_refused_by_line(read):
    with pytest.raises(UnreadableFile, match="near line"):
        read("edfi_xml", "StudentSchoolAttendance.xml", ATTENDANCE.replace("</EventDate>", "</Oops>"))


def test_xml_entities_are_never_followed(read, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("SECRET")
    doctype = f'<!DOCTYPE x [<!ENTITY leak SYSTEM "{secret.as_uri()}"><!ENTITY inner "INNER">]>\n<Interchange'
    text = ATTENDANCE.replace("<Interchange", doctype, 1).replace("11 <", "&leak;<").replace(">8<", ">&inner;<")
    content = read("edfi_xml", "StudentSchoolAttendance.xml", text)
    table = content.tables["k12__attendance_event"]
    assert table["student_id_state"].to_list() == [None, None]
    assert "SECRET" not in str(table.rows())


def test_a_file_that_no_row_of_the_register_takes_is_not_collected(read):
    content = read("k12_annual", "lunch.csv", "a,b\n1,2\n3,4\n")
    assert content.tables == {} and content.record_count == content.not_collected_count == 2


@pytest.mark.parametrize(
    ("chain", "value", "expected"),
    [
        ("date:%m/%d/%Y", "2/29/2024", "2024-02-29"),
        ("date:%m/%d/%Y", "2/29/2023", "?"),
        ("date:%m/%d/%Y", "9/1/16", "?"),
        ("date:%m%Y", "092024", "2024-09-01"),
        ("date:%m%y;school_year_of_date", "0523", "2023"),
        ("month:%Y%m", "201913", "?"),
        ("map_school_year", "2023-24", "2024"),
        ("map_school_year", "2023-2025", "?"),
        ("bool:Y:N", "N", "false"),
        ("bool:Y:N", "Q", "?"),
        ("bool:Y", "Q", "false"),
        ("after:#", "uri://x#Grade 1", "Grade 1"),
        ("word:1;lower", "BACHELOR OF ARTS", "bachelor"),
        ("digits;zfill:8", "8083-00", "00808300"),
        ("blank:NaN,NULL", "NaN", None),
        ("slice:0:6", "123456789", "123456"),
        ("replace:B:-02-01", "2013B", "2013-02-01"),
        ("exists", None, "false"),
        ("date:%Y%m%d", "   ", None),
    ],
)
def test_a_transform_says_what_it_says(chain, value, expected):
    table = pl.DataFrame({"x": [value]}, schema={"x": pl.String})
    assert table.select(transforms.apply(pl.col("x"), chain)).item() == expected


def test_an_unknown_transform_is_an_error():
    with pytest.raises(ValueError, match="rot13"):
        transforms.apply(pl.col("x"), "rot13")
