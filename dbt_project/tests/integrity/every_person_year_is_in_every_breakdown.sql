-- Tested: a person's year has one group in each breakdown, so that groups add up to all.
-- To resolve: a breakdown is missing from the list in brg_person_year_group.
{{ config(severity='error', meta={'dagster': {'ref': {'name': 'brg_person_year_group'}}}) }}

select
    person_key,
    school_year,
    membership_rule,
    count(*) as breakdown_count
from {{ ref('brg_person_year_group') }}
where breakdown_code <> 'prior_early_childhood'
group by person_key, school_year, membership_rule
having count(*) <> (
    select count(distinct breakdown_code) from {{ ref('student_group') }}
    where breakdown_code <> 'prior_early_childhood'
)
