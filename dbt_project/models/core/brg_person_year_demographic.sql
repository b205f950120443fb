-- Grain: one row per person, school year and breakdown (gender and the two race and ethnicity roll-ups) that the
--        year's deliveries state.
-- Rule: a certified statement before a preliminary one, then the source of lowest precedence
--       (seeds/policy/group_membership.csv). Race and ethnicity come as multi-select flags, kept as sent in the facts;
--       seeds/policy/race_roll_up.csv rolls them up: a flag that is decisive settles the group alone (Hispanic in
--       2007), otherwise one group is itself and several are two_or_more. No flag chosen is no statement.
{% set flags = [
    'is_hispanic', 'is_american_indian', 'is_asian', 'is_black', 'is_pacific_islander', 'is_white', 'is_middle_eastern'
] %}
{% set race_sources = [
    ('k12__student', 'fct_student_year'), ('early_childhood__program_enrollment', 'fct_early_childhood_enrollment'),
    ('child_welfare__client', 'fct_child_welfare_client')
] %}
{% set sex_sources = race_sources + [
    ('k12__assessment_result', 'fct_assessment_result'),
    ('postsecondary__enrollment', 'fct_postsecondary_enrollment'),
    ('postsecondary__course_result', 'fct_course_result')
] %}

with sex_statement as (
    {% for collection, fact in sex_sources %}
    select distinct
        record_key,
        school_year,
        certification,
        '{{ collection }}' as collection,
        sex_code
    from {{ ref(fact) }}
    where sex_code is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

race_statement as (
    {% for collection, fact in race_sources %}
    select distinct
        record_key,
        school_year,
        certification,
        '{{ collection }}' as collection,
        {% for flag in flags %}
        coalesce({{ flag }}, false) as {{ flag }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ ref(fact) }}
    where
        {% for flag in flags %}
        {{ 'or ' if not loop.first }}{{ flag }}
        {% endfor %}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

-- The roll-up is worked out once for every combination of flags, not once for every child.
combination as (
    select distinct
        {% for flag in flags %}
        {{ flag }}{{ ',' if not loop.last }}
        {% endfor %}
    from race_statement
),

chosen_flag as (
    {% for flag in flags %}
    select
        *,
        '{{ flag }}' as element
    from combination
    where {{ flag }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

roll_up as (
    select
        {% for flag in flags %}
        chosen_flag.{{ flag }},
        {% endfor %}
        policy.breakdown_code,
        coalesce(
            min(case when policy.is_decisive = 'true' then policy.group_code end),
            case
                when count(distinct policy.group_code) = 1 then min(policy.group_code)
                else 'two_or_more'
            end
        ) as group_code
    from chosen_flag
    inner join {{ ref('race_roll_up') }} as policy
        on policy.element = chosen_flag.element
    group by
        {% for flag in flags %}
        chosen_flag.{{ flag }},
        {% endfor %}
        policy.breakdown_code
),

demographic as (
    select
        statement.record_key,
        statement.school_year,
        statement.certification,
        policy.breakdown_code,
        policy.group_code,
        cast(policy.precedence as integer) as precedence
    from sex_statement as statement
    inner join {{ ref('group_membership') }} as policy
        on
            policy.breakdown_code = 'gender'
            and policy.collection = statement.collection
            and policy.value = statement.sex_code
    union all
    select
        statement.record_key,
        statement.school_year,
        statement.certification,
        roll_up.breakdown_code,
        roll_up.group_code,
        cast(policy.precedence as integer) as precedence
    from race_statement as statement
    inner join roll_up
        on
            {% for flag in flags %}
            {{ 'and ' if not loop.first }}roll_up.{{ flag }} = statement.{{ flag }}
            {% endfor %}
    inner join {{ ref('group_membership') }} as policy
        on policy.breakdown_code = roll_up.breakdown_code and policy.collection = statement.collection
),

ranked as (
    select
        bridge.person_key,
        demographic.school_year,
        demographic.breakdown_code,
        demographic.group_code,
        demographic.certification,
        row_number() over (
            partition by bridge.person_key, demographic.school_year, demographic.breakdown_code
            order by demographic.certification, demographic.precedence, demographic.group_code
        ) as choice
    from demographic
    inner join {{ ref('brg_record_person') }} as bridge
        on bridge.record_key = demographic.record_key
)

select
    person_key,
    school_year,
    breakdown_code,
    group_code,
    certification
from ranked
where choice = 1
