"""Feature-alignment projectors of the distillation (paper section III.B, A_theta of eq. 3)."""

from collections.abc import Sequence

from torch import Tensor, nn

from components.models.layers import each


class Projectors(nn.Module):
    """A 1x1 convolution without bias for each level, from the student's channels to the teacher's.

    The weights start Xavier normal, as in the published code; the paper does not say.

    Args:
        student_channels: of the student's features, deepest first.
        teacher_channels: of the teacher's features, deepest first.

    Raises:
        ValueError: the two have different numbers of levels.
    """

    def __init__(self, student_channels: Sequence[int], teacher_channels: Sequence[int]) -> None:
        super().__init__()
        channels = zip(student_channels, teacher_channels, strict=True)
        self.convs = nn.ModuleList([nn.Conv2d(student, teacher, 1, bias=False) for student, teacher in channels])
        for weight in self.parameters():
            nn.init.xavier_normal_(weight)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Levels of (B, student channels, h, w) -> (B, teacher channels, h, w), deepest first."""
        return each(self.convs, features)
