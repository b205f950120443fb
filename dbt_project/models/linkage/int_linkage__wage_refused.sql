-- Wages whose SSN is bound to a person but whose names agree with no record that bears it: not linked, never "jobless".
with bearer as (
    select
        record_key,
        is_wage,
        ssn
    from {{ ref('int_linkage__key') }}
    where is_whole and not is_gone and ssn is not null
)

select
    wage.record_key,
    anchor.record_key as anchor_record_key
from bearer as wage
inner join bearer as anchor on wage.ssn = anchor.ssn
left join {{ ref('int_linkage__pair') }} as pair
    on
        least(wage.record_key, anchor.record_key) = pair.record_key_a
        and greatest(wage.record_key, anchor.record_key) = pair.record_key_b
where
    wage.is_wage
    and not anchor.is_wage
    and pair.record_key_a is null
