{#-
  Cell-key perturbation, as national statistical offices use it: each person has a random key, the key of a cell is
  the sum of its people's keys modulo policy perturbation.csv key_modulus, and a policy table gives the noise for a
  count and a key. The same people always get the same noise; one person more changes the key, and so the noise.
  What it does not stop, with the table's variance of 2.5 (tests/unit/indicators/test_cell_key.py measures it): figures of
  different people whose exact differences a reader knows average like independent draws (30 of them leave an error of
  0.29 people, one has 1.58), and the groups of ten breakdowns, added up, tell `all` within 0.8. Small cells are
  protected by not being shown; noise keeps a difference of shown cells from telling one for sure.

  cell_key_policy: the CTEs that the other two need: the policy in force on the build's date. Where no modulus or no
                   table of noise is in force, the minimum is null too, and a count that is not at least null is hidden:
                   nothing is ever shown without noise.
  cell_key_noise:  the join that finds the noise of one count; at most one row of the table fits.
  cell_key_count:  the perturbed count.
  cell_key_shown:  the CTEs noisy and shown of a cube of counts of people: its rows of which exact and perturbed count
                   reach the minimum, with noisy_count.
  cell_key_share:  the share of a whole, in hundredths, half up; of whole numbers, so that no half is lost.
-#}
{% macro cell_key_policy() %}
perturbation_row as (
    select
        cast(count_from as bigint) as count_from,
        coalesce(cast(nullif(count_to, '') as bigint), 9223372036854775807) as count_to,
        cast(key_from as bigint) as key_from,
        cast(key_to as bigint) as key_to,
        cast(noise as bigint) as noise
    from {{ policy_set('perturbation_table') }} as noise_table
),

stated_policy as (
    select
        cast(max(case when parameter = 'key_modulus' then value end) as bigint) as key_modulus,
        cast(max(case when parameter = 'minimum_count' then value end) as bigint) as minimum_count,
        cast(max(case when parameter = 'minimum_employers' then value end) as bigint) as minimum_employers,
        cast(max(case when parameter = 'top_employer_share' then value end) as decimal(9, 6)) as top_employer_share,
        cast(max(case when parameter = 'employer_estimate_margin' then value end) as decimal(9, 6))
            as employer_estimate_margin
    from (
        select parameter, value from {{ policy_in_force('perturbation') }} as noise_parameter
        union all
        select parameter, value from {{ policy_in_force('protection') }} as protection_parameter
    ) as parameter
),

cell_policy as (
    select
        stated_policy.key_modulus,
        case
            when stated_policy.key_modulus > 0 and noise.row_count > 0 then stated_policy.minimum_count
        end as minimum_count,
        stated_policy.minimum_employers,
        stated_policy.top_employer_share,
        stated_policy.employer_estimate_margin
    from stated_policy
    cross join (select count(*) as row_count from perturbation_row) as noise
)
{% endmacro %}

{% macro cell_key_noise(alias, count, key_sum) %}
left join perturbation_row as {{ alias }}
    on {{ count }} between {{ alias }}.count_from and {{ alias }}.count_to
    and mod({{ key_sum }}, cell_policy.key_modulus) between {{ alias }}.key_from and {{ alias }}.key_to
{% endmacro %}

{% macro cell_key_count(alias, count) -%}
    ({{ count }} + coalesce({{ alias }}.noise, 0))
{%- endmacro %}

{% macro cell_key_shown(cube) -%}
noisy as (
    select
        cube.*,
        cell_policy.minimum_count,
        {{ cell_key_count('noise', 'cube.person_count') }} as noisy_count
    from {{ cube }} as cube
    cross join cell_policy
    {{ cell_key_noise('noise', 'cube.person_count', 'cube.perturbation_sum') }}
),

shown as (
    select *
    from noisy
    where person_count >= minimum_count and noisy_count >= minimum_count
)
{%- endmacro %}

{% macro cell_key_share(part, whole) -%}
    cast(floor((200 * {{ part }} + {{ whole }}) / (2 * {{ whole }})) / 100 as decimal(9, 6))
{%- endmacro %}
