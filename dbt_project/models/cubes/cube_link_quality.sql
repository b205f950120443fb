-- Grain: sector x sector looked for x school year x breakdown x group x link status, in the state. Exact, restricted.
-- Rule: everybody with a record of a sector in the year is told once for each other sector: linked (a record there, of
-- any year), else not_determined (wages under the person's number and another name), else not_found where the person
-- carries what that sector collects, else not_linkable. Wage files collect Social Security numbers and no birth date.
-- Groups are the last known ones of the person's K-12 records; who has none is not reported.
{% set named_by = [
    'fct_student_year', 'fct_enrollment', 'fct_attendance', 'fct_attendance_event', 'fct_program_participation',
    'fct_assessment_result', 'fct_completion', 'fct_early_childhood_enrollment', 'fct_kindergarten_readiness',
    'fct_postsecondary_enrollment', 'fct_award', 'fct_course_result', 'fct_wage', 'fct_child_welfare_client',
    'fct_removal', 'fct_placement',
] %}
{% set breakdowns = [
    'all', 'gender', 'race_ethnicity_2007', 'disability', 'english_learner', 'economic_disadvantage', 'homeless',
    'migrant',
] %}
with used as (
    {% for fact in named_by %}
    select record_key, school_year
    from {{ ref(fact) }}
    where school_year is not null
    {{ 'union' if not loop.last }}
    {% endfor %}
),

link as (
    select record_key, person_key, sector, has_ssn
    from {{ ref('brg_record_person') }}
),

person as (
    select
        link.person_key,
        dim_person.perturbation_key,
        max(case when link.has_ssn then 1 else 0 end) as has_ssn,
        max(case when dim_person.birth_year is null then 0 else 1 end) as has_birth
    from link
    inner join {{ ref('dim_person') }} as dim_person on dim_person.person_key = link.person_key
    group by link.person_key, dim_person.perturbation_key
),

person_sector as (
    select distinct person_key, sector
    from link
),

other_sector as (
    select
        sector,
        max(case when has_ssn then 1 else 0 end) as has_ssn,
        case when sector = 'workforce' then 0 else 1 end as has_birth
    from link
    group by sector
),

person_year as (
    select distinct link.person_key, link.sector, used.school_year
    from used
    inner join link on link.record_key = used.record_key
),

-- Who carries wages under another name, and none under the own.
in_review as (
    select distinct review.person_key
    from {{ ref('brg_wage_in_review') }} as review
    left join person_sector
        on person_sector.person_key = review.person_key and person_sector.sector = 'workforce'
    where person_sector.person_key is null
),

sought as (
    select
        person_year.person_key,
        person_year.sector as sector_code,
        other_sector.sector as other_sector_code,
        person_year.school_year,
        person.perturbation_key,
        case
            when found.person_key is not null then 'linked'
            when other_sector.sector = 'workforce' and in_review.person_key is not null then 'not_determined'
            when person.has_ssn + other_sector.has_ssn = 2 or person.has_birth + other_sector.has_birth = 2
                then 'not_found'
            else 'not_linkable'
        end as link_status
    from person_year
    inner join person on person.person_key = person_year.person_key
    inner join other_sector on other_sector.sector <> person_year.sector
    left join person_sector as found
        on found.person_key = person_year.person_key and found.sector = other_sector.sector
    left join in_review on in_review.person_key = person_year.person_key
),

k12_person as (
    select distinct person_key
    from {{ ref('dim_person_year') }}
    where is_in_k12
),

stated as (
    select person_key, breakdown_code, group_code
    from (
        select
            membership.person_key,
            membership.breakdown_code,
            membership.group_code,
            row_number() over (
                partition by membership.person_key, membership.breakdown_code order by membership.school_year desc
            ) as recency
        from {{ ref('brg_person_year_group') }} as membership
        inner join k12_person on k12_person.person_key = membership.person_key
        where
            membership.membership_rule = 'last_known'
            and membership.breakdown_code in ('{{ breakdowns | join("', '") }}')
    ) as ranked
    where recency = 1
),

breakdown as (
    {% for breakdown_code in breakdowns %}
    select
        '{{ breakdown_code }}' as breakdown_code,
        '{{ 'all' if breakdown_code == 'all' else 'not_reported' }}' as default_code
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    sought.sector_code,
    sought.other_sector_code,
    cast(sought.school_year as integer) as school_year,
    breakdown.breakdown_code,
    coalesce(stated.group_code, breakdown.default_code) as group_code,
    sought.link_status,
    cast(count(*) as bigint) as person_count,
    cast(sum(sought.perturbation_key) as bigint) as perturbation_sum
from sought
cross join breakdown
left join stated
    on stated.person_key = sought.person_key and stated.breakdown_code = breakdown.breakdown_code
group by
    sought.sector_code, sought.other_sector_code, sought.school_year, breakdown.breakdown_code,
    coalesce(stated.group_code, breakdown.default_code), sought.link_status
