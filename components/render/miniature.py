"""Rendered photographs with known distance and focus: the miniature's stand-ins for the data sets.

A scene of textured and homogeneous surfaces (`scenes`) is imaged by a thin lens (`optics`), at f/1.8 or f/16 as the
photographs of EBD (paper, Appendix A). A pixel is out of focus where the circle of confusion of its front-most
surface is larger than a stated limit: a matter of distance and lens alone, never of what the surface looks like.
"""

import io
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.catalog.sets import CUHK, EBD, RENDERED, DataSet, Part, find_set
from components.common.storage import atomic_dir, write_json
from components.render.optics import Floats, ThinLens, compose, to_srgb
from components.render.scenes import build_scene
from components.render.textures import Rng


@dataclass(frozen=True)
class RenderSettings:
    """How the stand-ins are rendered, and how many."""

    seed: int = 0
    size: int = 128
    """Height in pixels of a CUHK, DUT or CTCUG stand-in; EBD's are 1.25 times as high."""
    cuhk: int = 200
    """Photographs, test ones included."""
    cuhk_test: int = 30
    """Photographs of CUHK-TE-1, and as many others of CUHK-TE-2."""
    dut_train: int = 150
    dut_test: int = 40
    ctcug: int = 30
    ebd_shallow: int = 40
    ebd_wide: int = 10
    focal_length_mm: float = 85.0
    sensor_width_mm: float = 36.0
    """Pixel pitch is this over the width in pixels."""
    f_number_shallow: float = 1.8
    """Of every stand-in but the wide part of EBD's."""
    f_number_wide: float = 16.0
    focus_near_m: float = 1.0
    focus_far_m: float = 3.0
    coc_limit_px: float = 1.5
    """Circle of confusion above which a surface is out of focus: diameter, pixels of a photograph `size` wide."""
    noise: float = 0.008
    """Standard deviation of the sensor's noise at mid grey, linear light, white = 1."""
    jpeg_quality: int = 95


@dataclass(frozen=True, eq=False)
class Rendered:
    """One rendered photograph, all (h, w)."""

    image: NDArray[np.uint8]
    """(h, w, 3) sRGB."""
    in_focus: NDArray[np.bool_]
    """True = in focus."""
    depth: NDArray[np.float16]
    """Metres."""
    coc: Floats
    """Diameter of the circle of confusion in pixels of this photograph."""


def generator(seed: int, name: str, index: int) -> Rng:
    """Random numbers of photograph `index` of the set `name`, whatever else is rendered."""
    return np.random.default_rng(np.random.SeedSequence((seed, zlib.crc32(name.encode()), index)))


def develop(rng: Rng, linear: Floats, noise: float) -> NDArray[np.uint8]:
    """Photograph (h, w, 3) of the light on the sensor: exposed, with photon noise, clipped, in sRGB."""
    exposed = linear * np.float32(np.clip(0.2 / max(float(np.median(linear)), 1e-3), 0.6, 2.0))
    sigma = noise * np.sqrt((exposed + 0.02) / 0.5)
    noisy = exposed + sigma * rng.standard_normal(exposed.shape, dtype=np.float32)
    return np.rint(to_srgb(np.clip(noisy, 0, 1)) * 255).astype(np.uint8)


def render_image(
    settings: RenderSettings, name: str, index: int, *, height: int, width: int, f_number: float
) -> Rendered:
    """Photograph `index` of the set `name`, of `height` x `width` pixels, at `f_number`.

    The same arguments give the same pixels, however many others are rendered.
    """
    rng = generator(settings.seed, name, index)
    pitch_mm = settings.sensor_width_mm / width
    focus = (settings.focus_near_m, settings.focus_far_m)
    scene = build_scene(rng, (height, width), settings.focal_length_mm / pitch_mm, focus)
    lens = ThinLens(settings.focal_length_mm, f_number, scene.focus_m, pitch_mm * 1000)
    light, depth = compose(scene.layers, lens, scene.canvas)
    inside = np.s_[scene.margin : scene.margin + height, scene.margin : scene.margin + width]
    coc = lens.coc_px(depth[inside])
    limit = settings.coc_limit_px * width / settings.size
    image = develop(rng, light[inside], settings.noise)
    return Rendered(image, coc <= limit, depth[inside].astype(np.float16), coc)


@dataclass(frozen=True)
class Shot:
    """One photograph to render and the files it goes to."""

    group: str
    """Photographs are numbered, and their random numbers drawn, within a group."""
    index: int
    part: Part
    stem: str
    height: int
    width: int
    f_number: float


