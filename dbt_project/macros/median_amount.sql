{#- The exact median of whole numbers: engines name it differently. -#}
{% macro median_amount(column) -%}
    {{ return(adapter.dispatch('median_amount')(column)) }}
{%- endmacro %}

{% macro default__median_amount(column) -%} median({{ column }}) {%- endmacro %}

{% macro spark__median_amount(column) -%} percentile({{ column }}, 0.5) {%- endmacro %}

{#- A median rounded half up to a policy step of dollars. -#}
{% macro rounded_median(column, step) -%}
    cast(floor(({{ median_amount(column) }} + {{ step }} / 2.0) / {{ step }}) * {{ step }} as bigint)
{%- endmacro %}
