"""The public site of a release: overview, one page an organization, the list of them, flows between stages.

It reads a release's published tables and registers only; what is hidden there is hidden here. Nothing is computed from
them: which rows stand where, and in what words, is all that is decided here.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from pipelines.progress import track
from pipelines.reports.organization import write_organization
from pipelines.reports.overview import write_overview
from pipelines.reports.page import copy_style, write
from pipelines.reports.published import Organization, Published, load
from pipelines.reports.transitions import write_transitions
from pipelines.settings import Settings


def build_site(settings: Settings, data_dir: Path, site_dir: Path, gate: dict) -> int:
    """Write the site below `site_dir` from the Parquet files in `data_dir`. Returns the number of pages.

    `gate`: the public decision: held families and waivers print on the pages that they touch.
    """
    published = load(settings, data_dir, gate)
    copy_style(site_dir)
    for organization in track(list(published.organizations.values()), "Organization pages"):
        write_organization(published, organization, site_dir)
    write_list(published, site_dir)
    write_transitions(published, site_dir)
    write_overview(published, site_dir)
    return len(published.organizations) + 3


def write_list(published: Published, site_dir: Path) -> None:
    schools: dict[str, list[Organization]] = defaultdict(list)
    for organization in published.organizations.values():
        if organization.level == "school":
            schools[organization.lea_id_state].append(organization)
    titles = {"state": "State", "lea": "Districts and their schools", "institution": "Colleges and universities"}
    titles["provider"] = "Providers"
    groups = []
    for level, title in titles.items():
        members = [each for each in published.organizations.values() if each.level == level]
        if members:
            entries = [
                {"organization": each, "schools": schools.pop(each.id_state, []) if level == "lea" else []}
                for each in members
            ]
            groups.append({"name": title, "entries": entries})
    alone = [{"organization": each, "schools": []} for left in schools.values() for each in left]
    if alone:
        groups.append({"name": "Schools of no district", "entries": alone})
    write(site_dir / "organizations.html", "organizations.html", groups=groups, **published.stamp)
