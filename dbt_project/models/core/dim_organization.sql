-- Grain: one row per organization that the directory or any delivery names, as of its latest school year.
-- Rule: nothing a delivery names is lost. An organization missing from the directory gets a row of its own with
--       is_in_directory false; exactly one row has level state. Keys are those of the identity registry.
{% set named_by = [
    ('school', 'stg_k12__enrollment', 'school_id_state', 'lea_id_state'),
    ('school', 'stg_k12__attendance', 'school_id_state', 'lea_id_state'),
    ('school', 'stg_k12__assessment_result', 'school_id_state', 'lea_id_state'),
    ('school', 'stg_k12__completion', 'school_id_state', 'lea_id_state'),
    ('school', 'stg_early_childhood__kindergarten_readiness', 'school_id_state', 'lea_id_state'),
    ('school', 'stg_k12__attendance_event', 'school_id_state', none),
    ('lea', 'stg_k12__student', 'lea_id_state', none),
    ('lea', 'stg_k12__enrollment', 'lea_id_state', none),
    ('lea', 'stg_k12__attendance', 'lea_id_state', none),
    ('lea', 'stg_k12__assessment_result', 'lea_id_state', none),
    ('lea', 'stg_k12__completion', 'lea_id_state', none),
    ('lea', 'stg_early_childhood__kindergarten_readiness', 'lea_id_state', none),
    ('institution', 'stg_postsecondary__enrollment', 'institution_id', none),
    ('institution', 'stg_postsecondary__award', 'institution_id', none),
    ('institution', 'stg_postsecondary__course_result', 'institution_id', none),
    ('lea_or_school', 'stg_k12__program_participation', 'organization_id_state', none),
    ('provider_or_school', 'stg_early_childhood__program_enrollment', 'organization_id_state', none),
] %}

with directory_year as (
    select
        *,
        row_number() over (
            partition by organization_level_code, organization_id_state
            order by school_year desc, certification, delivery_id desc, source_row desc
        ) as recency,
        min(school_year) over (partition by organization_level_code, organization_id_state) as first_school_year
    from {{ ref('stg_shared__organization') }}
),

directory as (
    select
        *,
        row_number() over (
            partition by organization_level_code order by school_year desc, organization_id_state
        ) as rank_in_level
    from directory_year
    where recency = 1
),

named as (
    {% for level, model, id_column, lea_column in named_by %}
    select
        '{{ level }}' as naming_code,
        {{ id_column }} as organization_id,
        {{ lea_column if lea_column else 'cast(null as string)' }} as lea_id_state,
        min(school_year) as first_school_year,
        max(school_year) as last_school_year
    from {{ ref(model) }}
    where {{ id_column }} is not null
    group by 1, 2, 3
    union all
    {% endfor %}
    select
        'lea' as naming_code,
        parent_organization_id_state as organization_id,
        cast(null as string) as lea_id_state,
        min(school_year) as first_school_year,
        max(school_year) as last_school_year
    from {{ ref('stg_shared__organization') }}
    where organization_level_code = 'school' and parent_organization_id_state is not null
    group by 1, 2, 3
),

-- A school's district as the deliveries name it, for schools whose directory row names none.
named_lea as (
    select
        organization_id,
        lea_id_state
    from (
        select
            organization_id,
            lea_id_state,
            row_number() over (
                partition by organization_id order by last_school_year desc, lea_id_state
            ) as recency
        from named
        where naming_code = 'school' and lea_id_state is not null
    ) as latest
    where recency = 1
),

named_organization as (
    select
        naming_code,
        organization_id,
        min(first_school_year) as first_school_year,
        max(last_school_year) as last_school_year
    from named
    group by naming_code, organization_id
),

-- Some deliveries name an organization without its level: it is the one of that id which is known at a fitting level.
known_level as (
    select
        organization_level_code as organization_level,
        organization_id_state
    from directory
    union
    select
        naming_code as organization_level,
        organization_id as organization_id_state
    from named_organization
    where naming_code in ('school', 'lea', 'institution')
    union
    select
        organization_level,
        organization_id_state
    from {{ source('registry', 'organization_key') }}
),

named_at_level as (
    select
        named_organization.organization_id,
        case
            when named_organization.naming_code in ('school', 'lea', 'institution') then named_organization.naming_code
            when named_organization.naming_code = 'lea_or_school' and as_school.organization_id_state is null then 'lea'
            when
                named_organization.naming_code = 'lea_or_school' and as_lea.organization_id_state is not null
                then 'lea'
            when named_organization.naming_code = 'lea_or_school' then 'school'
            when as_provider.organization_id_state is null and as_school.organization_id_state is not null then 'school'
            else 'provider'
        end as organization_level,
        named_organization.first_school_year,
        named_organization.last_school_year
    from named_organization
    left join known_level as as_lea
        on as_lea.organization_level = 'lea' and as_lea.organization_id_state = named_organization.organization_id
    left join known_level as as_school
        on
            as_school.organization_level = 'school'
            and as_school.organization_id_state = named_organization.organization_id
    left join known_level as as_provider
        on
            as_provider.organization_level = 'provider'
            and as_provider.organization_id_state = named_organization.organization_id
),

-- An institution may be named by its OPEID where the directory knows it by another identifier.
institution_opeid as (
    select
        opeid,
        min(organization_id_state) as organization_id_state
    from directory
    where
        organization_level_code = 'institution'
        and opeid is not null
        and opeid not in (
            select organization_id_state from directory where organization_level_code = 'institution'
        )
    group by opeid
),

