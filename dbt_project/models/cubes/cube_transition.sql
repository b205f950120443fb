-- Grain: transition x cohort year x type and code of the origin x type and code of the destination. Exact, restricted.
-- Rule: of each type of origin a person of a cohort has one, and one destination of each type. Two types tell the same
-- people twice and are never added:
-- early childhood -> kindergarten: the program found in the 12 months before, to the LEA that assessed, and the state;
-- high school -> college: the LEA of the diploma, and the state, to the first institution found within 12 months, and
-- to its kind (seed institution_kind);
-- college -> work: the institution of the award, and the state, to the industry of the largest employer of the first
-- full year, or to none found.
-- Cohorts whose window is open are left out.
with early_childhood_kindergarten as (
    select
        'early_childhood__kindergarten' as transition_code,
        readiness.cohort_year,
        'program' as origin_type_code,
        coalesce(membership.group_code, 'not_determined') as origin_code,
        cast(null as bigint) as origin_organization_key,
        readiness.organization_level as destination_type_code,
        organization.organization_id_state as destination_code,
        readiness.organization_key as destination_organization_key,
        readiness.perturbation_key
    from {{ ref('ind_kindergarten_readiness') }} as readiness
    inner join {{ ref('dim_organization') }} as organization
        on organization.organization_key = readiness.organization_key
    left join {{ ref('brg_person_year_group') }} as membership
        on membership.person_key = readiness.person_key
        and membership.school_year = readiness.school_year
        and membership.membership_rule = 'any_time_in_year'
        and membership.breakdown_code = 'prior_early_childhood'
    where readiness.organization_level in ('lea', 'state')
),

graduate as (
    select
        college.person_key,
        college.perturbation_key,
        college.cohort_year,
        college.organization_key,
        college.organization_level,
        organization.organization_id_state
    from {{ ref('ind_college_going_12_month') }} as college
    inner join {{ ref('dim_organization') }} as organization
        on organization.organization_key = college.organization_key
    -- Those not found are the rest of an official table's cell: a flow that told them would tell the cell.
    where college.organization_level in ('lea', 'state') and college.is_in_numerator
),

state_place as (
    select state_abbreviation from {{ ref('dim_organization') }} where organization_level = 'state'
),

institution as (
    select
        organization.organization_key,
        organization.organization_id_state,
        coalesce(kind.kind_code, 'not_known') as kind_code
    from {{ ref('dim_organization') }} as organization
    cross join state_place
    left join {{ ref('institution_kind') }} as kind
        on kind.institution_level_code = organization.institution_level_code
        and kind.institution_control_code = organization.institution_control_code
        and kind.location_code = case
            when organization.state_abbreviation = state_place.state_abbreviation then 'in_state'
            when organization.state_abbreviation <> state_place.state_abbreviation then 'out_of_state'
        end
    where organization.organization_level = 'institution'
),

found_enrollment as (
    select
        graduate.person_key,
        graduate.cohort_year,
        institution.organization_id_state,
        institution.organization_key,
        institution.kind_code,
        row_number() over (
            partition by graduate.person_key, graduate.cohort_year
            order by enrollment.term_begin_date, institution.organization_id_state
        ) as position_number
    from graduate
    inner join {{ ref('brg_record_person') }} as link on link.person_key = graduate.person_key
    inner join {{ ref('fct_postsecondary_enrollment') }} as enrollment on enrollment.record_key = link.record_key
    inner join institution on institution.organization_key = enrollment.institution_key
    cross join {{ ref('outcome_window') }} as policy
    left join {{ ref('college_enrollment_status') }} as status
        on status.enrollment_status_code = enrollment.enrollment_status_code
    where
        policy.window_code = 'college_12_month'
        and enrollment.is_record_found
        and coalesce(status.is_enrolled, 'true') = 'true'
        and enrollment.term_begin_date
        <= {{ year_day('graduate.cohort_year + cast(policy.end_year_offset as integer)', 'policy.end_month_day') }}
        and coalesce(enrollment.term_end_date, enrollment.term_begin_date)
        >= {{ year_day('graduate.cohort_year + cast(policy.start_year_offset as integer)', 'policy.start_month_day') }}
),

