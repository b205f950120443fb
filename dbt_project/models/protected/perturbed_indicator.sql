-- Grain: indicator x subject x organization x cohort year x breakdown x group, for indicators the register protects by
-- perturbation.
-- Rule: cell-key perturbation (macro cell_key). A count under the minimum is not shown, exact or perturbed, and neither
-- is a rate, or a count of some of those enrolled, whose numerator or rest is under it. Every declared group of a
-- published organization has a row, so that a missing row says nothing. Medians stand beside a shown rate only, and need
-- enough people with wages and enough employers, none of which pays more than a share of the wages, or so much that the
-- second largest, who knows its own part, could estimate it from a total within a margin (p% rule; 20 CFR 603.4).
with {{ cell_key_policy() }},

perturbed_register as (
    select indicator_code, value_kind, breakdowns
    from {{ ref('indicator') }}
    where protection = 'perturbed'
),

-- The same people are protected in one way only: where an official table counts a program's participants as one of
-- its groups, they are told there.
told_officially as (
    select distinct
        subject.indicator_code,
        subject.subject_code,
        official.organization_key,
        official.cohort_year
    from {{ ref('subject') }} as subject
    inner join {{ ref('cube_indicator') }} as official
        on official.indicator_code = subject.counted_by_indicator
        and official.breakdown_code = 'all'
        and official.denominator_count > 0
),

published as (
    select distinct
        cube.indicator_code,
        cube.subject_code,
        cube.organization_key,
        cube.organization_level,
        cube.school_year,
        cube.cohort_year,
        perturbed_register.value_kind,
        perturbed_register.breakdowns,
        cube.window_open_count > 0 as is_window_open
    from {{ ref('cube_indicator') }} as cube
    inner join perturbed_register on perturbed_register.indicator_code = cube.indicator_code
    left join told_officially
        on told_officially.indicator_code = cube.indicator_code
        and told_officially.subject_code = cube.subject_code
        and told_officially.organization_key = cube.organization_key
        and told_officially.cohort_year = cube.cohort_year
    where cube.breakdown_code = 'all' and told_officially.organization_key is null
),

declared_cell as (
    select
        published.*,
        student_group.breakdown_code,
        student_group.group_code
    from published
    inner join {{ ref('student_group') }} as student_group
        on concat(';', published.breakdowns, ';') like concat('%;', student_group.breakdown_code, ';%')
    where not published.is_window_open or student_group.breakdown_code = 'all'
),

exact as (
    select
        declared_cell.*,
        coalesce(cube.denominator_count, 0) as exact_denominator,
        coalesce(cube.numerator_count, 0) as exact_numerator,
        coalesce(cube.perturbation_sum_denominator, 0) as key_denominator,
        coalesce(cube.perturbation_sum_numerator, 0) as key_numerator,
        coalesce(cube.not_determined_count, 0) as exact_not_determined,
        coalesce(cube.amount_count, 0) as amount_count,
        cube.amount_median_rounded,
        coalesce(cube.employer_count, 0) as employer_count,
        coalesce(cube.top_employer_share, 1) as top_employer_share,
        coalesce(cube.second_employer_share, 0) as second_employer_share
    from declared_cell
    left join {{ ref('cube_indicator') }} as cube
        on cube.indicator_code = declared_cell.indicator_code
        and cube.subject_code = declared_cell.subject_code
        and cube.organization_key = declared_cell.organization_key
        and cube.cohort_year = declared_cell.cohort_year
        and cube.breakdown_code = declared_cell.breakdown_code
        and cube.group_code = declared_cell.group_code
),

noisy as (
    select
        exact.*,
        cell_policy.minimum_count,
        cell_policy.minimum_employers,
        cell_policy.top_employer_share as highest_top_employer_share,
        cell_policy.employer_estimate_margin,
        {{ cell_key_count('noise_denominator', 'exact.exact_denominator') }} as noisy_denominator,
        {{ cell_key_count('noise_numerator', 'exact.exact_numerator') }} as noisy_numerator
    from exact
    cross join cell_policy
    {{ cell_key_noise('noise_denominator', 'exact.exact_denominator', 'exact.key_denominator') }}
    {{ cell_key_noise('noise_numerator', 'exact.exact_numerator', 'exact.key_numerator') }}
),

