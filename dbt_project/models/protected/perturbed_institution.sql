-- Grain: one row per postsecondary institution. Rule: the students found there in its newest year, by cell-key
-- perturbation (macro cell_key); an institution without delivered enrollment has no number.
with {{ cell_key_policy() }},

noisy as (
    select
        institution.*,
        cell_policy.minimum_count,
        {{ cell_key_count('noise', 'institution.enrolled_count') }} as noisy_count
    from {{ ref('cube_organization') }} as institution
    cross join cell_policy
    {{ cell_key_noise('noise', 'institution.enrolled_count', 'institution.perturbation_sum') }}
    where institution.organization_level = 'institution'
)

select
    coalesce(opeid, organization_id_state) as opeid,
    organization_name as institution_name,
    city,
    state_abbreviation,
    predominant_degree_code,
    institution_level_code,
    institution_control_code,
    cast(
        case when enrolled_count >= minimum_count and noisy_count >= minimum_count then noisy_count end as bigint
    ) as enrolled_count,
    cast(school_year as integer) as school_year,
    case
        when enrolled_count is null then 'not_applicable'
        when enrolled_count >= minimum_count and noisy_count >= minimum_count then 'shown'
        else 'suppressed'
    end as value_status,
    'perturbed' as protection
from noisy
