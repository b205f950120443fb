{#-
  The grain of a model: no two rows share these columns. Nulls are compared like values. Prints keys only.

  touched: where a night computes only what changed, a model that holds the values of the first column that tonight's
  rows bear, in a column of that name; touched_rows: which of its rows. The rest was tested when it was computed: a night
  after a failed test computes, and tests, everything.
-#}
{% test unique_key(model, columns, touched=none, touched_rows='true') %}
select
    {{ columns | join(', ') }},
    count(*) as row_count
from {{ model }}
{%- if touched and not flags.FULL_REFRESH %}
where {{ columns[0] }} in (select {{ columns[0] }} from {{ touched }} where {{ touched_rows }})
{%- endif %}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
