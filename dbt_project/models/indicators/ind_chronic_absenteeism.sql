-- Grain: one row per person x organization x level x school year.
-- Rule: absent for ten percent or more of membership days, compared in whole thousandths of a day, exactly ten percent
-- included; at least 10 membership days (EDFacts FS195, policy absence_day.csv). Each school counts its own days of a
-- student; an LEA and the state count the student once, with all days there.
with policy as (
    select
        cast(minimum_membership_days as bigint) * 1000 as minimum_thousandths,
        cast(chronic_percent as bigint) as chronic_percent,
        concat(';', grades_not_counted, ';') as grades_not_counted
    from {{ ref('absence_day') }}
    where audience = 'federal'
),

days as (
    select
        link.person_key,
        attendance.school_key,
        attendance.lea_key,
        attendance.school_year,
        attendance.membership_thousandths,
        attendance.absence_thousandths
    from {{ ref('fct_attendance') }} as attendance
    inner join {{ ref('brg_record_person') }} as link on link.record_key = attendance.record_key
),

attributed as (
    {{ attribute_levels('days', {'school': 'school_key', 'lea': 'lea_key', 'state': none}) }}
),

total as (
    select
        person_key,
        organization_key,
        organization_level,
        school_year,
        sum(membership_thousandths) as membership_thousandths,
        sum(absence_thousandths) as absence_thousandths
    from attributed
    group by person_key, organization_key, organization_level, school_year
),

outcome as (
    select
        total.person_key,
        total.organization_key,
        total.organization_level,
        total.school_year,
        total.school_year as cohort_year,
        'all' as subject_code,
        'serving' as organization_role,
        true as is_in_denominator,
        100 * total.absence_thousandths >= policy.chronic_percent * total.membership_thousandths as is_in_numerator,
        cast(null as bigint) as amount,
        case
            when total.membership_thousandths < policy.minimum_thousandths then 'excluded'
            when policy.grades_not_counted like concat('%;', person_year.grade_level_code, ';%') then 'excluded'
            else 'counted'
        end as outcome_status,
        case
            when total.membership_thousandths < policy.minimum_thousandths then 'too_few_membership_days'
            when policy.grades_not_counted like concat('%;', person_year.grade_level_code, ';%') then 'grade_not_covered'
        end as exclusion_code
    from total
    cross join policy
    left join {{ ref('dim_person_year') }} as person_year
        on person_year.person_key = total.person_key and person_year.school_year = total.school_year
)

{{ indicator_rows('outcome', 'chronic_absenteeism') }}
