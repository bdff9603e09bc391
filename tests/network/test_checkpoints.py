"""Weights from elsewhere: tensors by name, whatever they are wrapped in, and no code."""

import os
import re
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.constants import HF_HUB_CACHE
from safetensors.torch import save_file
from torch import Tensor, nn

from geomix.errors import InputError
from geomix.files import hash_file
from geomix.network.checkpoints import (
    describe_mismatch,
    describe_shape,
    load_checkpoint,
    load_pretrained,
)

NETWORK = {"cls_token": torch.randn(1, 1, 4), "blocks.0.norm1.weight": torch.randn(4)}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TINY = "test_vit.r160_in1k"


def prefixed(prefix: str) -> dict[str, Tensor]:
    """Return the network's tensors as a wrapper names them, and two classifiers."""
    return {f"{prefix}{name}": tensor for name, tensor in NETWORK.items()} | {
        f"{prefix}head.weight": torch.zeros(3, 4),
        "head_dist.bias": torch.zeros(3),
    }


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "model.", "module.model.backbone."])
def test_prefixes_and_classifiers_do_not_matter(tmp_path: Path, prefix: str) -> None:
    save_file(prefixed(prefix), tmp_path / "some.safetensors")
    weights = load_checkpoint(tmp_path / "some.safetensors")
    assert weights.tensors.keys() == NETWORK.keys()
    assert all(torch.equal(weights.tensors[name], tensor) for name, tensor in NETWORK.items())
    expected = {
        "source": "checkpoint",
        "file": "some.safetensors",
        "sha256": hash_file(tmp_path / "some.safetensors"),
    }
    assert weights.origin == expected


def test_what_batch_norm_measured_is_left_out_and_the_norm_of_the_network_is_not(
    tmp_path: Path,
) -> None:
    measured = nn.BatchNorm1d(3, affine=False).state_dict(prefix="norm.")
    names = ("cls_token", "norm.bias", "norm.weight")
    network = {f"backbone.{name}": torch.ones(4) for name in names}
    save_file(network | measured, tmp_path / "own.safetensors")
    assert sorted(load_checkpoint(tmp_path / "own.safetensors").tensors) == [*names]


CONTAINERS = [
    (),
    ("state_dict",),
    ("model",),
    ("teacher",),
    ("student",),
    ("encoder",),
    ("net",),
    ("model_state_dict",),
    ("model", "state_dict"),
]


@pytest.mark.parametrize("containers", CONTAINERS)
def test_containers_of_training_scripts_are_opened(
    tmp_path: Path, containers: tuple[str, ...]
) -> None:
    content: dict[str, Any] = prefixed("module.backbone.")
    for container in containers:
        content = {"epoch": 3, container: content, "optimizer": {"state": {0: torch.ones(2)}}}
    torch.save(content, tmp_path / "some.pth")
    assert load_checkpoint(tmp_path / "some.pth").tensors.keys() == NETWORK.keys()


def other(prefix: str) -> dict[str, Tensor]:
    """Return a second network, as its running mean or the other branch is."""
    return {f"{prefix}{name}": tensor + 1 for name, tensor in NETWORK.items()}


MAE = {"mask_token": torch.zeros(1), "decoder_pos_embed": torch.zeros(1, 2, 8)}
MAE |= {"decoder_blocks.0.norm1.weight": torch.zeros(8), "decoder_pred.bias": torch.zeros(3)}
FORMS: dict[str, dict[str, Any]] = {
    "DINO": {"student": other("module.backbone."), "teacher": prefixed("backbone.")},
    "DINOv2": {"teacher": prefixed("backbone.") | {"dino_head.mlp.0.bias": torch.zeros(2)}},
    "iBOT, one branch": {"state_dict": prefixed("backbone.")},
    "MoCo v2": {"state_dict": prefixed("module.encoder_q.") | other("module.encoder_k.")},
    "MoCo v3": {"state_dict": prefixed("module.base_encoder.") | other("module.momentum_encoder.")},
    "I-JEPA": {"encoder": prefixed("module."), "target_encoder": other("module.")},
    "DeiT": {"model": prefixed(""), "model_ema": other("")},
    "timm": {"state_dict": prefixed(""), "state_dict_ema": other(""), "epoch": 3},
    "torch.compile": prefixed("_orig_mod."),
    "hyp_metric and HIER": prefixed("module.0.") | {"module.1.last.bias": torch.zeros(2)},
    "HypMix": prefixed("body."),
    "Lightning": {"state_dict": prefixed("net._orig_mod.") | other("ema."), "callbacks": {}},
    "OpenCLIP with timm's network": prefixed("visual.trunk.") | {"logit_scale": torch.ones(())},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_network_is_found_in_the_files_of_the_field(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(FORMS[form], tmp_path / "some.pth")
    found = load_checkpoint(tmp_path / "some.pth").tensors
    assert found.keys() == NETWORK.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in NETWORK.items())
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("some.pth: took the network")
    assert re.search(r", without .*head\.weight|, without \w*student", line)


def test_the_decoder_of_mae_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"model": NETWORK | MAE}, tmp_path / "mae.pth")
    # timm takes the mask token away
    assert load_checkpoint(tmp_path / "mae.pth").tensors.keys() == {*NETWORK, "mask_token"}
    left = "model.decoder_pos_embed, model.decoder_blocks.0.norm1.weight, model.decoder_pred.bias"
    expected = f"mae.pth: took the network under model., without {left}\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("whole", [True, False])
