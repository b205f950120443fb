"""Runs in an interpreter of its own that has pycanon (Apache-2.0): python pycanon_oracle.py FOLDER.

Reads people.csv (trajectory, and one column a sensitive value) and prints k and, for each column, l. Nothing of this
project is imported.
"""

import json
import sys
from pathlib import Path

import pandas as pd
from pycanon import anonymity

people = pd.read_csv(Path(sys.argv[1]) / "people.csv", dtype=str, keep_default_na=False)
sensitive = [column for column in people.columns if column != "trajectory"]
found = {"k": int(anonymity.k_anonymity(people, ["trajectory"]))}
found["l"] = {column: int(anonymity.l_diversity(people, ["trajectory"], [column])) for column in sensitive}
print(json.dumps(found))
