-- Grain: one row per accepted row of k12__completion (student and school year, within a delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    accepted.school_year,
    accepted.school_id_state,
    accepted.lea_id_state,
    {{ standard_code('diploma_type', 'diploma_type_code') }} as diploma_type_code,
    accepted.completion_date,
    accepted.record_key,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'k12__completion') }} as accepted
