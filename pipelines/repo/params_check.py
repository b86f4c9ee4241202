"""params.yaml is checked before anything starts: DVC removes a stage's outputs, and only then would the stage object.

The check imports pydantic and reads the file in 0.3 s, so that what it found right last is remembered by its hash, with
the files that have to be there.
"""

import ast
import hashlib
import re
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from components.common.errors import InputError
from components.common.storage import atomic_path

SCHEMA = Path("components", "params.py")
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
MODEL = re.compile(r"^@register_model\ndef (\w+)\(", re.MULTILINE)


def check_params(root: Path) -> None:
    """Make sure that a checkout's params.yaml is what its stages will take.

    A checkout without the schema has stages of other parameters, and a missing file is `pipelines.repo.dag`'s to tell.

    Raises:
        InputError: a key is unknown, missing, ill-typed or out of range, all of them in one message; or a name is
            one of nothing, or a file is not there.
    """
    files = (root / "params.yaml", root / SCHEMA)
    if not all(file.is_file() for file in files):
        return
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
    seen = root / ".dbdflow" / "params_checked"
    known, *needed = seen.read_text(encoding="utf-8").splitlines() if seen.exists() else [""]
    if known == digest and all((root / path).is_file() for path in needed):
        return
    from components.acquire.sources import find_item
    from components.params import load_params

    params = load_params(files[0])
    for key, names in (("download.without", params.download.without), ("published", params.published)):
        for name in names:
            try:
                find_item(name)
            except InputError as error:
                raise InputError(f"{files[0]}: `{key}`: {error}") from None
    for name, method in params.baselines.items():
        check_function(files[0], f"baselines.{name}.function", method.function, root)
    named = {name: run.backbone for name, run in (params.first_runs | params.published).items()}
    for name, backbone in ({"depth_teacher": params.depth_teacher.backbone} | named).items():
        check_backbone(files[0], name, backbone)
    trained = {name: run.pretrained for name, run in params.first_runs.items()}
    if params.depth_teacher.source == "trained":
        trained["depth_teacher"] = params.depth_teacher.pretrained
    starts = {name: start for name, start in trained.items() if isinstance(start, str)}
    for name, start in starts.items():
        if not (root / start).is_file():
            raise InputError(
                f"{files[0]}: `pretrained` of {name}: {root / start}: no such file; name one of the backbone's weights "
                "or of a run's, relative to the checkout or absolute, or say true or false"
            )
    with atomic_path(seen) as path:
        path.write_text("\n".join([digest, *starts.values()]), encoding="utf-8")


def check_function(file: Path, key: str, function: str, root: Path) -> None:
    """Make sure that a method's function is there, without importing it.

    Raises:
        InputError: its module lies in the checkout, and has no function of this name.
    """
    module, _, wanted = function.partition(":")
    source = root / (module.replace(".", "/") + ".py")
    if source.is_file():
        names = {node.name for node in ast.parse(source.read_text(encoding="utf-8")).body if isinstance(node, FUNCTION)}
        if wanted not in names:
            near = get_close_matches(wanted, names, n=1, cutoff=0.0)
            raise InputError(f"{file}: `{key}`: {source} has no function {wanted!r}; did you mean {', '.join(near)}?")


@cache
def timm_models() -> frozenset[str]:
    """The models of timm; none where it is not installed."""
    spec = find_spec("timm")
    sources = Path(spec.origin).parent.glob("models/*.py") if spec and spec.origin else ()
    return frozenset(name for path in sources for name in MODEL.findall(path.read_text(encoding="utf-8")))


def check_backbone(file: Path, run: str, backbone: str) -> None:
    """Make sure that timm has a network of this name, without importing it (3 s): its models are functions.

    Raises:
        InputError: it has none.
    """
    known = timm_models()
    if known and backbone.partition(".")[0] not in known:
        near = ", ".join(get_close_matches(backbone, known, n=3, cutoff=0.4)) or "none"
        raise InputError(f"{file}: `{run}`: the backbone {backbone!r} is no model of timm; nearest names: {near}")
