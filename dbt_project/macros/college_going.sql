{#-
  College-going within one declared window (policy outcome_window.csv).
  A graduate is enrolled when a found enrollment touches the window; is not enrolled when a clearinghouse search from the day
  the window ends says so; and otherwise there is no information: a blank is no proof of not being enrolled.
  A cohort whose window is not covered by every source that delivers is open as a whole.
-#}
{% macro college_going(indicator_code, window_code) %}
with {{ diploma_recipient() }},

outcome_window as (
    select
        cohort.school_year,
        {{ year_day('cohort.school_year + cast(policy.start_year_offset as integer)', 'policy.start_month_day') }} as starts_on,
        {{ year_day('cohort.school_year + cast(policy.end_year_offset as integer)', 'policy.end_month_day') }} as ends_on
    from (select distinct school_year from recipient) as cohort
    cross join {{ ref('outcome_window') }} as policy
    where policy.window_code = '{{ window_code }}'
),

-- Every kind of source that has ever delivered must reach the end of the window, and at least one must exist.
coverage as (
    select source_code, max(covered_through) as covered_through
    from {{ ref('int_indicator__source_coverage') }}
    where source_code in ('state_enrollment', 'clearinghouse')
    group by source_code
),

covered_window as (
    select outcome_window.school_year
    from outcome_window
    cross join coverage
    group by outcome_window.school_year
    having min(case when coverage.covered_through >= outcome_window.ends_on then 1 else 0 end) = 1
),

-- The states' own terms must also be there for the year that follows graduation: a later year does not fill a gap.
gap as (
    select outcome_window.school_year
    from outcome_window
    where
        exists (select 1 from coverage where source_code = 'state_enrollment')
        and outcome_window.school_year + 1 not in (
            select period_year from {{ ref('int_indicator__source_coverage') }} where source_code = 'state_enrollment'
        )
),

college_record as (
    select
        link.person_key,
        enrollment.is_record_found,
        enrollment.search_date,
        enrollment.term_begin_date,
        coalesce(enrollment.term_end_date, enrollment.term_begin_date) as term_end_date,
        coalesce(status.is_enrolled, 'true') = 'true' as is_enrolled
    from {{ ref('fct_postsecondary_enrollment') }} as enrollment
    inner join {{ ref('brg_record_person') }} as link on link.record_key = enrollment.record_key
    left join {{ ref('college_enrollment_status') }} as status
        on status.enrollment_status_code = enrollment.enrollment_status_code
),

evidence as (
    select
        recipient.person_key,
        max(
            case
                when college_record.is_record_found and college_record.is_enrolled
                    and college_record.term_begin_date <= outcome_window.ends_on
                    and college_record.term_end_date >= outcome_window.starts_on then 1
                else 0
            end
        ) as is_found,
        max(
            case
                when college_record.search_date >= outcome_window.ends_on
                    and (not college_record.is_record_found or college_record.term_begin_date is not null) then 1
                else 0
            end
        ) as is_searched
    from recipient
    inner join outcome_window on outcome_window.school_year = recipient.school_year
    inner join college_record on college_record.person_key = recipient.person_key
    group by recipient.person_key
),

person_outcome as (
    select
        recipient.person_key,
        recipient.school_key,
        recipient.lea_key,
        recipient.school_year,
        recipient.school_year as cohort_year,
        'all' as subject_code,
        'sending' as organization_role,
        true as is_in_denominator,
        coalesce(evidence.is_found, 0) = 1 as is_in_numerator,
        cast(null as bigint) as amount,
        case
            when covered_window.school_year is null or gap.school_year is not null then 'window_open'
            when coalesce(evidence.is_found, 0) = 1 or coalesce(evidence.is_searched, 0) = 1 then 'counted'
            else 'no_information'
        end as outcome_status,
        case
            when covered_window.school_year is null or gap.school_year is not null then 'window_not_covered'
        end as exclusion_code
    from recipient
    left join covered_window on covered_window.school_year = recipient.school_year
    left join gap on gap.school_year = recipient.school_year
    left join evidence on evidence.person_key = recipient.person_key
),

attributed as (
    {{ attribute_levels('person_outcome', {'school': 'school_key', 'lea': 'lea_key', 'state': none}) }}
)

{{ indicator_rows('attributed', indicator_code) }}
{% endmacro %}
