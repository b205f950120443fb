-- Wages whose SSN is bound to a person but whose names agree with no record that bears it: not linked, never "jobless".
select
    wage.record_key,
    anchor.record_key as anchor_record_key
from {{ ref('stg_identity__record') }} as wage
inner join {{ ref('stg_identity__record') }} as anchor on wage.ssn = anchor.ssn
left join {{ ref('int_linkage__pair') }} as pair
    on
        least(wage.record_key, anchor.record_key) = pair.record_key_a
        and greatest(wage.record_key, anchor.record_key) = pair.record_key_b
where
    wage.sector = 'workforce'
    and anchor.sector <> 'workforce'
    and pair.record_key_a is null
