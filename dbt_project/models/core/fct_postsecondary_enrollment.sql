-- Grain: one row per accepted row of postsecondary__enrollment (student, institution and term, within a delivery).
-- Rule: A term at an institution, or a search that found none (is_record_found false): no information is not the
--       same as not enrolled.
select
    enrollment.record_key,
    institution.organization_key as institution_key,
    cast(
        coalesce(
            enrollment.school_year,
            {{ school_year('coalesce(enrollment.term_begin_date, enrollment.search_date)') }}
        ) as integer
    ) as school_year,
    cast(coalesce(enrollment.term_begin_date, enrollment.search_date) as date) as period_start,
    cast(
        coalesce(enrollment.term_end_date, enrollment.term_begin_date, enrollment.search_date) as date
    ) as period_end,
    enrollment.certification,
    enrollment.submitter,
    enrollment.package,
    enrollment.period,
    enrollment.delivery_id,
    enrollment.source_row,
    enrollment.is_record_found,
    enrollment.search_date,
    enrollment.term_begin_date,
    enrollment.term_end_date,
    enrollment.enrollment_status_code,
    enrollment.institution_level_code,
    enrollment.institution_control_code,
    enrollment.institution_name,
    enrollment.state_abbreviation,
    enrollment.class_level_code,
    enrollment.cip_code,
    enrollment.sex_code,
    cast(enrollment.birth_year as integer) as birth_year
from {{ ref('stg_postsecondary__enrollment') }} as enrollment
left join {{ ref('brg_organization_id') }} as institution
    on institution.naming_code = 'institution' and institution.organization_id = enrollment.institution_id
