-- In which industries do people work in the first full year after college, in the state and by institution?
-- The state's rows count the people of all institutions once more: never add the two types of origin up.
select cohort_year, origin_type_code, origin_name, destination_name, person_count
from mart_transition__college__work
where destination_type_code = 'industry'
order by cohort_year, origin_type_code desc, origin_name, person_count desc, destination_name;
