"""What arrives: one declaration per collection, and the element registry behind them.

What belongs here: grain, key, types, code sets and row rules of what agencies deliver. What does not: how files are
read, what the warehouse makes of them, any scheduling; this package imports neither dagster nor pipelines.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from schemas.collection import Collection


@cache
def collections() -> dict[str, Collection]:
    """Every declared collection by name, found by walking the sector packages; sorted by name."""
    found = {}
    for sector in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
        if not sector.ispkg:
            continue
        for module in pkgutil.iter_modules(import_module(sector.name).__path__, prefix=f"{sector.name}."):
            collection = import_module(module.name).COLLECTION
            expected = "__".join(module.name.split(".")[1:])
            if collection.name != expected:
                raise ValueError(f"{module.name} declares {collection.name}; its file says {expected}.")
            found[collection.name] = collection
    return dict(sorted(found.items()))
