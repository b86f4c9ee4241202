"""Backbones by name, their errors, and the short way to import timm."""

import subprocess
import sys

import pytest
import torch

from components.common.errors import InputError
from components.models.backbone import Backbone


def test_levels_are_deepest_first():
    backbone = Backbone("resnet10t", channels=(8, 16, 24, 40), stem_width=8)
    assert backbone.channels == (40, 24, 16, 8)
    assert backbone.strides == (32, 16, 8, 4)
    features = backbone(torch.zeros(1, 3, 64, 96))
    assert [tuple(feature.shape) for feature in features] == [
        (1, 40, 2, 3),
        (1, 24, 4, 6),
        (1, 16, 8, 12),
        (1, 8, 16, 24),
    ]


def test_levels_can_be_chosen():
    assert Backbone("vgg11", out_indices=(1, 2, 3, 4)).strides == (16, 8, 4, 2)


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("resnest101", {}, r"'resnest101': timm .* has no such model; nearest names: resnest101e"),
        ("resnet10t", {"colour": 1}, r"'resnet10t' .*colour.*check backbone_kwargs"),
        ("vit_tiny_patch16_224", {}, r"'vit_tiny_patch16_224': features of strides \(16, 16, 16, 16\)"),
        ("swin_tiny_patch4_window7_224", {}, r"layout NHWC"),
    ],
)
def test_what_cannot_be_a_backbone_is_refused(name, kwargs, message):
    with pytest.raises(InputError, match=message):
        Backbone(name, **kwargs)


def test_missing_weights_say_what_to_do():
    with pytest.raises(InputError, match=r"'resnet10t' \(pretrained: True.*set pretrained to false"):
        Backbone(
            "resnet10t", pretrained=True, pretrained_cfg_overlay={"hf_hub_id": None, "file": "/no/such/weights.pth"}
        )


def test_timm_comes_without_the_compiler_and_leaves_it_usable():
    _in_a_fresh_interpreter("""
        from components.models.timm_import import import_timm
        import_timm()
        assert "torch._dynamo" not in sys.modules
        assert "sympy" not in sys.modules
        compiled = torch.compile(lambda x: 2 * x.sin(), backend="eager")
        assert torch.equal(compiled(torch.ones(2)), 2 * torch.ones(2).sin())
        assert sys.modules["torch._dynamo"].__file__
        from torchvision.ops import roi_align
        assert roi_align(torch.ones(1, 1, 8, 8), [torch.tensor([[0.0, 0, 4, 4]])], 2).eq(1).all()
    """)


def test_stand_ins_make_room_when_more_is_asked():
    _in_a_fresh_interpreter("""
        from components.models import timm_import
        def asks_more():
            import torch._dynamo.config, torch._dynamo.utils
            assert torch._dynamo.config.__file__ and torch._dynamo.utils.counters is not None
            return "done"
        real = timm_import.import_module
        timm_import.import_module = lambda name: asks_more() if name == "timm" else real(name)
        assert timm_import.import_timm() == "done"
        assert type(sys.modules["torch._dynamo"]) is type(sys)
        assert torch._dynamo.config is sys.modules["torch._dynamo.config"]
    """)


def test_the_package_imports_no_torch():
    _in_a_fresh_interpreter(
        """
        import components.models
        assert components.models.MODEL_NAMES[0] == "dffnet"
        assert "torch" not in sys.modules
    """,
        torch=False,
    )


def _in_a_fresh_interpreter(code: str, torch: bool = True) -> None:
    lines = ["import sys", *(["import torch"] if torch else []), *(line[8:] for line in code.splitlines())]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
