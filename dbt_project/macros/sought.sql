{#-
  A column of a relation of few rows, in brackets, to be sought among many; whole numbers. A scan passes over what a join
  will not keep only where the side that is sought is filtered: DuckDB does not ask how few rows it has. So it is
  filtered, by what every number meets but null. As pipelines/identity/vault.py has it; needless beside another filter.
-#}
{% macro sought(relation, column) -%}
    (select {{ column }} from {{ relation }} where ({{ column }} & 1) <> 2)
{%- endmacro %}
