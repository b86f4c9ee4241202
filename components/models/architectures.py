"""Which network a file of weights seems to be of, by the names of its tensors: for messages about the wrong file."""

import re
from collections.abc import Iterable

from components.models.published import recognise

ARCHITECTURES = (
    (r"pretrained\.model\.blocks\.", "MiDaS v3 (DPT)"),
    (r"depth_head\.", "Depth Anything"),
    (r"pretrained\.layer1\.3\.", "MiDaS v2.1 small"),
    (r"pretrained\.layer1\.4\.", "MiDaS v2.1"),
    (r"backbone\.encoder\.", "a network of dbdflow, without the description that its .safetensors file has"),
    (r"layer1\.0\.conv2\.(fc1|conv|radix)", "a ResNeSt"),
    (r"layer1\.0\.", "a ResNet"),
    (r"features\.denseblock1\.", "a DenseNet"),
    (r"features\.\d+\.(0|conv)\.", "a MobileNet or EfficientNet of torchvision"),
    (r"features\.\d+\.weight", "a VGG"),
    (r"conv_stem\.", "a MobileNet or EfficientNet of timm"),
    (r"layers\.\d+\.blocks\.\d+\.attn\.", "a Swin Transformer"),
    (r"(blocks|encoder\.layers?)\.\d+\.(attn|attention|self_attention)", "a Vision Transformer"),
    (r"(stages\.\d+\.blocks|downsample_layers)\.", "a ConvNeXt"),
    (r"(inc|down1|up1)\.", "a U-Net"),
)
"""How a name begins that only this network has among those above it, and the network."""


def architecture(keys: Iterable[str]) -> str:
    """What tensors of these names are: "what looks like a ResNet", "tensors of no network known here"."""
    names = sorted(keys)
    for start, what in ARCHITECTURES:
        if any(re.match(start, name) for name in names):
            return f"what looks like {what}"
    known = recognise(names)
    return f"what looks like {known[0]} of D-DFFNet's authors" if known else "tensors of no network known here"
