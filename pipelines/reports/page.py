"""Writing one page: the frame that all pages share, rendered from a template and what it needs."""

from __future__ import annotations

import re
import shutil
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """Templates with every value escaped, and a missing value an error."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write(target: Path, template: str, **content: object) -> None:
    """Render `template` into `target`. `root` is the way from the page to the site's folder."""
    content.setdefault("root", "")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(environment().get_template(template).render(**content), encoding="utf-8")


def copy_style(folder: Path) -> None:
    """The pages' one style sheet, beside them: no page loads anything from elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(TEMPLATES / "style.css", folder / "style.css")


def slug(*parts: str) -> str:
    """A file name from natural ids: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
