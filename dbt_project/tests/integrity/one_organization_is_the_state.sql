-- Tested: exactly one organization has level state, so that every statewide figure has one home.
-- To resolve: correct the organization directory of the state agency.
{{ config(severity='error', meta={'dagster': {'ref': {'name': 'dim_organization'}}}) }}

select count(*) as state_count
from {{ ref('dim_organization') }}
where organization_level = 'state'
having count(*) <> 1
