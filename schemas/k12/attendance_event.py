"""Daily attendance events, where a source sends absences rather than days."""

from schemas.collection import Collection, Field, optional, required

COLLECTION = Collection(
    name="k12__attendance_event",
    title="Attendance events",
    grain="One row per student, school, day and kind of event.",
    key=("student_id_state", "school_id_state", "event_date", "attendance_category_code"),
    fields=(
        *required(
            "student_id_state",
            "school_id_state",
            "event_date",
            "attendance_category_code",
        ),
        *optional(
            "school_year",
            "session_name",
        ),
        Field("event_duration", required=False, nullable=True, minimum=0, maximum=1),
        *optional(
            "attendance_reason",
        ),
    ),
    period_start="event_date",
    period_end="event_date",
)
