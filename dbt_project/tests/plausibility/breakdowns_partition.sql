-- What: in every cell of an indicator, the groups of each breakdown add up to all.
-- When it matters: a group that loses or doubles people makes rates wrong and lets hidden counts be solved.
-- To resolve: look at brg_person_year_group for the breakdown: each person and year needs exactly one group.
{{ config(severity='error', meta={'dagster': {'ref': {'name': 'cube_indicator'}}}) }}
with total as (
    select
        indicator_code,
        subject_code,
        organization_key,
        cohort_year,
        breakdown_code,
        sum(denominator_count) as denominator_count,
        sum(numerator_count) as numerator_count
    from {{ ref('cube_indicator') }}
    where window_open_count = 0
    group by indicator_code, subject_code, organization_key, cohort_year, breakdown_code
)

select
    total.indicator_code,
    total.subject_code,
    total.organization_key,
    total.cohort_year,
    total.breakdown_code
from total
inner join total as everyone
    on everyone.indicator_code = total.indicator_code
    and everyone.subject_code = total.subject_code
    and everyone.organization_key = total.organization_key
    and everyone.cohort_year = total.cohort_year
    and everyone.breakdown_code = 'all'
where total.denominator_count <> everyone.denominator_count or total.numerator_count <> everyone.numerator_count
