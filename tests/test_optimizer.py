"""Our Adam is torch's fused Adam, bit for bit, and torch's plain Adam to rounding."""

import pytest
import torch

from components.train.optimizer import Adam


def make() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((5, 3), (7,), (2, 2))]


def give_gradients(parameters: list[torch.nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for each in parameters[:-1]:  # the last never has one
        each.grad = torch.randn(each.shape, generator=generator)


@pytest.mark.parametrize("fused", [True, False])
def test_equals_torch_for_many_steps_with_changing_rate_and_decay(fused: bool) -> None:
    ours, theirs = make(), make()
    adam = Adam(ours, learning_rate=0.1, weight_decay=5e-4)
    reference = torch.optim.Adam(theirs, lr=0.1, weight_decay=5e-4, fused=fused)
    for step in range(20):
        adam.learning_rate = reference.param_groups[0]["lr"] = 0.1 / (step + 1)
        for parameters, optimizer in ((ours, adam), (theirs, reference)):
            optimizer.zero_grad()
            give_gradients(parameters, step)
            optimizer.step()
    for a, b, start in zip(ours, theirs, make(), strict=True):
        assert torch.equal(a, b) if fused else torch.allclose(a, b, rtol=1e-5, atol=1e-6)
        assert torch.equal(a, start) == (a.shape == (2, 2))


def test_goes_on_from_its_state() -> None:
    straight, broken = make(), make()
    first, second = Adam(straight, learning_rate=0.1), Adam(broken, learning_rate=0.1)
    for step in range(3):
        give_gradients(straight, step)
        first.step()
    for step in range(2):
        give_gradients(broken, step)
        second.step()
    third = Adam(broken, learning_rate=0.1)
    third.load_state_dict(second.state_dict())
    give_gradients(broken, 2)
    third.step()
    assert all(torch.equal(a, b) for a, b in zip(straight, broken, strict=True))
