{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='record_key',
    on_schema_change='fail'
) }}
-- It grows until the identity step has taken it in and empties it: a night that stops in between loses nothing.
{%- if is_incremental() %}
select distinct record_key
from {{ ref('int_linkage__key') }}
where is_new or is_gone
union
select record_key_a
from {{ ref('int_linkage__edge') }}
where change > 0
union
select record_key_b
from {{ ref('int_linkage__edge') }}
where change > 0
union
select record_key
from {{ ref('int_linkage__token_touched') }}
{%- else %}
-- depends_on: {{ ref('int_linkage__edge') }}, {{ ref('int_linkage__token_touched') }}
select record_key
from {{ ref('int_linkage__key') }}
where is_whole
{%- endif %}
