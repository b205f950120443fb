-- Tested: the directory knows every organization that a delivery names. Matters for names, districts and report pages.
-- To resolve: add the organization to the directory, or correct the identifier in the delivery.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'dim_organization'}}}) }}

select
    organization_level,
    organization_id_state
from {{ ref('dim_organization') }}
where not is_in_directory and organization_level <> 'state'
