"""How courses ended, one row a student and course."""

from schemas.collection import Collection, Field, optional, required

COLLECTION = Collection(
    name="postsecondary__course_result",
    title="Course results",
    grain="One row per student, institution, course and term.",
    key=("institution_id", "student_id_institution", "course_code", "term_code"),
    fields=(
        *required(
            "institution_id",
            "student_id_institution",
        ),
        *optional(
            "ssn",
            "given_name",
            "middle_name",
            "surname",
            "birth_date",
            "sex_code",
            "has_disability",
        ),
        *required(
            "course_code",
            "term_code",
        ),
        *optional(
            "term_begin_date",
        ),
        Field("credits_attempted", required=False, nullable=True, minimum=0),
        *required(
            "course_result_code",
        ),
    ),
    period_start="term_begin_date",
    period_end="term_begin_date",
)
