-- Grain: sector x sector looked for x school year x breakdown x group x link status, in the state. Small cells have no
-- row.
select
    cast(sector_code as {{ dbt.type_string() }}) as sector_code,
    cast(other_sector_code as {{ dbt.type_string() }}) as other_sector_code,
    cast(school_year as integer) as school_year,
    cast(breakdown_code as {{ dbt.type_string() }}) as breakdown_code,
    cast(group_code as {{ dbt.type_string() }}) as group_code,
    cast(group_name as {{ dbt.type_string() }}) as group_name,
    cast(link_status as {{ dbt.type_string() }}) as link_status,
    cast(person_count as bigint) as person_count,
    cast(share as decimal(9, 6)) as share,
    cast(value_status as {{ dbt.type_string() }}) as value_status,
    cast(protection as {{ dbt.type_string() }}) as protection
from {{ ref('perturbed_link_quality') }}
