"""The one schema of `params.yaml` and `presets/*.yaml`: typed, frozen, strict.

A section belongs to a stage of `dvc.yaml`; what several stages share stands at the top. Every key must be written:
a params file says the whole experiment. An unknown or ill-typed key is an `InputError` that names it.
"""

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.common.errors import InputError
from components.common.yaml_files import read_yaml
from components.recipe import Recipe, Resolved, TrainingSplit, resolve

EXTERNAL = "external"
"""Where the scores of published maps lie among those of the runs; no run may be called so."""

FromRecipe = Literal["recipe"]
Loss = Literal["bce", "bce&el", "bce&iou"]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Positive = Annotated[int, Field(ge=1, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""What NumPy takes."""
Threads = Annotated[int, Field(ge=0, le=1024)]
Side = Annotated[int, Field(ge=32, le=4096, multiple_of=32)]
Rate = Annotated[float, Field(gt=0, le=1000)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Pretrained = bool | str
NonNegative = Annotated[float, Field(ge=0, le=1_000_000)]


def _name(text: str) -> str:
    """A name that becomes a folder and part of a stage's name; DVC takes a `.` in it (stage1_runs.NAME) for a step."""
    if not re.fullmatch(r"[a-z0-9_][a-z0-9_-]{0,63}", text):
        raise ValueError(f"{text[:70]!r} is no name; expected 1 to 64 of a-z, 0-9, _ and -, the first one no -")
    return text


def _title(text: str) -> str:
    if not (text.strip() and text.isprintable() and len(text) <= 100):
        raise ValueError(f"{text[:70]!r} is no name; expected a line of 1 to 100 printable characters")
    return text


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(options, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected finite numbers, text, true, false, lists and mappings ({error})") from error
    return options


Name = Annotated[str, AfterValidator(_name)]
Title = Annotated[str, AfterValidator(_title)]
Options = Annotated[dict[str, Any], AfterValidator(_plain)]


class Section(BaseModel):
    """A part of the params file: frozen, strictly typed, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Runtime(Section):
    """Where and how exactly the arithmetic runs."""

    device: Literal["auto", "cpu", "cuda"] = Field(description="auto: CUDA when there is one")
    precision: Literal["float32", "bfloat16"] = Field(
        description="bfloat16: autocast in training's forward pass, cached features in float16; published: float32"
    )
    deterministic: bool = Field(description="bit-identical reruns on the same machine, at some cost on CUDA")
    threads: Threads = Field(description="CPU threads of torch (they move the last bits of a CPU result); 0: all cores")


class Render(Section):
    """The miniature's camera and scenes: a thin lens (see components/render/optics.py)."""

    seed: Seed = Field(description="image i of a set depends on (seed, set, i) alone")
    size: Annotated[int, Field(ge=32, le=640)] = Field(description="pixels, height of a CUHK, DUT or CTCUG stand-in")
    cuhk: Positive = Field(description="images of CUHK, training and test")
    cuhk_test: Positive = Field(description="images of CUHK-TE-1, and of CUHK-TE-2; at most half of cuhk")
    dut_train: Positive = Field(description="images")
    dut_test: Positive = Field(description="images")
    ctcug: Positive = Field(description="images")
    ebd_shallow: Positive = Field(description="images; the stand-in of EBD(1305)")
    ebd_wide: Positive = Field(description="images")
    focal_length_mm: Annotated[float, Field(ge=10, le=300)] = Field(description="millimetres")
    sensor_width_mm: Annotated[float, Field(ge=5, le=60)] = Field(description="millimetres over the image's width")
    f_number_shallow: Annotated[float, Field(ge=0.9, le=32)] = Field(description="1.8 in EBD (paper, IV.A)")
    f_number_wide: Annotated[float, Field(ge=0.9, le=64)] = Field(description="16 in EBD (paper, IV.A)")
    focus_near_m: Annotated[float, Field(gt=0, le=50)] = Field(description="metres, nearest focus distance")
    focus_far_m: Annotated[float, Field(gt=0, le=50)] = Field(description="metres, farthest focus distance")
    coc_limit_px: Annotated[float, Field(ge=0.5, le=10)] = Field(
        description="pixels of a picture `size` wide; a surface with a larger circle of confusion is out of focus"
    )
    noise: Annotated[float, Field(ge=0, le=0.2)] = Field(description="std at mid grey, linear light, white = 1")
    jpeg_quality: Annotated[int, Field(ge=50, le=100)] = Field(description="of the photographs")

    @model_validator(mode="after")
    def _possible(self) -> "Render":
        if 2 * self.cuhk_test > self.cuhk:
            raise ValueError(f"cuhk_test is {self.cuhk_test}, expected at most half of cuhk, {self.cuhk}")
        if self.focus_near_m > self.focus_far_m:
            raise ValueError(f"focus_near_m is {self.focus_near_m}, expected at most focus_far_m, {self.focus_far_m}")
        return self


class Download(Section):
    """Where the data come from."""

    source: Literal["rendered", "archives"] = Field(
        description="rendered: the miniature's stand-ins; archives: what was imported, else fetched from its authors"
    )
    without: list[str] = Field(
        description="sets, lists, weights and checkpoints to go without (names: `dbdflow status`): neither fetched nor "
        "an error; what needs them is reported as not available"
    )
    render: Render


class Prepare(Section):
    """Labels made canonical, images at network size."""

    partial: bool = Field(description="accept fewer images than the published set has (the miniature)")
    large_size: Annotated[int, Field(ge=0, le=2048)] = Field(
        description="pixels, a second size of photographs and labels of sets to train on, to take crops from; 0: none"
    )


class DepthTeacher(Section):
    """The monocular depth estimation model of stage 2 and R-DFFNet (paper, III.B)."""

    source: Literal["trained", "midas_v21"] = Field(
        description="trained: here, on the depth of CUHK-TR-1-FIT (rendered, or the folder of depth maps that was "
        "imported with the photographs); midas_v21: the published weights, imported or fetched"
    )
    backbone: str = Field(description="timm name; resnext101_32x8d is MiDaS v2.1's")
    backbone_options: Options = Field(description="keywords for timm's constructor")
    pretrained: Pretrained = Field(description="of the backbone, where it is trained here; see stage1_runs")
    width: Positive = Field(description="channels of the decoder; 256 in MiDaS v2.1")
    epochs: Count = Field(description="of training here")
    batch_size: Positive
    learning_rate: Rate
    seed: Seed


class Teacher(Section):
    """How stage 2 sees its teachers."""

    mode: Literal["recipe", "cached", "online"] = Field(
        description="cached: features computed once, teachers in eval(); online: of the very batch that the student "
        "sees. The paper recipe runs them online on a GPU and caches on a CPU; the published code cannot be cached"
    )
    cache_gb: Annotated[float, Field(gt=0, le=1_000_000)] = Field(
        description="GB (1e9 bytes) for what one teacher says of one training set: as many colour-jittered views of "
        "each image, both flips of each, as fit, one at least; epochs show them in turn, with one an epoch none repeats"
    )


class Augment(Section):
    """Random changes of training images (paper, IV.A); jitter's strength, not printed there, is 0.1 in the code."""

    flip_probability: Fraction = Field(description="0.5 in the paper")
    brightness: Fraction = Field(description="factor drawn from 1 - x to 1 + x")
    contrast: Fraction = Field(description="likewise")
    saturation: Fraction = Field(description="likewise")


class Training(Section):
    """What both stages share."""

    epochs: Positive = Field(description="75 in the paper; the schedules count on it")
    batch_size: Annotated[int, Field(ge=2, le=1_000_000)] = Field(description="images; 6 in the paper")
    learning_rate: Rate = Field(description="initial, of Adam; 1e-4 in the paper")
    poly_power: NonNegative = Field(description="0.9 in the paper")
    lambda_edge: NonNegative = Field(description="weight of the DOF-edge loss, equation 6; 0.5 in the paper")
    side_weight: NonNegative = Field(description="alpha of equations 7 and 8; 1 in the paper")
    augment: Augment


class Stage1(Training):
    """Stage 1: the defocus blur detector from its labels (paper, III.B and equation 7); R-DFFNet too (equation 10)."""

    lambda_depth: NonNegative = Field(description="R-DFFNet: weight of the depth outputs, equation 10; 1 in the paper")


class Stage2(Training):
    """Stage 2: depth feature distillation (paper, III.B and equations 3, 8, 9)."""

    beta: NonNegative = Field(description="start of the distillation weight, equation 9; 3 in the paper")
    beta_hold: Count = Field(description="epoch at which the weight drops; 15 in the paper")
    projector_learning_rate: Rate = Field(description="Adam; 1e-1, fixed (appendix B.B)")
    projector_weight_decay: NonNegative = Field(description="5e-4 (appendix B.B)")


class BestAugment(Augment):
    """Random changes of training images by the recipe `best`; images are mirrored left and right."""

    smallest_crop: Annotated[float, Field(gt=0, le=1)] = Field(
        description="shortest side of a crop, as a share of the photograph's; 1: no crops"
    )


class Best1(Section):
    """Stage 1 by the recipe `best`: ours, not the paper's (components/train/best.py; chosen: docs/cuhk.md)."""

    epochs: Positive
    size: Side = Field(description="pixels, side of what the network sees in training; maps are made at image_size")
    batch_size: Annotated[int, Field(ge=2, le=1_000_000)] = Field(description="images; a smaller last batch is dropped")
    learning_rate: Rate = Field(description="of AdamW, of the decoder, at its highest")
    encoder_rate: Annotated[float, Field(gt=0, le=1)] = Field(description="the encoder's, as a share of it")
    weight_decay: NonNegative = Field(description="decoupled")
    warm_up: NonNegative = Field(description="epochs over which the rate rises; then it falls along a cosine")
    averaging: Fraction = Field(description="share of the running average of the weights that a step keeps")
    iou_weight: NonNegative = Field(description="of 1 - soft IoU, for the loss bce&iou")
    side_weight: NonNegative = Field(description="of the mean over the side outputs")
    augment: BestAugment


class Best2(Best1):
    """Stage 2 by the recipe `best`: the student starts from its defocus teacher, and the weight is constant."""

    beta: NonNegative = Field(description="weight of the feature losses (equation 3)")
    projector_learning_rate: Rate = Field(description="Adam")
    projector_weight_decay: NonNegative


class Stage1Run(Section):
    """One training of stage 1."""

    training: Literal["stage1", "best1"] = Field(description="the section that says how: the paper's, or ours")

    model: Literal["dffnet", "dffnet_without_dffm", "dffnet_vgg16", "pdnet", "rdffnet"]
    backbone: str = Field(description="timm name; resnest101e in the paper")
    backbone_options: Options = Field(description="keywords for timm's constructor; {} in the paper")
    pretrained: Pretrained = Field(
        description="true: ImageNet weights, as imported (`dbdflow import NAME FILE`), else through timm; or the path "
        "of a file, relative to the checkout, of the backbone's weights or of a run's (the weights that ship), whose "
        "encoder is taken: that a file changed is not seen, of an import it is"
    )
    train: TrainingSplit
    loss: Loss = Field(description="el: with the DOF-edge loss; iou: with the overlap, of best1 alone")


class Stage2Run(Section):
    """One distillation: the student is built as its defocus teacher is, and trains on the same split."""

    training: Literal["stage2", "best2"] = Field(description="the section that says how: the paper's, or ours")
    teacher: str = Field(description="the stage-1 run whose weights are the defocus teacher")
    loss: Loss = Field(description="iou: of best2 alone")


class PublishedRun(Section):
    """One of the authors' checkpoints as a run; its name is the checkpoint's (see components/acquire/sources.py)."""

    model: Literal["dffnet", "dffnet_without_dffm", "dffnet_vgg16", "pdnet", "rdffnet"]
    backbone: str = Field(description="timm name; resnest101e")
    backbone_options: Options = Field(description="keywords for timm's constructor; {}")
    beside: str = Field(description="the run of ours that trains the same: its rows of the tables show both")


class Baseline(Section):
    """A method that is a function of a photograph (components/methods.py, docs/add-a-method.md)."""

    function: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")] = Field(
        description="`module:function` of this checkout: image uint8 (H, W, 3) RGB -> map (H, W) in [0, 1]"
    )
    code: str = Field(description="the file or folder of this checkout that holds the module: a change in it reruns")
    train: Literal["none"] | TrainingSplit = Field(description="split that the module's `fit` learns from first")

    @model_validator(mode="after")
    def _code_holds_the_module(self) -> "Baseline":
        module = PurePosixPath(*self.function.partition(":")[0].split("."))
        if PurePosixPath(self.code) not in (module.with_suffix(".py"), module, *module.parents[:-1]):
            raise ValueError(
                f"baselines: code is {self.code!r}, where {self.function!r} cannot lie; expected {module}.py, "
                "or a folder that holds it"
            )
        return self


class Departures(Section):
    """Each point at which the published code departs from the paper; `recipe` follows the recipe.

    Where the paper is silent, its recipe takes what the published code does.
    """

    flip: Literal["recipe", "vertical", "horizontal"] = Field(description="paper: vertical; code: horizontal")
    edge_reduction: Literal["recipe", "mean", "sum"] = Field(description="over the batch; paper: mean; code: sum")
    stage2_final_weight: FromRecipe | NonNegative = Field(
        description="final output in stage 2, of networks with side outputs (PDNet: 1); paper: 1; code: 1.1"
    )
    distill_weight: Literal["recipe", "paper", "published_code"] = Field(
        description="equation 9 as printed, or with 0 at the hold epoch"
    )
    epochs: Literal["recipe", "paper", "published_code"] = Field(
        description="paper: all; code: one fewer than its schedules count on"
    )
    poly: Literal["recipe", "paper", "published_code"] = Field(
        description="see components/train/schedules.py; paper: over the epochs; code: over five more, an epoch ahead"
    )
    teacher_batchnorm: Literal["recipe", "eval", "batch"] = Field(description="paper: frozen (eval); code: batch")
    gradient_clip: FromRecipe | NonNegative = Field(description="by value, 0 = none; paper: silent; code: 0.5")
    depth_outputs: Literal["recipe", "final_and_sides", "sides"] = Field(
        description="R-DFFNet; paper (equation 10): final output and sides; code: sides only"
    )
    upsample: Literal["recipe", "nearest", "bilinear"] = Field(
        description="of the map to the label's size; paper: silent; code: nearest"
    )
    iou: Literal["recipe", "pooled", "per_image"] = Field(description="paper: silent; code: pooled over pixels")
    ebd_iou_size: Literal["recipe", "network", "full"] = Field(
        description="size at which EBD's IoU is taken; paper: silent; code: of networks at network size, map and label "
        "from the label's size by nearest; of other methods full"
    )
    f_beta: Literal["recipe", "paper", "published_code"] = Field(
        description="rule of the networks' F-beta in Tables I to VI; paper: at 0.5; code: not below that of everything "
        "called blurred, which is what the paper's tables print. Both are scored"
    )


class Predict(Section):
    """Forward passes over the test sets."""

    batch_size: Positive = Field(description="images a forward pass")


class Params(Section):
    """A whole params file."""

    name: Title = Field(description="of the experiment; only `paper` is compared with the paper's numbers")
    recipe: Recipe = Field(description="what every departure left at `recipe` follows")
    seed: Seed = Field(
        description="of every training run, which has a seed of its own by its name: initial weights, order, "
        "augmentation; 42 in the published code"
    )
    image_size: Side = Field(description="pixels, network input; 320 (IV.A)")
    runtime: Runtime
    departures: Departures
    download: Download
    prepare: Prepare
    depth_teacher: DepthTeacher
    teacher: Teacher
    stage1: Stage1
    stage2: Stage2
    best1: Best1
    best2: Best2
    stage1_runs: dict[Name, Stage1Run]
    stage1_depth_runs: dict[Name, Stage1Run] = Field(description="R-DFFNet: one stage, the depth teacher's depth too")
    stage2_runs: dict[Name, Stage2Run]
    published: dict[Name, PublishedRun] = Field(description="the authors' checkpoints that are scored beside our runs")
    cached_sets: list[Literal["cuhk", "dut"]] = Field(description="training sets whose teacher features are cached")
    baselines: dict[Name, Baseline] = Field(description="methods that are a function of a photograph, by name")
    predicted: list[str] = Field(description="runs whose maps are made")
    evaluated: list[str] = Field(description="runs and methods of `baselines` that are scored and reported, in order")
    predict: Predict

    @property
    def resolved(self) -> Resolved:
        """The departures, decided."""
        return resolve(
            self.recipe,
            dict(self.departures.model_dump(), teacher_mode=self.teacher.mode),
            precision=self.runtime.precision,
            jitter=[_jitter(each.augment) for each in (self.stage1, self.stage2)],
        )

    def with_teachers_online(self) -> "Params":
        """The same, but with teachers that see every batch."""
        return self.model_copy(update={"teacher": self.teacher.model_copy(update={"mode": "online"})})

    @property
    def first_runs(self) -> dict[str, Stage1Run]:
        """All runs of one stage, those with depth outputs included."""
        return self.stage1_runs | self.stage1_depth_runs

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        for run, settings in self.stage2_runs.items():
            if settings.teacher not in self.stage1_runs:
                known = ", ".join(self.stage1_runs)
                raise ValueError(f"stage2_runs.{run}.teacher: {settings.teacher!r} is no stage-1 run; known: {known}")
        for name, runs in (("stage1_runs", self.stage1_runs), ("stage1_depth_runs", self.stage1_depth_runs)):
            for run, first in runs.items():
                if (first.model == "rdffnet") != (name == "stage1_depth_runs"):
                    raise ValueError(f"{name}.{run}.model: rdffnet belongs in stage1_depth_runs, the others do not")
        for name, trained in (
            ("stage1_runs", self.stage1_runs),
            ("stage1_depth_runs", self.stage1_depth_runs),
            ("stage2_runs", self.stage2_runs),
        ):
            for run, its in trained.items():
                if (its.loss == "bce&iou") != its.training.startswith("best"):
                    raise ValueError(
                        f"{name}.{run}.loss: {its.loss!r} with {its.training}; bce&iou is of best1 and best2 alone"
                    )
        models = [*self.first_runs, *self.stage2_runs, *self.published]
        methods = [*models, *self.baselines, EXTERNAL]
        if doubled := {method for method in methods if methods.count(method) > 1}:
            raise ValueError(f"{min(doubled)!r} names two runs or methods; rename one of them")
        _listed("predicted", self.predicted, models)
        _listed("evaluated", self.evaluated, [*self.predicted, *self.baselines])
        _listed("cached_sets", self.cached_sets, ["cuhk", "dut"])
        resolved = self.resolved
        may_cache = resolved.teacher_mode != "online"
        if may_cache and resolved.teacher_batchnorm == "batch":
            raise ValueError(
                "teacher.mode: cached features come from teachers in eval(), but departures.teacher_batchnorm is "
                "'batch'; set teacher.mode: online, or teacher_batchnorm: eval"
            )
        if may_cache and self.stage1_depth_runs:
            ours, cached = _jitter(self.stage1.augment), _jitter(self.stage2.augment)
            if ours != cached:
                raise ValueError(
                    f"stage1.augment: colour jitter {ours}, but stage2.augment has {cached}, and stage1_depth_runs "
                    "read cached views, which have stage 2's; make them equal, or set teacher.mode: online"
                )
        return self


def _jitter(augment: Augment) -> tuple[float, float, float]:
    return augment.brightness, augment.contrast, augment.saturation


def _listed(key: str, values: Sequence[str], known: Sequence[str]) -> None:
    for value in values:
        if value not in known:
            raise ValueError(f"{key}: {value!r} is not among {', '.join(known)}")
        if values.count(value) > 1:
            raise ValueError(f"{key}: {value!r} stands there {values.count(value)} times, expected once")


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check a params file.

    Raises:
        InputError: the file is missing, is no YAML, or a key is unknown, missing, ill-typed or out of range.
    """
    try:
        value = read_yaml(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; run inside the repository, or name a params file") from error
    return parse_params(value, str(path))


def parse_params(value: object, source: str) -> Params:
    """Check a params mapping; `source` names it in errors."""
    if not isinstance(value, dict):
        raise InputError(f"{source}: expected a mapping of sections, found {type(value).__name__}")
    try:
        return Params.model_validate(value)
    except ValidationError as error:
        raise InputError("\n".join(_lines(error, source))) from error


def _lines(error: ValidationError, source: str) -> list[str]:
    """A line for each wrong key; of a key that may be one of several kinds, all that it may be."""
    lines: dict[str, str] = {}
    for each in error.errors():
        line = _explain(dict(each), source)
        wrong, _, expected = line.partition(": Input should ")
        lines[wrong] = f"{lines[wrong]}, or {expected}" if wrong in lines else line
    return list(lines.values())


_UNION_MEMBERS = {
    "literal['recipe']",
    "float",
    "constrained-float",
    "[key]",
    "bool",
    "str",
}  # pydantic's own parts of a key's path


def _explain(error: dict[str, Any], source: str) -> str:
    where = [str(part) for part in error["loc"] if part not in _UNION_MEMBERS]
    key = ".".join(where)
    key = key if key.isprintable() and len(key) < 200 else repr(key[:70])
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, _known_keys(Params, where), n=1, cutoff=0)
        return f"{source}: unknown key `{key}`; the nearest valid key is `{near[0]}`"
    if error["type"] == "missing":
        return f"{source}: key `{key}` is missing; presets/ holds complete files"
    if error["type"] == "value_error":
        return f"{source}: {f'`{key}`: ' if key else ''}{error['ctx']['error']}"
    return f"{source}: `{key}` is {_shown(error['input'])} ({type(error['input']).__name__}): {error['msg']}"


def _shown(value: object) -> str:
    """A value in at most 100 characters; a whole number may be too long to be written."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= 100 else f"{text[:97]}..."


_S = TypeVar("_S", bound=BaseModel)
RUNS: dict[str, type[Section]] = {
    "stage1_runs": Stage1Run,
    "stage1_depth_runs": Stage1Run,
    "stage2_runs": Stage2Run,
    "published": PublishedRun,
    "baselines": Baseline,
}
"""Sections whose keys are names of runs, and what stands under each."""


def _known_keys(section: type[_S], where: list[str], prefix: str = "") -> list[str]:
    """Every valid dotted key; the names of runs are taken from the offending key itself."""
    keys = []
    for name, field in section.model_fields.items():
        key = f"{prefix}{name}"
        keys.append(key)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += _known_keys(inner, where, f"{key}.")
        elif name in RUNS and len(where) > 1:
            keys += _known_keys(RUNS[name], where, f"{key}.{where[1]}.")
    return keys
