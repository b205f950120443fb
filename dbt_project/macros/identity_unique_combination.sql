{#- A grain of several columns: fails with the number of combinations that occur twice, and shows none of them. -#}
{% test identity_unique_combination(model, columns) %}
    select 1 as repeated
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1
{% endtest %}
