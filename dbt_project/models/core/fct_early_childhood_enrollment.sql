-- Grain: one row per accepted row of early_childhood__program_enrollment (child, program and entry date, within a
--       delivery).
-- Rule: A spell in Head Start, state pre-K or subsidized care.
select
    enrollment.record_key,
    organization.organization_key,
    enrollment.provider_key,
    cast(coalesce(enrollment.school_year, {{ school_year('enrollment.entry_date') }}) as integer) as school_year,
    cast(enrollment.entry_date as date) as period_start,
    cast(coalesce(enrollment.exit_date, {{ school_year_end('enrollment.school_year') }}) as date) as period_end,
    enrollment.certification,
    enrollment.submitter,
    enrollment.package,
    enrollment.period,
    enrollment.delivery_id,
    enrollment.source_row,
    enrollment.program_type_code,
    enrollment.entry_date,
    enrollment.exit_date,
    enrollment.sex_code,
    enrollment.is_hispanic,
    enrollment.is_american_indian,
    enrollment.is_asian,
    enrollment.is_black,
    enrollment.is_pacific_islander,
    enrollment.is_white,
    enrollment.is_middle_eastern,
    cast(enrollment.birth_year as integer) as birth_year,
    enrollment.family_county_fips,
    enrollment.is_single_parent,
    enrollment.care_reason_code,
    cast(enrollment.copayment_amount as decimal(12,3)) as copayment_amount,
    enrollment.assistance_start_month,
    cast(enrollment.monthly_income_amount as decimal(12,3)) as monthly_income_amount,
    cast(enrollment.family_size_count as integer) as family_size_count,
    enrollment.is_homeless,
    enrollment.has_disability,
    enrollment.care_type_code,
    cast(enrollment.weekly_hours as decimal(12,3)) as weekly_hours
from {{ ref('stg_early_childhood__program_enrollment') }} as enrollment
left join {{ ref('brg_organization_id') }} as organization
    on organization.naming_code = 'provider_or_school'
    and organization.organization_id = enrollment.organization_id_state
