-- Grain: one row per person x organization x level x program x school year.
-- Rule: a student has a program in a year in which a record of it was delivered; at the LEA that reports it (or whose
-- school does), once in the state, and at a school that reports it or enrolls the student in that LEA and year.
-- The denominator is everyone enrolled or served there; where no enrollment was delivered there is none.
with participation as (
    select distinct
        link.person_key,
        fact.school_year,
        fact.program_type_code as subject_code,
        fact.lea_key,
        case when organization.organization_level = 'school' then fact.organization_key end as school_key
    from {{ ref('fct_program_participation') }} as fact
    inner join {{ ref('brg_record_person') }} as link on link.record_key = fact.record_key
    left join {{ ref('dim_organization') }} as organization on organization.organization_key = fact.organization_key
),

enrolled as (
    select distinct
        link.person_key,
        enrollment.school_year,
        enrollment.school_key,
        enrollment.lea_key
    from {{ ref('fct_enrollment') }} as enrollment
    inner join {{ ref('brg_record_person') }} as link on link.record_key = enrollment.record_key
),

state_organization as (
    select organization_key from {{ ref('dim_organization') }} where organization_level = 'state'
),

enrolled_at as (
    select person_key, school_year, school_key as organization_key, 'school' as organization_level
    from enrolled
    where school_key is not null
    union
    select person_key, school_year, lea_key as organization_key, 'lea' as organization_level
    from enrolled
    where lea_key is not null
    union
    select enrolled.person_key, enrolled.school_year, state_organization.organization_key, 'state' as organization_level
    from enrolled
    cross join state_organization
),

served_at as (
    select person_key, school_year, subject_code, school_key as organization_key, 'school' as organization_level
    from participation
    where school_key is not null
    union
    select
        participation.person_key,
        participation.school_year,
        participation.subject_code,
        enrolled.school_key as organization_key,
        'school' as organization_level
    from participation
    inner join enrolled
        on enrolled.person_key = participation.person_key
        and enrolled.school_year = participation.school_year
        and enrolled.lea_key = participation.lea_key
    where participation.school_key is null and enrolled.school_key is not null
    union
    select person_key, school_year, subject_code, lea_key as organization_key, 'lea' as organization_level
    from participation
    where lea_key is not null
    union
    select
        participation.person_key,
        participation.school_year,
        participation.subject_code,
        state_organization.organization_key,
        'state' as organization_level
    from participation
    cross join state_organization
),

-- Programs are compared with everyone enrolled only where the year has both.
program_year as (
    select distinct school_year, subject_code from participation
),

enrolling_organization as (
    select distinct organization_key, school_year from enrolled_at
),

not_served as (
    select
        enrolled_at.person_key,
        enrolled_at.school_year,
        program_year.subject_code,
        enrolled_at.organization_key,
        enrolled_at.organization_level
    from enrolled_at
    inner join program_year on program_year.school_year = enrolled_at.school_year
    left join served_at
        on served_at.person_key = enrolled_at.person_key
        and served_at.school_year = enrolled_at.school_year
        and served_at.subject_code = program_year.subject_code
        and served_at.organization_key = enrolled_at.organization_key
    where served_at.person_key is null
),

outcome as (
    select
        served_at.person_key,
        served_at.organization_key,
        served_at.organization_level,
        served_at.school_year,
        served_at.school_year as cohort_year,
        served_at.subject_code,
        'serving' as organization_role,
        enrolling_organization.organization_key is not null as is_in_denominator,
        true as is_in_numerator,
        cast(null as bigint) as amount,
        'counted' as outcome_status,
        cast(null as {{ dbt.type_string() }}) as exclusion_code
    from served_at
    left join enrolling_organization
        on enrolling_organization.organization_key = served_at.organization_key
        and enrolling_organization.school_year = served_at.school_year
    union all
    select
        person_key,
        organization_key,
        organization_level,
        school_year,
        school_year as cohort_year,
        subject_code,
        'serving' as organization_role,
        true as is_in_denominator,
        false as is_in_numerator,
        cast(null as bigint) as amount,
        'counted' as outcome_status,
        cast(null as {{ dbt.type_string() }}) as exclusion_code
    from not_served
)

{{ indicator_rows('outcome', 'program_participation') }}