def shots(name: str, s: RenderSettings) -> Iterator[Shot]:
    """The photographs of the stand-in for the set `name`, in the order of its files."""
    parts = find_set(name).parts
    shallow, wide = s.f_number_shallow, s.f_number_wide
    tall, long = round(1.25 * s.size), round(1.95 * s.size)
    match name:
        case "cuhk":
            groups = [("cuhk", s.cuhk, parts[0], "out_of_focus{:04d}", s.size, s.size * 3 // 2, shallow)]
        case "dut":
            counts = (s.dut_train, s.dut_test)
            groups = [
                (f"dut-{part.name}", n, part, "{}", s.size, s.size, shallow)
                for part, n in zip(parts, counts, strict=True)
            ]
        case "ctcug":
            groups = [("ctcug", s.ctcug, parts[0], "{}", s.size, s.size * 4 // 3, shallow)]
        case _:
            groups = [
                ("ebd-shallow", s.ebd_shallow, parts[0], "shallow{:04d}", tall, long, shallow),
                ("ebd-wide", s.ebd_wide, parts[0], "wide{:04d}", tall, long, wide),
            ]
    for group, count, part, stem, height, width, f_number in groups:
        for index in range(count):
            yield Shot(group, index, part, stem.format(index + 1), height, width, f_number)


def archive_label(dataset: DataSet, in_focus: NDArray[np.bool_]) -> Image.Image:
    """The label as the archive of `dataset` stores it: its polarity, and DUT's greys left by lossy coding."""
    white = in_focus if dataset.white == "in_focus" else ~in_focus
    values = white.astype(np.uint8) * 255
    if dataset.name != "dut":
        return Image.fromarray(values)
    coded = io.BytesIO()
    Image.fromarray(values).save(coded, format="JPEG", quality=50)
    return Image.open(coded).convert("L")


def write_shot(folder: Path, dataset: DataSet, shot: Shot, settings: RenderSettings) -> None:
    """Render `shot` and write photograph, label and distances below `folder`.

    As in the published CUHK archive, one photograph's suffix is `.JPG` and one label has an alpha channel.
    """
    cuhk = dataset is CUHK
    rendered = render_image(
        settings, shot.group, shot.index, height=shot.height, width=shot.width, f_number=shot.f_number
    )
    suffix = ".JPG" if cuhk and shot.index == 1 else ".jpg"
    photograph = Image.fromarray(rendered.image)
    photograph.save(folder / shot.part.images / f"{shot.stem}{suffix}", format="JPEG", quality=settings.jpeg_quality)
    label = archive_label(dataset, rendered.in_focus)
    if cuhk and shot.index == 2:
        label = label.convert("RGBA")
    label.save(folder / shot.part.labels / f"{shot.stem}{'.bmp' if dataset.name == 'dut' else '.png'}")
    np.save(folder / "depth" / shot.part.images / f"{shot.stem}.npy", rendered.depth)


def write_lists(folder: Path, dataset: DataSet, stems: list[str], settings: RenderSettings) -> None:
    """Write the lists that say which photographs belong to which split of a stand-in.

    Of the photographs of CUHK-TR-1 a tenth is for validation: at least two, at most half.
    """
    count = settings.cuhk_test
    if dataset is CUHK:
        training = stems[count:]
        held_out = training[: min(max(2, len(training) // 10), len(training) // 2)]
        for listed, names in zip(dataset.listed, (stems[:count], stems[-count:], held_out), strict=True):
            (folder / listed.file).write_text("\n".join(names) + "\n", encoding="utf-8")
    if dataset is EBD and dataset.shallow:
        names = stems[: settings.ebd_shallow]
        (folder / dataset.shallow.file).write_text("\n".join(names) + "\n", encoding="utf-8")


def render_set(name: str, folder: Path, settings: RenderSettings) -> None:
    """Write the rendered stand-in for the set `name` to `folder`, in the layout and polarity of its archive.

    Beside it lie `depth/<photograph>.npy` (float16, metres), the lists of its splits and `rendered.json`.
    """
    dataset = find_set(name)
    todo = list(shots(name, settings))
    with atomic_dir(folder) as temporary:
        for part in dataset.parts:
            for place in (part.images, part.labels, f"depth/{part.images}"):
                (temporary / place).mkdir(parents=True)
        for shot in todo:
            write_shot(temporary, dataset, shot, settings)
        write_lists(temporary, dataset, [shot.stem for shot in todo], settings)
        counts = {part.name: sum(shot.part == part for shot in todo) for part in dataset.parts}
        write_json(temporary / RENDERED, {"set": name, "counts": counts, "settings": asdict(settings)})
