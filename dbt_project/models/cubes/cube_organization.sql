-- Grain: one row per organization. What protected tables may say about an organization, with the exact number of
-- students found enrolled at an institution in its newest year; restricted. Withdrawn and on leave are not enrolled
-- (seeds/policy/college_enrollment_status.csv), as for college-going.
with enrolled as (
    select distinct
        enrollment.institution_key,
        enrollment.school_year,
        link.person_key
    from {{ ref('fct_postsecondary_enrollment') }} as enrollment
    inner join {{ ref('brg_record_person') }} as link on link.record_key = enrollment.record_key
    left join {{ ref('college_enrollment_status') }} as status
        on status.enrollment_status_code = enrollment.enrollment_status_code
    where
        enrollment.is_record_found
        and enrollment.institution_key is not null
        and enrollment.term_begin_date is not null
        and coalesce(status.is_enrolled, 'true') = 'true'
),

newest as (
    select institution_key, max(school_year) as school_year
    from enrolled
    group by institution_key
),

counted as (
    select
        enrolled.institution_key,
        enrolled.school_year,
        count(*) as enrolled_count,
        sum(person.perturbation_key) as perturbation_sum
    from enrolled
    inner join newest
        on newest.institution_key = enrolled.institution_key and newest.school_year = enrolled.school_year
    inner join {{ ref('dim_person') }} as person on person.person_key = enrolled.person_key
    group by enrolled.institution_key, enrolled.school_year
)

select
    cast(organization.organization_key as bigint) as organization_key,
    organization.organization_level,
    organization.organization_id_state,
    organization.organization_id_nces,
    organization.opeid,
    organization.organization_name,
    case
        when organization.organization_level = 'lea' then organization.organization_id_state
        else organization.lea_id_state
    end as lea_id_state,
    case
        when organization.organization_level = 'lea' then organization.organization_name
        else organization.lea_name
    end as lea_name,
    organization.city,
    organization.state_abbreviation,
    organization.predominant_degree_code,
    organization.institution_level_code,
    organization.institution_control_code,
    cast(coalesce(counted.school_year, organization.last_school_year) as integer) as school_year,
    cast(counted.enrolled_count as bigint) as enrolled_count,
    cast(counted.perturbation_sum as bigint) as perturbation_sum
from {{ ref('dim_organization') }} as organization
left join counted on counted.institution_key = organization.organization_key
