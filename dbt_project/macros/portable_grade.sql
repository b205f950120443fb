{#- The order of CEDS grade levels, youngest first; null for a code outside them, which then counts below all. -#}
{% macro grade_rank(grade_level_code) -%}
case {{ grade_level_code }}
        when 'IT' then 1 when 'PR' then 2 when 'PK' then 3 when 'TK' then 4 when 'KG' then 5
        when '01' then 6 when '02' then 7 when '03' then 8 when '04' then 9 when '05' then 10 when '06' then 11
        when '07' then 12 when '08' then 13 when '09' then 14 when '10' then 15 when '11' then 16 when '12' then 17
        when '13' then 18 when 'PS' then 19
    end
{%- endmacro %}
