-- Grain: one row per accepted row of postsecondary__award (student, institution, award date and level, within a
--       delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    accepted.institution_id,
    accepted.award_date,
    {{ standard_code('credential_level', 'credential_level_code') }} as credential_level_code,
    accepted.cip_code,
    accepted.degree_title,
    accepted.birth_year,
    accepted.record_key,
    accepted.school_year,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'postsecondary__award') }} as accepted
