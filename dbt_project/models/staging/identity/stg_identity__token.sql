-- Keyed tokens of records, as an agency sent them in place of identifiers or as the state computed them of its own.
{{ config(materialized='view') }}
select
    record_key,
    key_name,
    token,
    is_delivered
from {{ source('vault', 'token') }}
where key_name is not null
