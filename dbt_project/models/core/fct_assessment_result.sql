-- Grain: one row per accepted row of k12__assessment_result (student, assessment, subject and administration date,
--       within a delivery).
-- Rule: One result of one student in one subject.
select
    result.record_key,
    school.organization_key as school_key,
    lea.organization_key as lea_key,
    cast(result.school_year as integer) as school_year,
    cast(coalesce(result.administration_date, {{ school_year_begin('result.school_year') }}) as date) as period_start,
    cast(coalesce(result.administration_date, {{ school_year_end('result.school_year') }}) as date) as period_end,
    result.certification,
    result.submitter,
    result.package,
    result.period,
    result.delivery_id,
    result.source_row,
    result.assessment_result_id,
    result.assessment_code,
    result.subject_code,
    result.administration_date,
    result.grade_level_code,
    cast(result.scale_score as decimal(12,3)) as scale_score,
    result.performance_level_code,
    result.is_proficient,
    result.sex_code,
    cast(result.birth_year as integer) as birth_year
from {{ ref('stg_k12__assessment_result') }} as result
left join {{ ref('brg_organization_id') }} as school
    on school.naming_code = 'school' and school.organization_id = result.school_id_state
left join {{ ref('brg_organization_id') }} as lea
    on lea.naming_code = 'lea' and lea.organization_id = result.lea_id_state
