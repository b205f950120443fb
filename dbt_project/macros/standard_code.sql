{#-
  The standard code for a code as sent, looked up in seeds/crosswalks/code.csv by code set and package.
  A code without a row stays as sent: intake has already checked it against the code set. A subquery, not a join, so
  that a crosswalk with two answers can never double a row.
-#}
{% macro standard_code(code_set, column, relation='accepted') -%}
coalesce(
        (
            select max(crosswalk.standard_code)
            from {{ ref('code') }} as crosswalk
            where
                crosswalk.code_set = '{{ code_set }}'
                and crosswalk.package = {{ relation }}.package
                and crosswalk.local_code = {{ relation }}.{{ column }}
        ),
        {{ relation }}.{{ column }}
    )
{%- endmacro %}
