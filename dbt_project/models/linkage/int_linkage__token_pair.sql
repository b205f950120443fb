-- Pairs by tokens, of which at least one record came as tokens. A composite key has its second field inside, so the
-- guards here need nothing that a token hides. Made whole each night: there are few beside the pairs by identifiers.
-- depends_on: {{ ref('identity_parameter') }}
{%- set names = ['no_wage', 'both_wage', 'one_wage', 'both_bare', 'one_bare', 'same_sector', 'sex_compatible'] %}
{%- set guards = identity_guards() %}
with tier as (
    select
        try_cast(tier as integer) as tier,
        rule,
        key_name,
        joins,
        try_cast(cap as integer) as cap,
        {%- for name in names %}
        list_contains(string_split(guard, ';'), '{{ name }}') as needs_{{ name }},
        {%- endfor %}
        case
            when len(list_filter(string_split(guard, ';'), lambda name: not list_contains({{ names }}, name))) > 0
                then error('seeds/policy/match_tier.csv, tier ' || tier || ': a token tier takes the guards {{ names | join(", ") }} only')
            when name_limit <> ''
                then error('seeds/policy/match_tier.csv, tier ' || tier || ': tokens hide names, so a token tier takes no name_limit')
            else true
        end as is_understood
    from {{ policy_rows('match_tier', 'tier') }} as policy
    where starts_with(key_name, 'token_')
),

keyed as (
    select
        token_key.record_key,
        token_key.key_name,
        token_key.key_text,
        token_key.is_delivered,
        record.sector,
        record.sector = 'workforce' as is_wage,
        record.sex_code,
        case when token_key.is_delivered then token_key.is_number_only else record.is_bare end as is_bare
    from {{ ref('int_linkage__token_key') }} as token_key
    inner join {{ ref('stg_identity__record') }} as record on token_key.record_key = record.record_key
),

key_group as (
    select
        key_name,
        key_text,
        count(*) as record_count
    from keyed
    group by key_name, key_text
    having count(*) between 2 and (select max(cap) from tier)
),

compared as (
    select
        a.record_key as record_key_a,
        b.record_key as record_key_b,
        key_group.key_name,
        key_group.record_count,
        -- Wages follow anyone, bare numbers follow a name.
        case
            when a.is_wage and not b.is_wage then a.record_key
            when b.is_wage and not a.is_wage then b.record_key
            when a.is_bare then a.record_key
            else b.record_key
        end as follower,
        {%- for name in names %}
        coalesce({{ guards[name] }}, false) as {{ name }}{{ "," if not loop.last }}
        {%- endfor %}
    from key_group
    inner join keyed as a on key_group.key_name = a.key_name and key_group.key_text = a.key_text
    inner join keyed as b
        on
            key_group.key_name = b.key_name
            and key_group.key_text = b.key_text
            and a.record_key < b.record_key
            and (a.is_delivered or b.is_delivered)
)

select
    compared.record_key_a,
    compared.record_key_b,
    min(tier.tier) as tier,
    arg_min(tier.rule, tier.tier) as rule,
    arg_min(tier.joins, tier.tier) as joins,
    -- Not arg_min: it passes over nulls, and a link has no follower.
    case when arg_min(tier.joins, tier.tier) = 'attach' then min(compared.follower) end as follower
from compared
inner join tier on compared.key_name = tier.key_name
where
    compared.record_count <= tier.cap
    and tier.is_understood
    {%- for name in names %}
    and (compared.{{ name }} or not tier.needs_{{ name }})
    {%- endfor %}
group by compared.record_key_a, compared.record_key_b
