{#-
  The second-field guards of seeds/policy/match_tier.csv: name of the guard -> condition over two rows a and b of
  int_linkage__key. A tier names the guards that it needs; a name that is not here stops the build (identity_tiers).

  With `text`, names are compared as text too (rows a_text and b_text of stg_identity__record): prefixes, initials and
  spelling; given_short leaves spelling out. Without it, only equal names agree: enough where equality is all that is
  asked, and many times cheaper.
  With `unread`, every name agrees: what fails even so need not be read.
-#}
{% macro identity_guards(text=false, unread=false) %}
    {%- set limit = identity_parameters() -%}
    {#- A generation is no slip of the pen: a son may be born on his father's birthday. -#}
    {%- set near_birth -%}
        (year(a.birth_date) = year(b.birth_date))::integer
        + (month(a.birth_date) = month(b.birth_date))::integer
        + (day(a.birth_date) = day(b.birth_date))::integer >= 2
        and abs(year(a.birth_date) - year(b.birth_date)) <= {{ limit.generation_years }}
    {%- endset -%}
    {%- set swapped -%}
        year(a.birth_date) = year(b.birth_date)
        and month(a.birth_date) = day(b.birth_date)
        and day(a.birth_date) = month(b.birth_date)
    {%- endset -%}
    {%- set given_short -%}
        {%- if unread %}true{% else %}
        (
            a.given = b.given
            {%- if text %}
            or (
                (a_text.given_root is null or b_text.given_root is null)
                and a_text.given_initial = b_text.given_initial
            )
            or (
                least(length(a_text.given_name), length(b_text.given_name)) >= {{ limit.short_name_length }}
                and (
                    starts_with(a_text.given_name, b_text.given_name)
                    or starts_with(b_text.given_name, a_text.given_name)
                )
            )
            {%- endif %}
        )
        {%- endif %}
    {%- endset -%}
    {%- set given -%}
        {%- if unread or not text %}{{ given_short }}{% else %}
        (
            {{ given_short }}
            or jaro_winkler_similarity(a_text.given_name, b_text.given_name) >= {{ limit.given_similarity }}
        )
        {%- endif %}
    {%- endset -%}
    {%- set surname -%}
        {%- if unread %}true{% else %}
        (
            a.surname = b.surname
            {%- if text %}
            or list_has_any(a_text.surname_tokens, b_text.surname_tokens)
            or (
                least(length(a_text.surname), length(b_text.surname)) >= {{ limit.cut_name_length }}
                and (starts_with(a_text.surname, b_text.surname) or starts_with(b_text.surname, a_text.surname))
            )
            or jaro_winkler_similarity(a_text.surname, b_text.surname) >= {{ limit.surname_similarity }}
            {%- endif %}
        )
        {%- endif %}
    {%- endset -%}
    {%- set nameless -%}
        {%- if unread %}true{% else %}
        a.is_bare or b.is_bare
        {%- if text %}
        or (a_text.given_name is null and a_text.surname is null)
        or (b_text.given_name is null and b_text.surname is null)
        {%- endif %}
        {%- endif %}
    {%- endset -%}
    {%- set born -%}
        (
            a.birth_date = b.birth_date
            or ((a.birth_date is null or b.birth_date is null) and a.birth_month = b.birth_month)
        )
    {%- endset -%}
    {{ return({
        'given_agrees': given,
        'given_short': given_short,
        'birth_agrees': born,
        'birth_or_name': '(' ~ born ~ ' and (' ~ given ~ ' or ' ~ surname ~ ')) or (' ~ given ~ ' and ' ~ surname ~ ') or (('
            ~ given ~ ' or ' ~ surname ~ ') and ((' ~ near_birth ~ ') or (' ~ swapped ~ ')))',
        'name_partly_agrees': given ~ ' or ' ~ surname ~ ' or ' ~ nameless,
        'birth_near': near_birth,
        'birth_swapped': swapped,
        'month_only': '(a.birth_date is null) <> (b.birth_date is null) and a.birth_month = b.birth_month',
        'one_birth_date': 'a.birth_date_count <= 1',
        'zip_equal': 'a.postal_code = b.postal_code',
        'middle_name_equal': 'a.middle_name = b.middle_name',
        'middle_initial_equal': 'a.middle_initial = b.middle_initial',
        'middle_compatible': 'a.middle_initial is null or b.middle_initial is null or a.middle_initial = b.middle_initial',
        'sex_compatible': 'a.sex_code is null or b.sex_code is null or a.sex_code = b.sex_code',
        'suffix_compatible': 'a.name_suffix is null or b.name_suffix is null or a.name_suffix = b.name_suffix',
        'ssn_compatible': 'a.ssn is null or b.ssn is null or case when a.ssn = b.ssn then true'
            ~ " else damerau_levenshtein(lpad(a.ssn::varchar, 9, '0'), lpad(b.ssn::varchar, 9, '0')) <= 1 end",
        'ssn_one_digit': "case when a.ssn <> b.ssn then hamming(lpad(a.ssn::varchar, 9, '0'), lpad(b.ssn::varchar, 9, '0')) = 1 end",
        'student_id_compatible': 'a.student_id is null or b.student_id is null or a.student_id = b.student_id',
        'not_twin': 'not (a.is_twin or b.is_twin)',
        'same_sector': 'a.sector = b.sector',
        'both_bare': 'a.is_bare and b.is_bare',
        'one_bare': 'a.is_bare <> b.is_bare',
        'no_wage': 'not (a.is_wage or b.is_wage)',
        'both_wage': 'a.is_wage and b.is_wage',
        'one_wage': 'a.is_wage <> b.is_wage',
    }) }}
{% endmacro %}

{#-
  The steward's numbers by name, read from the seed in the vault when the first model that needs them is compiled; for
  the others of the run they stay with dbt's graph, the one thing that all of them see.
-#}
{% macro identity_parameters() %}
    {%- if execute and 'identity_parameters' not in graph %}
        {%- set found = {} -%}
        {%- for row in run_query('select parameter, value from ' ~ policy_in_force('identity_parameter') ~ ' as policy').rows %}
            {%- do found.update({row[0]: row[1]}) -%}
        {%- endfor %}
        {%- do graph.update({'identity_parameters': found}) -%}
    {%- endif %}
    {{ return(graph['identity_parameters'] if execute else {}) }}
{% endmacro %}
