"""The teachers of stage 2 and of R-DFFNet (paper, section III.B): frozen networks, cached or run on every batch.

`teacher.mode` decides which; `components.teacher_cache` says what it means.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from components.availability import require
from components.data.loader import Jitter, TrainingSet, load_rows
from components.data.prepared import PreparedSet, require_photographs
from components.models.checkpoints import load_model
from components.models.network import Network
from components.params import Params
from components.runtime import Device
from components.storage import file_hash
from components.teacher_cache import (
    CachedFeatures,
    Encoder,
    HeldFeatures,
    OnlineFeatures,
    Plan,
    TeacherFeatures,
    named,
    open_cache,
    relative_depth,
    write_cache,
)

Done = tuple[int, int]
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


def plan_of(params: Params, weights: Path) -> Plan:
    """What a cache of the teacher `weights` has to hold."""
    augment = params.stage2.augment
    return Plan(
        teacher=file_hash(weights),
        image_size=params.image_size,
        flip_axis=params.resolved.flip,
        dtype=params.teacher.dtype,
        jitter=Jitter(augment.brightness, augment.contrast, augment.saturation),
        views=params.resolved.teacher_views,
    )


def fill_cache(params: Params, encode: Encoder, data: TrainingSet, folder: Path, weights: Path) -> Iterator[Done]:
    """Write what a teacher says of a set's images; see `write_cache`."""
    plan = plan_of(params, weights)
    return write_cache(encode, data.images, data.ids, folder, plan, batch_size=params.predict.batch_size)


def read_caches(
    params: Params, data: TrainingSet, folders: Sequence[Path], weights: Path, names: Sequence[str]
) -> TeacherFeatures:
    """What a teacher said of the training images; an error when the cache is not of these weights and parameters.

    The features are held on the GPU where they take at most half of its free memory.
    """
    require(weights.parent)
    plan, device = plan_of(params, weights), data.images.device
    cached = CachedFeatures([open_cache(folder, plan) for folder in folders], data.ids, names)
    fits = device.type == "cuda" and cached.nbytes <= torch.cuda.mem_get_info(device)[0] // 2
    return HeldFeatures(cached, device) if fits else cached


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
    if params.resolved.teacher_mode == "online":
        return run_online(params, weights, names, device, encode_depth if names == DEPTH else encode_features)
    sets = sorted({image.split("/")[0] for image in data.ids})
    return read_caches(params, data, [cache / name for name in sets], weights, names)


def cache_defocus_teacher(
    params: Params, data: TrainingSet, *, weights: Path, cache: Path, device: Device
) -> Iterator[Done]:
    """Cache the defocus teacher's features of a training split, unless it runs online."""
    if params.resolved.teacher_mode == "online":
        return
    model = frozen(weights, batchnorm="eval", device=device)
    yield from fill_cache(params, encode_features(model), data, cache, weights)


def defocus_teacher_of(
    params: Params, data: TrainingSet, *, weights: Path, cache: Path, device: Device
) -> TeacherFeatures:
    """The defocus teacher's features, cached by `cache_defocus_teacher` or online."""
    if params.resolved.teacher_mode == "online":
        return run_online(params, weights, LEVELS, device, encode_features)
    return read_caches(params, data, [cache], weights, LEVELS)
