"""Values of any table in one form, as the table `record` that the rest of the engine reads.

What belongs here: cleaning, splitting and reading values. What does not: comparing two records (model.py), and which
values records must share to be compared (candidate.py).

What the nightly staging knows of names, numbers and values that stand for "unknown" is known here from the same seeds.
Nothing is guessed: a date is read as year-month-day, or as month-day-year where the year stands last; anything else is
kept as its digits, so that two equal values still agree.
"""

from __future__ import annotations

from pathlib import Path

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


def standardize(
    con: duckdb.DuckDBPyConnection, table: str, columns: ColumnMap, reference: Path, ssn_invalid_share: float = 1.0
) -> int:
    """Make table `record` (id BIGINT 1..n in the order of record_id, record_id, source, STANDARD, name_recurs).

    Returns n.

    table: a relation whose columns are all text; reference: folder of nickname.csv, name_suffix.csv and
    placeholder.csv. An SSN that was never issued says nothing; but where more than `ssn_invalid_share` of them were
    not, the column does not follow that rule (tokens, test data) and is kept.
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
        "CREATE OR REPLACE TEMP VIEW as_sent AS SELECT "
        + ", ".join(f"{_value(columns, role)} AS {role}" for role in ROLES)
        + f" FROM {table}"
    )
    rows, filled, different, ssns, invalid = con.execute(
        "SELECT count(*), count(record_id), count(DISTINCT record_id), count(ssn), "
        f"count(*) FILTER (ssn IS NOT NULL AND NOT {_ISSUED}) FROM as_sent"
    ).fetchone()
    if filled < rows or different < rows:
        raise P20wError(
            f"{columns.record_id} must be filled and different in every row: of {rows} rows {rows - filled} have none, "
            f"and {filled - different} repeat another's."
        )
    for name in ("nickname", "name_suffix", "placeholder"):
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM read_csv(?, header = true, all_varchar = true)",
            [str(reference / f"{name}.csv")],
        )
    con.execute(_READ.format(ssn_kept=str(invalid > ssn_invalid_share * ssns).lower()))
    con.execute(_STANDARDIZE)
    con.execute(
        "DROP VIEW as_sent; DROP TABLE nickname; DROP TABLE name_suffix; DROP TABLE placeholder; DROP TABLE read_once; "
        "DROP TABLE sound_of"
    )
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

# Numbers that the Social Security Administration may have issued: no area 000, 666 or 900-999, group 00, serial 0000.
_ISSUED = (
    "(regexp_full_match(regexp_replace(ssn, '[^0-9]', '', 'g'), "
    "'(00[1-9]|0[1-9]\\d|[1-57-8]\\d\\d|6[0-57-9]\\d|66[0-57-9])(0[1-9]|[1-9]\\d)"
    "(000[1-9]|00[1-9]\\d|0[1-9]\\d\\d|[1-9]\\d\\d\\d)'))"
)


def _number(column: str) -> str:
    """Letters and digits without leading zeros, which spreadsheets drop."""
    return f"nullif(ltrim({_signs(column)}, '0'), '')"


def _known(column: str, values: str) -> str:
    """The value, unless it stands for 'unknown'."""
    return f"CASE WHEN NOT list_contains(unknown.{values}, {column}) THEN {column} END"


# Braces doubled where they belong to the pattern: `ssn_kept` alone is filled in when the table is known.
_READ = (
    f"""
