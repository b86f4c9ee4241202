"""What the study compares: rows (trainings) and claims about them, as `claims.yaml` has them (docs/study.md)."""

import hashlib
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from components.common.yaml_files import read_yaml
from components.params import Params, parse_params
from components.train.schedules import distillation_weight

FILE = "claims.yaml"
SCORES = "scores"
"""Of a run: the folder that appears last."""
MARGIN = 0.0015
"""Of a claim for which the paper has no number: half of C1's gain in MAE."""
Test = Literal["gain", "no_gain", "within_seed"]


@dataclass(frozen=True)
class Row:
    """A training, of which every seed makes one.

    Attributes:
        name: of the row.
        title: as people read it.
        run: of the preset.
        first: the row whose weights are its defocus teacher; empty in stage 1.
        changes: of the preset's values, by dotted key.
        constant_beta: whether beta is the mean of its schedule (equation 9) in every epoch.
        shuffled: whether its depth teacher sees another photograph of the batch.
        test: the split that it is scored on.
    """

    name: str
    title: str
    run: str
    first: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    constant_beta: bool = False
    shuffled: bool = False
    test: str = "CUHK-TE-1"

    def params(self, preset: dict[str, Any], seed: int) -> Params:
        """The preset's values with this row's changes and a seed."""
        values = changed(preset, {**self.changes, "seed": seed})
        if self.constant_beta:
            stage2 = values["stage2"]
            how = {"epochs": stage2["epochs"], "beta": stage2["beta"], "hold": stage2["beta_hold"]}
            spent = sum(distillation_weight(epoch + 1, rule="paper", **how) for epoch in range(stage2["epochs"]))
            stage2 |= {"beta": spent / stage2["epochs"], "beta_hold": stage2["epochs"]}
        return parse_params(values, f"row {self.name}")


def changed(preset: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The preset's values with others at some dotted keys."""
    values = deepcopy(preset)
    for key, value in changes.items():
        *sections, last = key.split(".")
        inner = values
        for section in sections:
            inner = inner[section]
        assert last in inner, f"the preset has no {key}"
        inner[last] = value
    return values


@dataclass(frozen=True)
class Places:
    """Where things lie.

    Attributes:
        inputs: hashes of what was imported: photographs, labels and depth maps; the encoder's weights.
        prepared: the prepared sets.
        inbox: imported weights of encoders.
        depth_teacher: its folder.
        runs: a folder a run.
        probe: seconds that a step takes.
    """

    inputs: str
    prepared: Path
    inbox: Path
    depth_teacher: Path
    runs: Path
    probe: Path

    def run(self, row: Row, seed: int, params: Params) -> Path:
        """The folder of a run: other values or inputs are another folder, so that nothing of others is ever taken."""
        told = f"{params.model_dump_json()} {row.first} {row.shuffled} {row.test} {self.inputs}"
        return self.runs / f"{row.name}-{seed}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Claim:
    """A claim about two rows.

    Attributes:
        name: "C1", ...
        says: the claim, in words.
        first, second: names of rows; a positive gain, MAE of the first less that of the second, speaks for the second.
        paper: the paper's gain; None where it has none.
        test: what makes it hold (docs/study.md, "The test").
        of: "maps", or "texture": the gain in homogeneous regions in focus less that in textured ones.
    """

    name: str
    says: str
    first: str
    second: str
    paper: float | None = None
    test: Test = "gain"
    of: Literal["maps", "texture"] = "maps"

    @property
    def margin(self) -> float:
        """Half of the paper's gain, or of C1's."""
        return MARGIN if self.paper is None else self.paper / 2


@dataclass(frozen=True)
class Design:
    """The whole of `claims.yaml`.

    Attributes:
        scales: changes of the preset's values, by name.
        rows: by name, in the order in which they run.
        groups: names of rows that run seed by seed, one group after the other.
        choices: rows by which the learning rate was chosen.
        claims: in order.
    """

    scales: dict[str, dict[str, Any]]
    rows: dict[str, Row]
    groups: list[list[str]]
    choices: dict[str, Row]
    claims: list[Claim]

    def row(self, name: str) -> Row:
        """A row, or one of `choices`."""
        return (self.rows | self.choices)[name]

    def order(self, seeds: list[int]) -> list[tuple[Row, int]]:
        """All trainings, in the order in which they run: whatever prefix of it has run is of use."""
        return [(self.rows[name], seed) for group in self.groups for seed in seeds for name in group]


def design() -> Design:
    """Read `claims.yaml`."""
    values = read_yaml(Path(__file__).with_name(FILE))
    rows, choices = ({name: Row(name, **each) for name, each in values[key].items()} for key in ("rows", "choices"))
    claims = [Claim(name, **each) for name, each in values["claims"].items()]
    groups: list[list[str]] = values["groups"]
    scales: dict[str, dict[str, Any]] = values["scales"]
    return Design(scales, {name: rows[name] for group in groups for name in group}, groups, choices, claims)
