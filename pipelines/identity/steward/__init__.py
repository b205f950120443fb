"""The identity steward's part: what a person must judge, shown with its evidence, and what was judged.

Identifiers are shown here and nowhere else, each look is logged in the vault before anything is shown, and every
verdict binds the nights after it.
"""
