-- Grain: one row per accepted row of k12__program_participation (student, program, organization and begin date,
--       within a delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    {{ standard_code('program_type', 'program_type_code') }} as program_type_code,
    accepted.organization_id_state,
    accepted.begin_date,
    accepted.end_date,
    accepted.school_year,
    accepted.source_detail_code,
    accepted.record_key,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'k12__program_participation') }} as accepted
