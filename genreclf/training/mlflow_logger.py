"""Logs a run to MLflow."""

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genreclf.config import flatten
from genreclf.inference.run_folder import CONFIG_YAML, RECORD
from genreclf.training.loggers import Ids, RunLogger

SQLITE = "sqlite:///"
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
_BATCH = 100  # parameters in one call: MLflow's limit
_MAX_VALUE, _MAX_DIGEST = 6_000, 36  # characters of a parameter and of a data set's digest: MLflow's limits
# MLflow's defaults would make a run wait for minutes if a server is down, report to its makers, and print links.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class MlflowLogger(RunLogger):
    """Logs settings as parameters, metrics by epoch, the data as a data set, and files and the bundle as artifacts."""

    def __init__(self, tracking_uri: str | None, experiment: str, run_name: str | None, register: str | None) -> None:
        """The default of `tracking_uri` is MLFLOW_TRACKING_URI, or else mlflow.db in the working folder.

        The default of `run_name` is the folder's name. The bundle becomes a version of the registered model `register`.
        """
        self.tracking_uri, self.experiment = tracking_uri, experiment
        self.run_name, self.register = run_name, register

    def start(self, folder: Path, ids: Ids) -> Ids:  # noqa: D102
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):  # they report each table that they create
            logging.getLogger(name).setLevel(logging.WARNING)
        default = ids.get("tracking_uri", SQLITE + str(Path("mlflow.db").resolve()))
        elsewhere = "tracking_uri" not in ids and os.environ.get("MLFLOW_TRACKING_URI")
        uri = self.tracking_uri or elsewhere or default
        self.client = MlflowClient(uri)
        if "run_id" in ids:
            self.run_id = ids["run_id"]
            self.client.update_run(self.run_id, status="RUNNING")
        else:
            run = self.client.create_run(self._experiment_id(uri), run_name=self.run_name or folder.name)
            self.run_id = str(run.info.run_id)
        # A URI from the user may contain a password.
        return {"run_id": self.run_id, **({"tracking_uri": uri} if uri == default else {})}

    def describe(self, folder: Path, config: dict[str, Any], record: dict[str, Any]) -> None:  # noqa: D102
        from mlflow.entities import DatasetInput, Param, RunTag

        data = record["data"]
        tags = {
            "mlflow.source.name": "genreclf train",
            "mlflow.source.git.commit": record["git_commit"],
            "overrides": " ".join(record["overrides"]),
            "store_digest": data["store_digest"],
            "split_digest": data["split_digest"],
            "pretrained": record["weights"]["pretrained"],
        }
        self.client.log_batch(self.run_id, tags=[RunTag(key, str(value)[:_MAX_VALUE]) for key, value in tags.items()])
        run = self.client.get_run(self.run_id)
        # A parameter cannot be changed. For a run resumed with more epochs, config.yaml has the new number.
        params = [
            Param(key, str(value)[:_MAX_VALUE])
            for key, value in flatten(config).items()
            if key not in run.data.params and not key.startswith("logger.")
        ]
        for start in range(0, len(params), _BATCH):
            self.client.log_batch(self.run_id, params=params[start : start + _BATCH])
        if not run.inputs.dataset_inputs:
            self.client.log_inputs(self.run_id, datasets=[DatasetInput(_dataset(config["data"], data))])
        self.files(folder, [folder / CONFIG_YAML, folder / RECORD])

    def metrics(self, values: Mapping[str, float], epoch: int | None) -> None:  # noqa: D102
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(self.run_id, [Metric(key, value, now, epoch or 0) for key, value in values.items()])

    def files(self, folder: Path, paths: Sequence[Path]) -> None:  # noqa: D102
        for path in paths:
            place = path.relative_to(folder)
            if path.is_dir():
                self.client.log_artifacts(self.run_id, str(path), place.as_posix())
            else:
                parent = place.parent.as_posix()
                self.client.log_artifact(self.run_id, str(path), None if parent == "." else parent)

    def model(self, folder: Path, bundle: Path) -> None:  # noqa: D102
        self.files(folder, [bundle])
        if self.register is None:
            return
        from mlflow.exceptions import MlflowException

        try:
            self.client.get_registered_model(self.register)
        except MlflowException:
            self.client.create_registered_model(self.register)
        uri = self.client.get_run(self.run_id).info.artifact_uri
        source = f"{uri}/{bundle.relative_to(folder).as_posix()}"
        self.client.create_model_version(self.register, source, run_id=self.run_id)

    def end(self, status: str) -> None:  # noqa: D102
        self.client.set_terminated(self.run_id, _STATUS[status])

    def _experiment_id(self, uri: str) -> str:
        found = self.client.get_experiment_by_name(self.experiment)
        if found is None:
            # The artifacts of a file database are beside it, independent of the working folder.
            beside = Path(uri.removeprefix(SQLITE)).resolve().parent / "mlartifacts" / self.experiment
            place = beside.as_uri() if uri.startswith(SQLITE) else None
            return str(self.client.create_experiment(self.experiment, place))
        return str(found.experiment_id)


def _dataset(config: dict[str, Any], data: dict[str, Any]) -> Any:
    """Returns MLflow's data set, from the configuration and the record of the data."""
    from mlflow.entities import Dataset

    return Dataset(
        name=config["name"],
        digest=data["store_digest"][:_MAX_DIGEST],
        source_type="local",
        source=json.dumps({"uri": str(config["path"])}),
        profile=json.dumps({"clips": data["clips"], "groups": data["groups"]}),
    )
