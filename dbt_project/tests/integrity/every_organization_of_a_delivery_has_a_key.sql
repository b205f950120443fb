-- Tested: no identifier of a school, district or institution is lost on its way into the facts.
-- To resolve: the identity registry has no key for the organization; run the night again.
{{ config(severity='error', meta={'dagster': {'ref': {'name': 'brg_organization_id'}}}) }}
{% set naming = [
    ('school', 'stg_k12__enrollment', 'school_id_state'), ('lea', 'stg_k12__enrollment', 'lea_id_state'),
    ('school', 'stg_k12__attendance', 'school_id_state'), ('lea', 'stg_k12__student', 'lea_id_state'),
    ('school', 'stg_k12__attendance_event', 'school_id_state'),
    ('school', 'stg_k12__assessment_result', 'school_id_state'), ('school', 'stg_k12__completion', 'school_id_state'),
    ('school', 'stg_early_childhood__kindergarten_readiness', 'school_id_state'),
    ('lea_or_school', 'stg_k12__program_participation', 'organization_id_state'),
    ('provider_or_school', 'stg_early_childhood__program_enrollment', 'organization_id_state'),
    ('institution', 'stg_postsecondary__enrollment', 'institution_id'),
    ('institution', 'stg_postsecondary__award', 'institution_id'),
    ('institution', 'stg_postsecondary__course_result', 'institution_id'),
] %}

{% for naming_code, model, id_column in naming %}
select
    '{{ model }}' as model,
    delivered.organization_id
from (select distinct {{ id_column }} as organization_id from {{ ref(model) }}) as delivered
left join {{ ref('brg_organization_id') }} as known
    on known.naming_code = '{{ naming_code }}' and known.organization_id = delivered.organization_id
where delivered.organization_id is not null and known.organization_key is null
{{ 'union all' if not loop.last }}
{% endfor %}
