-- Grain: one row per accepted row of child_welfare__client (child and school year, within a delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    accepted.school_year,
    {{ standard_code('sex', 'sex_code') }} as sex_code,
    accepted.is_hispanic,
    accepted.is_american_indian,
    accepted.is_asian,
    accepted.is_black,
    accepted.is_pacific_islander,
    accepted.is_white,
    accepted.is_middle_eastern,
    accepted.birth_year,
    accepted.record_key,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'child_welfare__client') }} as accepted
