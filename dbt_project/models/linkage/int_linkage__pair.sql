-- Candidates share a key; a pair is a candidate that passes every guard of its tier. Groups above a tier's cap give none.
{%- set guards = identity_guards() %}
with tier as (
    select
        try_cast(tier as integer) as tier,
        rule,
        key_name,
        joins,
        try_cast(cap as integer) as cap,
        coalesce(try_cast(name_limit as integer), 2147483647) as name_limit,
        {%- for name in guards %}
        list_contains(string_split(guard, ';'), '{{ name }}') as needs_{{ name }},
        {%- endfor %}
        -- A guard nobody wrote would pass silently; it stops the build instead.
        case
            when len(list_filter(string_split(guard, ';'), lambda name: not list_contains({{ guards.keys() | list }}, name))) > 0
                then error('seeds/policy/match_tier.csv, tier ' || tier || ': a guard is not known; see macros/identity_guard.sql')
            else true
        end as is_understood
    from {{ ref('match_tier') }}
),

key_group as (
    select
        keyed.key_name,
        keyed.key_text,
        count(*) as record_count,
        count(distinct record.birth_date) as birth_date_count,
        -- Two numbers of one issuer with two given names under one surname and birth date: twins are known here.
        coalesce(max(record.student_id_state) <> min(record.student_id_state), false)
        and count(distinct record.given_root) > 1 as has_twins
    from {{ ref('int_linkage__key') }} as keyed
    inner join {{ ref('stg_identity__record') }} as record on keyed.record_key = record.record_key
    group by keyed.key_name, keyed.key_text
    having count(*) between 2 and (select max(cap) from tier)
),

twin as (
    select distinct keyed.record_key
    from {{ ref('int_linkage__key') }} as keyed
    inner join key_group on keyed.key_name = key_group.key_name and keyed.key_text = key_group.key_text
    where key_group.has_twins and keyed.key_name in ('surname_birth_zip', 'surname_birth_middle')
),

-- The more birth dates are known under a full name, the less an agreement on it proves.
full_name as (
    select
        given_root,
        surname,
        count(distinct birth_date) as name_count
    from {{ ref('stg_identity__record') }}
    where given_root is not null and surname is not null
    group by given_root, surname
),

record as (
    select
        staged.*,
        coalesce(full_name.name_count, 0) as name_count,
        twin.record_key is not null as is_twin_name
    from {{ ref('stg_identity__record') }} as staged
    left join full_name on staged.given_root = full_name.given_root and staged.surname = full_name.surname
    left join twin on staged.record_key = twin.record_key
),

candidate as (
    select
        first.record_key as record_key_a,
        second.record_key as record_key_b,
        key_group.key_name,
        min(key_group.record_count) as record_count,
        min(key_group.birth_date_count) as birth_date_count
    from key_group
    inner join {{ ref('int_linkage__key') }} as first
        on key_group.key_name = first.key_name and key_group.key_text = first.key_text
    inner join {{ ref('int_linkage__key') }} as second
        on
            key_group.key_name = second.key_name
            and key_group.key_text = second.key_text
            and first.record_key < second.record_key
    group by first.record_key, second.record_key, key_group.key_name
),

compared as (
    select
        candidate.record_key_a,
        candidate.record_key_b,
        candidate.key_name,
        candidate.record_count,
        greatest(a.name_count, b.name_count) as name_count,
        -- Of two records that attach, the one that follows: wages follow anyone, bare numbers follow a name.
        case
            when a.sector = 'workforce' and b.sector <> 'workforce' then a.record_key
            when b.sector = 'workforce' and a.sector <> 'workforce' then b.record_key
            when a.is_bare then a.record_key
            else b.record_key
        end as follower,
        {%- for name, condition in guards.items() %}
        coalesce({{ condition }}, false) as {{ name }}{{ "," if not loop.last }}
        {%- endfor %}
    from candidate
    inner join record as a on candidate.record_key_a = a.record_key
    inner join record as b on candidate.record_key_b = b.record_key
),

passed as (
    select
        compared.record_key_a,
        compared.record_key_b,
        tier.tier,
        tier.rule,
        tier.joins,
        case when tier.joins = 'attach' then compared.follower end as follower
    from compared
    inner join tier on compared.key_name = tier.key_name
    where
        compared.record_count <= tier.cap
        and compared.name_count <= tier.name_limit
        and tier.is_understood
        {%- for name in guards %}
        and (compared.{{ name }} or not tier.needs_{{ name }})
        {%- endfor %}
)

select
    record_key_a,
    record_key_b,
    min(tier) as tier,
    arg_min(rule, tier) as rule,
    arg_min(joins, tier) as joins,
    -- Not arg_min: it passes over nulls, and a link has no follower.
    case when arg_min(joins, tier) = 'attach' then min(follower) end as follower
from passed
group by record_key_a, record_key_b
