{#- How identifiers are brought to one form before they are compared. Vault only: these may use DuckDB's own functions. -#}

{#- Upper case, no accents, apostrophes closed up, everything else that is no letter or digit a single space. -#}
{% macro identity_clean(column) -%}
    nullif(trim(regexp_replace(regexp_replace(upper(strip_accents({{ column }})), '[''’`.]', '', 'g'), '[^A-Z0-9]+', ' ', 'g')), '')
{%- endmacro %}

{#- A number as typed: letters and digits only, without leading zeros, which spreadsheets drop. -#}
{% macro identity_number(column) -%}
    nullif(ltrim(regexp_replace(upper({{ column }}), '[^A-Z0-9]', '', 'g'), '0'), '')
{%- endmacro %}

{#- Nine digits that the Social Security Administration may have issued: no area 000, 666 or 900-999, no group 00, no serial 0000. -#}
{% macro identity_ssn(column) -%}
    case
        when regexp_matches(
            regexp_replace({{ column }}, '[^0-9]', '', 'g'),
            '^(00[1-9]|0[1-9][0-9]|[1-57-8][0-9][0-9]|6[0-57-9][0-9]|66[0-57-9])(0[1-9]|[1-9][0-9])(000[1-9]|00[1-9][0-9]|0[1-9][0-9][0-9]|[1-9][0-9][0-9][0-9])$'
        )
        then regexp_replace({{ column }}, '[^0-9]', '', 'g')
    end
{%- endmacro %}
