-- Grain: one row per accepted row of early_childhood__kindergarten_readiness (child, school year and assessment,
--       within a delivery).
-- Rule: A readiness result of one child.
select
    readiness.record_key,
    school.organization_key as school_key,
    lea.organization_key as lea_key,
    cast(readiness.school_year as integer) as school_year,
    cast(
        coalesce(readiness.assessment_date, {{ school_year_begin('readiness.school_year') }}) as date
    ) as period_start,
    cast(coalesce(readiness.assessment_date, {{ school_year_end('readiness.school_year') }}) as date) as period_end,
    readiness.certification,
    readiness.submitter,
    readiness.package,
    readiness.period,
    readiness.delivery_id,
    readiness.source_row,
    readiness.assessment_code,
    readiness.assessment_date,
    cast(readiness.overall_score as decimal(12,3)) as overall_score,
    readiness.performance_level_code,
    readiness.completion_status_code,
    cast(readiness.social_foundations_score as decimal(12,3)) as social_foundations_score,
    cast(readiness.language_literacy_score as decimal(12,3)) as language_literacy_score,
    cast(readiness.mathematics_score as decimal(12,3)) as mathematics_score,
    cast(readiness.physical_development_score as decimal(12,3)) as physical_development_score,
    cast(readiness.birth_year as integer) as birth_year
from {{ ref('stg_early_childhood__kindergarten_readiness') }} as readiness
left join {{ ref('brg_organization_id') }} as school
    on school.naming_code = 'school' and school.organization_id = readiness.school_id_state
left join {{ ref('brg_organization_id') }} as lea
    on lea.naming_code = 'lea' and lea.organization_id = readiness.lea_id_state
