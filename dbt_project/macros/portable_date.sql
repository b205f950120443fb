{#- Calendar rules in SQL that DuckDB and Spark both read; a pair of macros where they do not agree. -#}

{#- The school year, named by its spring, of the July to June that holds a day. -#}
{% macro school_year(day) -%}
cast(extract(year from {{ day }}) + case when extract(month from {{ day }}) >= 7 then 1 else 0 end as integer)
{%- endmacro %}

{% macro school_year_begin(school_year) -%}
make_date(cast({{ school_year }} - 1 as integer), 7, 1)
{%- endmacro %}

{% macro school_year_end(school_year) -%}
make_date(cast({{ school_year }} as integer), 6, 30)
{%- endmacro %}

{#- A day some months later, or earlier for a negative number; a shorter month gives its last day. -#}
{% macro portable_add_months(day, months) -%}
{{ return(adapter.dispatch('portable_add_months')(day, months)) }}
{%- endmacro %}

{% macro duckdb__portable_add_months(day, months) -%}
cast({{ day }} + to_months(cast({{ months }} as integer)) as date)
{%- endmacro %}

{% macro spark__portable_add_months(day, months) -%}
add_months({{ day }}, cast({{ months }} as int))
{%- endmacro %}

{#- Days from one day to another, zero for the same day. -#}
{% macro portable_days_between(first_day, last_day) -%}
{{ return(adapter.dispatch('portable_days_between')(first_day, last_day)) }}
{%- endmacro %}

{% macro duckdb__portable_days_between(first_day, last_day) -%}
date_diff('day', {{ first_day }}, {{ last_day }})
{%- endmacro %}

{% macro spark__portable_days_between(first_day, last_day) -%}
datediff({{ last_day }}, {{ first_day }})
{%- endmacro %}

{#- The school year of a delivery's period: a school year such as 2024, or a calendar quarter such as 2023Q3. -#}
{% macro period_school_year(period) -%}
cast(
        cast(substring({{ period }}, 1, 4) as integer)
        + case when substring({{ period }}, 5, 2) in ('Q3', 'Q4') then 1 else 0 end as integer
    )
{%- endmacro %}
