"""Entry of the orchestrator: everything below `defs/` is loaded. Nothing else belongs here."""

from pathlib import Path

from dagster import Definitions, definitions, load_from_defs_folder

from pipelines.settings import settings

settings()


@definitions
def defs() -> Definitions:
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
