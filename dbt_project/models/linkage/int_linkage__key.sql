-- The values that two records must share to become candidates, one row per record and key. Wages have no key but SSN,
-- exact or one digit apart.
with record as (
    select * from {{ ref('stg_identity__record') }}
),

full_name as (
    select
        record.*,
        unnest(surname_tokens) as surname_token
    from record
    where sector <> 'workforce' and given_root is not null and surname is not null
),

key_value as (
    select record_key, 'student_id' as key_name, student_id_state as key_text from record
    union all
    select record_key, 'local_id', sector || '|' || local_id_issuer || '|' || local_id from record
    union all
    select record_key, 'ssn', ssn from record
    union all
    -- Each digit left out in turn: two numbers that differ in one digit share one of the nine.
    select
        record_key,
        'ssn_near_name',
        given_root || '|' || surname || '|' || position || '|' || left(ssn, position - 1) || right(ssn, 9 - position)
    from record
    cross join (select unnest(range(1, 10)) as position) as digit
    union all
    select record_key, 'name_birth', given_root || '|' || surname_token || '|' || birth_date::text from full_name
    union all
    select
        record_key,
        'name_birth_zip',
        given_root || '|' || surname_token || '|' || birth_date::text || '|' || postal_code
    from full_name
    union all
    select
        record_key,
        'name_birth_middle',
        given_root || '|' || surname_token || '|' || birth_date::text || '|' || middle_initial
    from full_name
    union all
    select
        record_key,
        'given_birth_zip_middle',
        given_root || '|' || birth_date::text || '|' || postal_code || '|' || middle_initial
    from record
    union all
    select record_key, 'given_birth_middle_name', given_root || '|' || birth_date::text || '|' || middle_name
    from record
    where length(middle_name) > 1
    union all
    select
        record_key,
        'name_zip_birth_swapped',
        given_root || '|' || surname_token || '|' || postal_code || '|' || year(birth_date)
        || '|' || least(month(birth_date), day(birth_date)) || '|' || greatest(month(birth_date), day(birth_date))
    from full_name
    where day(birth_date) <= 12
    union all
    select
        record_key,
        'name_zip_birth_near',
        given_root || '|' || surname_token || '|' || postal_code || '|'
        || unnest([strftime(birth_date, 'YM%Y%m'), strftime(birth_date, 'YD%Y%d'), strftime(birth_date, 'MD%m%d')])
    from full_name
    union all
    select
        record_key,
        'name_middle_birth_near',
        given_root || '|' || surname_token || '|' || middle_name || '|'
        || unnest([strftime(birth_date, 'YM%Y%m'), strftime(birth_date, 'YD%Y%d'), strftime(birth_date, 'MD%m%d')])
    from full_name
    where length(middle_name) > 1
    union all
    select record_key, 'surname_birth_zip', surname_token || '|' || birth_date::text || '|' || postal_code
    from full_name
    union all
    select record_key, 'surname_birth_middle', surname_token || '|' || birth_date::text || '|' || middle_initial
    from full_name
    union all
    select record_key, 'name_month_zip', given_root || '|' || surname_token || '|' || birth_month || '|' || postal_code
    from full_name
    union all
    select record_key, 'name_month', given_root || '|' || surname_token || '|' || birth_month from full_name
)

select distinct
    record_key,
    key_name,
    key_text
from key_value
where key_text is not null
