"""All pages: complete, with provenance, the same bytes every time, none lost when one fails."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from geomix.errors import InputError
from geomix.report.pages import build_pages, write_pages


def test_pages_are_those_of_the_pipeline_and_links_lead_somewhere(
    results: Path, packed_folder: Path, params: dict[str, Any], root: Path
) -> None:
    files = build_pages(results, packed_folder, params)
    outs = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]["report"]["outs"]
    assert sorted(f"reports/{name}" for name in files) == sorted(
        name for out in outs for name in out
    )
    for name, content in files.items():
        if name.endswith(".md"):
            targets = [part.split(")")[0] for part in content.decode().split("](")[1:]]
            assert not set(targets) - set(files), name


def test_every_page_says_where_it_comes_from(
    results: Path, packed_folder: Path, params: dict[str, Any]
) -> None:
    files = build_pages(results, packed_folder, params)
    for name, content in files.items():
        if name.endswith(".md"):
            page = content.decode()
            assert "- params: dataset patterns, tau 0.1" in page
            assert "- split: seed 0, train 0.4" in page
            assert "images.npy sha256" in page
            assert "- trained with: python 3, torch 2, timm 1, device CPU" in page


def test_the_same_results_give_the_same_bytes(
    results: Path, packed_folder: Path, params: dict[str, Any]
) -> None:
    assert build_pages(results, packed_folder, params) == build_pages(
        results, packed_folder, params
    )


def test_a_report_that_fails_leaves_the_pages_as_they_were(
    results: Path, packed_folder: Path, params: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "reports"
    write_pages(build_pages(results, packed_folder, params), out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (results / "curvature" / "metrics.csv").unlink()
    with pytest.raises(InputError, match="metrics.csv: not found"):
        write_pages(build_pages(results, packed_folder, params), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
