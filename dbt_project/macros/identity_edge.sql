{#-
  How pairs are found: kinds of keys, the groups that share one, and the tiers tried on each pair of a group. Rows come
  from int_linkage__key; numbers of columns are compared, so that ten million records fit the night.
-#}

{#-
  The kinds of keys. `columns`: what two rows share; `whole`: only a record's first row makes the key; `rows`: which
  rows make it; `having`: groups that can hold a pair of these tiers at all, which are few; `text`: names are compared
  as text as well where the numbers do not decide.
-#}
{% macro identity_keys() %}
    {{ return([
        {'name': 'student_id', 'columns': ['student_id'], 'whole': true, 'text': true},
        {'name': 'local_id', 'columns': ['local_id'], 'whole': true, 'text': true},
        {'name': 'ssn', 'columns': ['ssn'], 'whole': true, 'text': true},
        {'name': 'name_birth', 'columns': ['name', 'birth_date'], 'rows': 'not is_wage'},
        {'name': 'name_zip', 'columns': ['name', 'postal_code'], 'rows': 'birth_month is not null',
         'having': "min(coalesce(birth_date, date '0001-01-01')) <> max(coalesce(birth_date, date '0001-01-01'))"},
        {'name': 'name_middle', 'columns': ['name', 'middle_name'], 'rows': 'birth_date is not null',
         'having': 'min(birth_date) <> max(birth_date)'},
        {'name': 'name_month', 'columns': ['name', 'birth_month'], 'rows': 'not is_wage',
         'having': 'count(birth_date) between 1 and count(*) - 1'},
        {'name': 'given_birth_middle', 'columns': ['given', 'birth_date', 'middle_initial'], 'whole': true,
         'rows': 'coalesce(postal_code, middle_name) is not null', 'having': 'min(surname) <> max(surname)'},
        {'name': 'surname_birth', 'columns': ['surname', 'birth_date'], 'text': true, 'twins': true,
         'rows': 'given is not null', 'having': 'min(given) <> max(given)'},
        {'name': 'ssn_left', 'columns': ['name', 'ssn // 10000'], 'whole': true,
         'having': 'min(ssn) <> max(ssn) and bool_or(is_wage)'},
        {'name': 'ssn_right', 'columns': ['name', 'ssn % 10000'], 'whole': true,
         'having': 'min(ssn) <> max(ssn) and bool_or(is_wage)'},
    ]) }}
{% endmacro %}

{#- The group of a row under a key, as a number; meaningful where identity_key_rows holds. -#}
{% macro identity_key_unit(key) -%}
    hash({{ key.columns | join(', ') }})
{%- endmacro %}

{#- Which rows have the key: every part is there. -#}
{% macro identity_key_rows(key) -%}
    {%- for column in key.columns %}{{ ' and ' if not loop.first }}({{ column }}) is not null{% endfor %}
    {%- if key.whole %} and is_whole{% endif %}
    {%- if key.rows %} and {{ key.rows }}{% endif %}
{%- endmacro %}

{#-
  The tiers of the policy by kind of key, in their order, read from the seed in the vault when the model is compiled.
  Stops with the tier's name where a key or a guard is unknown.
-#}
{% macro identity_tiers() %}
    {%- set known = identity_guards().keys() | list -%}
    {%- set names = identity_keys() | map(attribute='name') | list -%}
    {%- set found = {} -%}
    {%- if execute %}
        {%- set rows = run_query(
            'select tier, rule, key_name, guard, joins, cap, name_limit from ' ~ policy_rows('match_tier', 'tier')
            ~ ' as policy order by try_cast(tier as integer)'
        ).rows -%}
        {%- for row in rows %}
            {%- set tier = {
                'tier': row[0] | int, 'rule': row[1], 'guards': row[3].split(';'), 'joins': row[4], 'cap': row[5] | int,
                'name_limit': row[6] | int if row[6] else none,
            } -%}
            {%- for name in tier.guards if name not in known and not row[2].startswith('token_') %}
                {{ exceptions.raise_compiler_error('seeds/policy/match_tier.csv, tier ' ~ tier.tier ~ ': the guard ' ~ name ~ ' is not known; choose one of ' ~ known | join(', ') ~ '.') }}
            {%- endfor %}
            {#- Tiers over an agency's keyed tokens have a model of their own (int_linkage__token_pair). #}
            {%- for name in row[2].split(';') if not name.startswith('token_') %}
                {%- if name not in names %}
                    {{ exceptions.raise_compiler_error('seeds/policy/match_tier.csv, tier ' ~ tier.tier ~ ': the key ' ~ name ~ ' is not known; choose one of ' ~ names | join(', ') ~ '.') }}
                {%- endif %}
                {%- do found.setdefault(name, []).append(tier) -%}
            {%- endfor %}
        {%- endfor %}
    {%- endif %}
    {{ return(found) }}
{% endmacro %}

{#- The limits of the policy on how many birth dates may be known under a full name. -#}
{% macro identity_name_limits() %}
    {%- set limits = [] -%}
    {%- for tiers in identity_tiers().values() %}
        {%- for tier in tiers if tier.name_limit and tier.name_limit not in limits %}{% do limits.append(tier.name_limit) %}{% endfor %}
    {%- endfor %}
    {{ return(limits | sort) }}
{% endmacro %}

{#- The first tier that a pair passes, or null; `text` and `unread` as in identity_guards. -#}
{% macro identity_first_tier(tiers, text=false, unread=false) -%}
    {%- set guards = identity_guards(text, unread) -%}
    case
        {%- for tier in tiers %}
        when
            a.record_count <= {{ tier.cap }}
            {%- if tier.name_limit %}
            and a.name_count <= {{ tier.name_limit }}
            {%- endif %}
            {%- for name in tier.guards %}
            and ({{ guards[name] }})
            {%- endfor %}
            then {{ tier.tier }}
        {%- endfor %}
    end
{%- endmacro %}

{#-
  The pairs of one kind of key, as common table expressions that begin with its name; <name>_pair has unit, record_key_a,
  record_key_b, a_follows, the tier by numbers and is_read, true where names must be read. In an incremental run only
  pairs of groups in int_linkage__unit, which tonight's records touch.

  There, the model tells before what came or went (`changed`) and, of all rows, those with a full name of these (`named`).

  What is materialized stays in memory until the model ends, so it is little: members are read twice instead, their
  groups are found with the number of the group alone, and only columns that a tier of this key compares are gathered.
-#}
{% macro identity_key_pairs(number, key, tiers) -%}
    {%- set asked = identity_first_tier(tiers, key.text) ~ (identity_plain() if key.text) ~ ' a.is_wage a.is_bare' -%}
    {%- set limited = 'a.name_count' in asked -%}
    {%- set dated = 'a.birth_date_count' in asked -%}
    {%- set numbers = [] -%}
    {%- for column in ['sector', 'is_wage', 'is_bare', 'student_id', 'ssn', 'given', 'surname', 'birth_date',
        'birth_month', 'postal_code', 'middle_name', 'middle_initial', 'sex_code', 'name_suffix'] -%}
        {%- if modules.re.search('\\ba\\.' ~ column ~ '\\b', asked) -%}
            {%- do numbers.append(column) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ key.name }}_member as {{ 'materialized' if is_incremental() else 'not materialized' }} (
        select
            *,
            {{ identity_key_unit(key) }} as unit
        from {{ 'named' if is_incremental() and key.columns[0] == 'name' else ref('int_linkage__key') }}
        where
            not is_gone and {{ identity_key_rows(key) }}
            {%- if is_incremental() %}
            {%- if key.columns | length == 1 %}
            -- A scan passes over a number that is not sought; what it hashes it must read of every row.
            and {{ key.columns[0] }} in {{ sought('changed', key.columns[0]) }}
            {%- endif %}
            and {{ identity_key_unit(key) }} in (
                select unit from {{ ref('int_linkage__unit') }} where key_number = {{ number }}
            )
            {%- endif %}
    ),

    {{ key.name }}_group as (
        select
            unit,
            cast(count(*) as integer) as record_count
            {%- if dated %},
            -- Whether there are two is all that is asked.
            case when min(birth_date) <> max(birth_date) then 2 else 1 end as birth_date_count
            {%- endif %}
        from {{ key.name }}_member
        group by unit
        having count(*) between 2 and {{ tiers | map(attribute='cap') | max }}{% if key.having %} and {{ key.having }}{% endif %}
    ),

    {{ key.name }}_gathered as materialized (
        select
            member.unit,
            member.record_key,
            {%- for column in numbers %}
            member.{{ column }},
            {%- endfor %}
            key_group.record_count
            {%- if dated %},
            key_group.birth_date_count
            {%- endif %}
            {%- if limited %},
            member.name_count
            {%- endif %}
            {%- if key.twins %},
            -- Two numbers of one issuer with two given names under one surname and birth date: twins are known here.
            (max(student_id) over same_zip <> min(student_id) over same_zip
                and max(member.given) over same_zip <> min(member.given) over same_zip and postal_code is not null)
            is true
            or (max(student_id) over same_middle <> min(student_id) over same_middle
                and max(member.given) over same_middle <> min(member.given) over same_middle
                and middle_initial is not null)
            is true as is_twin
            {%- endif %}
        from
            {%- if limited %} (
                -- Before the groups: the names with a limit are few, the rows of all groups are not.
                select
                    named.*,
                    coalesce(known_name.date_count, 0) as name_count
                from {{ key.name }}_member as named
                left join {{ ref('int_linkage__name') }} as known_name
                    on named.name = known_name.name
            )
            {%- else %} {{ key.name }}_member
            {%- endif %} as member
        inner join {{ key.name }}_group as key_group on member.unit = key_group.unit
        {%- if key.twins %}
        window
            same_zip as (partition by member.unit, postal_code),
            same_middle as (partition by member.unit, middle_initial)
        {%- endif %}
    ),

    {{ key.name }}_pair as {{ 'materialized ' if key.text }}(
        select * from (
            select
                a.unit,
                a.record_key as record_key_a,
                b.record_key as record_key_b,
                -- Of two records that attach, the one that follows: wages follow anyone, bare numbers follow a name.
                case when a.is_wage = b.is_wage then a.is_bare else a.is_wage end as a_follows,
                cast({{ identity_first_tier(tiers, false) }} as smallint) as tier,
                -- The numbers decide where reading the names could find nothing better; names are read for the others.
                {%- if key.text %}
                not {{ identity_plain() }}
                and {{ identity_first_tier(tiers, unread=true) }} is not null as is_read
                {%- else %}
                false as is_read
                {%- endif %}
            from {{ key.name }}_gathered as a
            -- A number of 64 bits stands for the key: with ten million records, the chance that two keys anywhere share
            -- one is below one in ten thousand, and such a pair would still have to pass a guard.
            inner join {{ key.name }}_gathered as b on a.unit = b.unit and a.record_key < b.record_key
        ) as {{ key.name }}_met
        where is_read or tier is not null
    )
{%- endmacro %}

{#- Where equal numbers decide the tier as well as names read as text would. -#}
{% macro identity_plain() -%}
    coalesce(
        a.is_bare or b.is_bare
        or (a.given = b.given and a.birth_date = b.birth_date)
        or (a.is_wage <> b.is_wage and (a.given = b.given or a.surname = b.surname)),
        false
    )
{%- endmacro %}

{#- The edges among <name>_pair; `name_text` holds the names of the records that must be read. -#}
{% macro identity_key_edges(number, key, tiers) -%}
    select
        {{ number }} as key_number,
        unit,
        record_key_a,
        record_key_b,
        a_follows,
        tier
    from {{ key.name }}_pair
    where not is_read
    {%- if key.text %}
    union all
    select * from (
        select
            {{ number }} as key_number,
            pair.unit,
            pair.record_key_a,
            pair.record_key_b,
            pair.a_follows,
            cast({{ identity_first_tier(tiers, true) }} as smallint) as tier
        from {{ key.name }}_pair as pair
        inner join {{ key.name }}_gathered as a on pair.unit = a.unit and pair.record_key_a = a.record_key
        inner join {{ key.name }}_gathered as b on pair.unit = b.unit and pair.record_key_b = b.record_key
        inner join name_text as a_text on pair.record_key_a = a_text.record_key
        inner join name_text as b_text on pair.record_key_b = b_text.record_key
        where pair.is_read
    ) as {{ key.name }}_read
    where tier is not null
    {%- endif %}
{%- endmacro %}
