-- Grain: one row per accepted row of k12__completion (student and school year, within a delivery).
-- Rule: A diploma or other credential at the end of high school.
select
    completion.record_key,
    school.organization_key as school_key,
    lea.organization_key as lea_key,
    cast(completion.school_year as integer) as school_year,
    cast(
        coalesce(completion.completion_date, {{ school_year_begin('completion.school_year') }}) as date
    ) as period_start,
    cast(coalesce(completion.completion_date, {{ school_year_end('completion.school_year') }}) as date) as period_end,
    completion.certification,
    completion.submitter,
    completion.package,
    completion.period,
    completion.delivery_id,
    completion.source_row,
    completion.diploma_type_code,
    completion.completion_date
from {{ ref('stg_k12__completion') }} as completion
left join {{ ref('brg_organization_id') }} as school
    on school.naming_code = 'school' and school.organization_id = completion.school_id_state
left join {{ ref('brg_organization_id') }} as lea
    on lea.naming_code = 'lea' and lea.organization_id = completion.lea_id_state
