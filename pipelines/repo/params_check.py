"""params.yaml is checked before anything starts: DVC removes a stage's outputs, and only then would the stage object.

The check imports pydantic and reads the file in 0.3 s, so that what it found right last is remembered by its hash.
"""

import hashlib
from pathlib import Path

from components.common.errors import InputError
from components.common.storage import atomic_path

SCHEMA = Path("components", "params.py")


def check_params(root: Path) -> None:
    """Make sure that a checkout's params.yaml is what its stages will take.

    A checkout without the schema has stages of other parameters, and a missing file is `pipelines.repo.dag`'s to tell.

    Raises:
        InputError: a key is unknown, missing, ill-typed or out of range, all of them in one message; or a name is
            one of nothing.
    """
    files = (root / "params.yaml", root / SCHEMA)
    if not all(file.is_file() for file in files):
        return
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
    seen = root / ".dbdflow" / "params_checked"
    if seen.exists() and seen.read_text(encoding="utf-8") == digest:
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
    with atomic_path(seen) as path:
        path.write_text(digest, encoding="utf-8")
