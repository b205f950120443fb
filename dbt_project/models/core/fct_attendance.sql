-- Grain: one row per accepted row of k12__attendance (student, school year, school and term, within a delivery).
-- Rule: Days are integers in thousandths, so that ten percent is compared exactly.
select
    attendance.record_key,
    school.organization_key as school_key,
    lea.organization_key as lea_key,
    cast(attendance.school_year as integer) as school_year,
    cast(
        coalesce(attendance.term_begin_date, {{ school_year_begin('attendance.school_year') }}) as date
    ) as period_start,
    cast(coalesce(attendance.term_end_date, {{ school_year_end('attendance.school_year') }}) as date) as period_end,
    attendance.certification,
    attendance.submitter,
    attendance.package,
    attendance.period,
    attendance.delivery_id,
    attendance.source_row,
    attendance.term_code,
    attendance.term_begin_date,
    attendance.term_end_date,
    cast(round(attendance.membership_days * 1000) as bigint) as membership_thousandths,
    cast(round(attendance.absence_days * 1000) as bigint) as absence_thousandths
from {{ ref('stg_k12__attendance') }} as attendance
left join {{ ref('brg_organization_id') }} as school
    on school.naming_code = 'school' and school.organization_id = attendance.school_id_state
left join {{ ref('brg_organization_id') }} as lea
    on lea.naming_code = 'lea' and lea.organization_id = attendance.lea_id_state
