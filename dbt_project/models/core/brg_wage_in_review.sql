-- Grain: one row per wage record and the person whose number it carries under another name.
-- Rule: such a wage is linked to nobody until it is reviewed; a person who is not found otherwise is then neither
--       employed nor jobless but not determined. Authority: linkage policy (policy/match_tier.csv, wage tiers).
select distinct
    cast(review.record_key as bigint) as record_key,
    cast(coalesce(redirect.person_key, review.candidate_person_key) as bigint) as person_key
from {{ source('registry', 'link_not_determined') }} as review
left join {{ source('registry', 'person_redirect') }} as redirect
    on redirect.old_person_key = review.candidate_person_key
