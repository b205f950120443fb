-- Tested: the directory names at most one state. Where it names more, only the newest is kept.
-- To resolve: ask the state agency which identifier is its own.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'dim_organization'}}}) }}

select
    organization_level_code,
    count(distinct organization_id_state) as state_count
from {{ ref('stg_shared__organization') }}
where organization_level_code = 'state'
group by organization_level_code
having count(distinct organization_id_state) > 1
