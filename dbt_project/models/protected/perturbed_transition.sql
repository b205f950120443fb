-- Grain: transition x cohort year x type and code of origin x type and code of destination.
-- Rule: cell-key perturbation (macro cell_key). Flows under the minimum, exact or perturbed, have no row: a reader
-- cannot tell a hidden flow from none.
with {{ cell_key_policy() }},

noisy as (
    select
        flow.*,
        cell_policy.minimum_count,
        {{ cell_key_count('noise', 'flow.person_count') }} as noisy_count
    from {{ ref('cube_transition') }} as flow
    cross join cell_policy
    {{ cell_key_noise('noise', 'flow.person_count', 'flow.perturbation_sum') }}
)

select
    noisy.transition_code,
    noisy.cohort_year,
    noisy.origin_type_code,
    noisy.origin_code,
    coalesce(origin.organization_name, origin_group.group_name, noisy.origin_code) as origin_name,
    noisy.destination_type_code,
    noisy.destination_code,
    case
        when destination.organization_name is not null then destination.organization_name
        when sector.sector_name is not null then sector.sector_name
        when kind.kind_name is not null then kind.kind_name
        when noisy.destination_code = 'institution_not_named' then 'An institution that was not named'
        when noisy.destination_code = 'not_found' then 'Not found in covered employment'
        when noisy.destination_code = 'industry_not_known' then 'Industry not known'
        else noisy.destination_code
    end as destination_name,
    cast(noisy.noisy_count as bigint) as person_count,
    'shown' as value_status,
    'perturbed' as protection
from noisy
left join {{ ref('cube_organization') }} as origin
    on origin.organization_key = noisy.origin_organization_key
left join {{ ref('cube_organization') }} as destination
    on destination.organization_key = noisy.destination_organization_key
left join {{ ref('student_group') }} as origin_group
    on origin_group.breakdown_code = 'prior_early_childhood'
    and origin_group.group_code = noisy.origin_code
    and noisy.origin_type_code = 'program'
left join (select distinct sector_code, sector_name from {{ ref('industry_sector') }}) as sector
    on sector.sector_code = noisy.destination_code and noisy.destination_type_code = 'industry'
left join (select distinct kind_code, kind_name from {{ ref('institution_kind') }}) as kind
    on concat('kind:', kind.kind_code) = noisy.destination_code and noisy.destination_type_code = 'institution_kind'
where noisy.person_count >= noisy.minimum_count and noisy.noisy_count >= noisy.minimum_count
