-- Grain: one row per person and kindergarten year: the year of the first kindergarten enrollment, and each year with
--        a readiness result.
-- Rule: prior participation is an enrollment of at least minimum_days in a state-recorded program in the window_months
--       before kindergarten entry (seeds/policy/group_membership.csv). Entry is the first day of the first kindergarten
--       enrollment, or July 1 of the fall of the readiness result where no enrollment is there. An enrollment without
--       an exit lasts until the school year of its delivery ends. A child of one lone record without a birth year
--       could not have been linked to any program, so nothing is said: not_determined.
with first_enrollment as (
    select
        person_key,
        school_year,
        entry_date
    from (
        select
            bridge.person_key,
            enrollment.school_year,
            enrollment.entry_date,
            row_number() over (
                partition by bridge.person_key order by enrollment.entry_date, enrollment.school_year
            ) as choice
        from {{ ref('fct_enrollment') }} as enrollment
        inner join {{ ref('brg_record_person') }} as bridge
            on bridge.record_key = enrollment.record_key
        where enrollment.grade_level_code = 'KG' and enrollment.entry_date is not null
    ) as ranked
    where choice = 1
),

kindergarten_year as (
    select
        person_key,
        school_year
    from first_enrollment
    union
    select
        bridge.person_key,
        readiness.school_year
    from {{ ref('fct_kindergarten_readiness') }} as readiness
    inner join {{ ref('brg_record_person') }} as bridge
        on bridge.record_key = readiness.record_key
),

entry as (
    select
        kindergarten_year.person_key,
        kindergarten_year.school_year,
        coalesce(
            first_enrollment.entry_date,
            {{ school_year_begin('kindergarten_year.school_year') }}
        ) as kindergarten_entry_date
    from kindergarten_year
    left join first_enrollment
        on first_enrollment.person_key = kindergarten_year.person_key
),

-- The same enrollment may come again in a later delivery, longer than before.
program_enrollment as (
    select
        bridge.person_key,
        enrollment.program_type_code,
        enrollment.entry_date,
        max(
            coalesce(
                enrollment.exit_date,
                case
                    when length(enrollment.period) = 4
                        then greatest(
                            enrollment.period_end,
                            {{ school_year_end('try_cast(enrollment.period as integer)') }}
                        )
                    else enrollment.period_end
                end
            )
        ) as last_day
    from {{ ref('fct_early_childhood_enrollment') }} as enrollment
    inner join {{ ref('brg_record_person') }} as bridge
        on bridge.record_key = enrollment.record_key
    where enrollment.entry_date is not null
    group by bridge.person_key, enrollment.program_type_code, enrollment.entry_date
),

program_policy as (
    select
        value as program_type_code,
        group_code,
        cast(minimum_days as integer) as minimum_days,
        cast(window_months as integer) as window_months
    from {{ ref('group_membership') }}
    where breakdown_code = 'prior_early_childhood' and element = 'program_type_code'
),

enrollment_in_window as (
    select
        entry.person_key,
        entry.school_year,
        program_policy.group_code,
        program_policy.minimum_days,
        entry.kindergarten_entry_date,
        program_enrollment.last_day,
        greatest(
            program_enrollment.entry_date,
            {{ portable_add_months('entry.kindergarten_entry_date', '-1 * program_policy.window_months') }}
        ) as first_day
    from entry
    inner join program_enrollment
        on program_enrollment.person_key = entry.person_key
    inner join program_policy
        on program_policy.program_type_code = program_enrollment.program_type_code
),

qualifying as (
    select
        person_key,
        school_year,
        count(distinct group_code) as program_count,
        min(group_code) as group_code
    from enrollment_in_window
    where
        least(
            {{ portable_days_between('first_day', 'last_day') }} + 1,
            {{ portable_days_between('first_day', 'kindergarten_entry_date') }}
        ) >= minimum_days
    group by person_key, school_year
),

lone_record as (
    select person_key
    from {{ ref('brg_record_person') }}
    group by person_key
    having count(*) = 1
)

select
    entry.person_key,
    entry.school_year,
    entry.kindergarten_entry_date,
    case
        when qualifying.program_count > 1 then 'multiple'
        when qualifying.program_count = 1 then qualifying.group_code
        when lone_record.person_key is not null and person.birth_year is null then 'not_determined'
        else 'none_found'
    end as prior_early_childhood_code
from entry
left join qualifying
    on qualifying.person_key = entry.person_key and qualifying.school_year = entry.school_year
left join lone_record
    on lone_record.person_key = entry.person_key
left join {{ ref('dim_person') }} as person
    on person.person_key = entry.person_key
