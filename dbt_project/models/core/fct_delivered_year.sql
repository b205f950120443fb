-- Grain: one row per collection, submitter, package and school year of which rows were accepted.
-- Rule: every collection is here, whether or not a fact or an indicator reads it yet. A row without a school year, such
--       as a college search, is no year of it.
{% for name in collection_names() %}
select distinct
    '{{ name }}' as collection,
    '{{ name.split('__')[0] }}' as sector,
    submitter,
    package,
    cast(school_year as integer) as school_year
from {{ ref('stg_' ~ name) }}
where school_year is not null
{{ 'union all' if not loop.last }}
{%- endfor %}
