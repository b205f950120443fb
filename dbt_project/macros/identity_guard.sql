{#-
  The second-field guards of seeds/policy/match_tier.csv: name of the guard -> condition over two records a and b.
  A tier names the guards that it needs; a name that is not here stops the build (int_linkage__pair).
-#}
{% macro identity_guards() %}
    {%- set near_birth -%}
        (year(a.birth_date) = year(b.birth_date))::integer
        + (month(a.birth_date) = month(b.birth_date))::integer
        + (day(a.birth_date) = day(b.birth_date))::integer >= 2
        or (
            year(a.birth_date) = year(b.birth_date)
            and month(a.birth_date) = day(b.birth_date)
            and day(a.birth_date) = month(b.birth_date)
        )
    {%- endset -%}
    {%- set given -%}
        (
            a.given_root = b.given_root
            or ((a.given_root is null or b.given_root is null) and a.given_initial = b.given_initial)
            or (least(length(a.given_name), length(b.given_name)) >= 3 and (starts_with(a.given_name, b.given_name) or starts_with(b.given_name, a.given_name)))
            or jaro_winkler_similarity(a.given_name, b.given_name) >= 0.9
        )
    {%- endset -%}
    {%- set surname -%}
        (
            list_has_any(a.surname_tokens, b.surname_tokens)
            or (least(length(a.surname), length(b.surname)) >= 15 and (starts_with(a.surname, b.surname) or starts_with(b.surname, a.surname)))
            or jaro_winkler_similarity(a.surname, b.surname) >= 0.92
        )
    {%- endset -%}
    {%- set born -%}
        (a.birth_date = b.birth_date or ((a.birth_date is null or b.birth_date is null) and a.birth_month = b.birth_month))
    {%- endset -%}
    {{ return({
        'given_agrees': given,
        'birth_agrees': born,
        'birth_or_name': '(' ~ born ~ ' and (' ~ given ~ ' or ' ~ surname ~ ')) or (' ~ given ~ ' and ' ~ surname ~ ') or (('
            ~ given ~ ' or ' ~ surname ~ ') and (' ~ near_birth ~ '))',
        'name_partly_agrees': given ~ ' or ' ~ surname
            ~ ' or (a.given_name is null and a.surname is null) or (b.given_name is null and b.surname is null)',
        'middle_compatible': 'a.middle_initial is null or b.middle_initial is null or a.middle_initial = b.middle_initial',
        'sex_compatible': 'a.sex_code is null or b.sex_code is null or a.sex_code = b.sex_code',
        'suffix_compatible': 'a.name_suffix is null or b.name_suffix is null or a.name_suffix = b.name_suffix',
        'ssn_compatible': 'a.ssn is null or b.ssn is null or damerau_levenshtein(a.ssn, b.ssn) <= 1',
        'student_id_compatible': 'a.student_id_state is null or b.student_id_state is null or a.student_id_state = b.student_id_state',
        'not_twin': 'not (a.is_twin_name or b.is_twin_name)',
        'month_only': '(a.birth_date is null) <> (b.birth_date is null)',
        'one_birth_date': 'candidate.birth_date_count <= 1',
        'same_sector': 'a.sector = b.sector',
        'both_bare': 'a.is_bare and b.is_bare',
        'one_bare': 'a.is_bare <> b.is_bare',
        'no_wage': "a.sector <> 'workforce' and b.sector <> 'workforce'",
        'both_wage': "a.sector = 'workforce' and b.sector = 'workforce'",
        'one_wage': "(a.sector = 'workforce') <> (b.sector = 'workforce')",
    }) }}
{% endmacro %}
