-- Which schools had the highest shown rates of chronic absenteeism in the newest year?
select organization_name, lea_name, school_year, denominator_count, rate, rate_label
from mart_indicator__organization
where indicator_code = 'chronic_absenteeism'
  and organization_level = 'school'
  and breakdown_code = 'all'
  and value_status = 'shown'
  and school_year = (
      select max(school_year) from mart_indicator__organization
      where indicator_code = 'chronic_absenteeism' and value_status = 'shown'
        and organization_level = 'school' and breakdown_code = 'all'
  )
order by rate desc, organization_id_state;
