{#-
  The last step of every indicator: its CTE with the names of the common shape becomes exactly that shape, with the
  person's perturbation key. Extra columns (the id of a result) follow at the end.
-#}
{% macro indicator_rows(relation, indicator_code, extra=[]) %}
select
    cast('{{ indicator_code }}' as {{ dbt.type_string() }}) as indicator_code,
    cast({{ relation }}.subject_code as {{ dbt.type_string() }}) as subject_code,
    cast({{ relation }}.person_key as bigint) as person_key,
    cast(person.perturbation_key as integer) as perturbation_key,
    cast({{ relation }}.organization_key as bigint) as organization_key,
    cast({{ relation }}.organization_role as {{ dbt.type_string() }}) as organization_role,
    cast({{ relation }}.organization_level as {{ dbt.type_string() }}) as organization_level,
    cast({{ relation }}.school_year as integer) as school_year,
    cast({{ relation }}.cohort_year as integer) as cohort_year,
    cast({{ relation }}.outcome_status in ('counted', 'no_information') and {{ relation }}.is_in_denominator as boolean) as is_in_denominator,
    cast({{ relation }}.outcome_status = 'counted' and {{ relation }}.is_in_numerator as boolean) as is_in_numerator,
    cast(case when {{ relation }}.outcome_status = 'counted' then {{ relation }}.amount end as bigint) as amount,
    cast({{ relation }}.outcome_status as {{ dbt.type_string() }}) as outcome_status,
    cast({{ relation }}.exclusion_code as {{ dbt.type_string() }}) as exclusion_code
    {%- for column in extra %},
    cast({{ relation }}.{{ column }} as {{ dbt.type_string() }}) as {{ column }}
    {%- endfor %}
from {{ relation }}
inner join {{ ref('dim_person') }} as person on person.person_key = {{ relation }}.person_key
{% endmacro %}

{#- Rows of every indicator of the register, with the columns named; no row where the register is empty. -#}
{% macro rows_of_every_indicator(columns) %}
    {%- set codes = var('indicator_codes') %}
    {%- for code in codes %}
    select {{ columns }} from {{ ref('ind_' ~ code) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
    {%- if not codes %}
    select {{ columns }} from {{ ref('ind_chronic_absenteeism') }} where false
    {%- endif %}
{% endmacro %}

{#- Indicators whose register says rate_and_median name who paid, so that a median can be judged. -#}
{% macro has_contributor(indicator_code) -%}
    {{ return(indicator_code in var('median_indicator_codes')) }}
{%- endmacro %}
