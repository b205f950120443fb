{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='name',
    on_schema_change='fail',
    pre_hook="{% if is_incremental() %}update {{ this }} set was_count = date_count where was_count <> date_count{% endif %}"
) }}
-- The more birth dates are known under a full name, the less an agreement on it proves: tiers have a limit.
-- depends_on: {{ ref('identity_parameter') }}
-- depends_on: {{ ref('match_tier') }}
{%- set fewest = identity_name_limits() | first | default(2147483647) %}
{%- set named -%}
    not is_wage and birth_date is not null and name is not null
{%- endset %}
with named as {{ 'materialized' if is_incremental() else 'not materialized' }} (
    select
        name,
        birth_date
    from {{ ref('int_linkage__key') }}
    where
        not is_gone and {{ named }}
        {%- if is_incremental() %}
        and name in (
            select name from {{ ref('int_linkage__key') }} where (is_new or is_gone) and {{ named }}
        )
        {%- endif %}
),

-- Names below every limit need no row; most have too few records to count their dates.
frequent as (
    select name
    from named
    group by name
    having count(*) > {{ fewest }}
),

counted as (
    select
        name,
        cast(count(distinct birth_date) as integer) as date_count
    from named
    where name in (select name from frequent)
    group by name
    having count(distinct birth_date) > {{ fewest }}
)

{%- if is_incremental() %},

touched as (
    select distinct name
    from {{ ref('int_linkage__key') }}
    where (is_new or is_gone) and {{ named }}
)

select
    touched.name,
    coalesce(counted.date_count, 0) as date_count,
    coalesce(before.date_count, 0) as was_count
from touched
left join counted on touched.name = counted.name
left join {{ this }} as before on touched.name = before.name
where counted.name is not null or before.name is not null
{%- else %}

select
    name,
    date_count,
    date_count as was_count
from counted
{%- endif %}