named_year as (
    select
        named_at_level.organization_level,
        coalesce(institution_opeid.organization_id_state, named_at_level.organization_id) as organization_id_state,
        min(named_at_level.first_school_year) as first_school_year,
        max(named_at_level.last_school_year) as last_school_year
    from named_at_level
    left join institution_opeid
        on
            named_at_level.organization_level = 'institution'
            and institution_opeid.opeid = named_at_level.organization_id
    group by 1, 2
),

organization as (
    select
        directory.organization_level_code as organization_level,
        directory.organization_id_state,
        directory.organization_id_nces,
        directory.opeid,
        directory.organization_name,
        directory.parent_organization_id_state,
        directory.city,
        directory.state_abbreviation,
        directory.predominant_degree_code,
        least(directory.first_school_year, coalesce(named_year.first_school_year, directory.first_school_year))
            as first_school_year,
        greatest(directory.school_year, coalesce(named_year.last_school_year, directory.school_year))
            as last_school_year,
        true as is_in_directory
    from directory
    left join named_year
        on
            named_year.organization_level = directory.organization_level_code
            and named_year.organization_id_state = directory.organization_id_state
    where directory.organization_level_code <> 'state' or directory.rank_in_level = 1
    union all
    select
        named_year.organization_level,
        named_year.organization_id_state,
        cast(null as string) as organization_id_nces,
        case
            when named_year.organization_level = 'institution' then named_year.organization_id_state
        end as opeid,
        concat('Not in the directory: ', named_year.organization_id_state) as organization_name,
        cast(null as string) as parent_organization_id_state,
        cast(null as string) as city,
        cast(null as string) as state_abbreviation,
        cast(null as string) as predominant_degree_code,
        named_year.first_school_year,
        named_year.last_school_year,
        false as is_in_directory
    from named_year
    left join directory
        on
            directory.organization_level_code = named_year.organization_level
            and directory.organization_id_state = named_year.organization_id_state
    where directory.organization_id_state is null
    union all
    select
        'state' as organization_level,
        'STATE' as organization_id_state,
        cast(null as string) as organization_id_nces,
        cast(null as string) as opeid,
        'The state' as organization_name,
        cast(null as string) as parent_organization_id_state,
        cast(null as string) as city,
        cast(null as string) as state_abbreviation,
        cast(null as string) as predominant_degree_code,
        named_span.first_school_year,
        named_span.last_school_year,
        false as is_in_directory
    from (
        select
            min(first_school_year) as first_school_year,
            max(last_school_year) as last_school_year
        from named_year
    ) as named_span
    cross join (
        select count(*) as state_count
        from directory
        where organization_level_code = 'state'
    ) as directory_state
    where directory_state.state_count = 0
),

-- The state's row needs no delivery that names it, hence key 0 before the registry has one.
keyed as (
    select
        organization.*,
        coalesce(
            registry.organization_key,
            case when organization.organization_level = 'state' then 0 end
        ) as organization_key
    from organization
    left join {{ source('registry', 'organization_key') }} as registry
        on
            registry.organization_level = organization.organization_level
            and registry.organization_id_state = organization.organization_id_state
),

-- Level, control and state of an institution as the newest clearinghouse return prints them.
institution_kind as (
    select
        institution_id,
        institution_level_code,
        institution_control_code,
        state_abbreviation
    from (
        select
            institution_id,
            institution_level_code,
            institution_control_code,
            state_abbreviation,
            row_number() over (
                partition by institution_id
                order by
                    school_year desc, delivery_id desc, source_row desc,
                    institution_level_code, institution_control_code, state_abbreviation
            ) as recency
        from {{ ref('stg_postsecondary__enrollment') }}
        where institution_id is not null and coalesce(institution_level_code, institution_control_code) is not null
    ) as latest
    where recency = 1
),

school_lea as (
    select
        school.organization_key,
        coalesce(parent.organization_key, named_parent.organization_key) as lea_key,
        coalesce(parent.organization_id_state, named_parent.organization_id_state) as lea_id_state,
        coalesce(parent.organization_name, named_parent.organization_name) as lea_name
    from keyed as school
    left join keyed as parent
        on parent.organization_level = 'lea' and parent.organization_id_state = school.parent_organization_id_state
    left join named_lea
        on named_lea.organization_id = school.organization_id_state
    left join keyed as named_parent
        on named_parent.organization_level = 'lea' and named_parent.organization_id_state = named_lea.lea_id_state
    where school.organization_level = 'school'
)

select
    cast(keyed.organization_key as bigint) as organization_key,
    keyed.organization_level,
    keyed.organization_id_state,
    keyed.organization_id_nces,
    keyed.opeid,
    keyed.organization_name,
    cast(school_lea.lea_key as bigint) as lea_key,
    school_lea.lea_id_state,
    school_lea.lea_name,
    keyed.city,
    coalesce(keyed.state_abbreviation, kind_by_id.state_abbreviation, kind_by_opeid.state_abbreviation)
        as state_abbreviation,
    keyed.predominant_degree_code,
    coalesce(kind_by_id.institution_level_code, kind_by_opeid.institution_level_code) as institution_level_code,
    coalesce(kind_by_id.institution_control_code, kind_by_opeid.institution_control_code) as institution_control_code,
    cast(keyed.first_school_year as integer) as first_school_year,
    cast(keyed.last_school_year as integer) as last_school_year,
    keyed.is_in_directory
from keyed
left join school_lea
    on school_lea.organization_key = keyed.organization_key
left join institution_kind as kind_by_id
    on keyed.organization_level = 'institution' and kind_by_id.institution_id = keyed.organization_id_state
left join institution_kind as kind_by_opeid
    on keyed.organization_level = 'institution' and kind_by_opeid.institution_id = keyed.opeid
