-- Grain: source x collection x indicator x school year x what is missing.
select
    cast(source as {{ dbt.type_string() }}) as source,
    cast(collection as {{ dbt.type_string() }}) as collection,
    cast(indicator_code as {{ dbt.type_string() }}) as indicator_code,
    cast(school_year as integer) as school_year,
    cast(status as {{ dbt.type_string() }}) as status,
    cast(missing as {{ dbt.type_string() }}) as missing
from {{ ref('perturbed_availability') }}
