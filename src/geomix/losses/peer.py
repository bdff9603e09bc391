"""Losses of pytorch-metric-learning, which compare embeddings by a similarity of their own.

A loss is named by its class. So are the parts among its arguments: distances, reducers,
regularisers, miners and losses, `{distance: LpDistance}` or, with arguments of its own,
`{distance: {name: LpDistance, p: 1}}`.
"""

import inspect
from collections.abc import Mapping
from copy import deepcopy
from importlib import import_module
from typing import Any, cast

import torch
from torch import Tensor, nn

from geomix.config.losses import PeerLoss
from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, Points
from geomix.losses.batch_loss import BatchLoss, require_classes
from geomix.losses.table import Table

LIBRARY = "pytorch_metric_learning"
# Classes of pytorch_metric_learning.losses that cannot train here, and why; docs/systems.md has
# the whole list.
UNFIT = {
    "BaseLossWrapper": "it is the base of others",
    "BaseMetricLossFunction": "it is the base of others",
    "EmbeddingRegularizerMixin": "it is a part of others",
    "GenericPairLoss": "it is the base of others",
    "ManifoldLoss": "it takes no labels: it draws classes of its own",
    "SelfSupervisedLoss": "it takes no labels: labels: hidden does the same for any other loss",
    "VICRegLoss": "it takes no labels: it compares two batches of views",
    "WeightRegularizerMixin": "it is a part of others",
}
# Arguments that are parts of the library, and its module of such parts.
PARTS = {
    "distance": "distances",
    "reducer": "reducers",
    "default_reducer": "reducers",
    "embedding_regularizer": "regularizers",
    "weight_regularizer": "regularizers",
    "miner": "miners",
    "loss": "losses",
}
SEVERAL = {"losses": "losses", "miners": "miners", "reducers": "reducers"}  # by name, or in a list


class Peer(BatchLoss):
    """A loss of pytorch-metric-learning: it takes embeddings and labels."""

    def __init__(self, peer: nn.Module, rate_factor: float, seed: int) -> None:
        """Take the loss, what multiplies its learning rate, and the seed of its draws."""
        super().__init__()
        self.peer, self.rate_factor = peer, rate_factor
        self.generator = torch.Generator().manual_seed(seed)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the state of its draws, and the library's counters, such as a place in a queue."""
        counters = {
            name: {key: value for key, value in vars(module).items() if is_counter(key, value)}
            for name, module in self.peer.named_modules()
        }
        return super().get_extra_state() | {"counters": counters}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take such a state."""
        super().set_extra_state(state)
        for name, module in self.peer.named_modules():
            vars(module).update(state["counters"][name])

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Return the loss, a scalar.

        Raises:
            InputError: If the loss refuses the batch.
        """
        # SmoothAPLoss reads the classes off the order: all samples of one, then those of the next.
        order = batch.label.argsort(stable=True)
        # The library draws from torch's own generators: from one seed, it draws alike on each rank.
        device = embeddings.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(torch.randint(2**31, (), generator=self.generator)))
            return compute(self.peer, embeddings[order], batch.label[order])


def is_counter(key: str, value: Any) -> bool:
    """Return whether an attribute of a module is a number of its own, which a step may change."""
    return isinstance(value, int | float) and not key.startswith("_") and key != "training"


def compute(peer: nn.Module, embeddings: Tensor, labels: Tensor) -> Tensor:
    """Compute a loss of the library.

    Raises:
        InputError: If it refuses the batch or its parts do not fit each other.
    """
    name = type(peer).__name__
    try:
        loss = peer(embeddings, labels)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the library's assertions, and whatever an unfit part leads to
        raise InputError(
            f"loss: found that {name} cannot be computed ({describe(error)}), expected arguments"
            " that go together"
        ) from None
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise InputError(f"loss.arguments: found a {name} without one number, expected a reducer")
    return loss.squeeze()


