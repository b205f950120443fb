-- Tested: every school belongs to a local education agency. Matters because district figures would miss its students.
-- To resolve: fill the parent organization in the directory.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'dim_organization'}}}) }}

select
    organization_key,
    organization_id_state
from {{ ref('dim_organization') }}
where organization_level = 'school' and lea_key is null
