"""Makes the bundle of a trained net: fits temperature, thresholds and the detector `known` on validation clips."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.evaluation.calibration import fit_temperature
from genreclf.evaluation.known_fit import fit_known
from genreclf.evaluation.predictions import predict_clips
from genreclf.evaluation.thresholds import fit_thresholds
from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters.bundle import Bundle, fields_of_task
from genreclf.inference.model_info import ModelInfo, read_bundle_config
from genreclf.inference.predictor import Predictor
from genreclf.inference.run_folder import find_bundle
from genreclf.inference.task import MULTILABEL
from genreclf.nets.net import Net
from genreclf.text import one_line
from genreclf.training.settings import Settings


def trained_bundle(settings: Settings, net: Net, datamodule: SpectrogramDataModule) -> Bundle:
    """Returns the bundle of a trained net, and prints what was fitted.

    The temperature is fitted unless the settings give it. With task=multilabel the thresholds are fitted too;
    otherwise, given out-of-scope clips, so is the detector `known`. Without validation clips, these values come from
    `init`.
    """
    run, bundle = settings.run, Bundle(net, _unfitted_info(settings, datamodule))
    if run.temperature is None:
        bundle = _with(bundle, temperature=_temperature(run.init, bundle, datamodule))
    if bundle.info.task == MULTILABEL:
        return _with(bundle, thresholds=_thresholds(run.init, bundle, datamodule))
    if datamodule.none["val"]:
        return _with_known(bundle, datamodule)
    if run.init is not None and read_bundle_config(find_bundle(run.init)).info.known:
        note = "withholds the genre of out-of-scope music; the new model does so if data.none has validation clips"
        print(one_line(f"init={run.init} {note}"))
    return bundle


def initial_temperature(init: str, classes: Sequence[str], task: str) -> float:
    """Returns the temperature of the model `init` if it has the same classes and task, else 1.

    With an initial temperature of 0.7 instead of 1, models were overconfident.
    """
    initial = _matching_info(init, classes, task)
    return initial.temperature if initial else 1.0


def _unfitted_info(settings: Settings, datamodule: SpectrogramDataModule) -> ModelInfo:
    prior_power = settings.optim.prior_power if settings.optim else 1.0  # a baseline learns the genre mix of its clips
    return ModelInfo(
        name=settings.config["model"]["name"],
        classes=datamodule.classes,
        view=datamodule.view,
        picture_seconds=datamodule.data.picture_seconds,
        frames_per_column=datamodule.frames_per_column,
        temperature=settings.run.temperature or 1.0,
        **fields_of_task(datamodule.data.task, datamodule.class_shares, prior_power),
    )


def _with(bundle: Bundle, **fitted: object) -> Bundle:
    return replace(bundle, info=replace(bundle.info, **fitted))  # type: ignore[arg-type]  # of ModelInfo's fields


def _temperature(init: str | None, bundle: Bundle, datamodule: SpectrogramDataModule) -> float:
    """Fits the temperature of a bundle whose temperature is 1. Without validation clips, uses `initial_temperature`."""
    if not datamodule.clips["val"] and init is not None:
        temperature = initial_temperature(init, bundle.info.classes, bundle.info.task)
        print(f"temperature {temperature:.2f}: not fitted, because there are no validation clips")
        return temperature
    temperature = fit_temperature(*_predicted(bundle, datamodule, datamodule.clips["val"]))
    print(f"temperature, fitted on the validation clips: {temperature:.2f}")
    return temperature


def _thresholds(init: str | None, bundle: Bundle, datamodule: SpectrogramDataModule) -> tuple[float, ...]:
    """Fits the thresholds of a bundle with its temperature. Without validation clips, uses those of `init`, or 0.5."""
    info = bundle.info
    if datamodule.clips["val"]:
        return fit_thresholds(*_predicted(bundle, datamodule, datamodule.clips["val"]))
    initial = _matching_info(init, info.classes, info.task) if init is not None else None
    known = dict(zip(initial.classes, initial.thresholds or (), strict=True)) if initial else {}
    return tuple(known.get(name, 0.5) for name in info.classes)


def _with_known(bundle: Bundle, datamodule: SpectrogramDataModule) -> Bundle:
    """Fits the detector of out-of-scope music for a bundle with its temperature, and adds it."""
    none, _ = _predicted(bundle, datamodule, datamodule.none["val"])
    known = fit_known(*_predicted(bundle, datamodule, datamodule.clips["val"]), none)
    fitted = "`known` is fitted: music that seems to be of none of the genres gets no genre"
    apart = "there are too few such validation clips, or their probabilities do not separate them from the others"
    print(fitted if known else f"`known` is not fitted, so music of none of the genres gets a genre: {apart}")
    return _with(bundle, known=known)


def _matching_info(init: str, classes: Sequence[str], task: str) -> ModelInfo | None:
    """Returns the info of the model `init` if it has the same classes and task, else None."""
    initial = read_bundle_config(find_bundle(init)).info
    return initial if set(initial.classes) == set(classes) and initial.task == task else None


def _predicted(
    bundle: Bundle, datamodule: SpectrogramDataModule, clips: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (clips, classes) probabilities and the clips' targets (see `SpectrogramDataModule.targets`)."""
    predictor = Predictor(TorchModel(bundle, "cpu"))
    predictions = predict_clips(predictor, datamodule.store, clips, "calibrating")
    return np.array([prediction.probabilities for prediction in predictions]), datamodule.targets(clips)
