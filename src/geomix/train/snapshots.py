"""Snapshots: a training that was stopped goes on where it was, and ends with the same bytes.

A snapshot is one file of tensors, with all else as JSON in its head. It is written beside its place
and moved there, so a kill at any moment leaves a whole one.
"""

import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import safetensors
from safetensors.torch import save
from torch import Tensor, distributed

from geomix.files import replace_file, write_json
from geomix.network.ranks import count_ranks, highest, own_rank
from geomix.train.state import State

SNAPSHOT = "state.safetensors"
BAD_BATCH = "bad_batch.json"
PAUSE = 10.0  # seconds at least between two snapshots at the ends of epochs


class Snapshots:
    """The snapshots of one cell in a folder; without a folder none is written.

    On SIGTERM, and on an interrupt from the keyboard, the step under way ends, a snapshot is
    written, and the process exits.
    """

    def __init__(self, folder: Path | None = None, minutes: float = 0) -> None:
        """Take the folder, and the minutes between two snapshots."""
        self.folder, self._seconds = folder, 60 * minutes
        self._last = time.monotonic()
        self._signal = 0

    def restore(self, state: State) -> None:
        """Go on from the snapshot, if there is one."""
        content = None
        if self.folder and not own_rank() and (self.folder / SNAPSHOT).is_file():
            content = (self.folder / SNAPSHOT).read_bytes()
        if self.folder and (content := share(content)):
            state.restore(unpack(content))

    def keep(self, state: State, epoch_ended: bool = False) -> None:
        """Write a snapshot if one is due, and exit if the process was told to end.

        Raises:
            SystemExit: Then, with 128 plus the number of the signal.
        """
        if not self.folder:
            return
        passed = time.monotonic() - self._last
        due = passed >= self._seconds or (epoch_ended and passed >= PAUSE)
        number = highest(self._signal or -int(not due), state.device)  # -1: nothing to do
        if number < 0:
            return
        kept = state.keep()
        if not own_rank():
            self._write(pack(kept))
        self._last = time.monotonic()
        if number:
            if count_ranks() > 1:
                distributed.barrier()  # a rank that ended may take the others with it
            sys.exit(128 + number)

    def keep_batch(self, facts: Mapping[str, Any]) -> None:
        """Write what is known of a batch that made bad numbers."""
        if self.folder and not own_rank():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / BAD_BATCH, facts)
            print(f"its batch is in {self.folder / BAD_BATCH}", file=sys.stderr)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Let a signal end the training after a step; a second signal acts at once."""
        if not self.folder:
            yield
            return
        before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}

        def note(number: int, _: FrameType | None) -> None:
            """Remember the signal, and give it back its old effect."""
            self._signal = number
            signal.signal(number, before[signal.Signals(number)])

        for one in before:
            signal.signal(one, note)
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
        if self._signal:  # it came when the last snapshot was written
            signal.raise_signal(self._signal)

    def _write(self, content: bytes) -> None:
        assert self.folder
        try:
            replace_file(self.folder / SNAPSHOT, content)
        except OSError as error:  # a full disk ends no training, and the earlier snapshot stays
            print(f"{self.folder}: no snapshot was written: {error.strerror}", file=sys.stderr)


def share(content: bytes | None) -> bytes | None:
    """Return what the first rank has."""
    if count_ranks() == 1:
        return content
    both = [content]
    distributed.broadcast_object_list(both)
    return both[0]


def pack(tree: Any) -> bytes:
    """Write a tree of dictionaries, lists, tensors, numbers and text as bytes."""
    tensors: dict[str, Tensor] = {}

    def take_out(node: Any) -> Any:
        """Return a node as JSON, with a number in place of each tensor."""
        if isinstance(node, Tensor):
            tensors[str(len(tensors))] = node.detach().as_subclass(Tensor).cpu().contiguous()
            return {"tensor": str(len(tensors) - 1)}
        if isinstance(node, Mapping):
            return {"pairs": [[key, take_out(value)] for key, value in node.items()]}
        if isinstance(node, list | tuple):
            return [take_out(one) for one in node]
        return node

    head = json.dumps(take_out(tree))
    return save(tensors, {"tree": head})


def unpack(content: bytes) -> Any:
    """Read what `pack` wrote; tuples have become lists."""
    length = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + length])["__metadata__"]["tree"]
    tensors = safetensors.torch.load(content)

    def put_in(node: Any) -> Any:
        """Return a node with its tensors."""
        if isinstance(node, list):
            return [put_in(one) for one in node]
        if isinstance(node, dict) and "tensor" in node:
            return tensors[node["tensor"]]
        if isinstance(node, dict):
            return {key: put_in(value) for key, value in node["pairs"]}
        return node

    return put_in(json.loads(head))
