"""Each idea to make a step faster, with what was predicted and what came out: writes benchmarks/CANDIDATES.md.

Whole steps of stage 1 (batch 6, 320x320, ResNeSt101) and parts of one; the variants of an idea in turns, in one run.

    python benchmarks/candidates.py [--rounds 5] [--device cpu]

On a GPU another table comes first, of the ways to run a whole step there: benchmarks/CANDIDATES_GPU.md. Its rehearsal,
in under a minute and on any machine: --quick.
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.adam import adam

from benchmarks.clock import machine, timed
from benchmarks.gpu_candidates import gpu_table
from benchmarks.published import box_difference as convolved
from benchmarks.published import pairwise as normalised_copies
from components.models.network import Network
from components.models.registry import build_model
from components.models.runtime import Device, set_up
from components.train.losses import at_size_of, box_difference, feature_loss
from components.train.objectives import Supervision
from components.train.optimizer import BETAS, EPSILON

OUT = Path(__file__).parent / "CANDIDATES.md"
GPU = OUT.with_name("CANDIDATES_GPU.md")
BATCH, SIZE = 6, 320
LEVELS = ((2048, 10), (1024, 20), (512, 40), (256, 80))
"""Channels and side of a teacher's features."""
Work = Callable[[], object]


@dataclass(frozen=True)
class Idea:
    """What was tried: the first variant is how it was, the last is what could replace it."""

    name: str
    prediction: str
    variants: dict[str, Work]
    verdict: str


def model_step(model: Network, images: Tensor, labels: Tensor, device: Device) -> Work:
    """Forward and backward pass of stage 1."""
    supervision = Supervision(lambda_edge=0.5, reduction="mean", final_weight=1.0, side_weight=1.0)
    model.train()

    def work() -> None:
        model.zero_grad(set_to_none=True)
        with device.autocast():
            loss = supervision.loss(model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]

    return work


def whole_steps(device: torch.device) -> Iterator[Idea]:
    torch.manual_seed(0)
    model = build_model("dffnet", "resnest101e").to(device)
    images = torch.randn(BATCH, 3, SIZE, SIZE, device=device)
    labels = (torch.rand(BATCH, 1, SIZE, SIZE, device=device) > 0.5).float()
    last = copy.deepcopy(model).to(memory_format=torch.channels_last)
    image_last = images.to(memory_format=torch.channels_last)
    exact, half = Device(device, "float32"), Device(device, "bfloat16")
    plain = model_step(model, images, labels, exact)
    channels_last = model_step(last, image_last, labels, exact)
    mixed = model_step(last, image_last, labels, half)
    yield Idea(
        "channels last, whole step",
        "a tenth less: no reordering around convolutions",
        {"float32, channels first": plain, "float32, channels last": channels_last},
        "taken",
    )
    yield Idea(
        "bfloat16 autocast, whole step",
        "half: twice the matrix rate, half the bytes",
        {"float32, channels last": channels_last, "bfloat16, channels last": mixed},
        "taken in presets/paper.yaml",
    )
    compiled = torch.compile(last)
    yield Idea(
        "torch.compile, whole step",
        "a tenth less: BatchNorm and ReLU in one pass; minutes to compile",
        {"as it is": mixed, "compiled": model_step(compiled, image_last, labels, half)},  # type: ignore[arg-type]
        "not taken: minutes at the start of every stage, and a compiler on the machine; to be measured on a GPU, where "
        "it should gain more",
    )


def run_adam(parameters: list[Tensor], gradients: list[Tensor], **how: bool) -> Work:
    mean, square = ([torch.zeros_like(each) for each in parameters] for _ in range(2))
    steps = [torch.zeros((), device=each.device) for each in parameters]

    def work() -> None:
        with torch.no_grad():
            adam(
                parameters, gradients, mean, square, [], steps, amsgrad=False, beta1=BETAS[0], beta2=BETAS[1], lr=1e-4,
                weight_decay=0.0, eps=EPSILON, maximize=False, **how,
            )  # fmt: skip

    return work


def backward(loss: Callable[[], Tensor]) -> Work:
    def work() -> None:
        loss().backward()  # type: ignore[no-untyped-call]

    return work


