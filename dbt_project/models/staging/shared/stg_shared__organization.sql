-- Grain: one row per accepted row of shared__organization (organization and school year, within a delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    accepted.organization_id_state,
    accepted.school_year,
    {{ standard_code('organization_level', 'organization_level_code') }} as organization_level_code,
    accepted.organization_name,
    accepted.parent_organization_id_state,
    accepted.organization_id_nces,
    accepted.opeid,
    {{ standard_code('organization_type', 'organization_type_code') }} as organization_type_code,
    accepted.city,
    accepted.state_abbreviation,
    {{ standard_code('predominant_degree', 'predominant_degree_code') }} as predominant_degree_code,
    {{ standard_code('operational_status', 'operational_status_code') }} as operational_status_code,
    accepted.open_date,
    accepted.close_date,
    {{ standard_code('grade_level', 'low_grade_level_code') }} as low_grade_level_code,
    {{ standard_code('grade_level', 'high_grade_level_code') }} as high_grade_level_code,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'shared__organization') }} as accepted