CREATE OR REPLACE TEMP TABLE read_once AS
WITH unknown AS (
    SELECT
        coalesce(list(value) FILTER (field IN ('name', 'given_name')), []) AS given_names,
        coalesce(list(value) FILTER (field = 'name'), []) AS names,
        coalesce(list(value) FILTER (field = 'ssn'), []) AS ssns,
        coalesce(list(value) FILTER (field = 'number'), []) AS numbers,
        coalesce(list(value) FILTER (field = 'postal_code'), []) AS postal_codes,
        coalesce(list(replace(value, '-', '')) FILTER (field = 'birth_date'), []) AS birth_dates
    FROM placeholder
),
cleaned AS (
    SELECT
        row_number() OVER (ORDER BY record_id) AS id,
        record_id,
        coalesce(source, '') AS source,
        {_words("full_name")} AS full_name,
        {_words("given_name")} AS given_name,
        {_words("middle_name")} AS middle_name,
        {_words("surname")} AS surname,
        {_BIRTH} AS birth,
        left({_words("sex")}, 1) AS sex,
        CASE WHEN ssn_is_kept OR {_ISSUED} THEN {_signs("ssn")} END AS ssn,
        {_number("state_id")} AS state_id,
        {_number("number")} AS number,
        {_signs("street_number")} AS street_number,
        {_words("address")} AS address,
        {_words("city")} AS city,
        {_signs("postal_code")} AS postal,
        {_words("state")} AS state,
        {_words("birth_place")} AS birth_place,
        {_words("occupation")} AS occupation
    FROM as_sent
),
token AS (SELECT coalesce(list(token) FILTER (kind = 'suffix'), []) AS suffixes FROM name_suffix),
known AS (
    SELECT
        cleaned.* EXCLUDE (full_name, given_name, surname) REPLACE (
            {_known("middle_name", "given_names")} AS middle_name,
            {_known("birth", "birth_dates")} AS birth,
            {_known("ssn", "ssns")} AS ssn,
            {_known("state_id", "numbers")} AS state_id,
            {_known("number", "numbers")} AS number,
            {_known("postal", "postal_codes")} AS postal
        ),
        -- A suffix is no part of a name; a first word never is a suffix. In a full name it stands at the end.
        list_filter(
            string_split({_known("given_name", "given_names")}, ' '),
            lambda word, i: i = 1 OR NOT list_contains(token.suffixes, word)
        ) AS given_words,
        list_filter(
            string_split({_known("cleaned.surname", "names")}, ' '),
            lambda word, i: i = 1 OR NOT list_contains(token.suffixes, word)
        ) AS surname_words,
        string_split(full_name, ' ') AS every_word,
        CASE
            WHEN len(every_word) > 1 AND list_contains(token.suffixes, every_word[-1]) THEN every_word[:-2]
            ELSE every_word
        END AS full_words
    FROM cleaned CROSS JOIN unknown CROSS JOIN token
),
named AS (
    -- Where a table has a full name only, its first word is the given name and its last the surname.
    SELECT
        known.* EXCLUDE (given_words, surname_words, every_word, full_words, middle_name),
        coalesce(given_words, full_words[:1]) AS given_words,
        coalesce(
            array_to_string(surname_words, ''), CASE WHEN len(full_words) > 1 THEN full_words[-1] END
        ) AS surname,
        coalesce(
            middle_name,
            CASE WHEN given_words IS NULL AND len(full_words) > 2 THEN array_to_string(full_words[2:-2], ' ') END
        ) AS middle_name
    FROM known
)
SELECT
    named.* EXCLUDE (given_words, middle_name),
    nullif(array_to_string(given_words, ''), '') AS given,
    coalesce(nickname.root, given_words[1]) AS given_root,
    nullif(coalesce(middle_name, array_to_string(given_words[2:], ' ')), '') AS middle
FROM named
LEFT JOIN (SELECT nickname, min(root) AS root FROM nickname GROUP BY nickname) AS nickname
    ON nickname.nickname = given_words[1]
""".replace("{", "{{")
    .replace("}", "}}")
    .replace("ssn_is_kept", "{ssn_kept}")
)

# Sounds are worked out once for each different name.
_STANDARDIZE = f"""
CREATE OR REPLACE TEMP TABLE sound_of AS
SELECT name, {_sound("name")} AS sound
FROM (SELECT given AS name FROM read_once UNION SELECT surname FROM read_once)
WHERE name IS NOT NULL;

CREATE OR REPLACE TABLE record AS
SELECT
    read_once.*,
    -- Whether other records bear the same name and birth: of twins each name is met again, a wrong name is met once.
    count(*) OVER (PARTITION BY hash(given_root, surname, birth)) > 1 AS name_recurs,
    -- In alphabetical order, so that names given the wrong way round agree.
    least(given, surname) || ' ' || greatest(given, surname) AS names,
    first.sound AS given_sound,
    last.sound AS surname_sound,
    least(first.sound, last.sound) || ' ' || greatest(first.sound, last.sound) AS sounds,
    left(birth, 4) AS birth_year
FROM read_once
LEFT JOIN sound_of AS first ON first.name = given
LEFT JOIN sound_of AS last ON last.name = surname
"""
