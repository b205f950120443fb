-- Grain: one row per person and school year that any delivery names.
-- Rule: K-12 means a record of a K-12 collection in the year; the grade is the highest one of the year's enrollments,
--       or of its assessments where no enrollment says one. Wages and child welfare records alone are no education.
{% set named_by = [
    ('fct_student_year', true, true), ('fct_enrollment', true, true), ('fct_attendance', true, true),
    ('fct_attendance_event', true, true), ('fct_program_participation', true, true),
    ('fct_assessment_result', true, true), ('fct_completion', true, true),
    ('fct_early_childhood_enrollment', false, true), ('fct_kindergarten_readiness', false, true),
    ('fct_postsecondary_enrollment', false, true), ('fct_award', false, true), ('fct_course_result', false, true),
    ('fct_wage', false, false), ('fct_child_welfare_client', false, false), ('fct_removal', false, false),
    ('fct_placement', false, false),
] %}

with named as (
    {% for fact, is_k12, is_education in named_by %}
    select distinct
        bridge.person_key,
        fact.school_year,
        {{ is_k12 }} as is_in_k12,
        {{ is_education }} as has_education_record
    from {{ ref(fact) }} as fact
    inner join {{ ref('brg_record_person') }} as bridge
        on bridge.record_key = fact.record_key
    where fact.school_year is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

person_year as (
    select
        person_key,
        school_year,
        max(case when is_in_k12 then 1 else 0 end) = 1 as is_in_k12,
        max(case when has_education_record then 1 else 0 end) = 1 as has_education_record
    from named
    group by person_key, school_year
),

stated_grade as (
    select
        record_key,
        school_year,
        grade_level_code,
        1 as precedence
    from {{ ref('fct_enrollment') }}
    where grade_level_code is not null
    union all
    select
        record_key,
        school_year,
        grade_level_code,
        2 as precedence
    from {{ ref('fct_assessment_result') }}
    where grade_level_code is not null
),

grade as (
    select
        person_key,
        school_year,
        grade_level_code
    from (
        select
            bridge.person_key,
            stated_grade.school_year,
            stated_grade.grade_level_code,
            row_number() over (
                partition by bridge.person_key, stated_grade.school_year
                order by
                    stated_grade.precedence,
                    coalesce({{ grade_rank('stated_grade.grade_level_code') }}, 0) desc,
                    stated_grade.grade_level_code
            ) as choice
        from stated_grade
        inner join {{ ref('brg_record_person') }} as bridge
            on bridge.record_key = stated_grade.record_key
    ) as ranked
    where choice = 1
)

select
    concat(cast(person_year.person_key as string), '-', cast(person_year.school_year as string)) as person_year_key,
    person_year.person_key,
    person_year.school_year,
    person_year.is_in_k12,
    person_year.has_education_record,
    grade.grade_level_code
from person_year
left join grade
    on grade.person_key = person_year.person_key and grade.school_year = person_year.school_year
