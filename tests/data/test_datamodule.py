import dataclasses
import shutil
from collections import Counter
from fractions import Fraction
from math import floor
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import soundfile
import torch
from data_config import settings_of, split_config
from tiny_sounds import music_like
from torch.utils.data import DataLoader

from genreclf.data.augment import AugmentConfig
from genreclf.data.data_config import DataConfig
from genreclf.data.datamodule import SpectrogramDataModule, to_images
from genreclf.data.segment_batches import Batch, DeviceLoader, RandomSegments
from genreclf.data.split import SPLITS, SplitConfig
from genreclf.data.store import Store
from genreclf.errors import GenreclfError
from genreclf.frontend.segments import ViewConfig, spans

HASHED = split_config("hashed")
WHOLE, CROP = settings_of(ViewConfig, "view", "whole"), settings_of(ViewConfig, "view", "crop")
VIEWS = {"whole": WHOLE, "crop": CROP}
ORIGINAL = settings_of(AugmentConfig, "augment", "original")
OFF = settings_of(AugmentConfig, "augment", "none")


def made(
    data: DataConfig,
    view: ViewConfig = CROP,
    split: SplitConfig = HASHED,
    augment: AugmentConfig | None = ORIGINAL,
    batch_size: int = 4,
    workers: int = 0,
    seed: int = 0,
    device_store_mib: int = 0,
) -> SpectrogramDataModule:
    module = SpectrogramDataModule(data, split, view, augment, batch_size, workers, seed, device_store_mib)
    module.prepare_data()
    module.setup()
    return module


@pytest.fixture(params=list(VIEWS))
def module(request, tiny_data) -> SpectrogramDataModule:
    return made(tiny_data, VIEWS[request.param])


def slow_segment(module: SpectrogramDataModule, clip: int, start: int, length: int) -> np.ndarray:
    """Cuts a segment column by column from the clip's spectrogram in the store: (128, 256)."""
    row, levels = module.store.rows[clip], module.store.spectrogram(clip)
    times = [Fraction(start) + Fraction(2 * j + 1, 512) * length for j in range(256)]
    return np.stack([levels[:, floor(time * row.columns / row.frames) % row.columns] for time in times], axis=1)


def batches_of(module: SpectrogramDataModule, split: str) -> list[Batch]:
    """Returns the batches of all segments of a split, in order."""
    return list(module.loader(module.dataset(split), module.batch_size))


