"""The parts of metrics.json that describe a model, its training, and the split of its clips."""

from pathlib import Path
from typing import Any

from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.leaks import divided_pieces, leak_line, leaks, not_compared, shared_keys, verdict
from genreclf.exporters.bundle import Bundle
from genreclf.training.resume import DIGESTS, read_run


def describe_bundle(bundle: Bundle) -> dict[str, Any]:
    """Returns the part of metrics.json about the model."""
    return {
        "model": bundle.info.name,
        "task": bundle.info.task,
        "classes": list(bundle.info.classes),
        "thresholds": bundle.info.thresholds,
        "parameters": sum(parameter.numel() for parameter in bundle.net.parameters()),
        "view": bundle.info.view.name,
        "temperature": bundle.info.temperature,
    }


# The same part for a model without a record of its training
NO_TRAINING = dict.fromkeys(("trained_with", "git_commit", "seed", "weights"))


def describe_training(run: Path) -> dict[str, Any]:
    """Returns the part of metrics.json about the training."""
    config, record = read_run(run, ("data.name", "split.name"), ("git_commit", "seed", "weights.pretrained", *DIGESTS))
    return {
        # A resumed run equals an uninterrupted one, so ckpt=last is not needed to repeat it.
        "trained_with": [word for word in record["overrides"] if word != "ckpt=last"],
        "git_commit": record["git_commit"],
        "seed": record["seed"],
        "weights": record["weights"],
        "data_name": _data_name(config["data"]["name"]),
        "data_fetch": config["data"].get("fetch"),
        "data_subset": config["data"].get("subset"),
        "split_name": config["split"]["name"],
        "store_digest": record["data"]["store_digest"],
    }


def _data_name(name: str) -> str:
    """Returns the name of a data set. For one in a folder (data=hub), only the folder's: cards are published."""
    return Path(name).name if Path(name).exists() else name


def describe_leaks(datamodule: SpectrogramDataModule, split: str) -> dict[str, Any]:
    """Returns the part of metrics.json about leaks between the clips of a held-out split and the training clips."""
    member, rows = datamodule.membership, datamodule.store.rows
    used = [rows[clip] for clip in member.clips]
    shared = leaks(member.splits, shared_keys(used, member.metadata), split)
    by_split = not_compared(rows, dict(zip(member.clips, member.splits, strict=True)))
    absent = {part: by_split[part] for part in ("train", split)}
    divided = divided_pieces([row.path for row in used], member.splits, member.wholes, (split,))
    return {
        "audit": leak_line(shared, split, absent, divided),
        "audit_verdict": verdict({split: shared}, divided, absent, member.splits.count("train")),
        "audit_not_compared": absent,
    }
