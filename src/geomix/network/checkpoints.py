"""Weights from elsewhere: a checkpoint on disk, or timm's file on the Hugging Face hub.

They are read as tensors and never unpickled.
"""

import argparse
import pickle
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
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

# A Vision Transformer of timm, or of CLIP (class_embedding), by the name of one of its tensors
# after whatever a training script or a wrapper put before it: module., _orig_mod., body., 0., ...
NETWORK = re.compile(
    r"((?:.*\.)?)(?:cls_token$|pos_embed$|patch_embed\.|blocks\.0\.|class_embedding$)"
)
# Of several networks DINO's teacher is taken, and never a running mean, as MoCo's key encoder is.
TEACHER = re.compile(r"(^|[._])teacher")
RUNNING_MEAN = re.compile(r"(^|[._])(ema|momentum|target|encoder_k)")
# What learns beside a backbone: classifiers, projections, MAE's decoder, whose sizes are those of
# another task; and what our own batch norm after the head measured.
HEADS = re.compile(
    r"(head|heads|head_dist|fc|classifier|projector|predictor|dino_head|ibot_head)\.|decoder"
    r"|norm\.(running_|num_batches_)"
)
EXPECTED = "cls_token, pos_embed, patch_embed.proj.weight or blocks.0.norm1.weight"
HUB_FILE = "model.safetensors"
SHOWN = 5  # keys named in a message


@dataclass(frozen=True)
class Weights:
    """Tensors by their name in the network, without classifiers, and their origin."""

    tensors: dict[str, Tensor]
    origin: dict[str, str]


def load_checkpoint(path: str | Path) -> Weights:
    """Read a checkpoint: safetensors, or a file of torch.save that holds tensors and no code.

    The network is found by the names of its tensors, in whatever containers and under whatever
    prefixes it lies. Heads and decoders are left out; a line on standard error names what was.

    Args:
        path: Relative to the root of the repository, where stages run, or absolute.

    Returns:
        The tensors on the CPU; the origin has the file's name without its folder, and its SHA-256.

    Raises:
        InputError: If the file is missing, damaged, needs code to be read, or holds no Vision
            Transformer or several that are alike; keys that were found are named.
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
    first = ("patch_embed.proj.weight", "visual.conv1.weight")
    embedding = next((tensors[name] for name in first if name in tensors), None)
    if embedding is not None and embedding.ndim == 4:
        width, channels, _, patch = embedding.shape
        shape = {"width": width, "channels": channels, "patch": patch}
    block = re.compile(r"(?:visual\.transformer\.res)?blocks\.(\d+)\.")
    blocks = [int(found[1]) for name in tensors if (found := block.match(name))]
    if blocks:
        shape["depth"] = 1 + max(blocks)
    return shape


def describe_mismatch(message: str, keys: Iterable[str] = ()) -> str:
    """Shorten the message of torch's strict load_state_dict to one line.

    Args:
        message: Of the RuntimeError.
        keys: Of the weights, which are named where the message does not.

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
    if parts:
        return "; ".join(parts)
    names = list_keys(keys)
    among = f" among {names}" if names else ""
    return f"what timm cannot convert{among} ({message.partition(chr(10))[0]})"


def list_keys(keys: Iterable[str]) -> str:
    """List the first few keys."""
    shown = list(keys)
    more = ", ..." if len(shown) > SHOWN else ""
    return f"{', '.join(shown[:SHOWN])}{more}"


def _enumerate(kind: str, keys: list[str]) -> str:
    return f"{len(keys)} {kind} ({list_keys(keys)})"


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
        if "TorchScript" in str(error):
            found, expected = "a TorchScript archive, which is code", "its state_dict, as pth"
            raise InputError(f"{path}: found {found}, expected {expected}") from None
        # torch.load raises whatever the damaged byte leads to: EOFError, RuntimeError, KeyError ...
        found = f"a damaged file ({type(error).__name__})"
        raise InputError(f"{path}: found {found}, expected safetensors or pth") from None
    return _choose_network(content, path)


def _choose_network(content: Any, path: Path) -> dict[str, Tensor]:
    """Return the tensors of the network in a checkpoint, and say what was left out."""
    networks = dict(find_networks(content))
    if not networks:
        keys = list(list_tensors(content))
        found = f"keys {list_keys(keys)}" if keys else "no tensors by name"
        if not keys and isinstance(content, Mapping):
            found += f" (keys {list_keys(map(str, content))})"
        expected = f"those of a Vision Transformer, such as {EXPECTED}"
        raise InputError(f"{path}: found {found}, expected {expected}")
    place = min(networks, key=_rank)
    if sum(_rank(other) == _rank(place) for other in networks) > 1:
        found = f"networks under {' and '.join(networks)}"
        raise InputError(f"{path}: found {found}, expected one network")
    network = networks[place]
    if "class_embedding" in network:  # timm converts CLIP's names by this prefix
        taken = {f"visual.{name}": network[name] for name in network if name != "proj"}
        kept = {name.removeprefix("visual.") for name in taken}
    else:
        taken = {name: network[name] for name in network if not HEADS.match(name)}
        kept = {*taken}
    left = [key for key in list_tensors(content) if key.removeprefix(place) not in kept]
    if left:
        where = f"the network under {place}" if place else "the network"
        print(f"{path.name}: took {where}, without {list_keys(left)}", file=sys.stderr)
    return taken


def find_networks(content: Any, place: str = "") -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Find the Vision Transformers in a checkpoint.

    Args:
        content: Mappings in mappings, with tensors.
        place: The keys that lead to it, each with a dot after it.

    Yields:
        What stands before the names of a network's tensors, and these by name.
    """
    if not isinstance(content, Mapping):
        return
    for key, value in content.items():
        yield from find_networks(value, f"{place}{key}.")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    prefixes = {found[1] for key in tensors if (found := NETWORK.match(key))}
    for prefix in sorted(prefixes):
        inner = tuple(other for other in prefixes if other.startswith(prefix) and other != prefix)
        own = [key for key in tensors if key.startswith(prefix) and not key.startswith(inner)]
        yield f"{place}{prefix}", {key.removeprefix(prefix): tensors[key] for key in own}


def list_tensors(content: Any, place: str = "") -> Iterator[str]:
    """List the tensors in a checkpoint by the keys that lead to them."""
    for key, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(value, Tensor):
            yield f"{place}{key}"
        yield from list_tensors(value, f"{place}{key}.")


def _rank(place: str) -> int:
    """Return how soon a network is taken, by the words of its place."""
    if TEACHER.search(place):
        return 0
    return 2 if RUNNING_MEAN.search(place) else 1
