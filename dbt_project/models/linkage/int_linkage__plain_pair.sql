{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook="{% if is_incremental() %}delete from {{ this }} as pair where pair.record_key_a in (select record_key_a from {{ ref('int_linkage__edge') }} where change > 0) and exists (select 1 from {{ ref('int_linkage__edge') }} as edge where edge.change > 0 and edge.record_key_a = pair.record_key_a and edge.record_key_b = pair.record_key_b){% endif %}"
) }}
-- One row a pair, with the strongest tier under which it is an edge.
with strongest as (
    select
        record_key_a,
        record_key_b,
        min(tier) as tier,
        bool_or(a_follows) as a_follows
    from {{ ref('int_linkage__edge') }} as edge
    where
        change < 2
        {%- if is_incremental() %}
        -- Of one record's edges first: comparing two columns with ten million rows costs five times as much.
        and record_key_a in (select record_key_a from {{ ref('int_linkage__edge') }} where change > 0)
        and exists (
            select 1 from {{ ref('int_linkage__edge') }} as changed
            where
                changed.change > 0
                and changed.record_key_a = edge.record_key_a
                and changed.record_key_b = edge.record_key_b
        )
        {%- endif %}
    group by record_key_a, record_key_b
)

select
    strongest.record_key_a,
    strongest.record_key_b,
    cast(strongest.tier as integer) as tier,
    policy.rule,
    policy.joins,
    case
        when policy.joins = 'attach'
            then case when strongest.a_follows then strongest.record_key_a else strongest.record_key_b end
    end as follower
from strongest
inner join {{ policy_rows('match_tier', 'tier') }} as policy on strongest.tier = try_cast(policy.tier as smallint)
