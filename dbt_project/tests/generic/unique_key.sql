{#-
  The grain of a model: no two rows share these columns. Nulls are compared like values. Prints keys only.

  touched: where a night computes only what changed, a model that holds the values of the first column, whole numbers,
  that tonight's rows bear, in a column of that name; touched_rows: which of its rows, where not all. The rest was tested
  when it was computed: a night after a failed test computes, and tests, everything.
-#}
{% test unique_key(model, columns, touched=none, touched_rows=none) %}
select
    {{ columns | join(', ') }},
    count(*) as row_count
from {{ model }}
{%- if touched and not flags.FULL_REFRESH %}
where {{ columns[0] }} in
    {%- if touched_rows %} (select {{ columns[0] }} from {{ touched }} where {{ touched_rows }})
    {%- else %} {{ sought(touched, columns[0]) }}
    {%- endif %}
{%- endif %}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
