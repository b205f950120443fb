-- Tokens that tonight's records share with a record whose agency sends tokens. Of all others nothing is needed: they
-- came with identifiers and meet by those, under guards that a token cannot have.
with token as (
    select
        token.record_key,
        token.key_name,
        token.token,
        token.is_delivered,
        record.sector,
        record.local_id_issuer
    from {{ ref('stg_identity__token') }} as token
    inner join {{ ref('stg_identity__record') }} as record on token.record_key = record.record_key
),

delivered as (
    select distinct
        key_name,
        token
    from token
    where is_delivered
)

select
    token.record_key,
    'token_' || token.key_name as key_name,
    -- A number of an agency's own means a person inside that agency only. Intake writes "tokens:" before the issuer of
    -- a record that came as tokens, so that its numbers are told from plain ones everywhere else.
    case
        when token.key_name in ('local_id', 'local_id_given', 'local_id_birth')
            then token.sector || '|' || regexp_replace(token.local_id_issuer, '^tokens:', '') || '|' || hex(token.token)
        else hex(token.token)
    end as key_text,
    token.is_delivered,
    -- Of what comes as tokens: nothing but a number, so that it may follow a person but is none.
    token.is_delivered
    and bool_and(token.key_name in ('student_id', 'local_id', 'ssn')) over (partition by token.record_key) as is_number_only
from token
inner join delivered on token.key_name = delivered.key_name and token.token = delivered.token
