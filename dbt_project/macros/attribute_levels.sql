{#-
  One row a person, at the organization responsible, becomes its rows at every level: each named column that holds an
  organization key gives one row, and 'state' gives one at the state's own organization. Because every level copies
  the same person rows, levels partition: what a school counts, its LEA and the state count once.

  relation: a CTE with one row a person (and whatever else the indicator carries along)
  levels:   {organization_level: column}; the column of 'state' is ignored
-#}
{% macro attribute_levels(relation, levels) %}
    {%- for level, column in levels.items() %}
    {%- if level == 'state' %}
    select {{ relation }}.*, state_organization.organization_key, 'state' as organization_level
    from {{ relation }}
    cross join (
        select organization_key from {{ ref('dim_organization') }} where organization_level = 'state'
    ) as state_organization
    {%- else %}
    select {{ relation }}.*, {{ relation }}.{{ column }} as organization_key, '{{ level }}' as organization_level
    from {{ relation }}
    where {{ relation }}.{{ column }} is not null
    {%- endif %}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{% endmacro %}
