-- Tested: the bridge names no person that merged into another since. Matters when merges form a long chain.
-- To resolve: raise longest_chain in brg_record_person, or let identity redirect straight to the survivor.
{{ config(severity='error', meta={'dagster': {'ref': {'name': 'brg_record_person'}}}) }}

select
    link.record_key,
    link.person_key
from {{ ref('brg_record_person') }} as link
inner join (
    select
        record_key,
        max(valid_from_build) as valid_from_build
    from {{ source('registry', 'brg_record_person') }}
    group by record_key
) as newest
    on newest.record_key = link.record_key
inner join {{ source('registry', 'person_redirect') }} as redirect
    on redirect.old_person_key = link.person_key and redirect.build_id > newest.valid_from_build
where
    -- A survivor whose key came back by a later split has a redirect from before its own survival.
    not exists (
        select 1
        from {{ source('registry', 'person_redirect') }} as survival
        where survival.person_key = link.person_key and survival.build_id > redirect.build_id
    )
