-- What: nobody is absent for more days than the days of membership, at a school in a year.
-- When it matters: the rate counts such students as chronically absent.
-- To resolve: ask the submitter for corrected days.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'ind_chronic_absenteeism'}}}) }}
select
    submitter,
    school_year,
    count(*) as row_count
from {{ ref('fct_attendance') }}
where absence_thousandths > membership_thousandths
group by submitter, school_year
