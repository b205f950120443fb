-- Grain: one row per accepted row of child_welfare__client (child and school year, within a delivery).
-- Rule: A child known to the child welfare agency in a year.
select
    client.record_key,
    cast(client.school_year as integer) as school_year,
    cast({{ school_year_begin('client.school_year') }} as date) as period_start,
    cast({{ school_year_end('client.school_year') }} as date) as period_end,
    client.certification,
    client.submitter,
    client.package,
    client.period,
    client.delivery_id,
    client.source_row,
    client.sex_code,
    client.is_hispanic,
    client.is_american_indian,
    client.is_asian,
    client.is_black,
    client.is_pacific_islander,
    client.is_white,
    client.is_middle_eastern,
    cast(client.birth_year as integer) as birth_year
from {{ ref('stg_child_welfare__client') }} as client
