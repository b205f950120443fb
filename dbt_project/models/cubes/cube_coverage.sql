-- Grain: indicator x subject x cohort year x outcome status x exclusion code, in the state. Exact, restricted.
-- Rule: nobody vanishes: everybody whom an indicator met is counted here once, by what became of them. Cohorts whose
-- window is open are left out, and so are plain counts, which have no denominator to stand in.
{% set columns = 'indicator_code, subject_code, perturbation_key, organization_level, cohort_year, outcome_status,
        exclusion_code' %}
with person_row as (
    {{ rows_of_every_indicator(columns) }}
),

state_row as (
    select person_row.*
    from person_row
    inner join {{ ref('indicator') }} as register on register.indicator_code = person_row.indicator_code
    where person_row.organization_level = 'state' and register.value_kind <> 'count'
),

open_cohort as (
    select distinct indicator_code, subject_code, cohort_year
    from state_row
    where outcome_status = 'window_open'
)

select
    state_row.indicator_code,
    state_row.subject_code,
    cast(state_row.cohort_year as integer) as cohort_year,
    state_row.outcome_status,
    coalesce(state_row.exclusion_code, '') as exclusion_code,
    cast(count(*) as bigint) as person_count,
    cast(sum(state_row.perturbation_key) as bigint) as perturbation_sum
from state_row
left join open_cohort
    on open_cohort.indicator_code = state_row.indicator_code
    and open_cohort.subject_code = state_row.subject_code
    and open_cohort.cohort_year = state_row.cohort_year
where open_cohort.cohort_year is null
group by
    state_row.indicator_code, state_row.subject_code, state_row.cohort_year, state_row.outcome_status,
    coalesce(state_row.exclusion_code, '')
