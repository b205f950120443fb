-- Grain: one row per person x organization x level of a cohort (a person belongs to one cohort).
-- Rule: four-year adjusted cohort, 20 USC 7801(25). The cohort is the one assigned; without one it follows from grade 9
-- entry, or from the first high school grade met. Everyone is counted at the last school responsible; a move inside the
-- state moves a student to the receiving school when its enrollment is found, and never out of the state. Only a
-- documented transfer out, emigration or death leaves the cohort (policy exit_cohort_effect.csv).
with high_school_spell as (
    select
        link.person_key,
        enrollment.school_key,
        enrollment.lea_key,
        enrollment.school_year,
        enrollment.entry_date,
        enrollment.exit_date,
        enrollment.exit_withdrawal_type_code,
        enrollment.exit_documentation_code,
        cast(enrollment.grade_level_code as integer) as grade_number,
        coalesce(school.organization_id_state, '') as school_id,
        enrollment.delivery_id,
        enrollment.source_row
    from {{ ref('fct_enrollment') }} as enrollment
    inner join {{ ref('brg_record_person') }} as link on link.record_key = enrollment.record_key
    left join {{ ref('dim_organization') }} as school on school.organization_key = enrollment.school_key
    where enrollment.grade_level_code in ('09', '10', '11', '12')
),

assignment as (
    select
        link.person_key,
        student.assigned_cohort_year,
        student.first_entry_grade_nine_year,
        row_number() over (
            partition by link.person_key
            order by
                case when student.assigned_cohort_year is null then 1 else 0 end,
                student.school_year desc,
                case when student.certification = 'certified' then 0 else 1 end,
                student.assigned_cohort_year,
                student.delivery_id,
                student.source_row
        ) as position_number
    from {{ ref('fct_student_year') }} as student
    inner join {{ ref('brg_record_person') }} as link on link.record_key = student.record_key
    where student.assigned_cohort_year is not null or student.first_entry_grade_nine_year is not null
),

-- The first high school year that was delivered: four years later, less the grades already passed.
first_met as (
    select person_key, min(school_year + 12 - grade_number) as cohort_year
    from (
        select
            person_key,
            school_year,
            grade_number,
            row_number() over (partition by person_key order by school_year, grade_number) as position_number
        from high_school_spell
    ) as ordered
    where position_number = 1
    group by person_key
),

member as (
    select
        first_met.person_key,
        coalesce(
            assignment.assigned_cohort_year,
            assignment.first_entry_grade_nine_year + 3,
            first_met.cohort_year
        ) as cohort_year
    from first_met
    left join assignment on assignment.person_key = first_met.person_key and assignment.position_number = 1
),

cohort_window as (
    select
        member.cohort_year,
        {{ year_day('member.cohort_year + cast(policy.end_year_offset as integer)', 'policy.end_month_day') }} as ends_on
    from (select distinct cohort_year from member) as member
    cross join {{ ref('outcome_window') }} as policy
    where policy.window_code = 'four_year_cohort'
),

-- Every school year of the four must be there, and the completions of the last.
covered_cohort as (
    select cohort_window.cohort_year
    from cohort_window
    inner join {{ ref('int_indicator__source_coverage') }} as coverage
        on coverage.source_code = 'k12_enrollment'
        and coverage.period_year between cohort_window.cohort_year - 3 and cohort_window.cohort_year
    where cohort_window.cohort_year in (
        select period_year from {{ ref('int_indicator__source_coverage') }} where source_code = 'k12_completion'
    )
    group by cohort_window.cohort_year
    having count(distinct coverage.period_year) = 4
),

last_spell as (
    select
        member.person_key,
        member.cohort_year,
        spell.school_key,
        spell.lea_key,
        spell.school_year,
        spell.exit_date,
        spell.exit_withdrawal_type_code,
        spell.exit_documentation_code,
        row_number() over (
            partition by member.person_key
            order by
                spell.entry_date desc,
                case when spell.exit_date is null then 0 else 1 end,
                spell.exit_date desc,
                spell.school_id,
                spell.delivery_id,
                spell.source_row
        ) as position_number
    from member
    inner join cohort_window on cohort_window.cohort_year = member.cohort_year
    inner join high_school_spell as spell
        on spell.person_key = member.person_key
        and spell.school_year <= member.cohort_year
        and spell.entry_date <= cohort_window.ends_on
),

-- The alternate diploma counts while the State owes a free appropriate public education, by year of birth.
graduate as (
    select distinct member.person_key
    from member
    inner join cohort_window on cohort_window.cohort_year = member.cohort_year
    inner join {{ ref('brg_record_person') }} as link on link.person_key = member.person_key
    inner join {{ ref('fct_completion') }} as completion on completion.record_key = link.record_key
    inner join {{ ref('diploma_effect') }} as effect on effect.diploma_type_code = completion.diploma_type_code
    left join {{ ref('dim_person') }} as person on person.person_key = member.person_key
    where
        (
            effect.effect in ('regular_or_higher', 'alternate')
            and completion.completion_date <= cohort_window.ends_on
        )
        or (
            effect.effect = 'alternate'
            and extract(year from completion.completion_date) - person.birth_year <= cast(nullif(effect.maximum_age, '') as integer)
        )
),

person_spell as (
    select last_spell.*, graduate.person_key is not null as is_graduate
    from last_spell
    left join graduate on graduate.person_key = last_spell.person_key
    where last_spell.position_number = 1
),

attributed as (
    {{ attribute_levels('person_spell', {'school': 'school_key', 'lea': 'lea_key', 'state': none}) }}
),

judged as (
    select
        attributed.*,
        effect.exclusion_code as removal_code,
        coalesce(
            effect.effect = 'removed_if_documented'
            and concat(';', effect.accepted_documentation, ';')
            like concat('%;', attributed.exit_documentation_code, ';%')
            and not attributed.is_graduate,
            false
        ) as is_removed
    from attributed
    left join {{ ref('exit_cohort_effect') }} as effect
        on effect.exit_withdrawal_type_code = attributed.exit_withdrawal_type_code
        and effect.organization_level in ('*', attributed.organization_level)
),

outcome as (
    select
        judged.person_key,
        judged.organization_key,
        judged.organization_level,
        -- Groups are those of the cohort, whatever year the student was last seen in.
        judged.cohort_year as school_year,
        judged.cohort_year,
        'all' as subject_code,
        'serving' as organization_role,
        true as is_in_denominator,
        judged.is_graduate as is_in_numerator,
        cast(null as bigint) as amount,
        case
            when covered_cohort.cohort_year is null then 'window_open'
            when judged.is_removed then 'excluded'
            else 'counted'
        end as outcome_status,
        case
            when covered_cohort.cohort_year is null then 'window_not_covered'
            when judged.is_removed then judged.removal_code
        end as exclusion_code
    from judged
    left join covered_cohort on covered_cohort.cohort_year = judged.cohort_year
)

{{ indicator_rows('outcome', 'four_year_graduation') }}
