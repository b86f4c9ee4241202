"""Adam (Kingma & Ba, 2015) with torch's own fused arithmetic, by its functional form.

`torch.optim.Adam` imports torch's compiler when it is made: 4 s at the start of every training, most of a minute over
the miniature. Its functional form does not, and gives the same bits. Fused: one pass over the parameters' memory.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

BETAS = (0.9, 0.999)
EPSILON = 1e-8
RATE = {"cpu": torch.float64, "cuda": torch.float32}
"""Of the learning rate as a tensor, as torch's kernels take it; in float64 it gives the bits of a number."""


class Adam:
    """Adam over some parameters.

    Args:
        parameters: to optimise; those without a gradient are left as they are.
        learning_rate: may be changed between steps.
        weight_decay: L2 penalty, added to the gradient; or, decoupled, what a step takes off a parameter beside it.
        decoupled: AdamW (Loshchilov & Hutter, 2019).
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        learning_rate: float,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        self.parameters = list(parameters)
        device = self.parameters[0].device
        self.rate = torch.zeros((), dtype=RATE[device.type], device=device)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.decoupled = decoupled
        self.state = {
            "mean": [torch.zeros_like(each, memory_format=torch.preserve_format) for each in self.parameters],
            "square": [torch.zeros_like(each, memory_format=torch.preserve_format) for each in self.parameters],
            "step": [torch.zeros((), device=each.device) for each in self.parameters],
        }

    @property
    def learning_rate(self) -> float:
        """As last set. It lies on the device, so that a step that a GPU has recorded follows it."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = value
        self.rate.fill_(value)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for each in self.parameters:
            each.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One update from the parameters' gradients."""
        chosen = [index for index, each in enumerate(self.parameters) if each.grad is not None]
        adam(
            [self.parameters[index] for index in chosen],
            [grad for each in self.parameters if (grad := each.grad) is not None],
            [self.state["mean"][index] for index in chosen],
            [self.state["square"][index] for index in chosen],
            [],
            [self.state["step"][index] for index in chosen],
            decoupled_weight_decay=self.decoupled,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self.rate,
            weight_decay=self.weight_decay,
            eps=EPSILON,
            maximize=False,
            foreach=False,
            fused=True,
        )

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on with the same bits."""
        return {name: list(values) for name, values in self.state.items()}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from a `state_dict` of the same parameters."""
        for name, values in self.state.items():
            for value, before in zip(values, saved[name], strict=True):
                value.copy_(before)
