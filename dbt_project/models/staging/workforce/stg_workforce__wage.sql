-- Grain: one row per accepted row of workforce__wage (person, employer and quarter, within a delivery).
-- Rule: nothing to map; the collection has no coded column.
select
    accepted.employer_unit,
    accepted.wage_year,
    accepted.wage_quarter,
    accepted.wage_amount,
    accepted.state_fips,
    accepted.record_key,
    accepted.employer_key,
    accepted.school_year,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'workforce__wage') }} as accepted
