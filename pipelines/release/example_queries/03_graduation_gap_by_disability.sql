-- How far apart are the graduation rates of students with and without a disability in the state?
select with_disability.cohort_year,
       with_disability.rate as rate_with_disability,
       without_disability.rate as rate_without_disability,
       without_disability.rate - with_disability.rate as difference
from mart_indicator__organization as with_disability
join mart_indicator__organization as without_disability
  on without_disability.indicator_code = with_disability.indicator_code
 and without_disability.organization_level = with_disability.organization_level
 and without_disability.cohort_year = with_disability.cohort_year
 and without_disability.breakdown_code = with_disability.breakdown_code
where with_disability.indicator_code = 'four_year_graduation'
  and with_disability.organization_level = 'state'
  and with_disability.breakdown_code = 'disability'
  and with_disability.group_code = 'yes'
  and without_disability.group_code = 'no'
order by with_disability.cohort_year;
