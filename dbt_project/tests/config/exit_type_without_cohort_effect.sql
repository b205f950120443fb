-- What: every exit type that high school enrollments carry has a row in policy exit_cohort_effect.csv, for all levels.
-- When it matters: an exit type without a row keeps the student in the cohort, which lowers the graduation rate.
-- To resolve: add the exit type to seeds/policy/exit_cohort_effect.csv, or its crosswalk to seeds/crosswalks/code.csv.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'ind_four_year_graduation'}}}) }}
select
    enrollment.exit_withdrawal_type_code,
    enrollment.submitter,
    count(*) as row_count
from {{ ref('fct_enrollment') }} as enrollment
left join {{ ref('exit_cohort_effect') }} as effect
    on effect.exit_withdrawal_type_code = enrollment.exit_withdrawal_type_code
where
    enrollment.grade_level_code in ('09', '10', '11', '12')
    and enrollment.exit_withdrawal_type_code is not null
    and effect.exit_withdrawal_type_code is null
group by enrollment.exit_withdrawal_type_code, enrollment.submitter
