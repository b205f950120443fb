{#- The date of a month and day ('08-15') in a calendar year; plain SQL that DuckDB and Spark read alike. -#}
{% macro year_day(year, month_day) -%}
    cast(concat(cast({{ year }} as {{ dbt.type_string() }}), '-', {{ month_day }}) as date)
{%- endmacro %}
