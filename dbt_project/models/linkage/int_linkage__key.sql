{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook=[
        "{% if is_incremental() %}delete from {{ this }} where is_gone{% endif %}",
        "{% if is_incremental() %}update {{ this }} set is_new = false where is_new{% endif %}",
        "{% if is_incremental() %}update {{ this }} set is_gone = true where record_key in (select record_key from {{ ref('stg_identity__change') }} where is_gone){% endif %}"
    ]
) }}
-- What two records may share, as numbers: keys are made of these, and most guards compare them. Text is hashed because
-- ten million names compared as text cost more than the night may have; a pair compares the parts of its key once more.
-- Records that went stay for a night, marked, so that the groups which they leave are computed again.
-- A double surname is one row a form; the record's numbers stand in each, but only the first row makes keys of them.
-- depends_on: {{ ref('stg_identity__change') }}
{%- if is_incremental() %}
-- By row number: those that came are the last rows of the table, and the rest of it is not read.
with record as materialized (
    select staged.*
    from {{ ref('stg_identity__record') }} as staged
    where
        staged.rowid in (
            select came.rowid
            from {{ ref('stg_identity__record') }} as came
            where came.record_key in (select record_key from {{ ref('stg_identity__change') }} where not is_gone)
        )
),
{%- else %}
-- Not materialized: keeping ten million records between two reads costs three times what the second read costs.
with record as not materialized (
    select *
    from {{ ref('stg_identity__record') }}
),
{%- endif %}

form as (
    select
        record.* exclude (surname_tokens),
        true as is_whole,
        left(surname, 20) as form_text
    from record
    union all
    select
        record.* exclude (surname_tokens),
        false as is_whole,
        unnest(list_distinct(list_filter(
            list_transform(surname_tokens[2:], lambda token: left(token, 20)),
            lambda token: token <> left(surname, 20)
        ))) as form_text
    from record
    where len(surname_tokens) > 1
)

select
    record_key,
    is_whole,
    sector,
    sector = 'workforce' as is_wage,
    is_bare,
    {{ identity_hash('student_id_state') }} as student_id,
    {{ identity_hash("(sector || '|' || local_id_issuer || '|' || local_id)") }} as local_id,
    cast(ssn as integer) as ssn,
    {{ identity_hash('left(given_root, 15)') }} as given,
    {{ identity_hash('form_text') }} as surname,
    -- Most keys are of the whole name: one number is read and looked for faster than two.
    case when given_root is not null and form_text is not null then hash(left(given_root, 15), form_text) end as name,
    birth_date,
    cast(replace(birth_month, '-', '') as integer) as birth_month,
    cast(postal_code as integer) as postal_code,
    case when length(middle_name) > 1 then hash(middle_name) end as middle_name,
    unicode(middle_initial) as middle_initial,
    unicode(sex_code) as sex_code,
    {{ identity_hash('name_suffix') }} as name_suffix,
    false as is_gone,
    {{ 'true' if is_incremental() else 'false' }} as is_new
from form
