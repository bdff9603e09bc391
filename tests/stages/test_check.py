"""Stage check refuses a backbone that cannot be built, before anything is packed or trained."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import timm

from geomix.config.params import Params
from geomix.config.read import load
from geomix.errors import InputError
from geomix.network.encoder import FAMILIES, find_model
from stages.check import COMMON, refuse_backbone, refuse_without_block
from tests.conftest import ROOT

OTHER = ", which is no Vision Transformer, expected the name of a Vision Transformer of timm, such "


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet50", f"found resnet50{OTHER}as vit_tiny_patch16_224, vit_small_patch16_224, "),
        ("vit_smal_patch16_224", "found vit_smal_patch16_224, expected .* such as vit_small_patch"),
        (
            "vit_small_patch16_224.dyno",
            "found .*dyno, expected .* such as vit_small_patch16_224.dino",
        ),
        ("nonsense", "found nonsense, expected .*, such as vit_tiny_patch16_224"),
    ],
)
def test_a_backbone_that_cannot_be_built_is_refused_with_others(name: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^params.yaml: backbone.name: {message}") as caught:
        refuse_backbone("backbone.name", name)
    assert "test_" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_can_be_built_is_not_refused() -> None:
    for name in ("deit3_small_patch16_224", "vit_small_patch16_224.dino"):
        refuse_backbone("backbone.name", name)
    assert {*COMMON} <= {*timm.list_models(module=FAMILIES)}
    assert all(find_model(name) for name in COMMON)


@pytest.mark.parametrize("section", ["study", "further"])
def test_a_study_without_a_block_is_refused(section: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    params = load(Params)
    refuse_without_block(params)
    getattr(params, section)["rate"] = params.study["tau"]
    with pytest.raises(InputError, match=rf"params.yaml: {section}.rate: found no block, expected"):
        refuse_without_block(params)


@pytest.mark.parametrize(("name", "code"), [("vit_tiny_patch16_224", 0), ("resnet50", 1)])
def test_the_stage_imports_timm_only_for_a_name_that_is_not_common(
    tmp_path: Path, name: str, code: int
) -> None:
    for folder in ("stages", "src"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("vit_tiny_patch16_224", name))
    command = [sys.executable, "-X", "importtime", "-m", "stages.check"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == code
    assert (" timm" in result.stderr) == bool(code)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("import time:")]
    assert len(lines) == code
