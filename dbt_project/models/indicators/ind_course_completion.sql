-- Grain: one row per course result (a person may repeat a course: each result counts), at the institution.
-- Rule: completed = pass or distinction; withdrawn and incomplete results stay in the denominator.
with outcome as (
    select
        link.person_key,
        result.institution_key as organization_key,
        'institution' as organization_level,
        result.school_year,
        result.school_year as cohort_year,
        result.course_code as subject_code,
        'serving' as organization_role,
        true as is_in_denominator,
        coalesce(result.course_result_code in ('pass', 'distinction'), false) as is_in_numerator,
        cast(null as bigint) as amount,
        case when result.course_result_code is null then 'not_determined' else 'counted' end as outcome_status,
        case when result.course_result_code is null then 'no_result' end as exclusion_code,
        concat(
            result.delivery_id, ':', cast(result.record_key as {{ dbt.type_string() }}), ':',
            coalesce(result.course_code, ''), ':', coalesce(result.term_code, '')
        ) as result_id
    from {{ ref('fct_course_result') }} as result
    inner join {{ ref('brg_record_person') }} as link on link.record_key = result.record_key
    where result.institution_key is not null
)

{{ indicator_rows('outcome', 'course_completion', extra=['result_id']) }}
