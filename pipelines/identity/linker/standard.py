"""Values of any table in one form, as the table `record` that the rest of the engine reads.

What belongs here: cleaning, splitting and reading values. What does not: comparing two records (model.py), and which
values records must share to be compared (candidate.py).

Nothing is guessed: a date is read as year-month-day, or as month-day-year where the year stands last; anything else is
kept as its digits, so that two equal values still agree.
"""

from __future__ import annotations

import duckdb

from pipelines.errors import P20wError
from pipelines.identity.linker.columns import ROLES, ColumnMap

# Columns of `record` that comparisons and keys may name; each is null where the table says nothing.
STANDARD = (
    "given",
    "given_root",
    "given_sound",
    "middle",
    "surname",
    "surname_sound",
    "names",
    "sounds",
    "birth",
    "birth_year",
    "sex",
    "ssn",
    "state_id",
    "number",
    "street_number",
    "address",
    "city",
    "postal",
    "state",
    "birth_place",
    "occupation",
)


def standardize(con: duckdb.DuckDBPyConnection, table: str, columns: ColumnMap, nicknames: str) -> int:
    """Make table `record` (id BIGINT 1..n in the order of record_id, record_id, source, STANDARD) and return n.

    table: a relation whose columns are all text; nicknames: path of a CSV with the columns nickname and root.
    Raises P20wError where a mapped column is not there, or record_id is empty or repeated.
    """
    there = set(column_names(con, table))
    absent = sorted({name for names in columns.columns.values() for name in names} - there)
    if absent:
        raise P20wError(
            f"The table has no column {', '.join(absent)}, which the column map names. "
            f"It has: {', '.join(sorted(there))}."
        )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE as_sent AS SELECT "
        + ", ".join(f"{_value(columns, role)} AS {role}" for role in ROLES)
        + f" FROM {table}"
    )
    rows, filled, different = con.execute(
        "SELECT count(*), count(record_id), count(DISTINCT record_id) FROM as_sent"
    ).fetchone()
    if filled < rows or different < rows:
        raise P20wError(
            f"{columns.record_id} must be filled and different in every row: of {rows} rows {rows - filled} have none, "
            f"and {filled - different} repeat another's."
        )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE nickname AS "
        "SELECT nickname, min(root) AS root FROM read_csv(?, header = true) GROUP BY 1",
        [nicknames],
    )
    con.execute(_STANDARDIZE)
    return rows


