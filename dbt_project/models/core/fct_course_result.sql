-- Grain: one row per accepted row of postsecondary__course_result (student, institution, course and term, within a
--       delivery).
-- Rule: How one course ended for one student.
select
    result.record_key,
    institution.organization_key as institution_key,
    cast(coalesce(result.school_year, {{ school_year('result.term_begin_date') }}) as integer) as school_year,
    cast(coalesce(result.term_begin_date, {{ school_year_begin('result.school_year') }}) as date) as period_start,
    cast(coalesce(result.term_begin_date, {{ school_year_end('result.school_year') }}) as date) as period_end,
    result.certification,
    result.submitter,
    result.package,
    result.period,
    result.delivery_id,
    result.source_row,
    result.course_code,
    result.term_code,
    result.term_begin_date,
    cast(result.credits_attempted as decimal(12,3)) as credits_attempted,
    result.course_result_code,
    result.sex_code,
    result.has_disability,
    cast(result.birth_year as integer) as birth_year
from {{ ref('stg_postsecondary__course_result') }} as result
left join {{ ref('brg_organization_id') }} as institution
    on institution.naming_code = 'institution' and institution.organization_id = result.institution_id
