-- Grain: one row per accepted row of child_welfare__removal (child and removal date, within a delivery).
-- Rule: An episode of foster care; period_end is null while it lasts.
select
    removal.record_key,
    cast(coalesce(removal.school_year, {{ school_year('removal.removal_date') }}) as integer) as school_year,
    cast(removal.removal_date as date) as period_start,
    cast(removal.exit_date as date) as period_end,
    removal.certification,
    removal.submitter,
    removal.package,
    removal.period,
    removal.delivery_id,
    removal.source_row,
    removal.removal_date,
    removal.removal_transaction_date,
    removal.environment_at_removal_code,
    removal.exit_date,
    removal.exit_transaction_date,
    removal.exit_reason_code
from {{ ref('stg_child_welfare__removal') }} as removal
