-- In which industries do people work in the first full year after college?
select cohort_year, origin_name, destination_name, person_count
from mart_transition__college__work
order by cohort_year, origin_name, person_count desc, destination_name;
