{#-
  Found in covered employment in the k-th full calendar year after an award, and what was earned in it.
  Grain of `award_holder`: person x organization x level x cohort year. High school: the first regular or higher
  diploma. College: the last award of the school year, at each institution, and once in the state.
  Found: wages above 0 in any quarter. Amount: the sum of four quarters for people with wages in all of them.
-#}
{% macro award_holder(award) %}
{%- if award == 'high_school' %}
{{ diploma_recipient() }},

recipient_award as (
    select person_key, school_key, lea_key, school_year, completion_date as award_date
    from recipient
),

award_holder as (
    select person_key, organization_key, organization_level, school_year, award_date
    from (
        {{ attribute_levels('recipient_award', {'school': 'school_key', 'lea': 'lea_key', 'state': none}) }}
    ) as attributed
)
{%- else %}
degree as (
    select
        link.person_key,
        award.institution_key,
        award.school_year,
        max(award.award_date) as award_date
    from {{ ref('fct_award') }} as award
    inner join {{ ref('brg_record_person') }} as link on link.record_key = award.record_key
    where award.award_date is not null
    group by link.person_key, award.institution_key, award.school_year
),

degree_in_state as (
    select person_key, school_year, max(award_date) as award_date
    from degree
    group by person_key, school_year
),

award_holder as (
    select person_key, institution_key as organization_key, 'institution' as organization_level, school_year, award_date
    from degree
    where institution_key is not null
    union all
    select
        degree_in_state.person_key,
        state_organization.organization_key,
        'state' as organization_level,
        degree_in_state.school_year,
        degree_in_state.award_date
    from degree_in_state
    cross join (
        select organization_key from {{ ref('dim_organization') }} where organization_level = 'state'
    ) as state_organization
)
{%- endif %}
{% endmacro %}

{#- Wages of a person in a calendar year by employer; the quarters with wages are counted over all jobs. -#}
{% macro yearly_wage() %}
paid_quarter as (
    select
        link.person_key,
        wage.employer_key,
        wage.wage_year,
        wage.wage_quarter,
        sum(wage.wage_amount) as wage_amount
    from {{ ref('fct_wage') }} as wage
    inner join {{ ref('brg_record_person') }} as link on link.record_key = wage.record_key
    where wage.wage_amount > 0
    group by link.person_key, wage.employer_key, wage.wage_year, wage.wage_quarter
)
{% endmacro %}

{% macro employment_after(indicator_code, award, year_number) %}
with {{ award_holder(award) }},

{{ yearly_wage() }},

person_year_wage as (
    select
        person_key,
        wage_year,
        count(distinct wage_quarter) as quarter_count,
        sum(wage_amount) as wage_amount
    from paid_quarter
    group by person_key, wage_year
),

policy as (
    select cast(value as integer) as quarters_required
    from {{ ref('employment') }}
    where parameter = 'quarters_required'
),

outcome_year as (
    select cast(start_year_offset as integer) as year_offset
    from {{ ref('outcome_window') }}
    where window_code = 'employment_year_{{ year_number }}'
),

whole_wage_year as (
    select period_year
    from {{ ref('int_indicator__source_coverage') }}
    where source_code = 'wage' and is_whole
),

-- Awards of a school year end in two calendar years: the cohort is published when both are there as far as used.
open_cohort as (
    select distinct award_holder.school_year
    from award_holder
    cross join outcome_year
    where
        extract(year from award_holder.award_date) + outcome_year.year_offset not in (select period_year from whole_wage_year)
        or award_holder.school_year + outcome_year.year_offset not in (select period_year from whole_wage_year)
),

-- Wages link through a Social Security number alone: who has none in any record cannot be looked for.
linkable as (
    select distinct person_key
    from {{ ref('brg_record_person') }}
    where has_ssn
),

-- Wages under the person's number but another name, in a year that the person has no other wages in.
in_review as (
    select distinct review.person_key, wage.wage_year
    from {{ ref('brg_wage_in_review') }} as review
    inner join {{ ref('fct_wage') }} as wage on wage.record_key = review.record_key
    where wage.wage_amount > 0
),

outcome as (
    select
        award_holder.person_key,
        award_holder.organization_key,
        award_holder.organization_level,
        award_holder.school_year,
        award_holder.school_year as cohort_year,
        'all' as subject_code,
        'sending' as organization_role,
        true as is_in_denominator,
        person_year_wage.person_key is not null as is_in_numerator,
        case
            when person_year_wage.quarter_count >= policy.quarters_required then person_year_wage.wage_amount
        end as amount,
        case
            when open_cohort.school_year is not null then 'window_open'
            when linkable.person_key is null then 'not_determined'
            when person_year_wage.person_key is null and in_review.person_key is not null then 'not_determined'
            else 'counted'
        end as outcome_status,
        case
            when open_cohort.school_year is not null then 'window_not_covered'
            when linkable.person_key is null then 'no_wage_linkable_record'
            when person_year_wage.person_key is null and in_review.person_key is not null then 'wage_name_in_review'
        end as exclusion_code
    from award_holder
    cross join outcome_year
    cross join policy
    left join open_cohort on open_cohort.school_year = award_holder.school_year
    left join linkable on linkable.person_key = award_holder.person_key
    left join person_year_wage
        on person_year_wage.person_key = award_holder.person_key
        and person_year_wage.wage_year = extract(year from award_holder.award_date) + outcome_year.year_offset
    left join in_review
        on in_review.person_key = award_holder.person_key
        and in_review.wage_year = extract(year from award_holder.award_date) + outcome_year.year_offset
)

{{ indicator_rows('outcome', indicator_code) }}
{% endmacro %}

{#-
  Who paid the people found: person x organization x cohort year x employer. Dominance and the number of employers
  behind a median are judged on it, and flows from college to work read the industry of the largest.
-#}
{% macro employment_contributor(indicator_code, award, year_number) %}
with {{ award_holder(award) }},

{{ yearly_wage() }},

outcome_year as (
    select cast(start_year_offset as integer) as year_offset
    from {{ ref('outcome_window') }}
    where window_code = 'employment_year_{{ year_number }}'
)

select
    cast('{{ indicator_code }}' as {{ dbt.type_string() }}) as indicator_code,
    cast(award_holder.person_key as bigint) as person_key,
    cast(award_holder.organization_key as bigint) as organization_key,
    cast(award_holder.school_year as integer) as cohort_year,
    cast(paid_quarter.employer_key as bigint) as employer_key,
    cast(sum(paid_quarter.wage_amount) as bigint) as amount
from award_holder
cross join outcome_year
inner join paid_quarter
    on paid_quarter.person_key = award_holder.person_key
    and paid_quarter.wage_year = extract(year from award_holder.award_date) + outcome_year.year_offset
group by
    award_holder.person_key,
    award_holder.organization_key,
    award_holder.school_year,
    paid_quarter.employer_key
{% endmacro %}
