-- What: for every count the noise table has each key from 0 to the modulus exactly once, with mean zero.
-- When it matters: a key without a row gets no noise, a key with two rows doubles a cell.
-- To resolve: correct seeds/policy/perturbation_table.csv.
{{ config(severity='error', meta={'dagster': {'ref': {'name': 'perturbed_indicator'}}}) }}
with {{ cell_key_policy() }}

select
    perturbation_row.count_from,
    sum(perturbation_row.key_to - perturbation_row.key_from + 1) as key_count,
    sum((perturbation_row.key_to - perturbation_row.key_from + 1) * perturbation_row.noise) as noise_sum
from perturbation_row
cross join cell_policy
group by perturbation_row.count_from, cell_policy.key_modulus
having
    sum(perturbation_row.key_to - perturbation_row.key_from + 1) <> cell_policy.key_modulus
    or sum((perturbation_row.key_to - perturbation_row.key_from + 1) * perturbation_row.noise) <> 0
