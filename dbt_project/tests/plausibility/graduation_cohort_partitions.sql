-- What: schools, LEAs and the state count the same people of a cohort, once each.
-- When it matters: a student counted at two schools, or at a school and no LEA, breaks the graduation rate's rule.
-- To resolve: look for enrollments without a school or an LEA; intake names their delivery.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'ind_four_year_graduation'}}}) }}
select
    person_key,
    cohort_year
from {{ ref('ind_four_year_graduation') }}
group by person_key, cohort_year
having
    sum(case when organization_level = 'school' then 1 else 0 end) <> 1
    or sum(case when organization_level = 'lea' then 1 else 0 end) <> 1
    or sum(case when organization_level = 'state' then 1 else 0 end) <> 1
