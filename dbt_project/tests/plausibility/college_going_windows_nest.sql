-- What: a graduate found in the first fall is found within 12 months, and one found within 12 within 16 months.
-- When it matters: nested populations that do not nest let a reader compute what is hidden, and look absurd.
-- To resolve: check the windows in seeds/policy/outcome_window.csv.
{{ config(severity='error', meta={'dagster': {'ref': {'name': 'ind_college_going_16_month'}}}) }}
{%- set pairs = [('ind_college_going_fall', 'ind_college_going_12_month'), ('ind_college_going_12_month', 'ind_college_going_16_month')] %}
{% for inner, outer in pairs %}
select narrow.indicator_code, narrow.person_key, narrow.organization_key
from {{ ref(inner) }} as narrow
inner join {{ ref(outer) }} as wide
    on wide.person_key = narrow.person_key
    and wide.organization_key = narrow.organization_key
    and wide.cohort_year = narrow.cohort_year
where narrow.is_in_numerator and not wide.is_in_numerator and wide.outcome_status <> 'window_open'
{{ 'union all' if not loop.last }}
{% endfor %}
