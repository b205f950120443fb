-- Grain: sector x sector looked for x school year x breakdown x group x link status, in the state.
-- Rule: cell-key perturbation (macro cell_key). Cells under the minimum, exact or perturbed, have no row. The share is
-- made of the rows that are shown alone, so that it tells nothing about those that are not.
with {{ cell_key_policy() }},

{{ cell_key_shown(ref('cube_link_quality')) }},

everyone as (
    select
        sector_code,
        other_sector_code,
        school_year,
        breakdown_code,
        group_code,
        sum(noisy_count) as noisy_count
    from shown
    group by sector_code, other_sector_code, school_year, breakdown_code, group_code
)

select
    shown.sector_code,
    shown.other_sector_code,
    shown.school_year,
    shown.breakdown_code,
    shown.group_code,
    coalesce(student_group.group_name, shown.group_code) as group_name,
    shown.link_status,
    cast(shown.noisy_count as bigint) as person_count,
    {{ cell_key_share('shown.noisy_count', 'everyone.noisy_count') }} as share,
    'shown' as value_status,
    'perturbed' as protection
from shown
inner join everyone
    on everyone.sector_code = shown.sector_code
    and everyone.other_sector_code = shown.other_sector_code
    and everyone.school_year = shown.school_year
    and everyone.breakdown_code = shown.breakdown_code
    and everyone.group_code = shown.group_code
left join {{ ref('student_group') }} as student_group
    on student_group.breakdown_code = shown.breakdown_code and student_group.group_code = shown.group_code
