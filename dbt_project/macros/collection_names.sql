{#- Names of the collections: a new collection is its schema, its staging model and rows in seeds. -#}
{% macro collection_names() -%}
    {{ return(var('collections')) }}
{%- endmacro %}
