{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook=[
        "{% if is_incremental() %}delete from {{ this }} where record_key in (select record_key from {{ source('vault', 'record_change') }} where is_gone){% endif %}",
        "{% if is_incremental() %}set threads = 1{% endif %}",
        "{% if is_incremental() %}set memory_limit = '1GB'{% endif %}"
    ]
) }}
-- In a night of few changes a second thread costs more CPU time than it shortens this model and those after it; so does
-- memory for what is read once.
-- Identifiers as delivered -> identifiers in one form. Nothing here fails on a bad value: a cast error would print it.
-- A record never changes, so a night removes those that no active delivery holds any more and adds those that came.
{%- set change = source('vault', 'record_change') %}
with token as (
    select
        coalesce(list(token) filter (where kind = 'suffix'), []) as suffixes,
        coalesce(list(token) filter (where kind = 'particle'), []) as particles
    from {{ ref('name_suffix') }}
),

suffix as (
    select
        token,
        standard
    from {{ ref('name_suffix') }}
    where kind = 'suffix'
),

cleaned as (
    select
        record.record_key,
        record.sector,
        record.local_id_issuer,
        {{ identity_number('record.local_id') }} as local_id,
        {{ identity_number('record.student_id_state') }} as student_id_state,
        {{ identity_ssn('record.ssn') }} as ssn,
        {{ identity_clean('record.given_name') }} as given_name,
        {{ identity_clean('record.middle_name') }} as middle_name,
        {{ identity_clean('record.surname') }} as surname,
        {{ identity_clean('record.name_suffix') }} as name_suffix,
        record.birth_date,
        regexp_extract(record.birth_month, '^([12][0-9]{3})-?(0[1-9]|1[0-2])$', 1)
        || '-' || regexp_extract(record.birth_month, '^([12][0-9]{3})-?(0[1-9]|1[0-2])$', 2) as birth_month,
        upper(left(trim(record.sex_code), 1)) as sex_letter,
        {{ identity_zip('record.postal_code') }} as postal_code
    from {{ source('vault', 'identity_record') }} as record
    where
        {%- if is_incremental() %}
        -- By row number: those that came are the last rows of the table, and the rest of it is not read.
        record.rowid in (
            select came.rowid
            from {{ source('vault', 'identity_record') }} as came
            where came.record_key in (select record_key from {{ change }} where not is_gone)
        )
        {%- else %}
        record.record_key in (select record_key from {{ source('vault', 'current_record') }})
        {%- endif %}
),

known as (
    select
        cleaned.* replace (
            case when no_local_id.value is null then local_id end as local_id,
            case when no_student_id.value is null then student_id_state end as student_id_state,
            case when no_ssn.value is null then ssn end as ssn,
            case when no_given.value is null and no_first.value is null then given_name end as given_name,
            case when no_middle.value is null then middle_name end as middle_name,
            case when no_surname.value is null then surname end as surname,
            case when birth_date >= date '1900-01-01' and no_date.value is null then birth_date end as birth_date,
            case when no_month.value is null then nullif(birth_month, '-') end as birth_month,
            case when no_zip.value is null then postal_code end as postal_code
        )
    from cleaned
    {%- for name, fields, value in [
        ('no_local_id', "'number'", 'local_id'),
        ('no_student_id', "'number'", 'student_id_state'),
        ('no_ssn', "'ssn'", 'ssn'),
        ('no_given', "'name', 'given_name'", 'given_name'),
        ('no_first', "'given_first'", "split_part(cleaned.given_name, ' ', 1)"),
        ('no_middle', "'name'", 'middle_name'),
        ('no_surname', "'name'", 'surname'),
        ('no_date', "'birth_date'", 'birth_date'),
        ('no_month', "'birth_month'", 'birth_month'),
        ('no_zip', "'postal_code'", 'postal_code'),
    ] %}
    left join (
        select distinct {{ 'try_cast(value as date)' if name == 'no_date' else 'value' }} as value
        from {{ ref('placeholder') }}
        where field in ({{ fields }})
    ) as {{ name }} on {{ value if '(' in value else 'cleaned.' ~ value }} = {{ name }}.value
    {%- endfor %}
),

-- Most names are one word; only the others are taken apart.
split as (
    select
        known.* exclude (given_name, surname, name_suffix),
        known.given_name as given_text,
        known.surname as surname_text,
        -- A suffix inside a name column is no part of the name; a first word never is one, and a single letter after a
        -- given name is an initial.
        case
            when contains(known.given_name, ' ')
                then
                    list_filter(
                        string_split(known.given_name, ' '),
                        lambda word, i: i = 1 or length(word) = 1 or not list_contains(token.suffixes, word)
                    )
        end as given_words,
        case
            when contains(known.surname, ' ')
                then
                    list_filter(
                        string_split(known.surname, ' '),
                        lambda word, i: i = 1 or not list_contains(token.suffixes, word)
                    )
        end as surname_words,
        case
            when list_contains(token.suffixes, known.name_suffix) then known.name_suffix
            when contains(known.surname, ' ') or contains(known.given_name, ' ')
                then
                    coalesce(
                        list_filter(
                            string_split(known.surname, ' ')[2:], lambda word: list_contains(token.suffixes, word)
                        )[1],
                        list_filter(
                            string_split(known.given_name, ' ')[2:],
                            lambda word: length(word) > 1 and list_contains(token.suffixes, word)
                        )[1]
                    )
        end as suffix_word,
        token.particles
    from known
    cross join token
),

named as (
    select
        split.*,
        case when surname_words is null then surname_text else array_to_string(surname_words, '') end as surname,
        case
            when surname_words is not null
                then
                    list_filter(
                        -- One Latin letter is an initial; in other scripts it may be the whole name.
                        surname_words, lambda word: strlen(word) >= 2 and not list_contains(particles, word)
                    )
        end as surname_parts,
        coalesce(given_words[1], given_text) as given_first,
        case when given_words is null then given_text else array_to_string(given_words, '') end as given_name,
        nullif(coalesce(middle_name, array_to_string(given_words[2:], ' ')), '') as middle
    from split
)

select
    named.record_key,
    named.sector,
    named.local_id_issuer,
    named.local_id,
    named.student_id_state,
    named.ssn,
    named.given_name,
    case when strlen(named.given_first) >= 2 then coalesce(nickname.root, named.given_first) end as given_root,
    left(named.given_name, 1) as given_initial,
    left(named.given_name, 15) as given15,
    named.middle as middle_name,
    left(named.middle, 1) as middle_initial,
    named.surname,
    left(named.surname, 20) as surname20,
    case
        when named.surname_parts is not null
            then
                list_prepend(
                    named.surname,
                    list_sort(list_distinct(list_filter(
                        list_append(named.surname_parts, array_to_string(named.surname_parts, '')),
                        lambda form: form <> '' and form <> named.surname
                    )))
                )
        when named.surname is not null then [named.surname]
    end as surname_tokens,
    suffix.standard as name_suffix,
    named.birth_date,
    coalesce(strftime(named.birth_date, '%Y-%m'), named.birth_month) as birth_month,
    case when named.sex_letter in ('F', 'M') then named.sex_letter end as sex_code,
    named.postal_code,
    named.given_name is null and named.surname is null and named.birth_date is null as is_bare
from named
left join (select nickname, min(root) as root from {{ ref('nickname') }} group by nickname) as nickname
    on named.given_first = nickname.nickname
left join suffix on named.suffix_word = suffix.token
