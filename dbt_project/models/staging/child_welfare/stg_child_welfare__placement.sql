-- Grain: one row per accepted row of child_welfare__placement (child and placement date, within a delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    accepted.placement_date,
    accepted.placement_end_date,
    {{ standard_code('living_arrangement', 'living_arrangement_code') }} as living_arrangement_code,
    {{ standard_code('foster_home_type', 'foster_home_type_code') }} as foster_home_type_code,
    accepted.record_key,
    accepted.school_year,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'child_welfare__placement') }} as accepted
