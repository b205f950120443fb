-- Were children who attended a state-recorded early childhood program more often ready for kindergarten?
select school_year, group_name, denominator_count, rate, rate_label, value_status
from mart_indicator__organization
where indicator_code = 'kindergarten_readiness'
  and organization_level = 'state'
  and breakdown_code = 'prior_early_childhood'
order by school_year, group_name;
