{#-
  Policy is dated: a row counts from its effective_date on, until a later row takes its place.

  build_date:      the day policy is read for, as text: that of the build where it is passed (var build_date), else today
                   in UTC, in which builds are dated.
  policy_in_force: a subquery of parameter and value, one row a parameter: the newest row in force of a policy seed.
  policy_rows:     a subquery of a seed of which each row says one thing, named in the column `key`: the newest in force.
  policy_set:      a subquery of a seed whose rows hold together only as a set: those of the newest date in force.
-#}
{% macro build_date() -%}
    {{ return(var('build_date', run_started_at.strftime('%Y-%m-%d'))) }}
{%- endmacro %}

{% macro policy_in_force(seed) -%}
(
        select parameter, value
        from (
            select
                parameter,
                value,
                row_number() over (partition by parameter order by cast(effective_date as date) desc) as recency
            from {{ ref(seed) }}
            where cast(effective_date as date) <= cast('{{ build_date() }}' as date)
        ) as dated
        where recency = 1
    )
{%- endmacro %}

{% macro policy_rows(seed, key) -%}
(
        select dated.*
        from {{ ref(seed) }} as dated
        inner join (
            select
                {{ key }} as named,
                max(cast(effective_date as date)) as since
            from {{ ref(seed) }}
            where cast(effective_date as date) <= cast('{{ build_date() }}' as date)
            group by {{ key }}
        ) as newest
            on dated.{{ key }} = newest.named and cast(dated.effective_date as date) = newest.since
    )
{%- endmacro %}

{% macro policy_set(seed) -%}
(
        select *
        from {{ ref(seed) }}
        where
            cast(effective_date as date) = (
                select max(cast(effective_date as date))
                from {{ ref(seed) }}
                where cast(effective_date as date) <= cast('{{ build_date() }}' as date)
            )
    )
{%- endmacro %}
