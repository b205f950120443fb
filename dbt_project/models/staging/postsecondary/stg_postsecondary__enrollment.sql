-- Grain: one row per accepted row of postsecondary__enrollment (student, institution and term, within a delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    accepted.institution_id,
    {{ standard_code('sex', 'sex_code') }} as sex_code,
    accepted.is_record_found,
    accepted.search_date,
    accepted.term_begin_date,
    accepted.term_end_date,
    {{ standard_code('enrollment_status', 'enrollment_status_code') }} as enrollment_status_code,
    {{ standard_code('institution_level', 'institution_level_code') }} as institution_level_code,
    {{ standard_code('institution_control', 'institution_control_code') }} as institution_control_code,
    accepted.institution_name,
    accepted.state_abbreviation,
    {{ standard_code('class_level', 'class_level_code') }} as class_level_code,
    accepted.cip_code,
    accepted.birth_year,
    accepted.record_key,
    accepted.school_year,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'postsecondary__enrollment') }} as accepted
