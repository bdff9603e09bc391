"""Where a process computes, and what makes the same seed give the same bytes there."""

import torch

from geomix.config.base import Precision
from geomix.errors import InputError

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def choose_device(name: str) -> torch.device:
    """Return the device of key `device`: auto takes CUDA where there is one.

    Raises:
        InputError: If cuda is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: found cuda, expected auto or cpu: there is no CUDA device here")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def backbone_precision(device: torch.device, name: Precision = "auto") -> torch.dtype:
    """Return the precision in which training runs the backbone; auto is bfloat16 on CUDA."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return PRECISIONS[name]


def fix_bytes(device: torch.device) -> None:
    """Set this whole process up so that a seed gives the same bytes again, on the CPU.

    One thread, as sums of floats depend on their number, and deterministic algorithms. On CUDA
    float32 is float32: convolutions do not round to TF32, with its 11 bits.
    """
    if device.type != "cpu":
        torch.backends.cudnn.allow_tf32 = False
        return
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    # A debugging aid that costs a tenth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
