-- Grain: one row per accepted row of workforce__wage (person, employer and quarter, within a delivery).
-- Rule: Whole dollars paid by one employer to one person in a quarter, nominal.
select
    wage.record_key,
    wage.employer_key,
    cast(coalesce(wage.school_year, quarter.school_year) as integer) as school_year,
    cast(quarter.begin_date as date) as period_start,
    cast(quarter.end_date as date) as period_end,
    wage.certification,
    wage.submitter,
    wage.package,
    wage.period,
    wage.delivery_id,
    wage.source_row,
    cast(wage.wage_year as integer) as wage_year,
    cast(wage.wage_quarter as integer) as wage_quarter,
    cast(wage.wage_amount as bigint) as wage_amount,
    wage.employer_unit,
    wage.state_fips
from {{ ref('stg_workforce__wage') }} as wage
left join {{ ref('dim_calendar_quarter') }} as quarter
    on quarter.calendar_year = wage.wage_year and quarter.calendar_quarter = wage.wage_quarter
