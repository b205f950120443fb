-- How did the four-year graduation rate of the state and of each LEA change over the cohorts?
select cohort_year, organization_level, organization_name, rate, rate_label, value_status
from mart_indicator__organization
where indicator_code = 'four_year_graduation'
  and organization_level in ('state', 'lea')
  and breakdown_code = 'all'
order by organization_level desc, organization_id_state, cohort_year;
