"""Who is the same person: the vault, keys, the partition of records into persons, lasting ids, and their error.

Identifiers never leave this room: what crosses into `exchange/` is keys. Rules that compare identifiers are dbt
models (`staging/identity`, `linkage`) that run inside the vault; this package opens it, mints, groups and measures.
"""
