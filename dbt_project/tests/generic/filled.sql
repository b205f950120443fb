{#- Columns that every row must fill: one test for a model's keys, because a test a column would cost the night more. -#}
{% test filled(model, columns) %}
select
    {{ columns | join(', ') }},
    count(*) as row_count
from {{ model }}
where {% for column in columns %}{{ 'or ' if not loop.first }}{{ column }} is null {% endfor %}

group by {{ columns | join(', ') }}
{% endtest %}
