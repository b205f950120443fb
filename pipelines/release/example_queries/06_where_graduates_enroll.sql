-- Which institutions do the state's high school graduates go to?
select cohort_year, destination_name, person_count
from mart_transition__high_school__college
where origin_code in (
    select organization_id_state from mart_indicator__organization where organization_level = 'state'
)
order by cohort_year, person_count desc, destination_name;
