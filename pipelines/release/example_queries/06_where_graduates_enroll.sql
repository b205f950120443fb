-- To which kinds of institutions do the state's high school graduates go?
-- With destination_type_code 'institution' the same people are told by institution: never add the two types up.
select cohort_year, destination_name, person_count
from mart_transition__high_school__college
where origin_type_code = 'state'
  and destination_type_code = 'institution_kind'
order by cohort_year, person_count desc, destination_name;
