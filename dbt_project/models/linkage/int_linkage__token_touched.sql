-- Whose pairs by tokens may differ since last night: records that share an agency's token with one that came or went. A
-- token is kept when its record goes, so that a group is found again that has lost a member.
with delivered as (
    select distinct
        key_name,
        token
    from {{ ref('stg_identity__token') }}
    where is_delivered
),

token as (
    select
        token.record_key,
        token.key_name,
        token.token
    from {{ ref('stg_identity__token') }} as token
    inner join delivered on token.key_name = delivered.key_name and token.token = delivered.token
),

changed as (
    select distinct
        token.key_name,
        token.token
    from token
    inner join {{ ref('int_linkage__key') }} as record on token.record_key = record.record_key
    where record.is_new or record.is_gone
)

select distinct token.record_key
from token
inner join changed on token.key_name = changed.key_name and token.token = changed.token
