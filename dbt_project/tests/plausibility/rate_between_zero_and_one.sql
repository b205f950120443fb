-- What: no published rate is below 0 or above 1, and no shown numerator is above its denominator.
-- When it matters: noise is bounded by design; a rate outside says that a rule is broken.
-- To resolve: look at perturbed_indicator, or at the official table, for the indicator named.
{{ config(severity='error', meta={'dagster': {'ref': {'name': 'mart_indicator__organization'}}}) }}
select
    indicator_code,
    organization_id_state,
    cohort_year,
    breakdown_code,
    group_code
from {{ ref('mart_indicator__organization') }}
where rate < 0 or rate > 1 or numerator_count > denominator_count
