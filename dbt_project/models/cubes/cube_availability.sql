-- Grain: source (submitter) x collection x indicator x school year x what is missing. Restricted; holds no count.
-- Rule: what a source lacks is said, never invented. A submitter is expected to send a collection of its sector when it
-- sent it in another year, or when nobody sends it at all. An element is missing when more than half of the rows lack it,
-- of at least the people that a published count must be of: of fewer, it would tell what single people lack.
{% set elements = [
    ('k12__student', 'fct_student_year', 'sex_code', 'gender', 'Sex'),
    ('k12__student', 'fct_student_year', 'coalesce(is_hispanic, is_american_indian, is_asian, is_black, is_pacific_islander, is_white, is_middle_eastern)', 'race_ethnicity_2007', 'Race and ethnicity'),
    ('postsecondary__course_result', 'fct_course_result', 'sex_code', 'gender', 'Sex'),
    ('postsecondary__course_result', 'fct_course_result', 'has_disability', 'disability', 'Disability'),
    ('k12__assessment_result', 'fct_assessment_result', "coalesce(performance_level_code, cast(is_proficient as " ~ dbt.type_string() ~ "))", 'all', 'The performance level'),
] %}
with delivered as (
    select collection, sector, submitter, package, school_year
    from {{ ref('fct_delivered_year') }}
),

collection as (
    {%- for name in collection_names() %}
    select '{{ name }}' as collection, '{{ name.split('__')[0] }}' as sector
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

need as (
    select
        register.indicator_code,
        register.breakdowns,
        collection.collection,
        collection.sector
    from {{ ref('indicator') }} as register
    inner join collection
        on concat(';', register.collections, ';') like concat('%;', collection.collection, ';%')
),

source_year as (
    select distinct submitter, sector, school_year from delivered
),

source_collection as (
    select distinct submitter, collection from delivered
),

source_collection_year as (
    select distinct submitter, collection, school_year from delivered
),

any_collection as (
    select distinct collection from delivered
),

any_sector as (
    select distinct sector from source_year
),

by_collection as (
    select
        source_year.submitter as source,
        need.collection,
        need.indicator_code,
        source_year.school_year,
        case when in_year.submitter is not null then 'available' else 'missing_collection' end as status,
        case
            when in_year.submitter is not null then ''
            when need.collection = 'k12__attendance' and absence_event.submitter is not null
                then 'Only absence events were delivered, no membership days: no rate can be computed'
            when need.collection = 'k12__enrollment' then 'No enrollment was delivered'
            when need.collection = 'k12__attendance' then 'No membership days were delivered'
            else 'Nothing was delivered for this collection'
        end as missing
    from source_year
    inner join need on need.sector = source_year.sector
    left join source_collection_year as in_year
        on in_year.submitter = source_year.submitter
        and in_year.collection = need.collection
        and in_year.school_year = source_year.school_year
    left join source_collection as in_any_year
        on in_any_year.submitter = source_year.submitter and in_any_year.collection = need.collection
    left join any_collection on any_collection.collection = need.collection
    left join source_collection_year as absence_event
        on absence_event.submitter = source_year.submitter
        and absence_event.collection = 'k12__attendance_event'
        and absence_event.school_year = source_year.school_year
    where in_any_year.submitter is not null or any_collection.collection is null
),

person_policy as (
    select cast(max(case when parameter = 'minimum_count' then value end) as bigint) as minimum_count
    from {{ policy_in_force('protection') }} as policy
),

absent_element as (
    {%- for name, fact, expression, breakdown, words in elements %}
    select
        '{{ name }}' as collection,
        fact.submitter,
        fact.school_year,
        '{{ breakdown }}' as breakdown_code,
        case
            when count({{ expression }}) = 0 then '{{ words }} is absent'
            else '{{ words }} is absent for most'
        end as missing
    from {{ ref(fact) }} as fact
    inner join {{ ref('brg_record_person') }} as link on link.record_key = fact.record_key
    cross join person_policy
    group by fact.submitter, fact.school_year
    having
        2 * count({{ expression }}) < count(*)
        and count(distinct link.person_key) >= max(person_policy.minimum_count)
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

by_element as (
    select
        absent_element.submitter as source,
        absent_element.collection,
        need.indicator_code,
        absent_element.school_year,
        'missing_element' as status,
        absent_element.missing
    from absent_element
    inner join need
        on need.collection = absent_element.collection
        and concat(';', need.breakdowns, ';') like concat('%;', absent_element.breakdown_code, ';%')
),

-- What must be said of a package's population goes with every indicator that it feeds.
by_population as (
    select distinct
        delivered.submitter as source,
        delivered.collection,
        need.indicator_code,
        delivered.school_year,
        'available' as status,
        package.institution_note as missing
    from delivered
    inner join need on need.collection = delivered.collection
    inner join {{ ref('package') }} as package
        on package.package = delivered.package and package.collection = delivered.collection
    where lower(package.institution_note) like '%population%'
),

-- A collection of a sector that nobody delivers at all.
by_sector as (
    select
        'every source' as source,
        need.collection,
        need.indicator_code,
        cast(null as integer) as school_year,
        'not_collected' as status,
        'No source delivers this collection' as missing
    from need
    left join any_sector on any_sector.sector = need.sector
    where any_sector.sector is null
),

availability as (
    select * from by_collection
    union all
    select * from by_element
    union all
    select * from by_population
    union all
    select * from by_sector
)

select
    cast(source as {{ dbt.type_string() }}) as source,
    cast(collection as {{ dbt.type_string() }}) as collection,
    cast(indicator_code as {{ dbt.type_string() }}) as indicator_code,
    cast(school_year as integer) as school_year,
    cast(status as {{ dbt.type_string() }}) as status,
    cast(missing as {{ dbt.type_string() }}) as missing
from availability
