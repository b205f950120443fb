{#- How identifiers are brought to one form before they are compared. Vault only: these may use DuckDB's own functions. -#}

{#-
  Upper case, no accents, apostrophes closed up, everything else that is no letter or digit a single space. Letters of
  every script stay: a name that is not written in Latin letters is a name. Text of one byte a letter, nearly all of it,
  takes the short way.
-#}
{% macro identity_clean(column) -%}
    case
        when {{ column }} is null then null
        when strlen({{ column }}) = length({{ column }})
            then nullif(trim(regexp_replace(translate(upper({{ column }}), '''`.', ''), '[^A-Z0-9]+', ' ', 'g')), '')
        else nullif(trim(regexp_replace(
            replace(replace(replace(replace(
                translate(upper(strip_accents({{ column }})), 'ØŁĐÐĦİ''’‘`´ʻʼ.', 'OLDDHI'),
            'Æ', 'AE'), 'Œ', 'OE'), 'ẞ', 'SS'), 'Þ', 'TH'),
            '[^\p{L}\p{M}\p{N}]+', ' ', 'g'
        )), '')
    end
{%- endmacro %}

{#- A 64-bit number for a text, null for none (DuckDB's hash gives nulls a number). -#}
{% macro identity_hash(text) -%}
    case when {{ text }} is not null then hash({{ text }}) end
{%- endmacro %}

{#- A number as typed: letters and digits only, without leading zeros, which spreadsheets drop. -#}
{% macro identity_number(column) -%}
    nullif(ltrim(regexp_replace(upper({{ column }}), '[^A-Z0-9]', '', 'g'), '0'), '')
{%- endmacro %}

{#-
  Nine digits that the Social Security Administration may have issued: no area 000, 666 or 900-999, no group 00, no
  serial 0000. A spreadsheet drops leading zeros: seven or eight digits get them back.
-#}
{% macro identity_ssn(column) -%}
    {%- set digits -%} regexp_replace({{ column }}, '[^0-9]', '', 'g') {%- endset -%}
    case
        when
            length({{ digits }}) between 7 and 9
            and regexp_full_match(
                lpad({{ digits }}, 9, '0'),
                '(00[1-9]|0[1-9][0-9]|[1-57-8][0-9][0-9]|6[0-57-9][0-9]|66[0-57-9])(0[1-9]|[1-9][0-9])(000[1-9]|00[1-9][0-9]|0[1-9][0-9][0-9]|[1-9][0-9][0-9][0-9])'
            )
            then lpad({{ digits }}, 9, '0')
    end
{%- endmacro %}

{#- Five digits of a ZIP code, with or without the four after it, with or without the leading zero. -#}
{% macro identity_zip(column) -%}
    {%- set digits -%} regexp_replace({{ column }}, '[^0-9]', '', 'g') {%- endset -%}
    case length({{ digits }})
        when 5 then {{ digits }}
        when 9 then left({{ digits }}, 5)
        when 4 then '0' || {{ digits }}
        when 8 then '0' || left({{ digits }}, 4)
    end
{%- endmacro %}
