"""Keys in place of identifiers: what each accepted row is asked about, and the keys it gets back.

What belongs here: which columns of a row identify a person, employer, provider or organization, one look-up for all
rows of a batch that share a kind. What does not: minting and keeping keys (`pipelines.identity.keys`), and which rows
are accepted (check).
"""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import polars as pl

from pipelines.intake import check
from pipelines.settings import Settings
from schemas import collections
from schemas.collection import Collection

# Levels of an organization named by id alone; the first one is taken where no directory or other row tells it.
FITTING_LEVELS = {"early_childhood": ("provider", "school"), "k12": ("school", "lea")}


def with_keys(
    settings: Settings,
    connection: Callable[[], duckdb.DuckDBPyConnection],
    accepted: dict[str, pl.DataFrame],
    build_id: str,
) -> dict[str, pl.DataFrame]:
    """Accepted rows by collection, with record_key, employer_key and provider_key (integers) where they have them.

    Every organization that the rows name has a key afterwards, exported to `exchange/`. `connection` opens the vault;
    it is not called when no row is there.
    """
    if not any(rows.height for rows in accepted.values()):
        return {name: _without_keys(collections()[name], rows) for name, rows in accepted.items()}
    from pipelines.identity.keys import export_organization_keys, mapped_keys, organization_keys, record_keys
    from pipelines.identity.tokens import keep_delivered, token_columns

    con = connection()
    by_sector: dict[str, list[str]] = {}
    for name in accepted:
        if collections()[name].has_person:
            by_sector.setdefault(collections()[name].sector, []).append(name)
    for sector, names in by_sector.items():
        frames = [identifiers(collections()[name], accepted[name]) for name in names]
        keys = record_keys(con, pl.concat(frames), sector, build_id)
        accepted = _spread(accepted, names, "record_key", keys)
        for name in names:
            if token_columns(accepted[name]):
                keep_delivered(con, accepted[name])
    for kind in ("employer", "provider"):
        names = [name for name in accepted if collections()[name].key_columns(kind)]
        if names:
            wanted = ["employer_account_number", "ein", "employer_name"] if kind == "employer" else ["provider_id"]
            frames = [_wanted_columns(accepted[name], collections()[name], wanted) for name in names]
            keys = mapped_keys(con, kind, pl.concat(frames))
            accepted = _spread(accepted, names, f"{kind}_key", keys)
    named = _organizations(accepted)
    organization_keys(con, named)
    known = con.execute("SELECT organization_level, organization_id_state FROM vault.key_organization").pl()
    organization_keys(con, _organizations_without_level(accepted, known))
    # Before the ledger is written: a run stopped after it would have nothing left to do, and export nothing.
    export_organization_keys(con, settings)
    return accepted


def identifiers(collection: Collection, rows: pl.DataFrame) -> pl.DataFrame:
    """The identifier columns of rows as the vault compares them, all text.

    A local id belongs to its issuer: the institution for an institution's student number, else the submitter. A row
    without a usable identifier gets one of its own, so that strangers are never counted as one person. A row that came
    with tokens has a hash of them all for a local id: equal tokens, equal record.
    """
    from pipelines.identity.keys import IDENTIFIERS
    from pipelines.identity.tokens import ISSUER_PREFIX, joined_tokens

    feeding = collection.identity_columns()
    frame = rows.select(
        *(
            pl.coalesce([pl.col(element).cast(pl.String) for element in feeding[name]]).alias(name)
            if name in feeding
            else pl.lit(None, pl.String).alias(name)
            for name in IDENTIFIERS
            if name != "local_id_issuer"
        ),
        local_id_issuer=_issuer(collection),
        tokens=joined_tokens(rows),
        own_id=pl.concat_str(
            check.DELIVERY, pl.lit("/"), "_file_name", pl.lit(f"/{collection.name}/"), check.SOURCE_ROW
        ),
    )
    is_named = (
        pl.col("tokens").is_not_null()
        | pl.col("local_id").is_not_null()
        | pl.col("student_id_state").is_not_null()
        | pl.col("ssn").is_not_null()
        | (
            pl.col("given_name").is_not_null()
            & pl.col("surname").is_not_null()
            & (pl.col("birth_date").is_not_null() | pl.col("birth_month").is_not_null())
        )
    )
    return frame.with_columns(
        local_id=pl.when(is_named).then(pl.coalesce("tokens", "local_id")).otherwise("own_id"),
        local_id_issuer=pl.when(~is_named)
        .then(pl.lit("row_without_identifier"))
        .when(pl.col("tokens").is_not_null())
        .then(pl.lit(ISSUER_PREFIX) + pl.col("local_id_issuer"))
        .when(pl.col("local_id").is_not_null())
        .then("local_id_issuer"),
    ).select(IDENTIFIERS)