def column_names(con: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """Columns of a relation, in order."""
    return [name for (name,) in con.execute(f"SELECT column_name FROM (DESCRIBE SELECT * FROM {table})").fetchall()]


def _value(columns: ColumnMap, role: str) -> str:
    names = columns.columns.get(role, ())
    if not names:
        return "CAST(NULL AS VARCHAR)"
    quoted = ['trim("' + name.replace('"', '""') + '")' for name in names]
    return f"nullif(trim({quoted[0] if len(quoted) == 1 else 'concat_ws(chr(32), ' + ', '.join(quoted) + ')'}), '')"


def _words(column: str) -> str:
    """Upper case, no accents, apostrophes closed up, all else that is no letter or digit one space.

    Letters of other scripts stay as they are: a name in them is a name.
    """
    return (
        f"nullif(trim(regexp_replace(regexp_replace(upper(strip_accents({column})), '[''’`.]', '', 'g'), "
        "'[^\\p{L}\\p{N}]+', ' ', 'g')), '')"
    )


def _signs(column: str) -> str:
    return f"nullif(regexp_replace(upper({column}), '[^A-Z0-9]', '', 'g'), '')"


def _sound(column: str) -> str:
    """First letter and the next three consonants by their Soundex class; vowels, H, W and Y say nothing."""
    rest = f"regexp_replace(substr({column}, 2), '[AEIOUYHW]', '', 'g')"
    return f"left({column}, 1) || left(translate({rest}, 'BFPVCGJKQSXZDTLMNR', '111122222222334556'), 3)"


_BIRTH = """
    case
        when regexp_full_match(birth_date, '\\d{4}[-/.]\\d{1,2}[-/.]\\d{1,2}(\\D.*)?')
            then regexp_extract(birth_date, '^(\\d{4})', 1)
                || lpad(regexp_extract(birth_date, '^\\d{4}\\D(\\d{1,2})', 1), 2, '0')
                || lpad(regexp_extract(birth_date, '^\\d{4}\\D\\d{1,2}\\D(\\d{1,2})', 1), 2, '0')
        when regexp_full_match(birth_date, '\\d{1,2}[-/.]\\d{1,2}[-/.]\\d{4}(\\D.*)?')
            then regexp_extract(birth_date, '(\\d{4})', 1)
                || lpad(regexp_extract(birth_date, '^(\\d{1,2})', 1), 2, '0')
                || lpad(regexp_extract(birth_date, '^\\d{1,2}\\D(\\d{1,2})', 1), 2, '0')
        when length(regexp_replace(birth_date, '\\D', '', 'g')) >= 4 then regexp_replace(birth_date, '\\D', '', 'g')
    end
"""

_STANDARDIZE = f"""
CREATE OR REPLACE TABLE record AS
WITH cleaned AS (
    SELECT
        row_number() OVER (ORDER BY record_id) AS id,
        record_id,
        coalesce(source, '') AS source,
        string_split({_words("full_name")}, ' ') AS full_words,
        {_words("given_name")} AS given_name,
        {_words("middle_name")} AS middle_name,
        {_words("surname")} AS surname,
        {_BIRTH} AS birth,
        left({_words("sex")}, 1) AS sex,
        {_signs("ssn")} AS ssn,
        {_signs("state_id")} AS state_id,
        {_signs("number")} AS number,
        {_signs("street_number")} AS street_number,
        {_words("address")} AS address,
        {_words("city")} AS city,
        {_signs("postal_code")} AS postal,
        {_words("state")} AS state,
        {_words("birth_place")} AS birth_place,
        {_words("occupation")} AS occupation
    FROM as_sent
),
named AS (
    -- Where a table has a full name only, its first word is the given name and its last the surname.
    SELECT
        cleaned.* EXCLUDE (given_name, middle_name, surname, full_words),
        string_split(coalesce(given_name, full_words[1]), ' ') AS given_words,
        replace(coalesce(surname, CASE WHEN len(full_words) > 1 THEN full_words[-1] END), ' ', '') AS surname,
        coalesce(
            middle_name,
            CASE WHEN given_name IS NULL AND len(full_words) > 2 THEN array_to_string(full_words[2:-2], ' ') END
        ) AS middle_name
    FROM cleaned
),
joined AS (
    SELECT
        named.* EXCLUDE (given_words, middle_name),
        array_to_string(given_words, '') AS given,
        coalesce(nickname.root, given_words[1]) AS given_root,
        nullif(coalesce(middle_name, array_to_string(given_words[2:], ' ')), '') AS middle
    FROM named
    LEFT JOIN nickname ON nickname.nickname = given_words[1]
)
SELECT
    joined.* REPLACE (nullif(given, '') AS given),
    -- Whether other records bear the same name and birth: of twins each name is met again, a wrong name is met once.
    count(*) OVER (PARTITION BY given_root, surname, birth) > 1 AS name_recurs,
    -- In alphabetical order, so that names given the wrong way round agree.
    least(given, surname) || ' ' || greatest(given, surname) AS names,
    {_sound("given")} AS given_sound,
    {_sound("surname")} AS surname_sound,
    least({_sound("given")}, {_sound("surname")}) || ' ' || greatest({_sound("given")}, {_sound("surname")}) AS sounds,
    left(birth, 4) AS birth_year
FROM joined
ORDER BY id
"""
