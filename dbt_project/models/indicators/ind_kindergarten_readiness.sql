-- Grain: one row per person x organization x level x school year of kindergarten.
-- Rule: ready = the level demonstrating; a score alone is read by the cut scores of policy performance_level.csv.
with result as (
    select
        link.person_key,
        readiness.school_key,
        readiness.lea_key,
        readiness.school_year,
        policy.is_proficient,
        row_number() over (
            partition by link.person_key, readiness.school_year
            order by
                case when policy.is_proficient is null then 1 else 0 end,
                readiness.assessment_date desc,
                policy.is_proficient desc,
                readiness.delivery_id,
                readiness.source_row
        ) as position_number
    from {{ ref('fct_kindergarten_readiness') }} as readiness
    inner join {{ ref('brg_record_person') }} as link on link.record_key = readiness.record_key
    left join {{ ref('performance_level') }} as policy
        on policy.assessment_code = readiness.assessment_code
        and (
            policy.performance_level_code = readiness.performance_level_code
            or (
                readiness.performance_level_code is null
                and readiness.overall_score >= coalesce(cast(nullif(policy.minimum_score, '') as integer), 0)
                and readiness.overall_score <= coalesce(cast(nullif(policy.maximum_score, '') as integer), 999999)
            )
        )
),

person_outcome as (
    select
        person_key,
        school_key,
        lea_key,
        school_year,
        school_year as cohort_year,
        'all' as subject_code,
        'serving' as organization_role,
        true as is_in_denominator,
        coalesce(is_proficient, 'false') = 'true' as is_in_numerator,
        cast(null as bigint) as amount,
        case when is_proficient is null then 'excluded' else 'counted' end as outcome_status,
        case when is_proficient is null then 'not_assessed' end as exclusion_code
    from result
    where position_number = 1
),

attributed as (
    {{ attribute_levels('person_outcome', {'school': 'school_key', 'lea': 'lea_key', 'state': none}) }}
)

{{ indicator_rows('attributed', 'kindergarten_readiness') }}