# --- Evaluation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["val", "test"])
def test_all_segments_of_each_clip_are_as_the_store_has_them(module, split):
    expected = [(c, span) for c in module.clips[split] for span in spans(module.store.rows[c].frames, module.view)]
    assert expected
    batches = [to_images(batch, None) for batch in batches_of(module, split)]
    assert [len(batch["clip"]) for batch in batches[:-1]] == [4] * (len(batches) - 1)
    joined = {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
    assert set(joined) == {"image", "target", "clip"}
    assert joined["clip"].tolist() == [clip for clip, _ in expected]
    assert [module.classes[target] for target in joined["target"]] == [module.store.rows[c].label for c, _ in expected]
    for image, (clip, span) in zip(joined["image"], expected, strict=True):
        assert image.dtype == torch.uint8
        for channel in image:
            np.testing.assert_array_equal(channel.numpy(), slow_segment(module, clip, *span))


def test_crop_segments_of_audio_are_slices_of_the_spectrogram(tiny_data):
    module = made(tiny_data)
    dataset = module.dataset("train")
    longer = [i for i, (clip, _) in enumerate(dataset.items) if module.store.rows[clip].columns > 256]
    checked = 0
    for i, segment in zip(longer, dataset.__getitems__(longer)["segments"], strict=True):
        clip, (start, length) = dataset.items[i]
        if module.store.rows[clip].source_rate_hz:
            np.testing.assert_array_equal(segment.numpy().T, module.store.spectrogram(clip)[:, start : start + length])
            checked += 1
    assert checked > 10


def test_images_are_channels_last_and_axes_are_in_order():
    segments = torch.randint(0, 256, (3, 256, 128), dtype=torch.uint8)
    batch = {"segments": segments, "target": torch.arange(3), "clip": torch.arange(3) + 7}
    for augmentation, dtype in ((None, torch.uint8), (OFF, torch.float32)):
        images = to_images(batch, augmentation)
        assert images["image"].shape == (3, 3, 128, 256)
        assert images["image"].dtype == dtype
        assert images["image"].is_contiguous(memory_format=torch.channels_last)
        for channel in range(3):
            expected = segments.transpose(1, 2).to(dtype)
            torch.testing.assert_close(images["image"][:, channel], expected, rtol=0, atol=1e-3 * (dtype.itemsize > 1))
        assert torch.equal(images["target"], batch["target"])
        assert torch.equal(images["clip"], batch["clip"])


def test_both_views_of_a_segment_have_its_target_and_are_blended_alike():
    # The views differ only by a noise floor, which only darkens.
    two_views = dataclasses.replace(OFF, noise_floor=0.1, consistency=1.0, mixup=0.3)
    levels = torch.arange(32, dtype=torch.uint8)
    segments = levels[:, None, None].expand(-1, 256, 128)
    torch.manual_seed(0)
    batch = to_images({"segments": segments, "target": levels.long(), "clip": levels.long()}, two_views)
    assert batch["views"] == 2 and batch["image"].shape == (64, 3, 128, 256)
    for key in ("target", "clip", "other", "lam"):
        assert torch.equal(batch[key][:32], batch[key][32:]), key
    darkened, unchanged = batch["image"][:, 0, 0, 0].split(32)
    lam, other = batch["lam"][32:], batch["other"][32:]
    torch.testing.assert_close(unchanged, lam * levels + (1 - lam) * levels[other], rtol=0, atol=1e-3)
    assert (unchanged - darkened > 1).sum() > 10 and (unchanged - darkened).min() > -1e-3


def test_worker_processes_give_the_same_batches(tiny_data):
    plain, worked = (list(made(tiny_data, WHOLE, workers=workers).val_dataloader()) for workers in (0, 1))
    for a, b in zip(plain, worked, strict=True):
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_worker_processes_give_the_same_training_segments_and_others_for_another_seed(tiny_data):
    read = []
    for seed, workers in ((1, 0), (1, 2), (2, 1)):
        batches = made(tiny_data, workers=workers, seed=seed).train_dataloader()
        read.append(torch.cat([batch["segments"] for batch in batches]))
    assert torch.equal(read[0], read[1])
    assert not torch.equal(read[0], read[2])


# --- Training ---------------------------------------------------------------------------------------------------------


def trainer_of(rank: int, world: int = 1, device: str = "cpu", **more) -> SimpleNamespace:
    """The part of a Trainer that the loaders need."""
    strategy = SimpleNamespace(root_device=torch.device(device))
    return SimpleNamespace(world_size=world, global_rank=rank, strategy=strategy, overfit_batches=0, **more)


def training_order(module: SpectrogramDataModule, epoch: int) -> list[int]:
    loader = module.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return torch.cat([batch["clip"] for batch in loader]).tolist()


def test_the_training_order_depends_on_seed_and_epoch_alone(tiny_data):
    one, two, other = made(tiny_data, seed=1), made(tiny_data, WHOLE, augment=None, seed=1), made(tiny_data, seed=2)
    for epoch in (0, 3):
        torch.manual_seed(epoch)
        before = training_order(one, epoch)
        torch.manual_seed(100 + epoch)
        assert training_order(two, epoch) == before
        assert training_order(other, epoch) != before
    assert training_order(one, 0) != training_order(one, 3)


@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_an_epoch_shows_each_clip_once_except_an_incomplete_last_batch(tiny_data, batch_size):
    module = made(tiny_data, batch_size=batch_size)
    clips, order = module.clips["train"], training_order(module, 0)
    expected = len(clips) if batch_size > len(clips) else len(clips) // batch_size * batch_size
    assert len(order) == len(set(order)) == expected
    assert set(order) <= set(clips)


@pytest.mark.parametrize(("world", "batch_size"), [(2, 1), (2, 3), (3, 2), (2, 100)])
def test_processes_share_the_batches_of_one_process(world, batch_size, tiny_data):
    def batches(rank: int, world: int) -> list[Batch]:
        module = made(tiny_data, batch_size=batch_size)
        module.trainer = trainer_of(rank, world)
        loader = module.train_dataloader()
        loader.sampler.set_epoch(5)
        return list(loader)

    alone, shared = batches(0, 1), [batches(rank, world) for rank in range(world)]
    steps = len(shared[0])
    assert all(len(each) == steps for each in shared)
    if batch_size == 100:  # no process has a full batch: they share all clips, and none has many more than another
        sizes = [len(each[0]["clip"]) for each in shared]
        assert sum(sizes) == len(alone[0]["clip"]) and max(sizes) - min(sizes) <= 1
        assert len({clip for each in shared for clip in each[0]["clip"].tolist()}) == sum(sizes)
        return
    assert steps == len(alone) // world > 0
    in_turn = [shared[rank][step] for step in range(steps) for rank in range(world)]
    for one, other in zip(in_turn, alone[: steps * world], strict=True):
        assert all(torch.equal(one[key], other[key]) for key in ("clip", "target", "segments"))


@pytest.mark.parametrize("world", [2, 3])
def test_processes_validate_each_clip_once_and_whole(world, tiny_data):
    def validated(rank: int, world: int) -> list[int]:
        module = made(tiny_data, batch_size=2)
        module.trainer = trainer_of(rank, world)
        return [clip for batch in module.val_dataloader() for clip in batch["clip"].tolist()]

    alone, shared = validated(0, 1), [validated(rank, world) for rank in range(world)]
    assert sorted(clip for each in shared for clip in each) == sorted(alone)
    assert sum(len(set(each)) for each in shared) == len(set(alone))


def test_too_few_clips_for_the_processes_are_refused(tiny_data):
    module = made(tiny_data)
    module.trainer = trainer_of(0, world=len(module.clips["train"]))
    with pytest.raises(GenreclfError, match=r"trainer\.devices"):
        module.train_dataloader()


def test_random_crops_lie_inside_the_clip_and_vary(tiny_data):
    loader, starts = made(tiny_data, augment=None).train_dataloader(), {}
    rows, module = loader.dataset.store.rows, made(tiny_data)
    for epoch in range(6):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            for clip, segment in zip(batch["clip"].tolist(), batch["segments"].numpy(), strict=True):
                if rows[clip].source_rate_hz:
                    starts.setdefault(clip, set()).add(place_of(segment.T, module.store.spectrogram(clip)))
    assert all(found == {0} for clip, found in starts.items() if rows[clip].frames <= 256)
    assert all(len(found) > 1 for clip, found in starts.items() if rows[clip].frames > 300)
    assert sum(rows[clip].frames > 300 for clip in starts) > 1


def place_of(segment: np.ndarray, levels: np.ndarray) -> int:
    """Returns the start of a (128, 256) segment in its clip. A shorter clip is repeated."""
    frames = levels.shape[1]
    if frames < 256:
        levels = np.tile(levels, 256 // frames + 1)[:, :256]
    places = [start for start in range(levels.shape[1] - 255) if (levels[:, start : start + 256] == segment).all()]
    assert places, "the segment is nowhere in its clip"
    return places[0]


def test_places_depend_on_seed_and_epoch_alone(tiny_data):
    def items(seed: int, epoch: int, rank: int) -> list:
        torch.manual_seed(seed + epoch + rank)
        np.random.seed(epoch)
        sampler = RandomSegments(made(tiny_data).dataset("train"), 0.25, 4, 2, rank, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    first = items(1, 0, 0)
    assert first == items(1, 0, 0)
    for other in (items(2, 0, 0), items(1, 1, 0), items(1, 0, 1)):
        assert {item for item in first if item[1][1] != 256}.isdisjoint(other)


@pytest.mark.parametrize("batch_size", [4, 100])
def test_segments_cut_on_the_device_are_those_read_from_the_disk(batch_size, tiny_data):
    """The CPU takes the place of a GPU."""
    streamed = made(tiny_data, batch_size=batch_size).train_dataloader()
    cut = DeviceLoader(streamed.dataset, streamed.sampler, batch_size, torch.device("cpu"))
    for epoch in range(2):
        streamed.sampler.set_epoch(epoch)
        assert len(cut) == len(streamed)
        for one, other in zip(cut, streamed, strict=True):
            assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("device", "mib", "overfit", "expected"),
    [
        ("cuda", 100, 0, DeviceLoader),
        ("cuda", 0, 0, DataLoader),
        ("cuda", 100, 0.5, DataLoader),
        ("cpu", 100, 0, DataLoader),
    ],
)
def test_only_a_gpu_holds_a_copy_of_a_store_that_fits(device, mib, overfit, expected, tiny_data, monkeypatch):
    copied = []
    monkeypatch.setattr(DeviceLoader, "__init__", lambda self, *arguments: copied.append(arguments[-1]))
    module = made(tiny_data, device_store_mib=mib)
    module.trainer = trainer_of(0, device=device)
    module.trainer.overfit_batches = overfit
    assert type(module.train_dataloader()) is expected
    assert copied == [torch.device("cuda")] * (expected is DeviceLoader)


class Recorder(L.LightningModule):
    """Learns nothing, and records the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.seen = {"train": [], "val": []}

    def training_step(self, batch, batch_index):
        self.seen["train"].append((self.current_epoch, batch))

    def validation_step(self, batch, batch_index):
        self.seen["val"].append((self.current_epoch, batch))

    def configure_optimizers(self):
        return None


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*configure_optimizers.*")
def test_in_a_real_training_only_training_batches_are_augmented(tiny_data):
    module, recorder = made(tiny_data, WHOLE, seed=3), Recorder()
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=2,
        num_sanity_val_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(recorder, module)
    assert recorder.seen["val"]
    for _, batch in recorder.seen["val"]:
        assert batch["image"].dtype == torch.uint8
        for clip, image in zip(batch["clip"].tolist(), batch["image"], strict=True):
            whole = spans(module.store.rows[clip].frames, WHOLE)
            np.testing.assert_array_equal(image[0].numpy(), slow_segment(module, clip, *whole[0]))
    for epoch in (0, 1):
        batches = [batch for number, batch in recorder.seen["train"] if number == epoch]
        assert torch.cat([batch["clip"] for batch in batches]).tolist() == training_order(module, epoch)
    _, batch = recorder.seen["train"][0]
    assert batch["image"].dtype == torch.float32
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)
    for clip, image in zip(batch["clip"].tolist(), batch["image"], strict=True):
        plain = slow_segment(module, clip, *spans(module.store.rows[clip].frames, WHOLE)[0])
        assert np.abs(image[0].numpy() - plain).max() > 1


def test_without_augmentation_training_images_stay_bytes(tiny_data):
    module = made(tiny_data, augment=None)
    module.trainer = trainer_of(0, training=True)
    batch = next(iter(module.train_dataloader()))
    assert module.on_after_batch_transfer(batch, 0)["image"].dtype == torch.uint8


# --- Splits -----------------------------------------------------------------------------------------------------------


def test_all_readable_clips_are_in_one_split_and_duplicates_together(tiny_data):
    module = made(tiny_data)
    rows, where = module.store.rows, {clip: split for split in SPLITS for clip in module.clips[split]}
    assert sum(map(len, module.clips.values())) == len(where) == len(rows) - 1
    assert {rows[clip].path for clip in range(len(rows)) if clip not in where} == {"tone/broken.wav"}
    number = {row.path: clip for clip, row in enumerate(rows)}
    assert where[number["noise/again.wav"]] == where[number["noise/noise.00000.wav"]]
    assert module.classes == ("click", "noise", "tone")


def test_the_summary_counts_the_clips(tiny_data):
    module = made(tiny_data)
    summary = module.summary()
    assert summary["store_digest"] == module.store.digest
    assert summary["in_no_split"] == 0
    assert list(summary["unreadable"]) == ["tone/broken.wav"]
    total = sum((Counter(counts) for counts in summary["clips"].values()), Counter())
    assert total == {"click": 8, "noise": 9, "tone": 8}
    assert summary["clips"]["train"]["click"] == 6  # 5.6
    assert summary["clips"]["val"]["click"] == summary["clips"]["test"]["click"] == 1


@pytest.mark.parametrize("view", [WHOLE, CROP])
def test_the_summary_counts_clips_shorter_than_a_segment(tiny_data, view):
    module = made(tiny_data, view)
    frames = [module.store.rows[clip].frames for clips in module.clips.values() for clip in clips]
    expected = {"whole": sum(f < 0.9 * 1_292 for f in frames), "crop": sum(f < 256 for f in frames)}[view.name]
    assert module.summary()["repeated"] == expected > 0


def with_silence(folder: Path) -> Path:
    """Clips of two classes with half a second to two seconds of silence at their ends."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(f"{label}/{number}.wav" for label in "ab" for number in range(8)):
        (folder / name).parent.mkdir(exist_ok=True)
        parts = np.zeros(11_025 * (1 + number % 4)), music_like(7.0, rng), np.zeros(11_025)
        soundfile.write(folder / name, np.concatenate(parts), 22_050)
    return folder


def test_no_segment_shows_the_silence_at_the_ends_of_a_clip(tiny_data, tmp_path):
    module = made(dataclasses.replace(tiny_data, path=with_silence(tmp_path)))
    dataset = module.dataset("train")
    for items in (range(len(dataset)), RandomSegments(dataset, 0.25, 4, 1, 0, 0)):
        segments = dataset.__getitems__(list(items))["segments"]
        assert len(segments) >= 8 and (segments[:, [0, -1]].amax(2) > 0).all()
    for clip, row in enumerate(module.store.rows):
        (sounding,) = np.nonzero(module.store.spectrogram(clip).any(axis=0))
        shown = [span for number, span in module.dataset(split_of_clip(module, clip)).items if number == clip]
        assert shown[-1][0] + shown[-1][1] == sounding[-1] + 1 - sounding[0] == row.sound_frames < row.frames


def split_of_clip(module: SpectrogramDataModule, clip: int) -> str:
    return next(name for name, clips in module.clips.items() if clip in clips)


def test_setting_up_reads_no_spectrogram(tiny_data, monkeypatch):
    made(tiny_data)  # the store exists
    monkeypatch.setattr(Store, "spectrogram", lambda *_: pytest.fail("a spectrogram was read"))
    module = made(tiny_data)
    module.train_dataloader()


def test_setting_up_twice_changes_nothing(tiny_data):
    module = made(tiny_data)
    store = module.store
    module.setup("fit")
    module.setup("test")
    assert module.store is store


def folder_with(folder: Path, **names: list[str]) -> Path:
    for number, (label, name) in enumerate((label, name) for label, given in names.items() for name in given):
        (folder / label).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / label / name, np.random.default_rng(number).normal(0, 0.1, 3_000), 22_050)
    return folder


def numbered(count: int) -> list[str]:
    return [f"{number}.wav" for number in range(count)]


def test_a_folder_without_one_readable_clip_is_refused_with_a_reason(tiny_data, tmp_path):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "x.wav").write_bytes(b"none")
    with pytest.raises(GenreclfError, match=r"^data\.path=.*/a/x\.wav"):
        made(dataclasses.replace(tiny_data, path=tmp_path))


