"""Runs in an interpreter of its own that has `cell-key-perturbation` (ONS, MIT): python ons_oracle.py FOLDER.

Reads people.csv (one row a person), ptable.csv (pcv, ckey, pvalue) and crossings.json (lists of columns); writes
<number>.csv for each crossing, the package's perturbed count of each cell. Nothing of this project is imported.
"""

import json
import sys
from pathlib import Path

import pandas as pd
from cell_key_perturbation.create_perturbed_table import create_perturbed_table

folder = Path(sys.argv[1])
people, noise = pd.read_csv(folder / "people.csv"), pd.read_csv(folder / "ptable.csv")
for number, columns in enumerate(json.loads((folder / "crossings.json").read_text())):
    create_perturbed_table(
        data=people,
        ptable=noise,
        geog=columns[:1],
        tab_vars=columns[1:],
        record_key="record_key",
        use_existing_ons_id=False,
        threshold=0,
    )[[*columns, "pre_sdc_count", "count"]].to_csv(folder / f"{number}.csv", index=False)
