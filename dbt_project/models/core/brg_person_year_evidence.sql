-- Grain: one row per person, school year and breakdown of which the year's deliveries say something.
-- Rule: seeds/policy/group_membership.csv maps what a delivery says to a group, with a precedence; the strongest
--       evidence of the year counts. A district that reported participations for a year has thereby said "no" of
--       every student whom it did not name; a district that reported none has said nothing. An episode of foster care
--       says "yes" for every year that it touches, also one for which the agency sent nothing; without an end it lasts to
--       the newest year that the agency reported, and once a delivery names its end it has ended.
{% set described_by_district = ['fct_student_year', 'fct_enrollment', 'fct_program_participation', 'fct_completion'] %}
with district_of_student as (
    {% for fact in [
        'fct_student_year', 'fct_enrollment', 'fct_attendance', 'fct_attendance_event', 'fct_program_participation',
        'fct_assessment_result', 'fct_completion', 'fct_kindergarten_readiness'
    ] %}
    select
        bridge.person_key,
        fact.school_year,
        fact.lea_key,
        -- Test results are somebody else's word: of a student met in them alone, the district's records were not found.
        {{ 'true' if fact in described_by_district else 'false' }} as is_described
    from {{ ref(fact) }} as fact
    inner join {{ ref('brg_record_person') }} as bridge
        on bridge.record_key = fact.record_key
    where fact.lea_key is not null
    {{ 'union' if not loop.last }}
    {% endfor %}
),

reporting_district as (
    select distinct
        lea_key,
        school_year
    from {{ ref('fct_program_participation') }}
    where lea_key is not null
),

child as (
    select distinct
        person_key,
        school_year
    from district_of_student
    union
    select
        bridge.person_key,
        enrollment.school_year
    from {{ ref('fct_early_childhood_enrollment') }} as enrollment
    inner join {{ ref('brg_record_person') }} as bridge
        on bridge.record_key = enrollment.record_key
),

-- Years that the agency reported: those it delivered for, not those in which an episode began.
child_welfare_year as (
    select {{ period_school_year('period') }} as school_year from {{ ref('fct_child_welfare_client') }}
    union
    select {{ period_school_year('period') }} as school_year from {{ ref('fct_removal') }}
),

episode as (
    select
        bridge.person_key,
        removal.removal_date,
        max(removal.exit_date) as exit_date
    from {{ ref('fct_removal') }} as removal
    inner join {{ ref('brg_record_person') }} as bridge
        on bridge.record_key = removal.record_key
    group by bridge.person_key, removal.removal_date
),

statement as (
    select
        bridge.person_key,
        participation.school_year,
        'k12__program_participation' as collection,
        'program_type_code' as element,
        participation.program_type_code as value,
        coalesce(participation.source_detail_code, 'none') as detail
    from {{ ref('fct_program_participation') }} as participation
    inner join {{ ref('brg_record_person') }} as bridge
        on bridge.record_key = participation.record_key
    union all
    select
        district_of_student.person_key,
        district_of_student.school_year,
        'k12__program_participation' as collection,
        'program_type_code' as element,
        'reported_without' as value,
        'none' as detail
    from district_of_student
    inner join reporting_district
        on
            reporting_district.lea_key = district_of_student.lea_key
            and reporting_district.school_year = district_of_student.school_year
    where district_of_student.is_described
    union all
    select
        bridge.person_key,
        result.school_year,
        'postsecondary__course_result' as collection,
        'has_disability' as element,
        case when result.has_disability then 'true' else 'false' end as value,
        'none' as detail
    from {{ ref('fct_course_result') }} as result
    inner join {{ ref('brg_record_person') }} as bridge
        on bridge.record_key = result.record_key
    where result.has_disability is not null
    union all
    {% for element in ['has_disability', 'is_homeless'] %}
    select
        bridge.person_key,
        enrollment.school_year,
        'early_childhood__program_enrollment' as collection,
        '{{ element }}' as element,
        case when enrollment.{{ element }} then 'true' else 'false' end as value,
        'none' as detail
    from {{ ref('fct_early_childhood_enrollment') }} as enrollment
    inner join {{ ref('brg_record_person') }} as bridge
        on bridge.record_key = enrollment.record_key
    where enrollment.{{ element }} is not null
    union all
    {% endfor %}
    select
        episode.person_key,
        calendar.school_year,
        'child_welfare__removal' as collection,
        'removal_date' as element,
        'in_care' as value,
        'none' as detail
    from episode
    cross join (select max(school_year) as school_year from child_welfare_year) as newest
    inner join {{ ref('dim_school_year') }} as calendar
        on
            episode.removal_date <= calendar.end_date
            and (
                episode.exit_date >= calendar.begin_date
                or (episode.exit_date is null and calendar.school_year <= newest.school_year)
            )
    union all
    select
        child.person_key,
        child.school_year,
        'child_welfare__removal' as collection,
        'removal_date' as element,
        'reported_without' as value,
        'none' as detail
    from child
    inner join child_welfare_year
        on child_welfare_year.school_year = child.school_year
),

distinct_statement as (
    select distinct
        person_key,
        school_year,
        collection,
        element,
        value,
        detail
    from statement
),

evidence as (
    select
        statement.person_key,
        statement.school_year,
        policy.breakdown_code,
        policy.group_code,
        cast(policy.precedence as integer) as precedence,
        row_number() over (
            partition by statement.person_key, statement.school_year, policy.breakdown_code
            order by cast(policy.precedence as integer), policy.group_code
        ) as choice
    from distinct_statement as statement
    inner join {{ ref('group_membership') }} as policy
        on
            policy.collection = statement.collection
            and policy.element = statement.element
            and policy.value = statement.value
            and policy.detail in ('*', statement.detail)
    where policy.membership_rule = 'any_time'
)

select
    person_key,
    school_year,
    breakdown_code,
    group_code,
    precedence
from evidence
where choice = 1
