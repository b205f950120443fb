-- Grain: one row per school year, named by its spring.
-- Rule: a school year is July 1 to June 30; seeds/reference/school_year.csv lists the years the warehouse knows.
select
    cast(school_year as integer) as school_year,
    cast(begin_date as date) as begin_date,
    cast(end_date as date) as end_date
from {{ ref('school_year') }}
