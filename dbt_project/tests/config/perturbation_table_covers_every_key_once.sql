-- What: for every count the noise table has each key from 0 to the modulus exactly once, with mean zero and the variance
-- that it states; no count becomes negative; and each band of counts begins where the one before it ends.
-- When it matters: a key without a row gets no noise, a key with two rows doubles a cell, a mean off zero bends every
-- figure, and a smaller variance than stated protects less than was voted.
-- To resolve: correct seeds/policy/perturbation_table.csv.
{{ config(severity='error', meta={'dagster': {'ref': {'name': 'perturbed_indicator'}}}) }}
with {{ cell_key_policy() }},

stated as (
    select distinct
        cast(count_from as bigint) as count_from,
        cast(variance as decimal(9, 6)) as variance
    from {{ policy_set('perturbation_table') }} as noise_table
),

band as (
    select
        perturbation_row.count_from,
        perturbation_row.count_to,
        min(perturbation_row.count_from + perturbation_row.noise) as least_count,
        sum(perturbation_row.key_to - perturbation_row.key_from + 1) as key_count,
        max(perturbation_row.key_to) as last_key,
        min(perturbation_row.key_from) as first_key,
        sum((perturbation_row.key_to - perturbation_row.key_from + 1) * perturbation_row.noise) as noise_sum,
        sum(
            (perturbation_row.key_to - perturbation_row.key_from + 1) * perturbation_row.noise * perturbation_row.noise
        ) as square_sum
    from perturbation_row
    group by perturbation_row.count_from, perturbation_row.count_to
),

followed as (
    select
        band.*,
        coalesce(lag(band.count_to) over (order by band.count_from), 0) as last_before,
        lead(band.count_from) over (order by band.count_from) as next_from
    from band
)

select
    followed.count_from,
    followed.key_count,
    followed.noise_sum,
    followed.least_count
from followed
cross join cell_policy
left join stated on stated.count_from = followed.count_from
where
    followed.key_count <> cell_policy.key_modulus
    or followed.first_key <> 0
    or followed.last_key <> cell_policy.key_modulus - 1
    or followed.noise_sum <> 0
    or followed.least_count < 0
    or followed.count_from - 1 <> followed.last_before
    or (followed.next_from is null and followed.count_to < 9223372036854775807)
    or coalesce(followed.square_sum <> stated.variance * cell_policy.key_modulus, true)
