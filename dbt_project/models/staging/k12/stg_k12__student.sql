-- Grain: one row per accepted row of k12__student (student and school year, within a delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    accepted.school_year,
    accepted.lea_id_state,
    {{ standard_code('sex', 'sex_code') }} as sex_code,
    accepted.is_hispanic,
    accepted.is_american_indian,
    accepted.is_asian,
    accepted.is_black,
    accepted.is_pacific_islander,
    accepted.is_white,
    accepted.is_middle_eastern,
    accepted.assigned_cohort_year,
    accepted.first_entry_grade_nine_year,
    accepted.birth_year,
    accepted.record_key,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'k12__student') }} as accepted