def test_a_folder_with_one_readable_class_is_refused(tiny_data, tmp_path):
    folder = folder_with(tmp_path, blues=numbered(8), jazz=numbered(3))
    for path in (folder / "jazz").iterdir():
        path.write_bytes(b"none")
    with pytest.raises(GenreclfError, match=r"two classes .*blues"):
        made(dataclasses.replace(tiny_data, path=folder))


def test_the_published_split_needs_no_test_clips_and_counts_left_out_clips(tiny_data, tmp_path):
    folder = folder_with(
        tmp_path,
        blues=["blues.00029.wav", "blues.00000.wav", "mine.wav"],
        rock=["rock.00000.wav", "rock.00038.wav"],
    )
    module = made(dataclasses.replace(tiny_data, path=folder), split=split_config("published"))
    rows = module.store.rows
    assert {split: sorted(rows[clip].path for clip in module.clips[split]) for split in SPLITS} == {
        "train": ["blues/blues.00029.wav", "rock/rock.00000.wav"],
        "val": ["blues/blues.00000.wav", "rock/rock.00038.wav"],
        "test": [],
    }
    assert module.summary()["in_no_split"] == 1


# --- Groups -----------------------------------------------------------------------------------------------------------


def split_of(module: SpectrogramDataModule) -> dict[str, str]:
    return {module.store.rows[clip].path: name for name, clips in module.clips.items() for clip in clips}


