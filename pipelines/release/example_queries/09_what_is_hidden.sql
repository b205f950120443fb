-- How many values of each indicator are shown and how many are not, and why?
select indicator_code, value_status, suppression_reason, protection, count(*) as value_count
from mart_indicator__organization
group by indicator_code, value_status, suppression_reason, protection
order by indicator_code, value_status, suppression_reason, protection;
