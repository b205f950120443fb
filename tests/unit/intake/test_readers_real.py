"""Third-party files are read whole: counts as their publishers state them, and no row that fails its own collection."""

import polars as pl
import pytest

from pipelines.intake.readers import read_file
from pipelines.settings import settings
from schemas import collections

BUNDLES, GRAND_BEND = "earthmover_bundles", "edfi_grand_bend"


def read(package, folder, name):
    path = settings().real_data / folder / name
    if not path.exists():
        pytest.skip(f"third-party data is not here: {folder}/{name} (set P20W_REAL_DATA)")
    return read_file(path, package, "publisher", "2022", settings())


CASES = [
    ("kra", BUNDLES, "KRA__KRA_sample_file_deidentified.csv", "early_childhood__kindergarten_readiness", 10, 0, 10),
    ("act", BUNDLES, "ACT__sample_anonymized_file.csv", "k12__assessment_result", 5, 0, 28),
    ("staar", BUNDLES, "STAAR_Summative__sample_anonymized_file.csv", "k12__assessment_result", 10, 0, 20),
    ("staar", BUNDLES, "STAAR_Summative__sample_anonymized_file.txt", "k12__assessment_result", 10, 0, 20),
    ("edfi_xml", GRAND_BEND, "Student.xml", "k12__student", 963, 3, 960),
    ("edfi_xml", GRAND_BEND, "StudentProgram.xml", "k12__program_participation", 706, 0, 706),
    ("edfi_xml", GRAND_BEND, "StudentAssessment-ACT.xml", "k12__assessment_result", 335, 0, 335),
    ("edfi_xml", GRAND_BEND, "StudentAssessment-SAT.xml", "k12__assessment_result", 39, 0, 39),
    ("edfi_xml", GRAND_BEND, "StudentAssessment-StateAssessment.xml", "k12__assessment_result", 34, 0, 34),
    ("edfi_xml", GRAND_BEND, "StudentSchoolAttendance.xml", "k12__attendance_event", 1917, 0, 1917),
    ("edfi_xml", GRAND_BEND, "EducationOrganization.xml", "shared__organization", 200, 195, 5),
    ("oulad", "oulad", "studentInfo.csv", "postsecondary__course_result", 32593, 0, 32593),
    ("college_scorecard", "college_scorecard", "college_scorecard_2013.csv", "shared__organization", 6642, 0, 6642),
]


@pytest.mark.parametrize(("package", "folder", "name", "collection", "records", "left", "rows"), CASES)
def test_a_real_file_is_read_whole_and_every_row_is_good(package, folder, name, collection, records, left, rows):
    content = read(package, folder, name)
    table = content.tables[collection]
    assert (content.record_count, content.not_collected_count, table.height) == (records, left, rows)
    typed, failures = collections()[collection].cast_table(table)
    assert failures.is_empty()
    assert collections()[collection].check_table(typed, package).is_empty()


def test_grand_bend_programs_have_the_published_counts():
    table = read("edfi_xml", GRAND_BEND, "StudentProgram.xml").tables["k12__program_participation"]
    counts = dict(table["program_type_code"].value_counts().rows())
    assert counts["Migrant Education"] == 275
    assert counts["Special Education"] == 97
    assert counts["Compensatory Services for Disadvantaged Students"] == 82
    assert set(table["organization_id_state"]) == {"255901"}
    assert set(table["school_year"]) == {"2022"}


def test_grand_bend_files_that_nobody_collects_are_counted():
    content = read("edfi_xml", GRAND_BEND, "StudentDiscipline.xml")
    assert content.tables == {} and content.record_count == content.not_collected_count == 90


def test_grand_bend_state_results_carry_the_source_own_statement_of_proficiency():
    table = read("edfi_xml", GRAND_BEND, "StudentAssessment-StateAssessment.xml").tables["k12__assessment_result"]
    assert dict(table["is_proficient"].value_counts().rows()) == {"true": 22, "false": 10, None: 2}


def test_grand_bend_admission_tests_say_nothing_about_those_without_a_level():
    table = read("edfi_xml", GRAND_BEND, "StudentAssessment-ACT.xml").tables["k12__assessment_result"]
    assert table["is_proficient"].null_count() == 335 and table["scale_score"].null_count() == 0


def test_grand_bend_schools_hang_on_their_district():
    table = read("edfi_xml", GRAND_BEND, "EducationOrganization.xml").tables["shared__organization"]
    schools = table.filter(pl.col("organization_level_code") == "school")
    assert schools.height == 3 and set(schools["parent_organization_id_state"]) == {"255901"}


def test_the_staar_fixed_width_file_says_what_its_csv_file_says():
    one = read("staar", BUNDLES, "STAAR_Summative__sample_anonymized_file.csv").tables["k12__assessment_result"]
    other = read("staar", BUNDLES, "STAAR_Summative__sample_anonymized_file.txt").tables["k12__assessment_result"]
    order = ["source_row", "subject_code"]
    assert one.sort(order).equals(other.sort(order))


def test_the_readiness_file_trims_its_padded_codes():
    table = read("kra", BUNDLES, "KRA__KRA_sample_file_deidentified.csv").tables[
        "early_childhood__kindergarten_readiness"
    ]
    assert set(table["assessment_code"]) == {"KRA"}
    assert table["birth_date"][0] == "2017-07-28"
