"""Records a training step once as a CUDA graph and then replays it: one launch instead of a thousand.

With small nets, a GPU waits for the host, which launches each operation of a step. A CUDA graph launches them all at
once (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). It replays the same kernels on the same memory,
so a step must not depend on values on the host: nothing is read from the device, batches have one shape, and the
learning rates are tensors.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from torch import Tensor

from genreclf.data.segment_batches import Batch
from genreclf.errors import reason

PLAIN_STEPS = 3  # before a recording, to create the optimizer's state and let the libraries choose kernels
Outputs = tuple[Tensor, ...]  # of a step: the loss, the logits (B, classes), and their targets


def obstacle(trainer: L.Trainer) -> str | None:
    """Returns the reason why steps on a GPU cannot be recorded, or None if they can."""
    found = (
        (trainer.world_size > 1, "more than one device"),
        (bool(trainer.gradient_clip_val), "trainer.gradient_clip_val"),
        (trainer.accumulate_grad_batches > 1, "trainer.accumulate_grad_batches"),
        (trainer.precision != "32-true", f"trainer.precision={trainer.precision}"),
    )
    return next((what for there, what in found if there), None)


def cuda_graph(step: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
    """Records a step without running it. Returns its outputs, and a function that computes them again.

    The current stream must not be the default one, which cannot be recorded.
    """
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            outputs = step()
    except Exception:
        # After a failed recording, torch's generator still expects to be recorded, and raises an error for each draw.
        generator = torch.cuda.default_generators[torch.cuda.current_device()]
        generator.graphsafe_set_state(generator.clone_state())  # the same numbers, and no recording
        raise
    return outputs, graph.replay


class RecordedStep:
    """Augmentation, forward pass, backward pass and optimizer step for batches like `batch`.

    `forward` returns the outputs of a batch. Random numbers follow torch's generator, as in a plain step.
    """

    def __init__(
        self,
        forward: Callable[[Batch], Outputs],
        optimizer: torch.optim.Optimizer,
        batch: Batch,
        record: Callable[[Callable[[], Outputs]], tuple[Outputs, Callable[[], None]]] = cuda_graph,
    ) -> None:
        self.groups = optimizer.param_groups
        self.batch: Any = {key: value.clone() if isinstance(value, Tensor) else value for key, value in batch.items()}
        device = self.groups[0]["params"][0].device
        self.rates = [torch.full((), group["lr"], device=device) for group in self.groups]

        def step() -> Outputs:
            outputs = forward(self.batch)
            outputs[0].backward()
            optimizer.step()
            return tuple(output.detach() for output in outputs)

        optimizer.zero_grad()  # the gradients are then in the recording's memory
        with _recordable(self.groups, self.rates):
            self.outputs, self.repeat = record(step)

    def __call__(self, batch: Batch) -> Outputs:
        """Runs the step on another batch. The outputs are valid until the next call."""
        for key, value in batch.items():
            if isinstance(value, Tensor):
                self.batch[key].copy_(value)
        for rate, group in zip(self.rates, self.groups, strict=True):
            rate.fill_(group["lr"])
        self.repeat()
        return self.outputs


@contextmanager
def _recordable(groups: list[dict[str, Any]], rates: list[Tensor]) -> Iterator[None]:
    """Lets the optimizer read its learning rates from tensors. Schedules and checkpoints keep the numbers."""
    before: list[dict[str, Any]] = [
        {key: group[key] for key in ("lr", "capturable") if key in group} for group in groups
    ]
    try:
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
            if "capturable" in group:
                group["capturable"] = True
        yield
    finally:
        for group, kept in zip(groups, before, strict=True):
            group.update(kept)


class StepRecorder:
    """Decides which training steps replay a recorded one."""

    def __init__(self, forward: Callable[[Batch], Outputs], record: Any = cuda_graph) -> None:
        self.forward, self.record = forward, record
        self.on, self.plain = False, 0
        self.recorded: dict[Any, RecordedStep] = {}  # by the shape of the batches
        self.stream: torch.cuda.Stream | None = None  # the stream before training

    def start(self, trainer: L.Trainer) -> None:
        """Switches to a stream on which steps can be recorded, before the first step. Reports why it is impossible."""
        self.on, self.plain, self.recorded = False, 0, {}
        if trainer.strategy.root_device.type != "cuda":
            return
        what = obstacle(trainer)
        if what:
            _report(what)
            return
        self.on, self.stream = True, torch.cuda.current_stream()
        torch.cuda.synchronize()
        torch.cuda.set_stream(torch.cuda.Stream())

    def end(self) -> None:
        """Restores the stream after the last step."""
        if self.stream is not None:
            torch.cuda.synchronize()
            torch.cuda.set_stream(self.stream)
        self.on, self.recorded, self.stream = False, {}, None

    def step_for(self, batch: Batch, optimizer: torch.optim.Optimizer) -> RecordedStep | None:
        """Returns the recorded step for a batch, or None if the step should be a plain one."""
        if not self.on:
            return None
        shape = tuple((key, tuple(each.shape) if isinstance(each, Tensor) else each) for key, each in batch.items())
        if shape not in self.recorded:
            if self.plain < PLAIN_STEPS or self.recorded:  # a shape other than the usual one
                self.plain += 1
                return None
            try:
                self.recorded[shape] = RecordedStep(self.forward, optimizer, batch, self.record)
            except Exception as error:  # of any class: plain steps still work
                self.on = False
                optimizer.zero_grad()
                _report(reason(error))
                return None
        return self.recorded[shape]


def _report(why: str) -> None:
    print(f"training steps are launched one operation at a time ({why}); a CUDA graph would be faster", file=sys.stderr)
