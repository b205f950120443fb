-- Grain: one row per accepted row of k12__attendance_event (student, school, day and category, within a delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    accepted.school_id_state,
    accepted.event_date,
    {{ standard_code('attendance_category', 'attendance_category_code') }} as attendance_category_code,
    accepted.school_year,
    accepted.session_name,
    accepted.event_duration,
    accepted.attendance_reason,
    accepted.record_key,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'k12__attendance_event') }} as accepted
