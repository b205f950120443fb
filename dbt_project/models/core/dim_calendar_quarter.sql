-- Grain: one row per calendar quarter, the period of wages.
-- Rule: a quarter belongs to the school year that holds its first day; seeds/reference/calendar_quarter.csv lists them.
select
    cast(calendar_year as integer) as calendar_year,
    cast(calendar_quarter as integer) as calendar_quarter,
    cast(begin_date as date) as begin_date,
    cast(end_date as date) as end_date,
    cast(school_year as integer) as school_year
from {{ ref('calendar_quarter') }}
