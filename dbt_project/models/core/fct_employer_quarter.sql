-- Grain: one row per accepted row of workforce__employer (employer and quarter, within a delivery).
-- Rule: Industry, owner and county of an employer in a quarter.
select
    employer.employer_key,
    cast(coalesce(employer.school_year, quarter.school_year) as integer) as school_year,
    cast(quarter.begin_date as date) as period_start,
    cast(quarter.end_date as date) as period_end,
    employer.certification,
    employer.submitter,
    employer.package,
    employer.period,
    employer.delivery_id,
    employer.source_row,
    cast(employer.wage_year as integer) as wage_year,
    cast(employer.wage_quarter as integer) as wage_quarter,
    employer.naics_code,
    employer.ownership_code,
    employer.county_fips,
    cast(employer.month_one_employment_count as integer) as month_one_employment_count,
    cast(employer.month_two_employment_count as integer) as month_two_employment_count,
    cast(employer.month_three_employment_count as integer) as month_three_employment_count
from {{ ref('stg_workforce__employer') }} as employer
left join {{ ref('dim_calendar_quarter') }} as quarter
    on quarter.calendar_year = employer.wage_year and quarter.calendar_quarter = employer.wage_quarter
