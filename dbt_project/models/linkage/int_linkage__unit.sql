-- Groups of records under a key that tonight's pairs are computed for again: those that a record joins or leaves, and
-- those under a name that became, or is no longer, too common for a tier. Empty after a full refresh, which needs none.
-- depends_on: {{ ref('identity_parameter') }}
-- depends_on: {{ ref('match_tier') }}
{%- set tiers = identity_tiers() %}
{%- set limits = identity_name_limits() %}
with changed as (
    select *
    from {{ ref('int_linkage__key') }}
    where is_new or is_gone
),

common as (
    select name
    from {{ ref('int_linkage__name') }}
    where
        false
        {%- for limit in limits %}
        or (date_count > {{ limit }}) <> (was_count > {{ limit }})
        {%- endfor %}
),

renamed as (
    select *
    from {{ ref('int_linkage__key') }}
    where name in (select name from common)
)

{%- for key in identity_keys() %}
{{ 'union all' if not loop.first }}
select distinct
    {{ loop.index }} as key_number,
    {{ identity_key_unit(key) }} as unit
from (
    select * from changed
    {%- if tiers.get(key.name, []) | selectattr('name_limit') | list %}
    union all
    select * from renamed
    {%- endif %}
) as touched
where {{ identity_key_rows(key) }}
{%- endfor %}
