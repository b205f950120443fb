-- Grain: one row per accepted row of k12__program_participation (student, program, organization and begin date,
--       within a delivery).
-- Rule: Programs and student characteristics, at the district or the school that reports them.
select
    participation.record_key,
    organization.organization_key,
    case
        when directory.organization_level = 'lea' then directory.organization_key
        else directory.lea_key
    end as lea_key,
    cast(
        coalesce(participation.school_year, {{ school_year('participation.begin_date') }}) as integer
    ) as school_year,
    cast(participation.begin_date as date) as period_start,
    cast(coalesce(participation.end_date, {{ school_year_end('participation.school_year') }}) as date) as period_end,
    participation.certification,
    participation.submitter,
    participation.package,
    participation.period,
    participation.delivery_id,
    participation.source_row,
    participation.program_type_code,
    participation.begin_date,
    participation.end_date,
    participation.source_detail_code
from {{ ref('stg_k12__program_participation') }} as participation
left join {{ ref('brg_organization_id') }} as organization
    on organization.naming_code = 'lea_or_school' and organization.organization_id = participation.organization_id_state
left join {{ ref('dim_organization') }} as directory
    on directory.organization_key = organization.organization_key
