-- Grain: one row per accepted row of k12__enrollment (student, school year, school and entry date, within a
--       delivery).
-- Rule: An enrollment spell in a school.
select
    enrollment.record_key,
    school.organization_key as school_key,
    lea.organization_key as lea_key,
    cast(coalesce(enrollment.school_year, {{ school_year('enrollment.entry_date') }}) as integer) as school_year,
    cast(enrollment.entry_date as date) as period_start,
    cast(coalesce(enrollment.exit_date, {{ school_year_end('enrollment.school_year') }}) as date) as period_end,
    enrollment.certification,
    enrollment.submitter,
    enrollment.package,
    enrollment.period,
    enrollment.delivery_id,
    enrollment.source_row,
    enrollment.entry_date,
    enrollment.exit_date,
    enrollment.entry_type_code,
    enrollment.exit_withdrawal_type_code,
    enrollment.exit_documentation_code,
    enrollment.grade_level_code,
    enrollment.responsibility_code
from {{ ref('stg_k12__enrollment') }} as enrollment
left join {{ ref('brg_organization_id') }} as school
    on school.naming_code = 'school' and school.organization_id = enrollment.school_id_state
left join {{ ref('brg_organization_id') }} as lea
    on lea.naming_code = 'lea' and lea.organization_id = enrollment.lea_id_state
