"""The teachers of stage 2 and of R-DFFNet (paper, section III.B): frozen networks, cached or run on every batch.

`teacher.mode` decides which; `teacher_cache` says what it means. The paper's recipe leaves it to the device:
on a GPU a teacher is as fast as its cache is read, and sees fresh jitter in every epoch; on a CPU it is cached.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from components.common.availability import require
from components.common.storage import file_hash
from components.datasets.loader import Jitter, TrainingSet, load_rows
from components.datasets.placing import fits, sent
from components.datasets.prepared import PreparedSet, require_photographs
from components.models.checkpoints import load_model
from components.models.network import Network
from components.models.runtime import Device
from components.params import Params
from components.train.teacher_cache import (
    CachedFeatures,
    Encoder,
    HeldFeatures,
    OnlineFeatures,
    Plan,
    TeacherFeatures,
    named,
    open_cache,
    relative_depth,
    views_that_fit,
    write_cache,
)

Done = tuple[int, int]
FEATURE_DTYPE = {"float32": "float32", "bfloat16": "float16"}
"""Of cached features, by `runtime.precision`: that one switch decides both."""
LEVELS = ("level0", "level1", "level2", "level3")
DEPTH = ("depth",)


def encode_depth(model: Network) -> Encoder:
    """What is asked of the depth teacher: its encoder's features and its relative inverse depth."""

    def encode(images: Tensor) -> dict[str, Tensor]:
        output = model(images)
        return named(output.features) | {"depth": relative_depth(output.depth)}

    return encode


def encode_features(model: Network) -> Encoder:
    """What is asked of a teacher whose decoder need not run: its encoder's features."""
    return lambda images: named(model.encode(images))


def frozen(weights: Path, *, batchnorm: str, device: Device) -> Network:
    """A teacher: no gradients; BatchNorm by its own statistics ("eval") or by those of each batch ("batch")."""
    return load_model(weights).to(device.device).requires_grad_(False).train(batchnorm == "batch")


def cached_images(prepared: PreparedSet, device: Device) -> TrainingSet:
    """Every image of a set that belongs to some training split."""
    splits = [name for name in prepared.split_names if "-TR" in name]
    rows = np.unique(np.concatenate([prepared.split(name) for name in splits]))
    if len(rows) == 0:
        require_photographs(prepared, splits[0])
    return load_rows([(prepared, rows)], device.device)


def online(params: Params, device: Device) -> bool:
    """Whether teachers run on every batch."""
    mode = params.resolved.teacher_mode
    return mode == "online" or (mode == "by_device" and device.device.type == "cuda")


def plan_of(params: Params, weights: Path) -> Plan:
    """What a cache of the teacher `weights` has to hold."""
    augment = params.stage2.augment
    return Plan(
        teacher=file_hash(weights),
        image_size=params.image_size,
        flip_axis=params.resolved.flip,
        dtype=FEATURE_DTYPE[params.runtime.precision],
        jitter=Jitter(augment.brightness, augment.contrast, augment.saturation),
        seed=params.seed,
    )


def fill_cache(
    params: Params, encode: Encoder, data: TrainingSet, folder: Path, weights: Path, *, most: int
) -> Iterator[Done]:
    """Write what a teacher says of a set's images: the views that fit `teacher.cache_gb`, `most` at most; 0 = none.

    See `write_cache`.
    """
    plan, budget = plan_of(params, weights), params.teacher.cache_gb * 1e9

    def there(images: Tensor) -> Mapping[str, Tensor]:
        return encode(sent(images, data.device))

    views = views_that_fit(there, data.images, plan, budget=budget, most=most) if most else 0
    batch_size = params.predict.batch_size
    return write_cache(there, data.images, data.ids, folder, plan, views=views, batch_size=batch_size)


def cache_depth_teacher(
    params: Params, data: TrainingSet, *, weights: Path, cache: Path, device: Device
) -> Iterator[Done]:
    """Cache what the depth teacher says of a set: a view an epoch of stage 2 where they fit, none if it runs online."""
    encode = encode_depth(frozen(weights, batchnorm="eval", device=device))
    most = 0 if online(params, device) else params.stage2.epochs
    yield from fill_cache(params, encode, data, cache, weights, most=most)


def read_caches(
    params: Params, data: TrainingSet, folders: Sequence[Path], weights: Path, names: Sequence[str]
) -> TeacherFeatures:
    """What a teacher said of the training images; an error when the cache is not of these weights and parameters.

    On a GPU the features are held where they fit it; else they are read ahead, and sent beside the step before.
    """
    require(weights.parent)
    plan, device = plan_of(params, weights), data.device
    cached = CachedFeatures([open_cache(folder, plan) for folder in folders], data.ids, names)
    return HeldFeatures(cached, device) if device.type == "cuda" and fits(cached.nbytes, device) else cached


def run_online(
    params: Params, weights: Path, names: Sequence[str], device: Device, encode: Callable[[Network], Encoder]
) -> OnlineFeatures:
    """A teacher that sees every batch, with BatchNorm as `departures.teacher_batchnorm` says."""
    model = frozen(weights, batchnorm=params.resolved.teacher_batchnorm, device=device)
    return OnlineFeatures(encode(model), names, channels=model.feature_channels)


def depth_teacher_of(
    params: Params, data: TrainingSet, *, weights: Path, cache: Path, names: Sequence[str], device: Device
) -> TeacherFeatures:
    """The depth teacher of a training split: `LEVELS` or `DEPTH` of it, cached or online."""
    if online(params, device):
        return run_online(params, weights, names, device, encode_depth if names == DEPTH else encode_features)
    sets = sorted({image.split("/")[0] for image in data.ids})
    return read_caches(params, data, [cache / name for name in sets], weights, names)


def cache_defocus_teacher(
    params: Params, data: TrainingSet, *, weights: Path, cache: Path, device: Device, most: int
) -> Iterator[Done]:
    """Cache the defocus teacher's features of a training split, unless it runs online.

    Args:
        params, data, weights, device: of the run.
        cache: folder to write.
        most: views that the depth teacher saw; more could not be shown.
    """
    if online(params, device):
        return
    model = frozen(weights, batchnorm="eval", device=device)
    yield from fill_cache(params, encode_features(model), data, cache, weights, most=most)


def defocus_teacher_of(
    params: Params, data: TrainingSet, *, weights: Path, cache: Path, device: Device
) -> TeacherFeatures:
    """The defocus teacher's features, cached by `cache_defocus_teacher` or online."""
    if online(params, device):
        return run_online(params, weights, LEVELS, device, encode_features)
    return read_caches(params, data, [cache], weights, LEVELS)


def seen_by(*teachers: TeacherFeatures | None) -> dict[str, str]:
    """For a run's card: whether its teachers ran online or were cached, with how many views; empty without teachers."""
    views = [teacher.views for teacher in teachers if teacher is not None]
    if not views:
        return {}
    return {"teachers": f"cached, {min(views)} views of an image" if min(views) else "online"}
