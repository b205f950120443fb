"""Children known to the child welfare agency and how it identifies them."""

from schemas.collection import Collection, optional, required

COLLECTION = Collection(
    name="child_welfare__client",
    title="Child welfare clients",
    grain="One row per child and school year.",
    key=("child_record_number", "school_year"),
    fields=(
        *required(
            "child_record_number",
        ),
        *optional(
            "client_id",
        ),
        *required(
            "school_year",
            "given_name",
        ),
        *optional(
            "middle_name",
        ),
        *required(
            "surname",
            "birth_date",
        ),
        *optional(
            "sex_code",
            "ssn",
            "student_id_state",
            "postal_code",
            "is_hispanic",
            "is_american_indian",
            "is_asian",
            "is_black",
            "is_pacific_islander",
            "is_white",
            "is_middle_eastern",
        ),
    ),
)
