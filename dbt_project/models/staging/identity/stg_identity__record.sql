-- Identifiers as delivered -> identifiers in one form. Nothing here fails on a bad value: a cast error would print it.
with token as (
    select
        list(token) filter (where kind = 'suffix') as suffixes,
        list(token) filter (where kind = 'particle') as particles
    from {{ ref('name_suffix') }}
),

placeholder as (
    select
        coalesce(list(value) filter (where field in ('name', 'given_name')), []) as given_names,
        coalesce(list(value) filter (where field = 'name'), []) as names,
        coalesce(list(value) filter (where field = 'ssn'), []) as ssns,
        coalesce(list(value) filter (where field = 'number'), []) as numbers,
        coalesce(list(value) filter (where field = 'postal_code'), []) as postal_codes,
        coalesce(list(try_cast(value as date)) filter (where field = 'birth_date'), []) as birth_dates
    from {{ ref('placeholder') }}
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
        regexp_extract(record.birth_month, '^([12][0-9]{3})-?([01][0-9])$', 1) as birth_month_year,
        regexp_extract(record.birth_month, '^([12][0-9]{3})-?([01][0-9])$', 2) as birth_month_month,
        upper(left(trim(record.sex_code), 1)) as sex_letter,
        left(regexp_replace(record.postal_code, '[^0-9]', '', 'g'), 5) as postal_code
    from {{ source('vault', 'identity_record') }} as record
),

known as (
    select
        cleaned.* replace (
            case when not list_contains(placeholder.numbers, local_id) then local_id end as local_id,
            case when not list_contains(placeholder.numbers, student_id_state) then student_id_state end
                as student_id_state,
            case when not list_contains(placeholder.ssns, ssn) then ssn end as ssn,
            case when not list_contains(placeholder.given_names, given_name) then given_name end as given_name,
            case when not list_contains(placeholder.names, middle_name) then middle_name end as middle_name,
            case when not list_contains(placeholder.names, surname) then surname end as surname,
            case
                when birth_date >= date '1900-01-01' and not list_contains(placeholder.birth_dates, birth_date)
                    then birth_date
            end as birth_date,
            case
                when length(postal_code) = 5 and not list_contains(placeholder.postal_codes, postal_code)
                    then postal_code
            end as postal_code
        )
    from cleaned
    cross join placeholder
),

split as (
    select
        known.* exclude (given_name, surname, name_suffix),
        -- A suffix inside a name column is no part of the name; a first word never is a suffix.
        list_filter(
            string_split(known.given_name, ' '), lambda word, i: i = 1 or not list_contains(token.suffixes, word)
        ) as given_words,
        list_filter(
            string_split(known.surname, ' '), lambda word, i: i = 1 or not list_contains(token.suffixes, word)
        ) as surname_words,
        coalesce(
            known.name_suffix,
            list_filter(string_split(known.surname, ' ')[2:], lambda word: list_contains(token.suffixes, word))[1],
            list_filter(string_split(known.given_name, ' ')[2:], lambda word: list_contains(token.suffixes, word))[1]
        ) as name_suffix,
        token.particles
    from known
    cross join token
),

named as (
    select
        split.*,
        array_to_string(surname_words, '') as surname,
        list_filter(
            surname_words, lambda word: length(word) >= 2 and not list_contains(particles, word)
        ) as surname_parts,
        given_words[1] as given_first,
        array_to_string(given_words, '') as given_name,
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
    case when length(named.given_first) >= 2 then coalesce(nickname.root, named.given_first) end as given_root,
    left(named.given_name, 1) as given_initial,
    left(named.given_name, 15) as given15,
    named.middle as middle_name,
    left(named.middle, 1) as middle_initial,
    named.surname,
    left(named.surname, 20) as surname20,
    case
        when named.surname is not null
            then
                list_distinct(
                    list_concat([named.surname, array_to_string(named.surname_parts, '')], named.surname_parts)
                )
    end as surname_tokens,
    named.name_suffix,
    named.birth_date,
    coalesce(
        strftime(named.birth_date, '%Y-%m'), nullif(named.birth_month_year || '-' || named.birth_month_month, '-')
    ) as birth_month,
    case when named.sex_letter in ('F', 'M') then named.sex_letter end as sex_code,
    named.postal_code,
    named.given_name is null and named.surname is null and named.birth_date is null as is_bare
from named
left join (select nickname, min(root) as root from {{ ref('nickname') }} group by nickname) as nickname
    on named.given_first = nickname.nickname
