"""Logs a run to Weights & Biases."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genreclf.training.loggers import Ids, RunLogger

_ENVIRONMENT = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}  # no reports to its makers


class WandbLogger(RunLogger):
    """Logs settings, metrics by epoch, files and the bundle; offline in the run folder, for `wandb sync`."""

    def __init__(self, mode: str, project: str, entity: str | None, run_name: str | None) -> None:
        """`mode` is offline or online; the default of `run_name` is the folder's name."""
        self.mode: Any = mode
        self.project, self.entity, self.run_name = project, entity, run_name

    def start(self, folder: Path, ids: Ids) -> Ids:  # noqa: D102
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import wandb

        logging.getLogger("wandb").setLevel(logging.ERROR)
        self.run = wandb.init(
            project=self.project,
            entity=self.entity,
            name=self.run_name or folder.name,
            id=ids.get("id"),
            dir=folder,
            mode=self.mode,
            resume="allow" if self.mode == "online" else None,  # offline, `wandb sync` joins parts with the same id
            settings=wandb.Settings(console="off", init_timeout=30, quiet=True),
        )
        return {"id": self.run.id}

    def describe(self, folder: Path, config: dict[str, Any], record: dict[str, Any]) -> None:  # noqa: D102
        settings = {key: value for key, value in config.items() if key != "logger"}
        self.run.config.update({**settings, "record": record}, allow_val_change=True)

    def metrics(self, values: Mapping[str, float], epoch: int | None) -> None:  # noqa: D102
        if epoch is None:
            self.run.summary.update(dict(values))
        else:
            self.run.log({"epoch": epoch, **values}, step=epoch)

    def files(self, folder: Path, paths: Sequence[Path]) -> None:
        """Logs files in a separate folder, because W&B also has a `config.yaml`."""
        for path in paths:
            for file in [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file()):
                self.run.save(str(file), base_path=str(folder.parent), policy="now")

    def model(self, folder: Path, bundle: Path) -> None:  # noqa: D102
        import wandb

        artifact = wandb.Artifact(f"bundle-{self.run.id}", type="model")
        artifact.add_dir(str(bundle), policy="immutable")  # without a copy in the home folder
        self.run.log_artifact(artifact)

    def end(self, status: str) -> None:  # noqa: D102
        self.run.finish(exit_code=0 if status == "finished" else 1)
