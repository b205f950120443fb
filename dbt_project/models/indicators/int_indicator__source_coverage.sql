-- Grain: source x period year (school year, or calendar year for wages).
-- Rule: outcome windows are judged by what was delivered, never by today's date: how far each kind of source reaches.
-- A clearinghouse search covers everything before it; the state's own terms cover up to their last day; a wage year
-- is whole when all of its quarters were delivered.
select
    'state_enrollment' as source_code,
    cast(school_year as integer) as period_year,
    cast(max(coalesce(term_end_date, term_begin_date)) as date) as covered_through,
    cast(true as boolean) as is_whole
from {{ ref('fct_postsecondary_enrollment') }}
where search_date is null and is_record_found and term_begin_date is not null
group by school_year

union all

select
    'clearinghouse' as source_code,
    cast(extract(year from search_date) as integer) as period_year,
    cast(max(search_date) as date) as covered_through,
    cast(true as boolean) as is_whole
from {{ ref('fct_postsecondary_enrollment') }}
where search_date is not null
group by extract(year from search_date)

union all

select
    'wage' as source_code,
    cast(wage.wage_year as integer) as period_year,
    cast(max(wage.period_end) as date) as covered_through,
    cast(count(distinct wage.wage_quarter) >= max(policy.quarter_count) as boolean) as is_whole
from {{ ref('fct_wage') }} as wage
cross join (
    select cast(value as integer) as quarter_count
    from {{ ref('employment') }}
    where parameter = 'quarters_required'
) as policy
group by wage.wage_year

union all

select
    'k12_enrollment' as source_code,
    cast(school_year as integer) as period_year,
    cast(max(period_end) as date) as covered_through,
    cast(true as boolean) as is_whole
from {{ ref('fct_enrollment') }}
group by school_year

union all

select
    'k12_completion' as source_code,
    cast(school_year as integer) as period_year,
    cast(max(period_end) as date) as covered_through,
    cast(true as boolean) as is_whole
from {{ ref('fct_completion') }}
group by school_year
