{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['key_number', 'unit', 'record_key_a', 'record_key_b'],
    on_schema_change='fail',
    pre_hook=[
        "{% if is_incremental() %}delete from {{ this }} where change = 2{% endif %}",
        "{% if is_incremental() %}update {{ this }} set change = 0 where change = 1{% endif %}"
    ]
) }}
-- Two records of one group are an edge when they pass a tier of the group's kind of key. A night computes the groups
-- that its records touch and keeps what differs: change 1 for an edge that came or changed its tier, 2 for one that
-- went and stays for this night only.
-- depends_on: {{ ref('identity_parameter') }}
-- depends_on: {{ ref('match_tier') }}
-- depends_on: {{ ref('int_linkage__key') }}
-- depends_on: {{ ref('int_linkage__name') }}
-- depends_on: {{ ref('int_linkage__unit') }}
-- depends_on: {{ ref('stg_identity__record') }}
{%- set tiers = identity_tiers() %}
{%- set used = [] %}
{%- for key in identity_keys() %}{% if tiers.get(key.name) %}{% do used.append([key, loop.index]) %}{% endif %}{% endfor %}
with
{%- if is_incremental() %} changed as materialized (
    select
        student_id,
        local_id,
        ssn,
        name
    from {{ ref('int_linkage__key') }}
    where is_new or is_gone
),

-- Half of the kinds of keys hold a full name, and each would look for its groups among all records. A group is computed
-- again only under a name of what came or went: nothing else makes a name common, or common no longer.
named as materialized (
    select
        record_key,
        is_whole,
        sector,
        is_wage,
        is_bare,
        student_id,
        ssn,
        given,
        surname,
        name,
        birth_date,
        birth_month,
        postal_code,
        middle_name,
        middle_initial,
        sex_code,
        name_suffix,
        is_gone
    from {{ ref('int_linkage__key') }}
    where name in {{ sought('changed', 'name') }}
),
{% endif %}
{%- for key, place in used %}
{{ identity_key_pairs(place, key, tiers[key.name]) }},
{% endfor %}
-- Names as text, read once for all kinds of keys and only where the numbers left something to read.
name_text as materialized (
    select
        record_key,
        given_root,
        given_initial,
        given_name,
        surname,
        surname_tokens
    from {{ ref('stg_identity__record') }}
    where record_key in (
        select null::bigint
        {%- for key, place in used if key.text %}
        union all
        select record_key_a from {{ key.name }}_pair where is_read
        union all
        select record_key_b from {{ key.name }}_pair where is_read
        {%- endfor %}
    )
),

found as (
    select
        0 as key_number, 0::ubigint as unit, 0::bigint as record_key_a, 0::bigint as record_key_b, false as a_follows,
        0::smallint as tier
    where false
    {%- for key, place in used %}
    union all
    {{ identity_key_edges(place, key, tiers[key.name]) }}
    {%- endfor %}
)

{%- if is_incremental() %},

-- By one column first: a scan passes over what is not sought (macro sought), of two columns it reads all.
near as materialized (
    select *
    from {{ this }}
    where unit in {{ sought(ref('int_linkage__unit'), 'unit') }}
),

before as (
    select *
    from near as edge
    where exists (
        select 1 from {{ ref('int_linkage__unit') }} as touched
        where touched.key_number = edge.key_number and touched.unit = edge.unit
    )
)

select
    coalesce(found.key_number, before.key_number) as key_number,
    coalesce(found.unit, before.unit) as unit,
    coalesce(found.record_key_a, before.record_key_a) as record_key_a,
    coalesce(found.record_key_b, before.record_key_b) as record_key_b,
    coalesce(found.a_follows, before.a_follows) as a_follows,
    coalesce(found.tier, before.tier) as tier,
    case when found.tier is null then 2 else 1 end as change
from found
full outer join before
    on
        found.key_number = before.key_number
        and found.unit = before.unit
        and found.record_key_a = before.record_key_a
        and found.record_key_b = before.record_key_b
where found.tier is distinct from before.tier
{%- else %}

select
    key_number,
    unit,
    record_key_a,
    record_key_b,
    a_follows,
    tier,
    0 as change
from found
{%- endif %}
