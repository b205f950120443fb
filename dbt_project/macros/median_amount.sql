{#-
  A median that is nobody's own amount: the mean of the people in the middle, at least as many as policy median_pool says
  (one more where that leaves the middle even), rounded half up to policy median_rounding dollars. Of an odd number of
  people the median itself is one person's earnings (rounding alone tells them within half a step).

  is_in_the_middle: whether the person at a position, counted from 1 in order of amount, is one of them.
  rounded_mean:     of whole numbers, in whole numbers, so that no half is lost.
-#}
{% macro is_in_the_middle(position, people, pool) -%}
    abs(2 * {{ position }} - ({{ people }} + 1)) <= {{ pool }}
{%- endmacro %}

{% macro rounded_mean(column, step) -%}
    cast(floor((2 * sum({{ column }}) + {{ step }} * count(*)) / (2 * {{ step }} * count(*))) * {{ step }} as bigint)
{%- endmacro %}
