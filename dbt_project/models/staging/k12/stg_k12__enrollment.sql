-- Grain: one row per accepted row of k12__enrollment (student, school year, school and entry date, within a
--       delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    accepted.school_year,
    accepted.school_id_state,
    accepted.entry_date,
    accepted.lea_id_state,
    {{ standard_code('entry_type', 'entry_type_code') }} as entry_type_code,
    accepted.exit_date,
    {{ standard_code('exit_withdrawal_type', 'exit_withdrawal_type_code') }} as exit_withdrawal_type_code,
    {{ standard_code('exit_documentation', 'exit_documentation_code') }} as exit_documentation_code,
    {{ standard_code('grade_level', 'grade_level_code') }} as grade_level_code,
    {{ standard_code('responsibility', 'responsibility_code') }} as responsibility_code,
    accepted.record_key,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'k12__enrollment') }} as accepted
