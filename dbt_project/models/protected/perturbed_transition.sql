-- Grain: transition x cohort year x type and code of origin x type and code of destination.
-- Rule: cell-key perturbation (macro cell_key). Flows under the minimum, exact or perturbed, have no row: a reader
-- cannot tell a hidden flow from none. What flows leave of the people of their origin is protected too: those found in
-- college are told exactly beside them, and those with an award stand beside the rate found in employment, which is
-- hidden where its rest is small. So a flow is hidden that leaves fewer than the minimum, and where all hidden flows of
-- an origin are fewer people than the minimum, the smallest of the others is hidden with them. Programs before
-- kindergarten are groups of kindergarten readiness, of which each is told by itself.
{% set origin = 'transition_code, cohort_year, origin_type_code, origin_code, people_code' %}
with {{ cell_key_policy() }},

of_origin as (
    select
        flow.*,
        sum(flow.person_count) over (partition by {{ origin }}) as origin_count
    from (
        select
            *,
            -- Of each people of an origin every person has one flow: those not found are in no industry.
            case when destination_type_code = 'not_found' then 'industry' else destination_type_code end as people_code
        from {{ ref('cube_transition') }}
    ) as flow
),

noisy as (
    select
        flow.*,
        cell_policy.minimum_count,
        {{ cell_key_count('noise', 'flow.person_count') }} as noisy_count,
        flow.transition_code <> 'early_childhood__kindergarten' as has_rest
    from of_origin as flow
    cross join cell_policy
    {{ cell_key_noise('noise', 'flow.person_count', 'flow.perturbation_sum') }}
),

judged as (
    select
        *,
        coalesce(
            person_count >= minimum_count and noisy_count >= minimum_count
            and (
                not has_rest
                or (
                    origin_count - person_count >= minimum_count
                    and origin_count - noisy_count >= minimum_count
                )
            ),
            false
        ) as is_large
    from noisy
),

beside as (
    select
        *,
        sum(case when is_large then 0 else person_count end) over (partition by {{ origin }}) as hidden_count,
        min(person_count) over (partition by {{ origin }}, is_large) as smallest_count
    from judged
)

select
    flow.transition_code,
    flow.cohort_year,
    flow.origin_type_code,
    flow.origin_code,
    coalesce(origin.organization_name, origin_group.group_name, flow.origin_code) as origin_name,
    flow.destination_type_code,
    flow.destination_code,
    case
        when destination.organization_name is not null then destination.organization_name
        when sector.sector_name is not null then sector.sector_name
        when kind.kind_name is not null then kind.kind_name
        when flow.destination_code = 'institution_not_named' then 'An institution that was not named'
        when flow.destination_code = 'not_found' then 'Not found in covered employment'
        when flow.destination_code = 'industry_not_known' then 'Industry not known'
        else flow.destination_code
    end as destination_name,
    cast(flow.noisy_count as bigint) as person_count,
    'shown' as value_status,
    'perturbed' as protection
from beside as flow
left join {{ ref('cube_organization') }} as origin
    on origin.organization_key = flow.origin_organization_key
left join {{ ref('cube_organization') }} as destination
    on destination.organization_key = flow.destination_organization_key
left join {{ ref('student_group') }} as origin_group
    on origin_group.breakdown_code = 'prior_early_childhood'
    and origin_group.group_code = flow.origin_code
    and flow.origin_type_code = 'program'
left join (select distinct sector_code, sector_name from {{ ref('industry_sector') }}) as sector
    on sector.sector_code = flow.destination_code and flow.destination_type_code = 'industry'
left join (select distinct kind_code, kind_name from {{ ref('institution_kind') }}) as kind
    on concat('kind:', kind.kind_code) = flow.destination_code and flow.destination_type_code = 'institution_kind'
where
    flow.is_large
    and (
        not flow.has_rest
        or flow.hidden_count = 0
        or flow.hidden_count >= flow.minimum_count
        or flow.person_count > flow.smallest_count
    )
