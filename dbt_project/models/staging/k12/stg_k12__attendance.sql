-- Grain: one row per accepted row of k12__attendance (student, school year, school and term, within a delivery).
-- Rule: nothing to map; the collection has no coded column.
select
    accepted.school_year,
    accepted.school_id_state,
    accepted.term_code,
    accepted.lea_id_state,
    accepted.membership_days,
    accepted.absence_days,
    accepted.term_begin_date,
    accepted.term_end_date,
    accepted.record_key,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'k12__attendance') }} as accepted
