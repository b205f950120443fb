-- What: every diploma type delivered has a row in policy diploma_effect.csv.
-- When it matters: a diploma type without a row counts as no diploma, which lowers the graduation rate.
-- To resolve: add the diploma type to seeds/policy/diploma_effect.csv.
{{ config(severity='error', meta={'dagster': {'ref': {'name': 'ind_four_year_graduation'}}}) }}
select
    completion.diploma_type_code,
    count(*) as row_count
from {{ ref('fct_completion') }} as completion
left join {{ ref('diploma_effect') }} as effect on effect.diploma_type_code = completion.diploma_type_code
where completion.diploma_type_code is not null and effect.diploma_type_code is null
group by completion.diploma_type_code