def test_clip_keeps_the_names_that_timm_converts(tmp_path: Path, whole: bool) -> None:
    names = ("class_embedding", "conv1.weight", "transformer.resblocks.1.ln_1.weight", "proj")
    prefix = "module.visual." if whole else ""
    content = {f"{prefix}{name}": torch.zeros(8, 3, 4, 4) for name in names}
    text = {"module.transformer.resblocks.0.ln_1.bias": torch.zeros(2)} if whole else {}
    torch.save(content | text, tmp_path / "clip.pth")
    found = load_checkpoint(tmp_path / "clip.pth").tensors
    assert sorted(found) == sorted(f"visual.{name}" for name in names[:3])
    shape = {"width": 8, "channels": 3, "patch": 4, "depth": 2}
    assert describe_shape(found) == shape


def test_nothing_is_said_where_nothing_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file(NETWORK, tmp_path / "plain.safetensors")
    load_checkpoint(tmp_path / "plain.safetensors")
    assert not capsys.readouterr().err


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_needs_code_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    content = {"model": NETWORK, "args": Trap(tmp_path / "made")}
    torch.save(content, tmp_path / "trap.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        InputError,
        match=r"trap.pth: found a pickle that needs code \(\w+.mkdir\), expected tensors alone",
    ):
        load_checkpoint(tmp_path / "trap.pth")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "page.pth",
            b"<!DOCTYPE html><html></html>",
            "page.pth: found no checkpoint of torch.save",
        ),
        ("empty.pth", b"", "empty.pth: found a damaged file"),
        (
            "page.safetensors",
            b"<!DOCTYPE html><html></html>",
            "page.safetensors: found damaged safetensors",
        ),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_checkpoint(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["half.pth", "half.safetensors"])
def test_half_a_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    (torch.save if path.suffix == ".pth" else save_file)(NETWORK, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=f"{name}: found .*damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(2)], "found no tensors by name, expected those of a Vision Transformer"),
        ({"epoch": 3}, r"found no tensors by name \(keys epoch\), expected those"),
        (
            {"model": {"conv1.weight": torch.ones(1), "layer1.0.bn1.bias": torch.ones(1)}},
            "found keys model.conv1.weight, model.layer1.0.bn1.bias, expected .* such as cls_token",
        ),
        (
            other("left.") | other("right."),
            "found networks under left. and right., expected one network",
        ),
    ],
)
def test_content_that_is_no_network_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "some.pth")
    with pytest.raises(InputError, match=message):
        load_checkpoint(tmp_path / "some.pth")


def test_a_missing_checkpoint_is_refused() -> None:
    with pytest.raises(
        InputError, match="backbone.checkpoint: found no file none.pth, expected one"
    ):
        load_checkpoint("none.pth")


def test_a_failed_download_says_what_where_and_how_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(repository: str, file: str) -> str:
        raise ConnectionError("the network\nis down")

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(InputError) as caught:
        load_pretrained(TINY)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        f"found no model.safetensors of timm/{TINY}",
        HF_HUB_CACHE,
        f"https://huggingface.co/timm/{TINY}/resolve/main/model.safetensors",
        "ConnectionError: the network",
        "set backbone.checkpoint",
    ):
        assert part in message


def test_the_hub_s_commit_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "snapshots" / COMMIT / "model.safetensors"
    path.parent.mkdir(parents=True)
    save_file(prefixed(""), path)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repository, file: str(path))
    weights = load_pretrained(TINY)
    assert weights.origin == {
        "source": f"timm/{TINY}",
        "revision": COMMIT,
        "sha256": hash_file(path),
    }
    assert weights.tensors.keys() == NETWORK.keys()


def test_a_model_without_published_weights_is_refused() -> None:
    with pytest.raises(
        InputError,
        match="backbone.pretrained: found no weights of test_vit4 on the hub, expected backbone.ch",
    ):
        load_pretrained("test_vit4")


@pytest.mark.parametrize(
    ("embedding", "expected"),
    [
        (torch.zeros(32, 1, 8, 8), {"width": 32, "channels": 1, "patch": 8, "depth": 12}),
        (torch.zeros(32, 64), {"depth": 12}),
    ],
)
def test_the_shape_is_read_off_the_weights(embedding: Tensor, expected: dict[str, int]) -> None:
    tensors = {
        "patch_embed.proj.weight": embedding,
        "blocks.11.norm1.bias": torch.zeros(1),
        "blocks.2.norm1.bias": torch.zeros(1),
    }
    assert describe_shape(tensors) == expected


def test_a_mismatch_is_one_line_with_counts_and_the_first_keys() -> None:
    network = nn.Sequential(*(nn.Linear(2, 2) for _ in range(4)))
    given = {"0.weight": torch.zeros(3, 2), "0.bias": torch.zeros(2), "other": torch.zeros(1)}
    with pytest.raises(RuntimeError) as caught:
        network.load_state_dict(given)
    expected = (
        "6 missing (1.weight, 1.bias, 2.weight, 2.bias, 3.weight, ...); 1 unexpected (other); "
    )
    assert (
        describe_mismatch(str(caught.value)) == expected + "1 misshapen (0.weight (3, 2 for 2, 2))"
    )


def test_an_error_of_another_form_gives_its_first_line() -> None:
    assert describe_mismatch("out of luck\nand more") == "what timm cannot convert (out of luck)"
    found = describe_mismatch("out of luck", NETWORK)
    assert found == f"what timm cannot convert among {', '.join(NETWORK)} (out of luck)"
