-- Grain: one row per accepted row of early_childhood__kindergarten_readiness (child, school year and assessment,
--       within a delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    accepted.school_year,
    {{ standard_code('assessment', 'assessment_code') }} as assessment_code,
    accepted.school_id_state,
    accepted.lea_id_state,
    accepted.assessment_date,
    accepted.overall_score,
    {{ standard_code('performance_level', 'performance_level_code') }} as performance_level_code,
    {{ standard_code('completion_status', 'completion_status_code') }} as completion_status_code,
    accepted.social_foundations_score,
    accepted.language_literacy_score,
    accepted.mathematics_score,
    accepted.physical_development_score,
    accepted.birth_year,
    accepted.record_key,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'early_childhood__kindergarten_readiness') }} as accepted
