"""Weights from elsewhere: a checkpoint on disk, or timm's file on the Hugging Face hub.

They are read as tensors and never unpickled.
"""

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

CONTAINERS = ("state_dict", "model", "teacher", "encoder")  # the last two: DINO, I-JEPA
PREFIXES = ("module.", "backbone.", "model.")  # of wrappers around the network
CLASSIFIERS = ("head.", "head_dist.")  # of timm's models; DINO's projection; our own head
MEASURED = ("norm.running_", "norm.num_batches_")  # by the batch norm after our own head
HUB_FILE = "model.safetensors"
SHOWN = 5  # keys named in a message


@dataclass(frozen=True)
class Weights:
    """Tensors by their name in the network, without classifiers, and their origin."""

    tensors: dict[str, Tensor]
    origin: dict[str, str]


def load_checkpoint(path: str | Path) -> Weights:
    """Read a checkpoint: safetensors, or a file of torch.save that holds tensors and no code.

    Containers (state_dict, model, teacher, encoder) are opened, prefixes of wrappers (module.,
    backbone., model.) are stripped, and classifiers are left out.

    Args:
        path: Relative to the root of the repository, where stages run, or absolute.

    Returns:
        The tensors on the CPU; the origin has the file's name without its folder, and its SHA-256.

    Raises:
        InputError: If the file is missing, damaged, needs code to be read, or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        expected = "one (relative to the root of the repository)"
        raise InputError(f"backbone.checkpoint: found no file {path}, expected {expected}")
    origin = {"source": "checkpoint", "file": path.name, "sha256": hash_file(path)}
    return Weights(_read_tensors(path), origin)


def load_pretrained(name: str) -> Weights:
    """Read the weights that timm publishes under a name, from the hub's cache or the network.

    Args:
        name: Of a timm model, with or without tag; without, timm's default tag.

    Returns:
        As `load_checkpoint`; the origin has the repository on the hub, its commit where known, and
        the file's SHA-256.

    Raises:
        InputError: If timm publishes none, or neither the cache nor the network has them. The
            message names the file, the places searched, and how to supply it by hand.
    """
    published = timm.get_pretrained_cfg(name)
    repository = published.hf_hub_id if published else None
    if not repository:
        tags = timm.list_models(f"{name.partition('.')[0]}.*", pretrained=True)
        configs = {tag: timm.get_pretrained_cfg(tag) for tag in tags}
        others = [tag for tag, config in configs.items() if config and config.hf_hub_id]
        expected = f"one of {', '.join(others)}, or " if others else ""
        raise InputError(
            f"backbone.pretrained: found no weights of {name} on the hub,"
            f" expected {expected}backbone.checkpoint"
        )
    try:
        path = Path(huggingface_hub.hf_hub_download(repository, HUB_FILE))
    except Exception as error:
        # The hub's errors share no base class: HTTP, offline, gated, full disk, broken cache.
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        url = huggingface_hub.hf_hub_url(repository, HUB_FILE)
        raise InputError(
            f"backbone.pretrained: found no {HUB_FILE} of {repository}, neither in {HF_HUB_CACHE}"
            f" nor at {url} ({reason}); expected it in one of them: or download it by hand, and set"
            " backbone.checkpoint to its path and backbone.pretrained to false"
        ) from None
    origin = {"source": repository}
    if path.parent.parent.name == "snapshots":
        origin["revision"] = path.parent.name
    return Weights(_read_tensors(path), origin | {"sha256": hash_file(path)})


def describe_shape(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Read the channels, width, patch (pixels) and depth (blocks) of a network off its weights.

    Unknown ones are left out: a patch embedding stored as a matrix tells no patch and no channels.
    """
    shape: dict[str, int] = {}
    embedding = tensors.get("patch_embed.proj.weight")
    if embedding is not None and embedding.ndim == 4:
        width, channels, _, patch = embedding.shape
        shape = {"width": width, "channels": channels, "patch": patch}
    blocks = [int(found[1]) for name in tensors if (found := re.match(r"blocks\.(\d+)\.", name))]
    if blocks:
        shape["depth"] = 1 + max(blocks)
    return shape


def describe_mismatch(message: str) -> str:
    """Shorten the message of torch's strict load_state_dict to one line.

    Args:
        message: Of the RuntimeError.

    Returns:
        Counts and first names of missing, unexpected and misshapen keys; the first line of a
        message of another form.
    """
    parts = []
    for kind in ("Missing", "Unexpected"):
        if listed := re.search(rf'{kind} key\(s\) in state_dict: ((?:"[^"]+"(?:, )?)+)', message):
            parts.append(_enumerate(kind.lower(), re.findall(r'"([^"]+)"', listed[1])))
    sizes = r"size mismatch for (\S+): .*?Size\(\[(.*?)\]\) from checkpoint.*?Size\(\[(.*?)\]\)"
    misshapen = re.findall(sizes, message)
    if misshapen:
        keys = [f"{key} ({found} for {expected})" for key, found, expected in misshapen]
        parts.append(_enumerate("misshapen", keys))
    return "; ".join(parts) or f"what timm cannot convert ({message.partition(chr(10))[0]})"


def _enumerate(kind: str, keys: list[str]) -> str:
    more = ", ..." if len(keys) > SHOWN else ""
    return f"{len(keys)} {kind} ({', '.join(keys[:SHOWN])}{more})"


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path, device="cpu")
        else:
            # DINO and timm keep their options, a Namespace, beside the weights.
            with torch.serialization.safe_globals([argparse.Namespace]):
                content = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        found = f"damaged safetensors ({error})"
        raise InputError(f"{path}: found {found}, expected a whole file") from None
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        found = f"a pickle that needs code ({code[1]})" if code else "no checkpoint of torch.save"
        expected = "tensors alone, as safetensors or pth; nothing was run"
        raise InputError(f"{path}: found {found}, expected {expected}") from None
    except Exception as error:
        # torch.load raises whatever the damaged byte leads to: EOFError, RuntimeError, KeyError ...
        found = f"a damaged file ({type(error).__name__})"
        raise InputError(f"{path}: found {found}, expected safetensors or pth") from None
    tensors = _strip_names(_open_containers(content), path)
    if not tensors:
        expected = "the weights of a Vision Transformer"
        raise InputError(f"{path}: found no tensors by name, expected {expected}")
    return tensors


def _open_containers(content: Any) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        return {}
    for key in CONTAINERS:
        if isinstance(content.get(key), Mapping):
            return _open_containers(content[key])
    return content


def _strip_names(content: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """Strip prefixes, and leave out classifiers, their norm and whatever is not a tensor."""
    pattern = re.compile(rf"(?:{'|'.join(map(re.escape, PREFIXES))})*")
    tensors: dict[str, Tensor] = {}
    for key, tensor in content.items():
        name = pattern.sub("", key, count=1)
        if not isinstance(tensor, Tensor) or name.startswith((*CLASSIFIERS, *MEASURED)):
            continue
        if name in tensors:
            found = f"{name} twice, under several prefixes"
            raise InputError(f"{path}: found {found}, expected one network")
        tensors[name] = tensor
    return tensors
