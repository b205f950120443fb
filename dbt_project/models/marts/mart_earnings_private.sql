-- Grain: indicator x subject x cohort year x organization level and id. All people together, no groups.
-- Rule: noisy counts and percentiles by differential privacy, instead of every other statistic of the same wage
-- records; a place whose noisy count is under the minimum has no row. Without rows where policy names no indicator.
select
    cast(indicator_code as {{ dbt.type_string() }}) as indicator_code,
    cast(subject_code as {{ dbt.type_string() }}) as subject_code,
    cast(cohort_year as integer) as cohort_year,
    cast(organization_level as {{ dbt.type_string() }}) as organization_level,
    cast(organization_id_state as {{ dbt.type_string() }}) as organization_id_state,
    cast(organization_id_nces as {{ dbt.type_string() }}) as organization_id_nces,
    cast(organization_name as {{ dbt.type_string() }}) as organization_name,
    cast(lea_id_state as {{ dbt.type_string() }}) as lea_id_state,
    cast(lea_name as {{ dbt.type_string() }}) as lea_name,
    cast(found_count as bigint) as found_count,
    cast(found_count_margin as bigint) as found_count_margin,
    cast(earnings_p25 as bigint) as earnings_p25,
    cast(earnings_p50 as bigint) as earnings_p50,
    cast(earnings_p75 as bigint) as earnings_p75,
    cast(value_unit as {{ dbt.type_string() }}) as value_unit,
    cast(epsilon as double) as epsilon,
    cast(value_status as {{ dbt.type_string() }}) as value_status,
    cast(protection as {{ dbt.type_string() }}) as protection
from {{ source('protected', 'private_earnings') }}
