"""Results of assessments, one per subject."""

from schemas.collection import Collection, optional, required

COLLECTION = Collection(
    name="k12__assessment_result",
    title="Assessment results",
    grain="One row per student, assessment, subject and administration date.",
    key=("student_id_state", "assessment_code", "subject_code", "administration_date"),
    fields=(
        *required(
            "student_id_state",
        ),
        *optional(
            "assessment_result_id",
            "student_id_local",
            "given_name",
            "surname",
            "middle_name",
            "birth_date",
            "sex_code",
        ),
        *required(
            "assessment_code",
            "subject_code",
            "school_year",
        ),
        *optional(
            "administration_date",
            "grade_level_code",
            "school_id_state",
            "lea_id_state",
            "scale_score",
            "performance_level_code",
            "is_proficient",
        ),
    ),
    period_start="administration_date",
    period_end="administration_date",
)
