{#-
  CTEs shared by what happens after high school: `recipient`, one row a person, the first regular or higher diploma
  (20 USC 7801(43); policy diploma_effect.csv) at the school that awarded it. A tie on the date goes to the lower
  state id of the school, so that random keys decide nothing.
-#}
{% macro diploma_recipient() %}
diploma as (
    select
        link.person_key,
        completion.school_key,
        completion.lea_key,
        completion.school_year,
        completion.completion_date,
        row_number() over (
            partition by link.person_key
            order by
                completion.completion_date,
                completion.school_year,
                coalesce(school.organization_id_state, ''),
                completion.delivery_id,
                completion.source_row
        ) as position_number
    from {{ ref('fct_completion') }} as completion
    inner join {{ ref('brg_record_person') }} as link on link.record_key = completion.record_key
    inner join {{ ref('diploma_effect') }} as effect on effect.diploma_type_code = completion.diploma_type_code
    left join {{ ref('dim_organization') }} as school on school.organization_key = completion.school_key
    where effect.effect = 'regular_or_higher'
),

recipient as (
    select person_key, school_key, lea_key, school_year, completion_date
    from diploma
    where position_number = 1
)
{% endmacro %}
