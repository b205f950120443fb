-- Wages whose SSN is bound to a person but whose names agree with no record that bears it: not linked, never "jobless".
-- A number that more records bear than the policy's cap (match_tier, wages by SSN) is nobody's: its wages are refused
-- whatever the names. Of such a crowd each wage is told beside one record and each record beside one wage, not every
-- pair.
with bearer as (
    select
        record_key,
        is_wage,
        ssn
    from {{ ref('int_linkage__key') }}
    where is_whole and not is_gone and ssn is not null
),

shared as (
    select
        ssn,
        count(*) > (
            select max(try_cast(cap as bigint))
            from {{ ref('match_tier') }}
            where key_name = 'ssn' and joins = 'attach'
        ) as is_crowded,
        min(case when is_wage then record_key end) as first_wage,
        min(case when not is_wage then record_key end) as first_anchor
    from bearer
    group by ssn
    having first_wage is not null and first_anchor is not null
)

select
    wage.record_key,
    anchor.record_key as anchor_record_key,
    shared.is_crowded
from shared
inner join bearer as wage on shared.ssn = wage.ssn
inner join bearer as anchor
    on
        wage.ssn = anchor.ssn
        and (
            not shared.is_crowded
            or wage.record_key = shared.first_wage
            or anchor.record_key = shared.first_anchor
        )
left join {{ ref('int_linkage__pair') }} as pair
    on
        least(wage.record_key, anchor.record_key) = pair.record_key_a
        and greatest(wage.record_key, anchor.record_key) = pair.record_key_b
where
    wage.is_wage
    and not anchor.is_wage
    and pair.record_key_a is null
