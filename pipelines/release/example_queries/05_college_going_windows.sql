-- What share of graduates was found in college in the first fall, within 12 and within 16 months?
select cohort_year,
       max(case when indicator_code = 'college_going_fall' then rate end) as first_fall,
       max(case when indicator_code = 'college_going_12_month' then rate end) as within_12_months,
       max(case when indicator_code = 'college_going_16_month' then rate end) as within_16_months
from mart_indicator__organization
where indicator_code like 'college_going_%'
  and organization_level = 'state'
  and breakdown_code = 'all'
group by cohort_year
order by cohort_year;
