"""What is exported: a network with all that lies between a photograph and its map, and what is said of it.

photographs  float32 (B, 3, H, W), RGB in [0, 1]; H and W multiples of the network's deepest stride (32)
maps         float32 (B, 1, H, W) in [0, 1], 1 = in focus
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from components.catalog.images import read_photograph
from components.common.storage import file_hash, read_json
from components.datasets.loader import IMAGENET_MEAN, IMAGENET_STD
from components.maps.inference import probability
from components.models.checkpoints import is_described, read_metadata
from components.models.network import Network
from components.models.run_files import CARD

INPUT, OUTPUT = "photographs", "maps"
Floats = NDArray[np.float32]
Run = Callable[[Floats], Floats]
"""An exported program: photographs to maps, see above."""
Watch = Callable[[str, int, Iterable[Any]], Iterable[Any]]
"""Passes things on and shows how far it is: what is done to them, how many they are, the things."""
CHECKED = 20
"""Inputs on which a program is held against torch."""
TOLERANCE = 1e-4
"""Difference of a map's values, of 1, that passes."""
OWN = 4
"""What passes too: so many times what torch's own maps in float32 are off, where a network rounds much."""
SHIPPED = "Apache-2.0"
"""Licence of the weights that ship."""


@contextmanager
def tracing() -> Iterator[None]:
    """Quiet on what torch says of tracing: that it would see `torch.export` used instead, whose files C++ cannot open
    alone and whose ONNX needs one package more; and that checks of sizes are left out."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
        warnings.filterwarnings("ignore", "You are using the legacy TorchScript-based ONNX export", DeprecationWarning)
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        warnings.filterwarnings("ignore", category=TracerWarning)
        yield


class Program(nn.Module):
    """Normalisation, network, and how its recipe makes maps of logits, in one.

    Args:
        network: what is exported.
        best, mirror: see `probability`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network, *, best: bool, mirror: bool = True) -> None:
        super().__init__()
        self.network, self.best, self.mirror = network, best, mirror
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        self.eval()

    def forward(self, photographs: Tensor) -> Tensor:
        """Photographs to maps, see above."""
        inputs = (photographs - self.mean) / self.std
        maps = probability(self.network, inputs, best=self.best, mirror=self.mirror)
        return maps.clamp(0, 1)  # onnxruntime's sigmoid reaches 1.0000001

    @property
    def step(self) -> int:
        """What height and width are multiples of, pixels."""
        return self.network.backbone.strides[0]


def facts(path: Path, program: Program, *, side: int, licence: str) -> dict[str, str]:
    """What an exported file says of itself, all as text.

    Args:
        path: the file of weights.
        program: made of it.
        side: height and width that the network was trained at, pixels.
        licence: of the weights.
    """
    spec = program.network.spec
    assert spec is not None
    known = read_metadata(path) if is_described(path) else {}
    if (card := path.with_name(CARD)).is_file():
        known = {key: str(value) for key, value in read_json(card).items()} | known
    return {
        "network": f"{spec.name} on {spec.backbone}",
        "weights_sha256": file_hash(path),
        **{key: known[key] for key in ("run", "train", "commit") if key in known},
        "licence": licence,
        "image_size": str(side),
        "input": f"{INPUT}: float32 (batch, 3, height, width), RGB in [0, 1], height and width multiples of "
        f"{program.step}; resize a photograph to {side} x {side}, antialiased bilinear",
        "output": f"{OUTPUT}: float32 (batch, 1, height, width) in [0, 1]",
        "passes": "2, of the photograph and its mirror image" if program.best and program.mirror else "1",
        "polarity": "1 = in focus, 0 = out of focus",
        "normalisation": "inside: (photographs - mean) / std",
        "mean": ", ".join(map(str, IMAGENET_MEAN)),
        "std": ", ".join(map(str, IMAGENET_STD)),
    }


def as_input(photograph: Image.Image, height: int, width: int) -> Floats:
    """A photograph as a program takes it, (1, 3, height, width), resized as for a network."""
    pixels = np.asarray(photograph.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None] / 255)


def evenly(paths: Sequence[Path], most: int) -> list[Path]:
    """At most so many of them, evenly spaced."""
    count = min(most, len(paths))
    return [paths[number * len(paths) // count] for number in range(count)]


def views(photographs: Sequence[Path], side: int, step: int) -> Iterator[Floats]:
    """`CHECKED` inputs out of photographs: the first whole, at the trained size, then crops of many sizes and shapes.

    Every second is a batch of two. The same photographs give the same inputs.

    Args:
        photographs: at least one.
        side: the trained size, pixels.
        step: what heights and widths are multiples of.

    Raises:
        InputError: one cannot be read.
    """
    random, chosen = np.random.default_rng(0), evenly(photographs, CHECKED)
    for number in range(CHECKED):
        image = read_photograph(chosen[number % len(chosen)])
        if number == 0:
            yield as_input(image, side, side)
            continue
        height, width = step * random.integers(2, max(3, side // step + 4), 2)
        left, top = random.uniform(0, 0.5, 2) * image.size
        right, bottom = random.uniform(0.6, 1, 2) * image.size
        one = as_input(image.crop((int(left), int(top), int(right) + 1, int(bottom) + 1)), height, width)
        yield np.concatenate([one, one[..., ::-1]]) if number % 2 else one


def furthest(run: Run, program: Program, inputs: Iterable[Floats]) -> float:
    """Largest difference of an exported program's maps from torch's, which computes them in double precision.

    NaN where it has any.
    """
    exact, gaps = deepcopy(program).double(), [0.0]
    with torch.inference_mode():
        for each in inputs:
            expected = exact(torch.from_numpy(each).double()).numpy()
            found = run(each)
            assert found.shape == expected.shape, f"{found.shape} instead of {expected.shape}"
            gaps.append(float(np.abs(found - expected).max()))
    return float(np.max(gaps))


def rounding(program: Program, inputs: Iterable[Floats]) -> float:
    """Largest difference of torch's own maps in float32 from those in double precision, by `furthest`."""
    return furthest(lambda each: program(torch.from_numpy(each)).numpy(), program, inputs)
