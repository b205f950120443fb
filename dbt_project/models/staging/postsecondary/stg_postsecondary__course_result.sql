-- Grain: one row per accepted row of postsecondary__course_result (student, institution, course and term, within a
--       delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    accepted.institution_id,
    {{ standard_code('sex', 'sex_code') }} as sex_code,
    accepted.has_disability,
    accepted.course_code,
    accepted.term_code,
    accepted.term_begin_date,
    accepted.credits_attempted,
    {{ standard_code('course_result', 'course_result_code') }} as course_result_code,
    accepted.birth_year,
    accepted.record_key,
    accepted.school_year,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'postsecondary__course_result') }} as accepted
