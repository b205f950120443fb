-- Grain: cohort year x type and code of origin x type and code of destination. Perturbed counts of people; small flows have no row.
select
    cast(cohort_year as integer) as cohort_year,
    cast(origin_type_code as {{ dbt.type_string() }}) as origin_type_code,
    cast(origin_code as {{ dbt.type_string() }}) as origin_code,
    cast(origin_name as {{ dbt.type_string() }}) as origin_name,
    cast(destination_type_code as {{ dbt.type_string() }}) as destination_type_code,
    cast(destination_code as {{ dbt.type_string() }}) as destination_code,
    cast(destination_name as {{ dbt.type_string() }}) as destination_name,
    cast(person_count as bigint) as person_count,
    cast(value_status as {{ dbt.type_string() }}) as value_status,
    cast(protection as {{ dbt.type_string() }}) as protection
from {{ ref('perturbed_transition') }}
where transition_code = 'high_school__college'
