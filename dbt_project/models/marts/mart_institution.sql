-- Grain: one row per postsecondary institution.
select
    cast(opeid as {{ dbt.type_string() }}) as opeid,
    cast(institution_name as {{ dbt.type_string() }}) as institution_name,
    cast(city as {{ dbt.type_string() }}) as city,
    cast(state_abbreviation as {{ dbt.type_string() }}) as state_abbreviation,
    cast(predominant_degree_code as {{ dbt.type_string() }}) as predominant_degree_code,
    cast(institution_level_code as {{ dbt.type_string() }}) as institution_level_code,
    cast(institution_control_code as {{ dbt.type_string() }}) as institution_control_code,
    cast(enrolled_count as bigint) as enrolled_count,
    cast(school_year as integer) as school_year,
    cast(value_status as {{ dbt.type_string() }}) as value_status,
    cast(protection as {{ dbt.type_string() }}) as protection
from {{ ref('perturbed_institution') }}
