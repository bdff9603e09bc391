"""The machine: devices, processes and precision of a training, by Lightning Fabric."""

import logging
import os
from typing import Literal

import torch
from lightning_fabric import Fabric

from geomix.config.stages import TrainParams
from geomix.errors import InputError
from geomix.train.device import backbone_precision, choose_device

Mode = Literal["32-true", "bf16-mixed"]
MODES: dict[torch.dtype, Mode] = {torch.float32: "32-true", torch.bfloat16: "bf16-mixed"}


def open_machine(params: TrainParams) -> Fabric:
    """Start the processes that train together; a process does this once.

    Without torchrun or srun, this process is the first of its node and starts the others, which
    run its command line from the beginning.

    Args:
        params: Of them device, precision and machine are read.

    Raises:
        InputError: If there are fewer devices than asked for, or torchrun started another number
            of processes.
    """
    device, machine = choose_device(params.device), params.machine
    there = torch.cuda.device_count()
    if device.type == "cuda" and machine.devices != "auto" and machine.devices > there:
        found = f"machine.devices: found {machine.devices}"
        raise InputError(f"{found}, expected at most {there}, the CUDA devices here")
    alone = machine.devices == machine.nodes == 1
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if alone and started > 1:
        found = "machine: found devices 1 and nodes 1"
        raise InputError(f"{found}, expected {started} together, the processes that were started")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells of each process
    fabric = Fabric(
        accelerator=device.type,
        strategy="auto" if alone else "ddp",
        devices=machine.devices,
        num_nodes=machine.nodes,
        precision=MODES[backbone_precision(device, params.precision)],
    )
    fabric.launch()
    return fabric
