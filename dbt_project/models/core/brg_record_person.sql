-- Grain: one row per record of the identity registry, with the person it belongs to today.
-- Rule: the link of the newest build holds; a person who merged into another since then is followed to the survivor.
--       A redirect older than the link says nothing about it: after a split a record may get its former person back.
{% set longest_chain = 5 %}

with newest_link as (
    select
        record_key,
        person_key,
        sector,
        rule,
        has_ssn,
        valid_from_build as known_since_build
    from (
        select
            *,
            row_number() over (partition by record_key order by valid_from_build desc, person_key) as recency
        from {{ source('registry', 'brg_record_person') }}
    ) as link
    where recency = 1
),

newest_redirect as (
    select
        old_person_key,
        person_key,
        build_id
    from (
        select
            *,
            row_number() over (partition by old_person_key order by build_id desc, person_key) as recency
        from {{ source('registry', 'person_redirect') }}
    ) as redirect
    where recency = 1
),

{% for step in range(1, longest_chain + 1) %}
step_{{ step }} as (
    select
        link.record_key,
        coalesce(redirect.person_key, link.person_key) as person_key,
        link.sector,
        link.rule,
        link.has_ssn,
        coalesce(redirect.build_id, link.known_since_build) as known_since_build
    from {{ 'newest_link' if step == 1 else 'step_' ~ (step - 1) }} as link
    left join newest_redirect as redirect
        on redirect.old_person_key = link.person_key and redirect.build_id >= link.known_since_build
){{ ',' if not loop.last }}

{% endfor %}
select
    record_key,
    person_key,
    sector,
    rule,
    cast(coalesce(has_ssn, false) as boolean) as has_ssn
from step_{{ longest_chain }}