def build_peer(
    settings: PeerLoss, geometry: Geometry, classes: int | None, dimensions: int, seed: int
) -> Peer:
    """Build a loss of pytorch-metric-learning, and try it on a small batch.

    The numbers of classes and dimensions and the temperature are filled in where the loss or a part
    of it takes them.

    Raises:
        InputError: If there is no such loss or part, it cannot train here, it refuses its
            arguments, they do not go together, the geometry is not the cosine alone, or the loss
            learns something for each class and labels are hidden.
    """
    _require_fixed_cosine(geometry)
    known = {
        "num_classes": classes,
        "embedding_size": dimensions,
        "descriptors_dim": dimensions,
        "temperature": geometry.tau,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        given = {"name": settings.loss, **settings.arguments}
        peer = build_part("losses", given, known, "loss")
        _try_out(peer, dimensions)
    return Peer(peer, settings.rate_factor, seed)


def build_part(module: str, given: Any, known: Mapping[str, Any], key: str) -> nn.Module:
    """Build a class of the library with the parts among its arguments.

    Args:
        module: The library's module of such classes.
        given: A name, or a mapping of `name` and arguments.
        known: What is filled in where it is taken and not given.
        key: Of the part in params.yaml, for messages.

    Raises:
        InputError: If there is no such class, or it refuses its arguments.
    """
    given = {"name": given} if isinstance(given, str) else given
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        expected = "the name of a class, or a mapping with its name and arguments"
        raise InputError(f"{key}: found {given!r}, expected {expected}")
    arguments = dict(given)
    name = arguments.pop("name")
    kind = _find_class(module, name, f"{key}.loss" if key == "loss" else key)
    place = "loss.arguments" if key == "loss" else key
    arguments = {
        argument: _build_argument(argument, value, known, f"{place}.{argument}")
        for argument, value in arguments.items()
    }
    _check_known(arguments, known, place)
    if isinstance(arguments.get("weights"), list) and module == "reducers":
        arguments["weights"] = torch.tensor(arguments["weights"], dtype=torch.float32)
    try:
        return cast(nn.Module, kind(**_fill(kind, name, known) | arguments))
    except InputError:
        raise
    except Exception as error:  # the library refuses by assertions, KeyError, Exception and others
        shown = {argument: value for argument, value in given.items() if argument != "name"}
        raise InputError(f"{place}: found {shown}, refused by {name}: {describe(error)}") from None


def _build_argument(name: str, value: Any, known: Mapping[str, Any], key: str) -> Any:
    """Build the parts that an argument names; any other argument stays as it is."""
    if value is None:
        return None
    if name in PARTS:
        return build_part(PARTS[name], value, known, key)
    if name in SEVERAL and isinstance(value, Mapping):
        return {
            one: build_part(SEVERAL[name], part, known, f"{key}.{one}")
            for one, part in value.items()
        }
    if name in SEVERAL and isinstance(value, list):
        return [
            None if part is None else build_part(SEVERAL[name], part, known, f"{key}[{place}]")
            for place, part in enumerate(value)
        ]
    return value


def _find_class(module: str, name: str, key: str) -> type:
    """Return a class of the library by its name.

    Raises:
        InputError: If there is none, or it cannot train here.
    """
    content = vars(import_module(f"{LIBRARY}.{module}"))
    kinds = {known: kind for known, kind in content.items() if inspect.isclass(kind)}
    fit = ", ".join(sorted(kinds.keys() - UNFIT.keys()))
    if name in UNFIT:
        raise InputError(f"{key}: found {name}, but {UNFIT[name]}; expected one of {fit}")
    if name not in kinds:
        raise InputError(f"{key}: found {name}, expected one of pytorch-metric-learning: {fit}")
    return kinds[name]


def _fill(kind: type, name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is filled in, of what the class or one that it is derived from takes.

    Raises:
        InputError: If it needs the number of classes and labels are hidden.
    """
    filled = {}
    for base in reversed(kind.__mro__):
        taken = vars(base).get("__init__", object.__init__)
        for argument, parameter in inspect.signature(taken).parameters.items():
            if argument not in known:
                continue
            if argument == "num_classes" and known[argument] is None:
                if parameter.default is inspect.Parameter.empty:
                    require_classes(None, name)
                continue
            filled[argument] = known[argument]
    return filled


def _check_known(arguments: Mapping[str, Any], known: Mapping[str, Any], place: str) -> None:
    """Refuse a number of classes that is too small, and another number of dimensions."""
    for name in ("num_classes", "embedding_size", "descriptors_dim"):
        found, expected = arguments.get(name), known[name]
        if found is None or expected is None:
            continue
        least = name == "num_classes"
        if found < expected or (found > expected and not least):
            words = f"at least {expected}, the classes of train" if least else f"{expected}"
            raise InputError(f"{place}.{name}: found {found}, expected {words}")


def _try_out(peer: nn.Module, dimensions: int) -> None:
    """Compute a copy of a loss once, on two samples of each of two classes.

    Raises:
        InputError: If it cannot be computed.
    """
    embeddings = torch.randn(4, dimensions, requires_grad=True)
    compute(deepcopy(peer), embeddings, torch.tensor([0, 0, 1, 1]))


def describe(error: Exception) -> str:
    """Return an error of the library in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def _require_fixed_cosine(geometry: Geometry) -> None:
    found = ""
    if not geometry.is_cosine:
        spaces = ", ".join(part["space"] for part in geometry.describe()["spaces"])
        found = f"a geometry of {spaces}, expected a geometry of one sphere"
    elif geometry.learned():
        learned = ", ".join(geometry.learned())
        found = f"a geometry that learns {learned}, expected one that is fixed"
    if found:
        raise InputError(f"loss: found pytorch_metric_learning for {found}")