def _issuer(collection: Collection) -> pl.Expr:
    if "student_id_institution" in collection.columns and "institution_id" in collection.columns:
        return pl.coalesce("institution_id", "submitter")
    return pl.col("submitter")


def _wanted_columns(rows: pl.DataFrame, collection: Collection, wanted: list[str]) -> pl.DataFrame:
    return rows.select(
        pl.col(name) if name in collection.columns else pl.lit(None, pl.String).alias(name) for name in wanted
    )


def _spread(accepted: dict[str, pl.DataFrame], names: list[str], key: str, keys: pl.Series) -> dict[str, pl.DataFrame]:
    """Hand a column of keys, minted for several tables one after another, back to each of them."""
    start, result = 0, dict(accepted)
    for name in names:
        height = accepted[name].height
        result[name] = accepted[name].with_columns(keys.slice(start, height).alias(key))
        start += height
    return result


def _without_keys(collection: Collection, rows: pl.DataFrame) -> pl.DataFrame:
    keys = [name for name, _ in collection.accepted_columns() if name.endswith("_key")]
    return rows.with_columns(pl.lit(None, pl.Int64).alias(name) for name in keys)


def _organizations(accepted: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Every (level, id) that accepted rows name at a level they tell; the state itself is always there."""
    found = [pl.DataFrame({"organization_level": ["state"], "organization_id_state": ["STATE"]})]
    for name, rows in accepted.items():
        collection = collections()[name]
        for kind in ("school", "lea", "institution"):
            for column in collection.key_columns(kind):
                found.append(rows.select(organization_level=pl.lit(kind), organization_id_state=column).unique())
        if "organization_level_code" in collection.columns:
            found.append(
                rows.select(
                    organization_level=pl.col("organization_level_code").str.to_lowercase(),
                    organization_id_state="organization_id_state",
                ).unique()
            )
            is_school = pl.col("organization_level_code").str.to_lowercase() == "school"
            parents = rows.filter(is_school)
            found.append(
                parents.select(
                    organization_level=pl.lit("lea"), organization_id_state="parent_organization_id_state"
                ).unique()
            )
    return pl.concat(found).drop_nulls().unique().sort("organization_level", "organization_id_state")


def _organizations_without_level(accepted: dict[str, pl.DataFrame], known: pl.DataFrame) -> pl.DataFrame:
    """(level, id) of organizations that rows name by id alone and that no fitting level knows yet.

    `known`: every organization_level and organization_id_state that has a key.
    """
    found = [pl.DataFrame(schema={"organization_level": pl.String, "organization_id_state": pl.String})]
    for name, rows in accepted.items():
        collection = collections()[name]
        levels = FITTING_LEVELS.get(collection.sector)
        if levels is None:
            continue
        told = known.filter(pl.col("organization_level").is_in(levels))["organization_id_state"]
        for column in collection.key_columns("organization"):
            named = rows.select(organization_level=pl.lit(levels[0]), organization_id_state=column).unique()
            found.append(named.filter(~pl.col("organization_id_state").is_in(told.implode())))
    return pl.concat(found).drop_nulls().unique().sort("organization_level", "organization_id_state")
