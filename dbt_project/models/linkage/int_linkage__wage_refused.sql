{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook="{% if is_incremental() %}delete from {{ this }} where ssn in (select ssn from {{ ref('int_linkage__key') }} where is_whole and (is_new or is_gone or record_key in (select record_key_a from {{ ref('int_linkage__edge') }} where change > 0 union all select record_key_b from {{ ref('int_linkage__edge') }} where change > 0))){% endif %}"
) }}
-- Wages whose SSN is bound to a person but whose names agree with no record that bears it: not linked, never "jobless".
-- A number that more records bear than the policy's cap (match_tier, wages by SSN) is nobody's: its wages are refused
-- whatever the names. Of such a crowd each wage is told beside one record and each record beside one wage, not every
-- pair. A night computes the SSNs again that its records, or the pairs of whoever bears them, touch.
-- depends_on: {{ ref('int_linkage__edge') }}
with
{%- if is_incremental() %} touched as (
    select distinct ssn
    from {{ ref('int_linkage__key') }}
    where
        is_whole
        and ssn is not null
        and (
            is_new
            or is_gone
            or record_key in (
                select record_key_a from {{ ref('int_linkage__edge') }} where change > 0
                union all
                select record_key_b from {{ ref('int_linkage__edge') }} where change > 0
            )
        )
),
{%- endif %}

bearer as (
    select
        record_key,
        is_wage,
        ssn
    from {{ ref('int_linkage__key') }}
    where
        is_whole
        and not is_gone
        and ssn is not null
        {%- if is_incremental() %}
        and ssn in (select ssn from touched)
        {%- endif %}
),

crowd as (
    select ssn
    from bearer
    group by ssn
    having
        count(*) > (
            select max(try_cast(cap as bigint))
            from {{ policy_rows('match_tier', 'tier') }} as policy
            where key_name = 'ssn' and joins = 'attach'
        )
),

first_bearer as (
    select
        ssn,
        min(case when is_wage then record_key end) as wage_key,
        min(case when not is_wage then record_key end) as anchor_key
    from bearer
    where ssn in (select ssn from crowd)
    group by ssn
),

unpaired as (
    select
        wage.ssn,
        wage.record_key,
        anchor.record_key as anchor_record_key
    from bearer as wage
    inner join bearer as anchor on wage.ssn = anchor.ssn
    left join {{ ref('int_linkage__pair') }} as pair
        on
            least(wage.record_key, anchor.record_key) = pair.record_key_a
            and greatest(wage.record_key, anchor.record_key) = pair.record_key_b
    where
        wage.is_wage
        and not anchor.is_wage
        and pair.record_key_a is null
        and wage.ssn not in (select ssn from crowd)
),

-- The first wage and the first record of a crowd meet in both branches, hence union.
crowded as (
    select
        bearer.ssn,
        bearer.record_key,
        first_bearer.anchor_key as anchor_record_key
    from bearer
    inner join first_bearer on bearer.ssn = first_bearer.ssn
    where bearer.is_wage and first_bearer.anchor_key is not null
    union
    select
        bearer.ssn,
        first_bearer.wage_key as record_key,
        bearer.record_key as anchor_record_key
    from bearer
    inner join first_bearer on bearer.ssn = first_bearer.ssn
    where not bearer.is_wage and first_bearer.wage_key is not null
)

select
    ssn,
    record_key,
    anchor_record_key,
    false as is_crowded
from unpaired
union all
select
    ssn,
    record_key,
    anchor_record_key,
    true as is_crowded
from crowded
