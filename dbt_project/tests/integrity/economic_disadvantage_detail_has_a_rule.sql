-- Tested: each way in which a district found economic disadvantage has a row in seeds/policy/group_membership.csv.
-- Matters because a way without a row does not count. To resolve: add the row, or leave it out on purpose by a waiver.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'brg_person_year_evidence'}}}) }}

select
    participation.submitter,
    participation.source_detail_code,
    count(*) as row_count
from {{ ref('fct_program_participation') }} as participation
left join {{ ref('group_membership') }} as policy
    on
        policy.element = 'program_type_code'
        and policy.value = 'economic_disadvantage'
        and policy.detail in ('*', coalesce(participation.source_detail_code, 'none'))
where participation.program_type_code = 'economic_disadvantage' and policy.group_code is null
group by participation.submitter, participation.source_detail_code