judged as (
    select
        noisy.*,
        exact_denominator >= minimum_count and noisy_denominator >= minimum_count as is_denominator_shown,
        exact_numerator >= minimum_count and noisy_numerator >= minimum_count as is_numerator_large,
        exact_denominator - exact_numerator >= minimum_count
        and noisy_denominator - noisy_numerator >= minimum_count as is_rest_large
    from noisy
),

decided as (
    select
        judged.*,
        not is_window_open and value_kind <> 'count'
        and is_denominator_shown and is_numerator_large and is_rest_large as is_rate_shown,
        case
            when is_window_open then false
            -- Those enrolled are told by an official table, exactly: what a count leaves of them is told with it.
            when value_kind = 'count' then is_numerator_large and (exact_denominator = 0 or is_rest_large)
            else is_denominator_shown and is_numerator_large and is_rest_large
        end as is_numerator_shown,
        -- Enough people were met, and of none of them is the outcome known: nothing is hidden, there is no number.
        not is_window_open and value_kind <> 'count' and exact_denominator = 0
        and exact_not_determined >= minimum_count as is_not_determined,
        employer_count >= minimum_employers and top_employer_share <= highest_top_employer_share
        and 1 - top_employer_share - second_employer_share >= employer_estimate_margin * top_employer_share
            as has_enough_employers
    from judged
),

with_median as (
    select
        decided.*,
        -- Beside a hidden rate a median would tell that the numerator is large, and so that the rest is small.
        is_rate_shown and value_kind = 'rate_and_median' and amount_count >= minimum_count as has_enough_amounts
    from decided
)

select
    decided.indicator_code,
    decided.subject_code,
    cast(decided.school_year as integer) as school_year,
    cast(decided.cohort_year as integer) as cohort_year,
    decided.organization_level,
    organization.organization_id_state,
    organization.organization_id_nces,
    organization.organization_name,
    organization.lea_id_state,
    organization.lea_name,
    decided.breakdown_code,
    decided.group_code,
    -- A count stands alone: those who might have taken part are the population of an official table.
    cast(
        case
            when not decided.is_window_open and decided.value_kind <> 'count' and decided.is_denominator_shown
                then decided.noisy_denominator
        end as bigint
    ) as denominator_count,
    cast(case when decided.is_numerator_shown then decided.noisy_numerator end as bigint) as numerator_count,
    case when decided.is_rate_shown then {{ ratio('decided.noisy_numerator', 'decided.noisy_denominator') }} end as rate,
    cast(null as decimal(9, 6)) as rate_low,
    cast(null as decimal(9, 6)) as rate_high,
    cast(null as {{ dbt.type_string() }}) as rate_label,
    cast(
        case when decided.has_enough_amounts and decided.has_enough_employers then decided.amount_median_rounded end
        as bigint
    ) as value_amount,
    case
        when decided.has_enough_amounts and decided.has_enough_employers then 'nominal US dollars a year, median'
    end as value_unit,
    case
        when decided.is_window_open then 'window_open'
        when decided.is_not_determined then 'not_applicable'
        when decided.is_numerator_shown then 'shown'
        else 'suppressed'
    end as value_status,
    'perturbed' as protection,
    case
        when decided.is_window_open then 'window_open'
        when decided.is_not_determined then ''
        when not decided.is_numerator_shown then 'small_group'
        -- One reason for both: which of the two it is would tell how many people have wages.
        when
            decided.value_kind = 'rate_and_median'
            and not (decided.has_enough_amounts and decided.has_enough_employers)
            then 'few_people_or_employers'
        else ''
    end as suppression_reason
from with_median as decided
inner join {{ ref('cube_organization') }} as organization
    on organization.organization_key = decided.organization_key
