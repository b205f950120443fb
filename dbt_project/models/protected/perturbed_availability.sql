-- Grain: source x collection x indicator x school year x what is missing. Words and codes only: nothing to perturb.
select distinct
    source,
    collection,
    indicator_code,
    school_year,
    status,
    missing
from {{ ref('cube_availability') }}
