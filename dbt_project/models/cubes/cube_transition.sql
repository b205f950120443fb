-- Grain: transition x cohort year x origin x destination. Exact, restricted.
-- Rule: each person of a cohort has one origin and one destination, at the LEA (or institution) and in the state:
-- early childhood -> kindergarten: the program found in the 12 months before, to the LEA that assessed;
-- high school -> college: the LEA of the diploma, to the first institution found within 12 months;
-- college -> work: the institution of the award, to the industry of the largest employer of the first full year.
-- Cohorts whose window is open are left out.
with early_childhood_kindergarten as (
    select
        'early_childhood__kindergarten' as transition_code,
        readiness.cohort_year,
        coalesce(membership.group_code, 'not_determined') as origin_code,
        cast(null as bigint) as origin_organization_key,
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
        organization.organization_id_state,
        college.is_in_numerator
    from {{ ref('ind_college_going_12_month') }} as college
    inner join {{ ref('dim_organization') }} as organization
        on organization.organization_key = college.organization_key
    where college.organization_level in ('lea', 'state') and college.is_in_denominator
),

found_enrollment as (
    select
        graduate.person_key,
        graduate.cohort_year,
        institution.organization_id_state,
        institution.organization_key,
        row_number() over (
            partition by graduate.person_key, graduate.cohort_year
            order by enrollment.term_begin_date, institution.organization_id_state
        ) as position_number
    from graduate
    inner join {{ ref('brg_record_person') }} as link on link.person_key = graduate.person_key
    inner join {{ ref('fct_postsecondary_enrollment') }} as enrollment on enrollment.record_key = link.record_key
    inner join {{ ref('dim_organization') }} as institution
        on institution.organization_key = enrollment.institution_key
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

high_school_college as (
    select
        'high_school__college' as transition_code,
        graduate.cohort_year,
        graduate.organization_id_state as origin_code,
        graduate.organization_key as origin_organization_key,
        coalesce(found.organization_id_state, 'institution_not_named') as destination_code,
        found.organization_key as destination_organization_key,
        graduate.perturbation_key
    from graduate
    left join found_enrollment as found
        on found.person_key = graduate.person_key
        and found.cohort_year = graduate.cohort_year
        and found.position_number = 1
    -- Those not found are the rest of an official table's cell: a flow that told them would tell the cell.
    where graduate.is_in_numerator
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
        organization.organization_id_state as origin_code,
        employment.organization_key as origin_organization_key,
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
    origin_code,
    cast(origin_organization_key as bigint) as origin_organization_key,
    destination_code,
    cast(destination_organization_key as bigint) as destination_organization_key,
    cast(count(*) as bigint) as person_count,
    cast(sum(perturbation_key) as bigint) as perturbation_sum
from flow
group by
    transition_code, cohort_year, origin_code, origin_organization_key, destination_code, destination_organization_key
