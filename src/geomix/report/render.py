"""Words: pages from the templates beside this file, which read like the pages."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from geomix.config.base import Section
from geomix.data.packed import Packed
from geomix.files import new_folder, replace_file
from geomix.report import text
from geomix.report.kinds import UNUSED
from geomix.report.results import SCORE, Results

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> bytes:
    """Fill a template.

    Args:
        template: Its name, without .md.j2.
        values: What it names.

    Returns:
        The page, encoded, with straight tables.
    """
    page = _environment().get_template(f"{template}.md.j2").render(values)
    page = re.sub(r"\n{3,}", "\n\n", page.strip() + "\n")
    return text.align_tables(page).encode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown, not HTML
    )
    for word in (
        text.number,
        text.percent,
        text.share,
        text.stress,
        text.figures,
        text.correlation,
        text.gap,
        text.points,
        text.interval,
        text.settings,
        text.values,
        text.list_words,
        text.quote,
        text.named,
        text.join_lines,
        text.literal,
    ):
        environment.filters[word.__name__] = word
    environment.globals |= {"score": SCORE, "unused": UNUSED}
    return environment


def describe_origin(
    packed: Packed, results: list[Results], settings: Section | None = None, **more: Any
) -> dict[str, Any]:
    """Return what a page was made from, without any time.

    Args:
        packed: The data set.
        results: Of the cells on the page.
        settings: What they were trained with.
        more: Further settings, by key.
    """
    machines = [machine for one in results for machine in one.machines]
    known = settings.model_dump(exclude_defaults=True, warnings=False) if settings else {}
    written = yaml.safe_dump(
        known | more, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True
    )
    return {
        "data": {name: found[:16] for name, found in packed.card["sha256"].items()},
        "machines": [one for at, one in enumerate(machines) if one not in machines[:at]],
        "settings": written if known | more else "",
    }


def write_folder(files: Mapping[str, bytes], out: Path) -> None:
    """Write a folder of files at once; what an earlier run left there goes."""
    with new_folder(out) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)


def write_files(files: Mapping[str, bytes], out: Path) -> None:
    """Write files one by one, each at once, into a folder that holds others too."""
    for name, content in files.items():
        replace_file(out / name, content)
