"""Processes of a training run on several devices: which one this is, and how the others are started.

Lightning starts them for `genreclf train trainer.devices=2`. With `torchrun` and `srun`, each process runs the same
command.
"""

import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed
from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from genreclf.config import yaml_word
from genreclf.errors import GenreclfError

STRATEGIES = ("auto", "ddp")
_PARENT_POLL_SECONDS = 0.5


def on_several_devices(trainer: Mapping[str, Any]) -> bool:
    """Returns whether the arguments of a Trainer ask for several processes, or leave the number to the machine."""
    devices = trainer["devices"]
    is_list = isinstance(devices, Sequence) and not isinstance(devices, str)
    single = str(devices) == "1" or (is_list and len(devices) == 1)
    return not single or trainer.get("num_nodes", 1) != 1


def cluster(trainer: Mapping[str, Any]) -> ClusterEnvironment:
    """Returns the environment that starts the processes. A run in one process ignores the variables of a cluster.

    A SLURM batch script also has the variables of its job, but only those of `srun` mean that there are several
    processes.
    """
    if on_several_devices(trainer):
        if TorchElasticEnvironment.detect():
            return TorchElasticEnvironment()
        if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
            return SLURMEnvironment(auto_requeue=False)  # a run is resumed with ckpt=last
    return LightningEnvironment()


def is_first(trainer: Mapping[str, Any]) -> bool:
    """Returns whether this is the process that prepares, prints, writes and evaluates."""
    if not on_several_devices(trainer):
        return True
    environment = cluster(trainer)
    return environment.node_rank() == 0 and environment.local_rank() == 0


def check_processes(trainer: Mapping[str, Any], names_folder: bool, sweep: bool) -> None:
    """Raises GenreclfError for unknown settings of processes, and for those that do not work with several of them.

    `names_folder` is whether the command names the run folder, `sweep` whether the run is a job of a sweep.
    """
    name, nodes = trainer.get("strategy", "auto"), trainer.get("num_nodes", 1)
    if name not in STRATEGIES:
        raise GenreclfError(f"trainer.strategy={yaml_word(name)}: not supported; leave it out, or give ddp")
    if type(nodes) is not int or nodes < 1:
        raise GenreclfError(f"trainer.num_nodes={yaml_word(nodes)}: give a whole number from 1")
    if not on_several_devices(trainer):
        return
    outside = cluster(trainer).creates_processes_externally
    setting = f"trainer.devices={trainer['devices']}"
    if nodes != 1 and not outside:
        fault = f"trainer.num_nodes={nodes}: this process alone would wait for others"
        raise GenreclfError(f"{fault}; start the command with srun or torchrun, which start it on all nodes")
    if sweep and not outside:
        raise GenreclfError(
            f"{setting}: the second process of a job would start the whole sweep again; leave out -m, or choose "
            "a launcher that starts the processes of each job"
        )
    if outside and not (names_folder or sweep):
        raise GenreclfError(f"{setting}: all processes need the same run folder; give run=FOLDER")


def strategy(trainer: Mapping[str, Any]) -> DDPStrategy | str:
    """Returns the Trainer's strategy. It does not copy buffers at each step: `average_statistics` averages them."""
    if on_several_devices(trainer):
        return DDPStrategy(broadcast_buffers=False)
    return str(trainer.get("strategy", "auto"))


def end_with_parent() -> None:
    """Makes this process end when its parent process has ended for any reason."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@torch.no_grad()
def average_statistics(net: nn.Module) -> None:
    """Averages the running statistics of batch norms over all processes, each of which has seen other clips."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    norms = [norm for norm in net.modules() if isinstance(norm, _BatchNorm)]
    statistics = [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]
    if not statistics:
        return
    means = torch.cat(statistics)  # (channels of all norms,)
    torch.distributed.all_reduce(means)
    means /= torch.distributed.get_world_size()
    torch._foreach_copy_(statistics, list(means.split([len(value) for value in statistics])))
