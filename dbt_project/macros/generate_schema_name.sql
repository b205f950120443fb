{#- A model's schema is the name of its folder as is, in every target: asset key, SQL and file agree. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if custom_schema_name is none -%} {{ target.schema }} {%- else -%} {{ custom_schema_name | trim }} {%- endif -%}
{%- endmacro %}
