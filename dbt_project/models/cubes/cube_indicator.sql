-- Grain: indicator x subject x organization x cohort year x breakdown x group. Exact, restricted.
-- Rule: every indicator of the register is counted here by its membership rule and its breakdowns; a person without a
-- group in a breakdown is not reported there, so that every breakdown is a partition. A cohort whose window is open
-- has one row, for all, and no numbers. Amounts carry what dominance is judged on (20 CFR 603.4): how many employers
-- paid, and the shares of the two largest. A median is the mean of several people in the middle (macro median_amount).
{% set columns = 'indicator_code, subject_code, person_key, perturbation_key, organization_key, organization_role,
        organization_level, school_year, cohort_year, is_in_denominator, is_in_numerator, amount, outcome_status' %}
{% set codes = var('indicator_codes') %}
{% set cell_key_columns = 'indicator_code, subject_code, organization_key, organization_level, organization_role, ' ~
        'cohort_year, breakdown_code, group_code' %}
with person_row as (
    {{ rows_of_every_indicator(columns) }}
),

contributor as (
    {%- for code in codes if has_contributor(code) %}
    select indicator_code, person_key, organization_key, cohort_year, employer_key, amount
    from {{ ref('ind_' ~ code ~ '__contributor') }}
    union all
    {%- endfor %}
    select
        cast(null as {{ dbt.type_string() }}) as indicator_code,
        cast(null as bigint) as person_key,
        cast(null as bigint) as organization_key,
        cast(null as integer) as cohort_year,
        cast(null as bigint) as employer_key,
        cast(null as bigint) as amount
    where false
),

-- What the register asks to break down by; a crossing is a breakdown of its own.
breakdown as (
    select
        register.indicator_code,
        register.membership_rule,
        student_group.breakdown_code,
        student_group.fallback_group_code
    from {{ ref('indicator') }} as register
    inner join (
        select
            breakdown_code,
            case
                when breakdown_code = 'all' then 'all'
                when breakdown_code = 'prior_early_childhood' then 'not_determined'
                when breakdown_code like '%\_x\_%' escape '\' then 'not_reported__not_reported'
                else 'not_reported'
            end as fallback_group_code
        from (select distinct breakdown_code from {{ ref('student_group') }}) as declared
    ) as student_group
        on concat(';', register.breakdowns, ';') like concat('%;', student_group.breakdown_code, ';%')
),

grouped_row as (
    select
        person_row.*,
        breakdown.breakdown_code,
        coalesce(membership.group_code, breakdown.fallback_group_code) as group_code
    from person_row
    inner join breakdown on breakdown.indicator_code = person_row.indicator_code
    left join {{ ref('brg_person_year_group') }} as membership
        on membership.person_key = person_row.person_key
        and membership.school_year = person_row.school_year
        and membership.membership_rule = breakdown.membership_rule
        and membership.breakdown_code = breakdown.breakdown_code
    where person_row.outcome_status <> 'window_open' or breakdown.breakdown_code = 'all'
),

median_policy as (
    select
        cast(max(case when parameter = 'median_rounding' then value end) as bigint) as dollars,
        cast(max(case when parameter = 'median_pool' then value end) as bigint) as pool
    from {{ policy_in_force('protection') }} as policy
),

ranked_amount as (
    select
        {{ cell_key_columns }},
        amount,
        row_number() over (partition by {{ cell_key_columns }} order by amount) as position_number,
        count(*) over (partition by {{ cell_key_columns }}) as people
    from grouped_row
    where amount is not null
),

median_of as (
    select
        {{ cell_key_columns }},
        {{ rounded_mean('amount', 'max(median_policy.dollars)') }} as amount_median_rounded
    from ranked_amount
    cross join median_policy
    where {{ is_in_the_middle('position_number', 'people', 'median_policy.pool') }}
    group by {{ cell_key_columns }}
),

cell as (
    select
        indicator_code,
        subject_code,
        organization_key,
        organization_role,
        organization_level,
        cohort_year,
        breakdown_code,
        group_code,
        sum(case when is_in_denominator then 1 else 0 end) as denominator_count,
        sum(case when is_in_numerator then 1 else 0 end) as numerator_count,
        sum(case when outcome_status = 'excluded' then 1 else 0 end) as excluded_count,
        sum(case when outcome_status = 'no_information' then 1 else 0 end) as no_information_count,
        sum(case when outcome_status = 'not_determined' then 1 else 0 end) as not_determined_count,
        sum(case when outcome_status = 'window_open' then 1 else 0 end) as window_open_count,
        count(amount) as amount_count,
        sum(case when is_in_denominator then perturbation_key else 0 end) as perturbation_sum_denominator,
        sum(case when is_in_numerator then perturbation_key else 0 end) as perturbation_sum_numerator
    from grouped_row
    group by
        indicator_code, subject_code, organization_key, organization_role, organization_level, cohort_year,
        breakdown_code, group_code
),

employer_total as (
    select
        grouped_row.indicator_code,
        grouped_row.subject_code,
        grouped_row.organization_key,
        grouped_row.cohort_year,
        grouped_row.breakdown_code,
        grouped_row.group_code,
        contributor.employer_key,
        sum(contributor.amount) as amount
    from grouped_row
    inner join contributor
        on contributor.indicator_code = grouped_row.indicator_code
        and contributor.person_key = grouped_row.person_key
        and contributor.organization_key = grouped_row.organization_key
        and contributor.cohort_year = grouped_row.cohort_year
    where grouped_row.amount is not null
    group by
        grouped_row.indicator_code, grouped_row.subject_code, grouped_row.organization_key, grouped_row.cohort_year,
        grouped_row.breakdown_code, grouped_row.group_code, contributor.employer_key
),

ranked_employer as (
    select
        employer_total.*,
        row_number() over (
            partition by indicator_code, subject_code, organization_key, cohort_year, breakdown_code, group_code
            order by amount desc, employer_key
        ) as position_number
    from employer_total
),

dominance as (
    select
        indicator_code,
        subject_code,
        organization_key,
        cohort_year,
        breakdown_code,
        group_code,
        count(*) as employer_count,
        {{ ratio('max(amount)', 'sum(amount)') }} as top_employer_share,
        {{ ratio('sum(case when position_number = 2 then amount else 0 end)', 'sum(amount)') }} as second_employer_share
    from ranked_employer
    group by indicator_code, subject_code, organization_key, cohort_year, breakdown_code, group_code
)

select
    cell.indicator_code,
    cell.subject_code,
    cast(cell.organization_key as bigint) as organization_key,
    cell.organization_role,
    cell.organization_level,
    cast(cell.cohort_year as integer) as school_year,
    cast(cell.cohort_year as integer) as cohort_year,
    cell.breakdown_code,
    cell.group_code,
    cast(cell.denominator_count as bigint) as denominator_count,
    cast(cell.numerator_count as bigint) as numerator_count,
    cast(cell.excluded_count as bigint) as excluded_count,
    cast(cell.no_information_count as bigint) as no_information_count,
    cast(cell.not_determined_count as bigint) as not_determined_count,
    cast(cell.window_open_count as bigint) as window_open_count,
    cast(cell.amount_count as bigint) as amount_count,
    median_of.amount_median_rounded,
    cast(dominance.employer_count as bigint) as employer_count,
    cast(dominance.top_employer_share as decimal(9, 6)) as top_employer_share,
    cast(dominance.second_employer_share as decimal(9, 6)) as second_employer_share,
    cast(cell.perturbation_sum_denominator as bigint) as perturbation_sum_denominator,
    cast(cell.perturbation_sum_numerator as bigint) as perturbation_sum_numerator
from cell
left join median_of
    on median_of.indicator_code = cell.indicator_code
    and median_of.subject_code = cell.subject_code
    and median_of.organization_key = cell.organization_key
    and median_of.organization_level = cell.organization_level
    and median_of.organization_role = cell.organization_role
    and median_of.cohort_year = cell.cohort_year
    and median_of.breakdown_code = cell.breakdown_code
    and median_of.group_code = cell.group_code
left join dominance
    on dominance.indicator_code = cell.indicator_code
    and dominance.subject_code = cell.subject_code
    and dominance.organization_key = cell.organization_key
    and dominance.cohort_year = cell.cohort_year
    and dominance.breakdown_code = cell.breakdown_code
    and dominance.group_code = cell.group_code
