-- Grain: indicator x subject x organization level and id x cohort year x breakdown x group.
-- Rule: every published indicator in one long table; official tables are exact where shown, the others perturbed.
-- Perturbed rows that count people of an official table are emptied after this, in the candidate and in the release,
-- where the official row beside them hides its count (pipelines/disclosure/one_way.py).
with protected_row as (
    {%- for relation in [source('protected', 'official_indicator'), ref('perturbed_indicator')] %}
    select
        indicator_code, subject_code, school_year, cohort_year, organization_level, organization_id_state,
        organization_id_nces, organization_name, lea_id_state, lea_name, breakdown_code, group_code,
        denominator_count, numerator_count, rate, rate_low, rate_high, rate_label, value_amount, value_unit,
        value_status, suppression_reason, protection
    from {{ relation }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    cast(protected_row.indicator_code as {{ dbt.type_string() }}) as indicator_code,
    cast(protected_row.subject_code as {{ dbt.type_string() }}) as subject_code,
    cast(register.definition_version as {{ dbt.type_string() }}) as definition_version,
    cast(protected_row.school_year as integer) as school_year,
    cast(protected_row.cohort_year as integer) as cohort_year,
    cast(protected_row.organization_level as {{ dbt.type_string() }}) as organization_level,
    cast(protected_row.organization_id_state as {{ dbt.type_string() }}) as organization_id_state,
    cast(protected_row.organization_id_nces as {{ dbt.type_string() }}) as organization_id_nces,
    cast(protected_row.organization_name as {{ dbt.type_string() }}) as organization_name,
    cast(protected_row.lea_id_state as {{ dbt.type_string() }}) as lea_id_state,
    cast(protected_row.lea_name as {{ dbt.type_string() }}) as lea_name,
    cast(protected_row.breakdown_code as {{ dbt.type_string() }}) as breakdown_code,
    cast(protected_row.group_code as {{ dbt.type_string() }}) as group_code,
    cast(coalesce(student_group.group_name, protected_row.group_code) as {{ dbt.type_string() }}) as group_name,
    cast(protected_row.denominator_count as bigint) as denominator_count,
    cast(protected_row.numerator_count as bigint) as numerator_count,
    cast(protected_row.rate as decimal(9, 6)) as rate,
    cast(protected_row.rate_low as decimal(9, 6)) as rate_low,
    cast(protected_row.rate_high as decimal(9, 6)) as rate_high,
    cast(protected_row.rate_label as {{ dbt.type_string() }}) as rate_label,
    cast(protected_row.value_amount as bigint) as value_amount,
    cast(protected_row.value_unit as {{ dbt.type_string() }}) as value_unit,
    cast(protected_row.value_status as {{ dbt.type_string() }}) as value_status,
    cast(coalesce(protected_row.suppression_reason, '') as {{ dbt.type_string() }}) as suppression_reason,
    cast(protected_row.protection as {{ dbt.type_string() }}) as protection
from protected_row
inner join {{ ref('indicator') }} as register on register.indicator_code = protected_row.indicator_code
left join {{ ref('student_group') }} as student_group
    on student_group.breakdown_code = protected_row.breakdown_code
    and student_group.group_code = protected_row.group_code
