-- Grain: one row per way of naming (naming_code) and identifier that deliveries use for an organization.
-- Rule: a delivery that names no level means the organization of that id at the first fitting level; an institution
--       answers to its state identifier and to its OPEID.
with naming as (
    select
        organization_level as naming_code,
        organization_id_state as organization_id,
        1 as precedence,
        organization_key
    from {{ ref('dim_organization') }}
    where organization_level in ('school', 'lea', 'institution')
    union all
    select
        'institution' as naming_code,
        opeid as organization_id,
        2 as precedence,
        organization_key
    from {{ ref('dim_organization') }}
    where organization_level = 'institution' and opeid is not null
    union all
    select
        'lea_or_school' as naming_code,
        organization_id_state as organization_id,
        case organization_level when 'lea' then 1 else 2 end as precedence,
        organization_key
    from {{ ref('dim_organization') }}
    where organization_level in ('lea', 'school')
    union all
    select
        'provider_or_school' as naming_code,
        organization_id_state as organization_id,
        case organization_level when 'provider' then 1 else 2 end as precedence,
        organization_key
    from {{ ref('dim_organization') }}
    where organization_level in ('provider', 'school')
)

select
    naming_code,
    organization_id,
    organization_key
from (
    select
        naming_code,
        organization_id,
        organization_key,
        row_number() over (
            partition by naming_code, organization_id order by precedence, organization_key
        ) as choice
    from naming
) as ranked
where choice = 1
