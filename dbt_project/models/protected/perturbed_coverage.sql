-- Grain: indicator x subject x cohort year x outcome status x exclusion code, in the state.
-- Rule: cell-key perturbation (macro cell_key). Cells under the minimum, exact or perturbed, have no row. The share is
-- made of the rows that are shown alone, so that it tells nothing about those that are not.
with {{ cell_key_policy() }},

{{ cell_key_shown(ref('cube_coverage')) }},

cohort as (
    select indicator_code, subject_code, cohort_year, sum(noisy_count) as noisy_count
    from shown
    group by indicator_code, subject_code, cohort_year
)

select
    shown.indicator_code,
    shown.subject_code,
    shown.cohort_year,
    shown.outcome_status,
    shown.exclusion_code,
    cast(shown.noisy_count as bigint) as person_count,
    {{ cell_key_share('shown.noisy_count', 'cohort.noisy_count') }} as share,
    'shown' as value_status,
    'perturbed' as protection
from shown
inner join cohort
    on cohort.indicator_code = shown.indicator_code
    and cohort.subject_code = shown.subject_code
    and cohort.cohort_year = shown.cohort_year
