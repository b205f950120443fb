-- Grain: one row per accepted row of workforce__employer (employer and quarter, within a delivery).
-- Rule: a code as sent becomes the standard code of its package (seeds/crosswalks/code.csv); others stay as sent.
select
    accepted.wage_year,
    accepted.wage_quarter,
    accepted.naics_code,
    {{ standard_code('ownership', 'ownership_code') }} as ownership_code,
    accepted.county_fips,
    accepted.month_one_employment_count,
    accepted.month_two_employment_count,
    accepted.month_three_employment_count,
    accepted.employer_key,
    accepted.school_year,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'workforce__employer') }} as accepted
