-- Grain: indicator x subject x cohort year x outcome status x exclusion code, in the state. Small cells have no row.
select
    cast(indicator_code as {{ dbt.type_string() }}) as indicator_code,
    cast(subject_code as {{ dbt.type_string() }}) as subject_code,
    cast(cohort_year as integer) as cohort_year,
    cast(outcome_status as {{ dbt.type_string() }}) as outcome_status,
    cast(exclusion_code as {{ dbt.type_string() }}) as exclusion_code,
    cast(person_count as bigint) as person_count,
    cast(share as decimal(9, 6)) as share,
    cast(value_status as {{ dbt.type_string() }}) as value_status,
    cast(protection as {{ dbt.type_string() }}) as protection
from {{ ref('perturbed_coverage') }}
