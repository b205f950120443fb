-- Grain: one row per person x organization x level x assessment and subject x school year.
-- Rule: the last result of the year at that organization that says whether proficiency was reached: by policy
-- performance_level.csv (level, or score where no level is sent), else as sent. A student with results from which
-- neither follows is not determined, never not proficient. ESEA 1111(b)(2).
with judged as (
    select
        link.person_key,
        assessment.school_key,
        assessment.lea_key,
        assessment.school_year,
        concat(assessment.assessment_code, '|', coalesce(assessment.subject_code, 'all')) as subject_code,
        assessment.administration_date,
        assessment.delivery_id,
        assessment.source_row,
        coalesce(policy.is_proficient, case when assessment.is_proficient then 'true' when not assessment.is_proficient then 'false' end)
            as is_proficient,
        case when policy.assessment_code = '*' then 1 else 0 end + case when policy.subject_code = '*' then 1 else 0 end
            as wildcard_count
    from {{ ref('fct_assessment_result') }} as assessment
    inner join {{ ref('brg_record_person') }} as link on link.record_key = assessment.record_key
    left join {{ ref('performance_level') }} as policy
        on policy.assessment_code in (assessment.assessment_code, '*')
        and policy.subject_code in (assessment.subject_code, '*')
        and (
            policy.performance_level_code = assessment.performance_level_code
            or (
                assessment.performance_level_code is null
                and coalesce(nullif(policy.minimum_score, ''), nullif(policy.maximum_score, '')) is not null
                and assessment.scale_score >= coalesce(cast(nullif(policy.minimum_score, '') as integer), -999999)
                and assessment.scale_score < coalesce(cast(nullif(policy.maximum_score, '') as integer) + 1, 999999)
            )
        )
),

attributed as (
    {{ attribute_levels('judged', {'school': 'school_key', 'lea': 'lea_key', 'state': none}) }}
),

last_result as (
    select
        attributed.*,
        row_number() over (
            partition by person_key, organization_key, subject_code, school_year
            order by
                case when is_proficient is null then 1 else 0 end,
                case when administration_date is null then 1 else 0 end,
                administration_date desc,
                wildcard_count,
                is_proficient desc,
                delivery_id,
                source_row
        ) as position_number
    from attributed
),

outcome as (
    select
        person_key,
        organization_key,
        organization_level,
        school_year,
        school_year as cohort_year,
        subject_code,
        'serving' as organization_role,
        true as is_in_denominator,
        coalesce(is_proficient, 'false') = 'true' as is_in_numerator,
        cast(null as bigint) as amount,
        case when is_proficient is null then 'not_determined' else 'counted' end as outcome_status,
        case when is_proficient is null then 'no_performance_level' end as exclusion_code
    from last_result
    where position_number = 1
)

{{ indicator_rows('outcome', 'assessment_proficiency') }}
