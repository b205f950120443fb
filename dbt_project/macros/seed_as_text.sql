{#-
  Seeds are what people decide, typed by people: a code such as 00806 or an empty column must arrive as written.
  dbt infers a type per column from the values it happens to see; here every column is text unless the seed's .yml
  names a type in column_types. A model that needs a number casts it once.
-#}
{% macro duckdb__create_csv_table(model, agate_table) %}
    {%- set declared = model['config'].get('column_types', {}) -%}
    {% set sql %}
        create table {{ this.render() }} (
            {%- for name in agate_table.column_names %}
            "{{ name }}" {{ declared.get(name, 'varchar') }}{{ "," if not loop.last }}
            {%- endfor %}
        )
    {% endset %}
    {% call statement('_') %}{{ sql }}{% endcall %}
    {{ return(sql) }}
{% endmacro %}

{#- A seed whose header changed is a new table; emptying the old one would leave its columns. -#}
{% macro duckdb__reset_csv_table(model, full_refresh, old_relation, agate_table) %}
    {{ adapter.drop_relation(old_relation) }}
    {{ return(create_csv_table(model, agate_table)) }}
{% endmacro %}

{#- Options are stated, not sniffed: a committee's sentence with a semicolon must not change the delimiter. -#}
{% macro duckdb__load_csv_rows(model, agate_table) %}
    {% set sql %}
        copy {{ this.render() }} from '{{ adapter.get_seed_file_path(model) | replace("'", "''") }}'
        (format csv, header true, delimiter ',', quote '"', escape '"', nullstr '', auto_detect false, parallel false)
    {% endset %}
    {% do adapter.add_query(sql, abridge_sql_log=True) %}
    {{ return(sql) }}
{% endmacro %}
