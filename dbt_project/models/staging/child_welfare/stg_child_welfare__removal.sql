-- Grain: one row per accepted row of child_welfare__removal (child and removal date, within a delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    accepted.removal_date,
    accepted.removal_transaction_date,
    {{ standard_code('environment_at_removal', 'environment_at_removal_code') }} as environment_at_removal_code,
    accepted.exit_date,
    accepted.exit_transaction_date,
    {{ standard_code('removal_exit_reason', 'exit_reason_code') }} as exit_reason_code,
    accepted.record_key,
    accepted.school_year,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'child_welfare__removal') }} as accepted
