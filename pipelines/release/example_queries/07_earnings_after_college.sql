-- What did people earn in the first full year after college, by institution, where it may be shown?
select organization_name, cohort_year, rate as found_in_covered_employment, value_amount, value_unit
from mart_indicator__organization
where indicator_code = 'employment_year_1_after_college'
  and organization_level = 'institution'
  and breakdown_code = 'all'
  and value_status = 'shown'
order by organization_name, cohort_year;
