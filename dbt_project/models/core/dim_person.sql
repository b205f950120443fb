-- Grain: one row per person that any record belongs to today.
-- Rule: the birth year is the one most records say (the earlier of two equally frequent); the perturbation key is
--       minted with the person and never changes.
{% set with_birth_year = [
    'fct_student_year', 'fct_assessment_result', 'fct_early_childhood_enrollment', 'fct_kindergarten_readiness',
    'fct_postsecondary_enrollment', 'fct_award', 'fct_course_result', 'fct_child_welfare_client'
] %}

with stated_birth_year as (
    {% for fact in with_birth_year %}
    select
        record_key,
        birth_year
    from {{ ref(fact) }}
    where birth_year is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

birth_year_of_person as (
    select
        person_key,
        birth_year
    from (
        select
            bridge.person_key,
            stated.birth_year,
            row_number() over (
                partition by bridge.person_key order by count(*) desc, stated.birth_year
            ) as choice
        from stated_birth_year as stated
        inner join {{ ref('brg_record_person') }} as bridge
            on bridge.record_key = stated.record_key
        group by bridge.person_key, stated.birth_year
    ) as counted
    where choice = 1
),

person as (
    select
        person_key,
        count(distinct sector) as sector_count
    from {{ ref('brg_record_person') }}
    group by person_key
)

select
    person.person_key,
    cast(registry.perturbation_key as integer) as perturbation_key,
    birth_year_of_person.birth_year,
    cast(person.sector_count as integer) as sector_count
from person
left join {{ source('registry', 'person') }} as registry
    on registry.person_key = person.person_key
left join birth_year_of_person
    on birth_year_of_person.person_key = person.person_key
