-- Tested: an organization key in a fact is one of dim_organization. Matters because cubes join on it.
-- To resolve: run the night again; a fact was built against another state of the directory.
{{ config(severity='error', meta={'dagster': {'ref': {'name': 'dim_organization'}}}) }}
{% set keys = [
    ('fct_student_year', 'lea_key'),
    ('fct_enrollment', 'school_key'),
    ('fct_enrollment', 'lea_key'),
    ('fct_attendance', 'school_key'),
    ('fct_attendance', 'lea_key'),
    ('fct_attendance_event', 'school_key'),
    ('fct_attendance_event', 'lea_key'),
    ('fct_program_participation', 'organization_key'),
    ('fct_program_participation', 'lea_key'),
    ('fct_assessment_result', 'school_key'),
    ('fct_assessment_result', 'lea_key'),
    ('fct_completion', 'school_key'),
    ('fct_completion', 'lea_key'),
    ('fct_early_childhood_enrollment', 'organization_key'),
    ('fct_kindergarten_readiness', 'school_key'),
    ('fct_kindergarten_readiness', 'lea_key'),
    ('fct_postsecondary_enrollment', 'institution_key'),
    ('fct_award', 'institution_key'),
    ('fct_course_result', 'institution_key'),
] %}

{% for fact, key in keys %}
select
    '{{ fact }}' as fact,
    fact.{{ key }} as organization_key,
    count(*) as row_count
from {{ ref(fact) }} as fact
left join {{ ref('dim_organization') }} as organization
    on organization.organization_key = fact.{{ key }}
where fact.{{ key }} is not null and organization.organization_key is null
group by fact.{{ key }}
{{ 'union all' if not loop.last }}
{% endfor %}
