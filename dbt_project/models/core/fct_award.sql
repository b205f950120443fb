-- Grain: one row per accepted row of postsecondary__award (student, institution, award date and level, within a
--       delivery).
-- Rule: A postsecondary credential.
select
    award.record_key,
    institution.organization_key as institution_key,
    cast(coalesce(award.school_year, {{ school_year('award.award_date') }}) as integer) as school_year,
    cast(award.award_date as date) as period_start,
    cast(award.award_date as date) as period_end,
    award.certification,
    award.submitter,
    award.package,
    award.period,
    award.delivery_id,
    award.source_row,
    award.award_date,
    award.credential_level_code,
    award.cip_code,
    award.degree_title,
    cast(award.birth_year as integer) as birth_year
from {{ ref('stg_postsecondary__award') }} as award
left join {{ ref('brg_organization_id') }} as institution
    on institution.naming_code = 'institution' and institution.organization_id = award.institution_id
