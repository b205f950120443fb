-- Tested: a person's group is one of seeds/reference/student_group.csv, and the policy leads to declared groups only.
-- To resolve: name the group there, or correct seeds/policy/group_membership.csv or race_roll_up.csv.
{{ config(severity='error', meta={'dagster': {'ref': {'name': 'brg_person_year_group'}}}) }}

select
    found.breakdown_code,
    found.group_code
from (
    select distinct
        breakdown_code,
        group_code
    from {{ ref('brg_person_year_group') }}
    union
    select
        breakdown_code,
        group_code
    from {{ ref('group_membership') }}
    where group_code is not null
    union
    select
        breakdown_code,
        group_code
    from {{ ref('race_roll_up') }}
) as found
left join {{ ref('student_group') }} as declared
    on declared.breakdown_code = found.breakdown_code and declared.group_code = found.group_code
where declared.group_code is null
