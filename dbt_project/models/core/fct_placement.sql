-- Grain: one row per accepted row of child_welfare__placement (child and placement date, within a delivery).
-- Rule: A living arrangement in foster care; period_end is null while it lasts.
select
    placement.record_key,
    cast(coalesce(placement.school_year, {{ school_year('placement.placement_date') }}) as integer) as school_year,
    cast(placement.placement_date as date) as period_start,
    cast(placement.placement_end_date as date) as period_end,
    placement.certification,
    placement.submitter,
    placement.package,
    placement.period,
    placement.delivery_id,
    placement.source_row,
    placement.placement_date,
    placement.placement_end_date,
    placement.living_arrangement_code,
    placement.foster_home_type_code
from {{ ref('stg_child_welfare__placement') }} as placement
