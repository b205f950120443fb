"""The error whose sentence is for whoever must act: which delivery, row, rule or register, and what to do.

Its text holds no value of a delivered row, so it may be shown and logged. Any other exception may quote one: its text
stays in the vault (`defs/boundary.py`).
"""


class P20wError(ValueError):
    """Something that a person can mend; the sentence says what."""


class MissingFileError(P20wError, FileNotFoundError):
    """A file that must be there is not."""
