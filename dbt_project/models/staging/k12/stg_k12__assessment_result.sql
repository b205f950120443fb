-- Grain: one row per accepted row of k12__assessment_result (student, assessment, subject and administration date,
--       within a delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    accepted.assessment_result_id,
    {{ standard_code('sex', 'sex_code') }} as sex_code,
    {{ standard_code('assessment', 'assessment_code') }} as assessment_code,
    {{ standard_code('assessment_subject', 'subject_code') }} as subject_code,
    accepted.school_year,
    accepted.administration_date,
    {{ standard_code('grade_level', 'grade_level_code') }} as grade_level_code,
    accepted.school_id_state,
    accepted.lea_id_state,
    accepted.scale_score,
    {{ standard_code('performance_level', 'performance_level_code') }} as performance_level_code,
    accepted.is_proficient,
    accepted.birth_year,
    accepted.record_key,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'k12__assessment_result') }} as accepted
