-- Grain: one row per accepted row of k12__student (student and school year, within a delivery).
-- Rule: Demographics as delivered for one school year; race flags stay multi-select.
select
    student.record_key,
    lea.organization_key as lea_key,
    cast(student.school_year as integer) as school_year,
    cast({{ school_year_begin('student.school_year') }} as date) as period_start,
    cast({{ school_year_end('student.school_year') }} as date) as period_end,
    student.certification,
    student.submitter,
    student.package,
    student.period,
    student.delivery_id,
    student.source_row,
    student.sex_code,
    student.is_hispanic,
    student.is_american_indian,
    student.is_asian,
    student.is_black,
    student.is_pacific_islander,
    student.is_white,
    student.is_middle_eastern,
    cast(student.birth_year as integer) as birth_year,
    cast(student.assigned_cohort_year as integer) as assigned_cohort_year,
    cast(student.first_entry_grade_nine_year as integer) as first_entry_grade_nine_year
from {{ ref('stg_k12__student') }} as student
left join {{ ref('brg_organization_id') }} as lea
    on lea.naming_code = 'lea' and lea.organization_id = student.lea_id_state