def test_clips_of_one_artist_are_in_one_split(tiny_data, tmp_path):
    artists = {f"{kind}.{number:05d}": f"{kind} {number % 4}" for kind in ("click", "tone") for number in range(8)}
    table = tmp_path / "artists.csv"
    table.write_text("clip,artist\n" + "".join(f"{clip},{artist}\n" for clip, artist in artists.items()))
    for salt in "abc":
        module = made(
            dataclasses.replace(tiny_data, table=table),
            split=dataclasses.replace(HASHED, salt=salt, shares=(0.5, 0.25, 0.25)),
        )
        where = split_of(module)
        places: dict[str, set[str]] = {}
        for path, split in where.items():
            places.setdefault(artists.get(Path(path).stem, path), set()).add(split)
        assert len(where) == 25 and all(len(splits) == 1 for splits in places.values())
        # Two classes have four artists each; the third has eight contents, one of them twice.
        assert sum(module.summary()["groups"].values()) == 4 + 4 + 8
        assert module.summary()["split_digest"] != made(tiny_data).summary()["split_digest"]


@pytest.fixture
def conflicting(tiny_folder, tiny_data, tmp_path) -> DataConfig:
    """The tiny folder, with one of the tones also among the clicks."""
    shutil.copytree(tiny_folder, tmp_path / "music")
    shutil.copy(tmp_path / "music" / "tone" / "tone.00001.wav", tmp_path / "music" / "click" / "odd.wav")
    return dataclasses.replace(tiny_data, path=tmp_path / "music", cache=tmp_path)


@pytest.mark.parametrize(("choice", "dropped"), [("keep", 0), ("drop", 2)])
def test_one_recording_in_two_classes_is_reported_and_kept_together_or_left_out(conflicting, choice, dropped):
    module = made(dataclasses.replace(conflicting, label_conflicts=choice))
    summary, where, both = module.summary(), split_of(module), ["click/odd.wav", "tone/tone.00001.wav"]
    assert summary["label_conflicts"] == [both] and summary["in_no_split"] == dropped
    assert len(where) == 26 - dropped and len(set(map(where.get, both))) == 1
    assert (where.get(both[0]) is None) == bool(dropped)
