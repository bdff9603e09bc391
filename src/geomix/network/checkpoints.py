"""Weights from elsewhere: a checkpoint on disk or timm's file on the Hugging Face hub, read as tensors and never unpickled."""

import argparse
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
import torch
from huggingface_hub.constants import HF_HUB_CACHE
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from geomix.errors import InputError
from geomix.files import hash_file

CONTAINERS = (
    "state_dict",
    "model",
    "teacher",
    "encoder",
)  # of training scripts; the last two: DINO, I-JEPA
PREFIXES = ("module.", "backbone.", "model.")  # of wrappers around the network
CLASSIFIERS = (
    "head.",
    "head_dist.",
)  # of timm's Vision Transformers, DINO's projection, and our own head
HUB_FILE = "model.safetensors"
SHOWN = 5  # keys named in a message


@dataclass(frozen=True)
class Weights:
    """Tensors by their name in the network, without classifiers, and where they are from (for geometry.json)."""

    tensors: dict[str, Tensor]
    origin: dict[str, str]


def load_checkpoint(path: str | Path) -> Weights:
    """Read a checkpoint: safetensors, or a file of torch.save that holds tensors and no code.

    Containers (state_dict, model, teacher, encoder) are opened, prefixes of wrappers (module.,
    backbone., model.) stripped and classifiers left out.

    Args:
        path: Relative to the root of the repository, where stages run, or absolute.

    Returns:
        The tensors on the CPU; the origin has the file's name without its folder, and its SHA-256.

    Raises:
        InputError: If the file is missing, damaged, needs code to be read, or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"backbone.checkpoint: found no file {path}, expected one (relative to the root of the repository)"
        )
    return Weights(
        _read_tensors(path), {"source": "checkpoint", "file": path.name, "sha256": hash_file(path)}
    )


def load_pretrained(name: str) -> Weights:
    """Read the weights that timm publishes under a name, from the hub's cache or the network.

    Args:
        name: Of a timm model, with or without tag; without, timm's default tag.

    Returns:
        As `load_checkpoint`; the origin has the repository on the hub, its commit where known, and
        the file's SHA-256.

    Raises:
        InputError: If timm publishes none, or they can be had neither from the cache nor from the
            network: the message names the file, where it was looked for and how to supply it by
                hand.
    """
    published = timm.get_pretrained_cfg(name)
    repository = published.hf_hub_id if published else None
    if not repository:
        tags = timm.list_models(f"{name.partition('.')[0]}.*", pretrained=True)
        others = [
            tag for tag in tags if (other := timm.get_pretrained_cfg(tag)) and other.hf_hub_id
        ]
        names = f"one of {', '.join(others)}, or " if others else ""
        raise InputError(
            f"backbone.pretrained: found no weights of {name} on the hub, expected {names}backbone.checkpoint"
        )
    try:
        path = Path(huggingface_hub.hf_hub_download(repository, HUB_FILE))
    except Exception as error:  # the hub's errors share no base class: HTTP, offline, gated, full disk, broken cache
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise InputError(
            f"backbone.pretrained: found no {HUB_FILE} of {repository}, neither in {HF_HUB_CACHE} nor at "
            f"{huggingface_hub.hf_hub_url(repository, HUB_FILE)} ({reason}); expected it in one of them: "
            "or download it by hand, and set backbone.checkpoint to its path and backbone.pretrained to false"
        ) from None
    origin = {"source": repository}
    if path.parent.parent.name == "snapshots":
        origin["revision"] = path.parent.name
    return Weights(_read_tensors(path), origin | {"sha256": hash_file(path)})


def describe_shape(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Read off the weights what they say about their network: channels, width, patch (pixels),
    depth (blocks).

    What cannot be told is left out: a patch embedding stored as a matrix has no patch and no
    channels.
    """
    shape: dict[str, int] = {}
    embedding = tensors.get("patch_embed.proj.weight")
    if embedding is not None and embedding.ndim == 4:
        shape |= {
            "width": embedding.shape[0],
            "channels": embedding.shape[1],
            "patch": embedding.shape[-1],
        }
    blocks = [int(found[1]) for name in tensors if (found := re.match(r"blocks\.(\d+)\.", name))]
    if blocks:
        shape["depth"] = 1 + max(blocks)
    return shape


def describe_mismatch(message: str) -> str:
    """Put the many lines of torch's strict load_state_dict into one: missing, unexpected and
    misshapen keys.

    Args:
        message: Of the RuntimeError.

    Returns:
        Counts and the first keys of each kind; for a message of another form its first line.
    """
    parts = []
    for kind in ("Missing", "Unexpected"):
        if listed := re.search(rf'{kind} key\(s\) in state_dict: ((?:"[^"]+"(?:, )?)+)', message):
            parts.append(_enumerate(kind.lower(), re.findall(r'"([^"]+)"', listed[1])))
    sizes = r"size mismatch for (\S+): .*?Size\(\[(.*?)\]\) from checkpoint.*?Size\(\[(.*?)\]\)"
    if misshapen := [
        f"{key} ({found} for {expected})" for key, found, expected in re.findall(sizes, message)
    ]:
        parts.append(_enumerate("misshapen", misshapen))
    return "; ".join(parts) or f"what timm cannot convert ({message.partition(chr(10))[0]})"


def _enumerate(kind: str, keys: list[str]) -> str:
    more = ", ..." if len(keys) > SHOWN else ""
    return f"{len(keys)} {kind} ({', '.join(keys[:SHOWN])}{more})"


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path, device="cpu")
        else:
            with torch.serialization.safe_globals(
                [argparse.Namespace]
            ):  # the options DINO and timm keep beside the weights
                content = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise InputError(
            f"{path}: found damaged safetensors ({error}), expected a whole file"
        ) from None
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        found = f"a pickle that needs code ({code[1]})" if code else "no checkpoint of torch.save"
        raise InputError(
            f"{path}: found {found}, expected tensors alone, as safetensors or pth; nothing was run"
        ) from None
    except Exception as error:  # torch.load raises whatever the damaged byte leads to: EOFError, RuntimeError, KeyError ...
        raise InputError(
            f"{path}: found a damaged file ({type(error).__name__}), expected safetensors or pth"
        ) from None
    while isinstance(content, Mapping) and (
        inner := [content[key] for key in CONTAINERS if isinstance(content.get(key), Mapping)]
    ):
        content = inner[0]
    tensors = _strip_names(content, path) if isinstance(content, Mapping) else {}
    if not tensors:
        raise InputError(
            f"{path}: found no tensors by name, expected the weights of a Vision Transformer"
        )
    return tensors


def _strip_names(content: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """Strip prefixes and leave out classifiers, and all that is no tensor."""
    pattern = re.compile(rf"(?:{'|'.join(map(re.escape, PREFIXES))})*")
    tensors: dict[str, Tensor] = {}
    for key, tensor in content.items():
        name = pattern.sub("", key, count=1)
        if not isinstance(tensor, Tensor) or name.startswith(CLASSIFIERS):
            continue
        if name in tensors:
            raise InputError(
                f"{path}: found {name} twice, under several prefixes, expected one network"
            )
        tensors[name] = tensor
    return tensors
