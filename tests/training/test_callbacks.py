from types import SimpleNamespace

import lightning as L
import pytest
import torch
from operations import Operations

from genreclf.training.callbacks import RunningAverage, epoch_rows


class Counting(L.LightningModule):
    """A module whose weight is the step number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("seen", torch.zeros(1))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))
        self.register_buffer("constant", torch.ones(1), persistent=False)


@pytest.mark.parametrize(
    "line", [b"3,oops,1", b"3,1", b"3,1,2,4", b"three,1,2", b"\xb2,1,2", b"3,\xff,1", b"", b'3,"1,2']
)
def test_lines_of_the_metrics_that_are_no_numbers_are_left_out(line, tmp_path):
    file = tmp_path / "metrics.csv"
    file.write_bytes(b"epoch,train/loss,val/loss\n1,0.5,\n2,0.25,1e-3\n" + line + b"\n")
    assert [list(row.values()) for row in epoch_rows(file)] == [["1", "0.5", ""], ["2", "0.25", "1e-3"]]


@pytest.mark.parametrize("content", [b"", b"\n", b"loss,epoch\n1\n", b"\xff\xfe\x00", b"epoch;loss\n1;2\n"])
def test_a_file_without_metrics_has_no_epochs(content, tmp_path):
    (tmp_path / "metrics.csv").write_bytes(content)
    assert epoch_rows(tmp_path / "metrics.csv") == epoch_rows(tmp_path / "missing.csv") == []


def trainer_on(device: str) -> SimpleNamespace:
    """The part of a Trainer that the callback needs."""
    return SimpleNamespace(is_last_batch=False, strategy=SimpleNamespace(root_device=torch.device(device)))


def test_the_average_is_on_the_training_device():
    net, callback = Counting(), RunningAverage(0.9)
    callback.setup(trainer_on("meta"), net, "fit")  # instead of a GPU, to which Lightning has not yet moved the module
    average = callback._average_model
    assert {x.device.type for x in [*average.parameters(), *average.buffers()]} == {"meta"}


def test_the_average_forgets_its_start_and_then_decays_at_its_rate():
    net, callback = Counting(), RunningAverage(0.9)
    callback.setup(trainer_on("cpu"), net, "fit")
    expected = None
    for step in range(200):
        with torch.no_grad():
            net.weight.fill_(float(step))
            net.seen.fill_(-float(step))
        callback.on_train_batch_end(SimpleNamespace(is_last_batch=False, global_step=step + 1), net, None, None, step)
        if step % 10 == 0:  # a batch without an optimizer step, as with trainer.accumulate_grad_batches
            callback.on_train_batch_end(
                SimpleNamespace(is_last_batch=False, global_step=step + 1), net, None, None, step
            )
        kept = min(0.9, step / (step + 10))
        expected = step if expected is None else kept * expected + (1 - kept) * step
        average = callback._average_model.module
        assert average.weight.item() == pytest.approx(expected, rel=1e-4)
        assert average.seen.item() == pytest.approx(-expected, rel=1e-4)
    assert 199 - average.weight.item() == pytest.approx(9, rel=0.01)  # the lag of a decay of 0.9


def test_an_update_is_one_operation_for_all_weights_and_reads_nothing_back():
    net, callback = torch.nn.Sequential(*(torch.nn.BatchNorm1d(3) for _ in range(20))), RunningAverage(0.9)
    module = Counting()
    module.net = net
    callback.setup(trainer_on("cpu"), module, "fit")
    for step in (1, 2):
        with Operations() as seen:
            callback.on_train_batch_end(
                SimpleNamespace(is_last_batch=False, global_step=step), module, None, None, step
            )
        assert not seen.read_back
        assert step == 1 or seen.launches == 2  # for the average and for its update counter