first_college as (
    select
        graduate.cohort_year,
        graduate.organization_level,
        graduate.organization_id_state,
        graduate.organization_key,
        graduate.perturbation_key,
        found.organization_id_state as institution_id_state,
        found.organization_key as institution_key,
        found.kind_code
    from graduate
    left join found_enrollment as found
        on found.person_key = graduate.person_key
        and found.cohort_year = graduate.cohort_year
        and found.position_number = 1
),

high_school_college as (
    select
        'high_school__college' as transition_code,
        cohort_year,
        organization_level as origin_type_code,
        organization_id_state as origin_code,
        organization_key as origin_organization_key,
        'institution' as destination_type_code,
        coalesce(institution_id_state, 'institution_not_named') as destination_code,
        institution_key as destination_organization_key,
        perturbation_key
    from first_college
    union all
    select
        'high_school__college' as transition_code,
        cohort_year,
        organization_level as origin_type_code,
        organization_id_state as origin_code,
        organization_key as origin_organization_key,
        'institution_kind' as destination_type_code,
        concat('kind:', coalesce(kind_code, 'not_known')) as destination_code,
        cast(null as bigint) as destination_organization_key,
        perturbation_key
    from first_college
),

largest_employer as (
    select
        person_key,
        organization_key,
        cohort_year,
        employer_key,
        row_number() over (
            partition by person_key, organization_key, cohort_year
            order by amount desc, employer_key
        ) as position_number
    from {{ ref('ind_employment_year_1_after_college__contributor') }}
),

employer_industry as (
    select employer_key, naics_code
    from (
        select
            employer_key,
            naics_code,
            row_number() over (
                partition by employer_key order by wage_year desc, wage_quarter desc, naics_code
            ) as position_number
        from {{ ref('fct_employer_quarter') }}
        where naics_code is not null
    ) as ordered
    where position_number = 1
),

college_work as (
    select
        'college__work' as transition_code,
        employment.cohort_year,
        employment.organization_level as origin_type_code,
        organization.organization_id_state as origin_code,
        employment.organization_key as origin_organization_key,
        case when employment.is_in_numerator then 'industry' else 'not_found' end as destination_type_code,
        case
            when not employment.is_in_numerator then 'not_found'
            else coalesce(sector.sector_code, 'industry_not_known')
        end as destination_code,
        cast(null as bigint) as destination_organization_key,
        employment.perturbation_key
    from {{ ref('ind_employment_year_1_after_college') }} as employment
    inner join {{ ref('dim_organization') }} as organization
        on organization.organization_key = employment.organization_key
    left join largest_employer
        on largest_employer.person_key = employment.person_key
        and largest_employer.organization_key = employment.organization_key
        and largest_employer.cohort_year = employment.cohort_year
        and largest_employer.position_number = 1
    left join employer_industry on employer_industry.employer_key = largest_employer.employer_key
    left join {{ ref('industry_sector') }} as sector
        on sector.naics_prefix = substring(employer_industry.naics_code, 1, 2)
    where employment.is_in_denominator
),

flow as (
    select * from early_childhood_kindergarten
    union all
    select * from high_school_college
    union all
    select * from college_work
)

select
    transition_code,
    cast(cohort_year as integer) as cohort_year,
    origin_type_code,
    origin_code,
    cast(origin_organization_key as bigint) as origin_organization_key,
    destination_type_code,
    destination_code,
    cast(destination_organization_key as bigint) as destination_organization_key,
    cast(count(*) as bigint) as person_count,
    cast(sum(perturbation_key) as bigint) as perturbation_sum
from flow
group by
    transition_code, cohort_year, origin_type_code, origin_code, origin_organization_key,
    destination_type_code, destination_code, destination_organization_key