def parts(device: torch.device) -> Iterator[Idea]:
    model = build_model("dffnet", "resnest101e").to(device)
    parameters = [each.detach() for each in model.parameters()]
    gradients = [torch.randn_like(each) for each in parameters]
    yield Idea(
        "fused Adam",
        "half: one pass over memory",
        {
            "one by one": run_adam(parameters, gradients, foreach=False, fused=False),
            "foreach": run_adam(parameters, gradients, foreach=True, fused=False),
            "fused": run_adam(parameters, gradients, foreach=False, fused=True),
        },
        "taken",
    )
    leaves = [nn.Parameter(each) for each in parameters]
    for leaf, gradient in zip(leaves, gradients, strict=True):
        leaf.grad = gradient
    yield Idea(
        "foreach clipping",
        "nothing on a CPU; hundreds of launches fewer on a GPU",
        {
            "one by one": lambda: [each.grad.clamp_(-0.5, 0.5) for each in leaves if each.grad is not None],
            "foreach": lambda: nn.utils.clip_grad_value_(leaves, 0.5),
        },
        "kept for GPUs: it costs milliseconds here",
    )
    student = [torch.randn(BATCH, c, n, n, device=device).to(memory_format=torch.channels_last) for c, n in LEVELS]
    teacher = [each.relu().half() for each in student]
    student = [each.bfloat16().requires_grad_() for each in student]
    yield Idea(
        "pair-wise loss as 2 - 2 cos, no copies, one teacher",
        "a third: one pass instead of three copies",
        {
            "normalised copies": backward(
                lambda: normalised_copies([each.float() for each in student], [each.float() for each in teacher])
            ),
            "2 - 2 cos by chunks": backward(lambda: feature_loss(student, teacher)),
        },
        "taken",
    )
    maps = torch.rand(BATCH, 1, SIZE, SIZE, device=device, requires_grad=True)
    yield Idea(
        "DOF edge as a box filter, one output of five",
        "a tenth: four additions a pixel instead of a convolution of one channel",
        {
            "convolution": backward(lambda: convolved(maps).sum()),
            "box filter": backward(lambda: box_difference(maps).sum()),
        },
        "taken",
    )
    sides = [torch.randn(BATCH, 1, n, n, device=device, requires_grad=True) for n in (20, 20, 40, 80)]
    labels = (torch.rand(BATCH, 1, SIZE, SIZE, device=device) > 0.5).float()

    def full_size() -> Tensor:
        each = [F.binary_cross_entropy_with_logits(at_size_of(side, labels), labels) for side in sides]
        return torch.stack(each).sum()

    def together() -> Tensor:
        return F.binary_cross_entropy_with_logits(
            torch.cat([at_size_of(side, labels) for side in sides], 1), labels.expand(-1, len(sides), -1, -1)
        ) * len(sides)

    yield Idea(
        "side outputs' BCE in one piece",
        "nothing: four maps of one channel are small beside the network",
        {"one by one": backward(full_size), "in one piece": backward(together)},
        "not taken; a form without any full-size map would save less than all of this",
    )


def measure(idea: Idea, rounds: int, device: torch.device) -> dict[str, float]:
    """Milliseconds of each variant, medians over turns."""
    seconds: dict[str, list[float]] = {name: [] for name in idea.variants}
    for turn in range(rounds + 1):
        for name, work in idea.variants.items():
            spent = timed(work, device)
            if turn:
                seconds[name].append(spent)
    return {name: 1e3 * statistics.median(each) for name, each in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quick", action="store_true", help="the GPU's table alone, rehearsed")
    chosen = parser.parse_args()
    if chosen.quick:
        print(gpu_table(chosen.device, quick=True))
        return
    device = set_up(device=chosen.device, precision="float32", deterministic=False, threads=0).device
    if device.type == "cuda":
        GPU.write_text(f"# Ways to run a step on a GPU\n\n{gpu_table('cuda', quick=False)}\n", encoding="utf-8")
    lines = [
        "# What was tried to make a step faster",
        "",
        f"{time.strftime('%Y-%m-%d')}, `python benchmarks/candidates.py --rounds {chosen.rounds}`, "
        f"{machine(device)}. Batch {BATCH}, {SIZE}x{SIZE}; medians over turns in one run; whole steps are "
        "forward and backward pass.",
        "",
        "| idea | predicted | measured | ratio | |",
        "|---|---|---|---|---|",
    ]
    for ideas in (parts, whole_steps):
        for idea in ideas(device):
            found = measure(idea, chosen.rounds, device)
            told = "; ".join(f"{name} {value:.1f} ms" for name, value in found.items())
            values = list(found.values())
            lines.append(
                f"| {idea.name} | {idea.prediction} | {told} | {values[-1] / values[0]:.2f} | {idea.verdict} |"
            )
            print(lines[-1], flush=True)
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
