"""All pages of reports/: built in memory, then written one by one, each at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geomix.data.packed import Packed, open_packed
from geomix.files import replace_file
from geomix.report.comparison import comparison_page
from geomix.report.dataset import dataset_page
from geomix.report.index import index_page
from geomix.report.studies import Study, read_study
from geomix.report.sweeps import chosen_cells, curvature_page, edge_sentences, temperature_page


def provenance(params: Mapping[str, Any], packed: Packed, studies: Mapping[str, Study]) -> str:
    """Say what a page was made from: params, data, versions and kinds of device. No times."""
    settings = ", ".join(
        f"{key} {value}" for key, value in params.items() if not isinstance(value, dict)
    )
    sections = "\n".join(
        f"- {key}: {_one_line(value)}" for key, value in params.items() if isinstance(value, dict)
    )
    machines = {
        tuple(machine.items()): None for study in studies.values() for machine in study.machines
    }
    devices = "; ".join(
        ", ".join(f"{key} {value}" for key, value in machine) for machine in machines
    )
    data = ", ".join(f"{name} sha256 {value[:16]}" for name, value in packed.card["sha256"].items())
    return f"""
<details><summary>Provenance</summary>

- params: {settings}
{sections}
- data: {data}
- trained with: {devices}
- code: the commit that holds this page with its dvc.lock

</details>
"""


def build_pages(results: Path, data: Path, params: Mapping[str, Any]) -> dict[str, bytes]:
    """Build every page, picture and table.

    Args:
        results: The folder with one folder for each study.
        data: The packed data set.
        params: Sections of params.yaml: report, and what the provenance prints.

    Returns:
        Content by file name.
    """
    packed = open_packed(data)
    studies = {
        name: read_study(results / name) for name in ("compare", "tau", "curvature", "baselines")
    }
    compare, sweep, baselines = studies["compare"], studies["tau"], studies["baselines"]
    files, chosen = temperature_page(sweep, baselines)
    cells = chosen_cells(sweep, chosen)
    more, effects, curvatures = curvature_page(studies["curvature"], baselines)
    files |= more
    more, differences = comparison_page(
        compare, sweep, cells, baselines, packed, params["report"]["queries"]
    )
    files |= more
    files |= dataset_page(packed)
    files |= index_page(
        packed.card["dataset"],
        compare,
        sweep,
        cells,
        baselines,
        differences,
        effects,
        edge_sentences(chosen, "tau"),
        curvatures,
    )
    footer = provenance(params, packed, studies).encode()
    return {
        name: content + footer if name.endswith(".md") else content
        for name, content in files.items()
    }


def write_pages(files: Mapping[str, bytes], out: Path) -> None:
    """Write the files: nothing is touched before all of them are built, and none is ever half there."""
    for name, content in files.items():
        replace_file(out / name, content)


def _one_line(section: Mapping[str, Any]) -> str:
    """Write a section on one line: key value, key (key value)."""
    return ", ".join(
        f"{key} ({_one_line(value)})" if isinstance(value, dict) else f"{key} {value}"
        for key, value in section.items()
    )
