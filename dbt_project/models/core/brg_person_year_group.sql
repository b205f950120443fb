-- Grain: one row per person, reference school year, membership rule and breakdown.
-- Rule: breakdowns partition: exactly one group a person, not_reported included. Under any_time_in_year the evidence of
--       that year counts; under any_time_in_cohort that of the four years of the cohort (and of earlier years in grade
--       9 or above), the reference year being the cohort's; under last_known the newest year that says anything.
--       Gender and race are the last certified statement at the reference year under every rule, the earliest later
--       one where there is none before. Prior early childhood participation exists in kindergarten years only.
{% set status_breakdowns = [
    'disability', 'english_learner', 'economic_disadvantage', 'homeless', 'foster_k12', 'foster_child_welfare',
    'migrant'
] %}
{% set demographic_breakdowns = ['gender', 'race_ethnicity_2007', 'race_ethnicity_2024'] %}

with person_year as (
    select
        person_key,
        school_year,
        grade_level_code
    from {{ ref('dim_person_year') }}
    where has_education_record
),

assigned_cohort as (
    select distinct
        bridge.person_key,
        coalesce(student.assigned_cohort_year, student.first_entry_grade_nine_year + 3) as cohort_year
    from {{ ref('fct_student_year') }} as student
    inner join {{ ref('brg_record_person') }} as bridge
        on bridge.record_key = student.record_key
    where coalesce(student.assigned_cohort_year, student.first_entry_grade_nine_year) is not null
),

-- Where no source assigns a cohort, it follows from the first high school grade met.
first_high_school_year as (
    select
        person_key,
        school_year,
        grade_level_code
    from (
        select
            bridge.person_key,
            enrollment.school_year,
            enrollment.grade_level_code,
            row_number() over (
                partition by bridge.person_key order by enrollment.school_year, enrollment.grade_level_code
            ) as choice
        from {{ ref('fct_enrollment') }} as enrollment
        inner join {{ ref('brg_record_person') }} as bridge
            on bridge.record_key = enrollment.record_key
        where enrollment.grade_level_code in ('09', '10', '11', '12')
    ) as ranked
    where choice = 1
),

cohort as (
    select
        person_key,
        cohort_year
    from assigned_cohort
    union
    select
        first_met.person_key,
        first_met.school_year + 12 - cast(first_met.grade_level_code as integer) as cohort_year
    from first_high_school_year as first_met
    left join assigned_cohort
        on assigned_cohort.person_key = first_met.person_key
    where assigned_cohort.person_key is null
),

reference as (
    select
        person_key,
        school_year,
        'any_time_in_year' as membership_rule
    from person_year
    union all
    select
        person_key,
        school_year,
        'last_known' as membership_rule
    from person_year
    union all
    select
        person_key,
        cohort_year as school_year,
        'any_time_in_cohort' as membership_rule
    from cohort
),

reference_year as (
    select distinct
        person_key,
        school_year
    from reference
),

demographic as (
    select
        person_key,
        school_year,
        breakdown_code,
        group_code
    from (
        select
            reference_year.person_key,
            reference_year.school_year,
            stated.breakdown_code,
            stated.group_code,
            row_number() over (
                partition by reference_year.person_key, reference_year.school_year, stated.breakdown_code
                order by
                    case when stated.school_year <= reference_year.school_year then 0 else 1 end,
                    stated.certification,
                    abs(stated.school_year - reference_year.school_year)
            ) as choice
        from reference_year
        inner join {{ ref('brg_person_year_demographic') }} as stated
            on stated.person_key = reference_year.person_key
    ) as ranked
    where choice = 1
),

cohort_evidence as (
    select
        person_key,
        school_year,
        breakdown_code,
        group_code
    from (
        select
            cohort.person_key,
            cohort.cohort_year as school_year,
            evidence.breakdown_code,
            evidence.group_code,
            row_number() over (
                partition by cohort.person_key, cohort.cohort_year, evidence.breakdown_code
                order by evidence.precedence, evidence.group_code
            ) as choice
        from cohort
        inner join {{ ref('brg_person_year_evidence') }} as evidence
            on evidence.person_key = cohort.person_key and evidence.school_year <= cohort.cohort_year
        left join person_year
            on person_year.person_key = evidence.person_key and person_year.school_year = evidence.school_year
        where
            evidence.school_year >= cohort.cohort_year - 3
            or person_year.grade_level_code in ('09', '10', '11', '12', '13')
    ) as ranked
    where choice = 1
),

last_evidence as (
    select
        person_key,
        school_year,
        breakdown_code,
        group_code
    from (
        select
            person_year.person_key,
            person_year.school_year,
            evidence.breakdown_code,
            evidence.group_code,
            row_number() over (
                partition by person_year.person_key, person_year.school_year, evidence.breakdown_code
                order by evidence.school_year desc
            ) as choice
        from person_year
        inner join {{ ref('brg_person_year_evidence') }} as evidence
            on evidence.person_key = person_year.person_key and evidence.school_year <= person_year.school_year
    ) as ranked
    where choice = 1
),

status as (
    select
        person_key,
        school_year,
        'any_time_in_year' as membership_rule,
        breakdown_code,
        group_code
    from {{ ref('brg_person_year_evidence') }}
    union all
    select
        person_key,
        school_year,
        'any_time_in_cohort' as membership_rule,
        breakdown_code,
        group_code
    from cohort_evidence
    union all
    select
        person_key,
        school_year,
        'last_known' as membership_rule,
        breakdown_code,
        group_code
    from last_evidence
),

breakdown as (
    {% for breakdown_code in demographic_breakdowns + status_breakdowns %}
    select '{{ breakdown_code }}' as breakdown_code
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

stated_or_not as (
    select
        reference.person_key,
        reference.school_year,
        reference.membership_rule,
        breakdown.breakdown_code,
        coalesce(demographic.group_code, status.group_code, 'not_reported') as group_code
    from reference
    cross join breakdown
    left join demographic
        on
            demographic.person_key = reference.person_key
            and demographic.school_year = reference.school_year
            and demographic.breakdown_code = breakdown.breakdown_code
    left join status
        on
            status.person_key = reference.person_key
            and status.school_year = reference.school_year
            and status.membership_rule = reference.membership_rule
            and status.breakdown_code = breakdown.breakdown_code
)

select
    person_key,
    school_year,
    membership_rule,
    'all' as breakdown_code,
    'all' as group_code
from reference
union all
select
    person_key,
    school_year,
    membership_rule,
    breakdown_code,
    group_code
from stated_or_not
union all
select
    gender.person_key,
    gender.school_year,
    gender.membership_rule,
    'gender_x_disability' as breakdown_code,
    concat(gender.group_code, '__', disability.group_code) as group_code
from stated_or_not as gender
inner join stated_or_not as disability
    on
        disability.person_key = gender.person_key
        and disability.school_year = gender.school_year
        and disability.membership_rule = gender.membership_rule
        and disability.breakdown_code = 'disability'
where gender.breakdown_code = 'gender'
union all
select
    reference.person_key,
    reference.school_year,
    reference.membership_rule,
    'prior_early_childhood' as breakdown_code,
    kindergarten.prior_early_childhood_code as group_code
from reference
inner join {{ ref('brg_person_kindergarten_year') }} as kindergarten
    on kindergarten.person_key = reference.person_key and kindergarten.school_year = reference.school_year
where reference.membership_rule in ('any_time_in_year', 'last_known')
