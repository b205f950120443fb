-- Which records came or went since last night. The two lists of keys are compared once, right before the phase, for every
-- model that computes only what changed.
{{ config(materialized='view') }}
select
    record_key,
    is_gone
from {{ source('vault', 'record_change') }}
