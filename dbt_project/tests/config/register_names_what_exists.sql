-- What: each indicator names a known membership rule, protection, value kind and outcome window, only breakdowns that
-- student_group.csv declares, and as counted again only official indicators, and that only where it is perturbed.
-- When it matters: a misspelled breakdown or rule would silently leave groups out; a misspelled official indicator would
-- let a perturbed figure tell what an official table hides.
-- To resolve: correct seeds/registers/indicator.csv, or declare the breakdown or window first.
{{ config(severity='error', meta={'dagster': {'ref': {'name': 'cube_indicator'}}}) }}
with known_breakdown as (
    select
        register.indicator_code,
        count(distinct student_group.breakdown_code) as breakdown_count
    from {{ ref('indicator') }} as register
    inner join {{ ref('student_group') }} as student_group
        on concat(';', register.breakdowns, ';') like concat('%;', student_group.breakdown_code, ';%')
    group by register.indicator_code
),

counted_again as (
    select
        register.indicator_code,
        count(*) as official_count
    from {{ ref('indicator') }} as register
    inner join {{ ref('indicator') }} as official
        on concat(';', register.counts_people_of, ';') like concat('%;', official.indicator_code, ';%')
    where official.protection = 'official' and register.protection = 'perturbed'
    group by register.indicator_code
)

select register.indicator_code
from {{ ref('indicator') }} as register
left join known_breakdown on known_breakdown.indicator_code = register.indicator_code
left join counted_again on counted_again.indicator_code = register.indicator_code
left join {{ ref('outcome_window') }} as outcome_window on outcome_window.window_code = register.window_code
where
    register.membership_rule not in ('any_time_in_year', 'any_time_in_cohort', 'last_known')
    or register.protection not in ('official', 'perturbed')
    or register.value_kind not in ('rate', 'count', 'rate_and_median')
    or (coalesce(register.window_code, '') <> '' and outcome_window.window_code is null)
    or coalesce(known_breakdown.breakdown_count, 0)
    <> length(register.breakdowns) - length(replace(register.breakdowns, ';', '')) + 1
    or (
        coalesce(register.counts_people_of, '') <> ''
        and coalesce(counted_again.official_count, 0)
        <> length(register.counts_people_of) - length(replace(register.counts_people_of, ';', '')) + 1
    )
