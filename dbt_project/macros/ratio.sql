{#- A share of two whole numbers, rounded once, at the end. -#}
{% macro ratio(numerator, denominator) -%}
    cast(round(cast({{ numerator }} as double) / nullif({{ denominator }}, 0), 6) as decimal(9, 6))
{%- endmacro %}
