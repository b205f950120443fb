{{ config(materialized='view') }}
-- Who may be one person, by identifiers or by tokens: a record that came as tokens has no identifiers, so no pair is in
-- both.
select
    record_key_a,
    record_key_b,
    tier,
    rule,
    joins,
    follower
from {{ ref('int_linkage__plain_pair') }}
union all
select
    record_key_a,
    record_key_b,
    tier,
    rule,
    joins,
    follower
from {{ ref('int_linkage__token_pair') }}
