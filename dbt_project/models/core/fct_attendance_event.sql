-- Grain: one row per accepted row of k12__attendance_event (student, school, day and category, within a delivery).
-- Rule: Negative attendance: sources send the days that were not ordinary.
select
    event.record_key,
    school.organization_key as school_key,
    directory.lea_key,
    cast(coalesce(event.school_year, {{ school_year('event.event_date') }}) as integer) as school_year,
    cast(event.event_date as date) as period_start,
    cast(event.event_date as date) as period_end,
    event.certification,
    event.submitter,
    event.package,
    event.period,
    event.delivery_id,
    event.source_row,
    event.event_date,
    event.attendance_category_code,
    event.session_name,
    cast(round(event.event_duration * 1000) as bigint) as event_duration_thousandths,
    event.attendance_reason
from {{ ref('stg_k12__attendance_event') }} as event
left join {{ ref('brg_organization_id') }} as school
    on school.naming_code = 'school' and school.organization_id = event.school_id_state
left join {{ ref('dim_organization') }} as directory
    on directory.organization_key = school.organization_key
