"""`dbdflow push` and `pull`: a small real repository, a real S3 server on the loopback, folders as remotes."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest
from click.testing import CliRunner
from dvc.repo import Repo

from pipelines.cli import main
from pipelines.system.progress import Progress
from tests.flows.conftest import Checkout, free_port, until

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # DVC's, of its own library

DBDFLOW = str(Path(sys.executable).with_name("dbdflow"))
ENVIRONMENT = {"RAN": os.devnull}
STAGES = {
    "first": {
        "cmd": "mkdir data/out && cp data/in.txt data/out/a && echo 7 > data/out/b && echo first >> $RAN",
        "deps": ["data/in.txt"],
        "outs": ["data/out"],
    },
    "second": {
        "cmd": "cat data/out/a data/out/b > data/total && echo second >> $RAN",
        "deps": ["data/out"],
        "outs": ["data/total"],
    },
}
FLIPPED = b"1 2 2"  # of "1 2 3"


def object_of(content: bytes) -> str:
    """Where DVC keeps a file's content in a remote."""
    name = hashlib.md5(content).hexdigest()
    return f"files/md5/{name[:2]}/{name[2:]}"


@pytest.fixture
def shared_by(checkout: Checkout, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """The repository, reproduced and committed, with a folder for its remote."""
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    found = Checkout(tmp_path / "shared")
    shutil.copytree(template, found.root)
    name_remote(found, f"url = {tmp_path / 'remote'}")
    commit(found)
    return found


def name_remote(checkout: Checkout, *lines: str) -> None:
    told = ["[core]", "analytics = false", "check_update = false", "remote = store", "['remote \"store\"']", *lines]
    checkout.write(".dvc/config", "\n".join(told) + "\n")


def commit(checkout: Checkout) -> None:
    for words in (("add", "."), ("commit", "--quiet", "--message", "reproduced")):
        assert checkout.run("git", *words).returncode == 0


def clone(checkout: Checkout, name: str) -> Checkout:
    other = Checkout(checkout.root.with_name(name))
    assert checkout.run("git", "clone", "--quiet", str(checkout.root), str(other.root)).returncode == 0
    return other


def called(checkout: Checkout, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str]:
    """`dbdflow` in this process."""
    monkeypatch.chdir(checkout.root)
    done = CliRunner().invoke(main, words)
    return done.exit_code, done.output


# ---- S3


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Address of an empty bucket on a real S3 server."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        address = f"http://127.0.0.1:{port}/outputs"
        try:
            until(lambda: put(address), 60)
            yield address
        finally:
            server.kill()


SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, Signature=0",
    "Content-Type": "application/octet-stream",
}


def put(address: str, content: bytes = b"") -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, content, SIGNED, method="PUT"), timeout=5):
            return True
    except (OSError, HTTPError):
        return False


def test_outputs_go_to_s3_and_come_back_and_a_flipped_byte_is_named(
    shared_by: Checkout, bucket: str, tmp_path: Path
) -> None:
    name_remote(shared_by, "url = s3://outputs/store", f"endpointurl = {bucket.removesuffix('/outputs')}")
    commit(shared_by)
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    sent = shared_by.run(DBDFLOW, "push", **keys)
    assert (sent.returncode, sent.stderr) == (0, "")
    assert sent.stdout.startswith("4 objects sent, 0 were there, in ")  # a, b, their listing, the total

    other = clone(shared_by, "other")
    pulled = other.run(DBDFLOW, "pull", **keys)
    assert (pulled.returncode, pulled.stderr) == (0, "")
    assert pulled.stdout.startswith("2 outputs in place, 4 objects fetched and checked, in ")
    with Repo(str(other.root)) as repo:
        assert repo.status() == {}
    assert (other.root / "data/total").read_text() == "1 2 37\n"
    assert not (tmp_path / "ran").exists(), "nothing was run"

    where = object_of(b"1 2 3")
    assert put(f"{bucket}/store/{where}", FLIPPED)
    third = clone(shared_by, "third")
    damaged = third.run(DBDFLOW, "pull", **keys)
    assert damaged.returncode == 1
    assert damaged.stderr.splitlines() == [
        f"error: data/out/a: damaged in the remote (s3://outputs/store/{where} has the MD5 "
        f"{hashlib.md5(FLIPPED).hexdigest()})",
        "Where they are whole, `dbdflow push --again` sends them anew; or make them here: `dbdflow reproduce first`",
    ]
    assert damaged.stdout.startswith("1 outputs in place, 3 objects fetched and checked, in ")
    assert not (third.root / ".dvc/cache" / where).exists()
    assert not (third.root / "data/out").exists()
    assert (third.root / "data/total").read_text() == "1 2 37\n"


def test_no_address_of_the_network_is_asked_for_credentials(shared_by: Checkout, bucket: str, tmp_path: Path) -> None:
    name_remote(shared_by, "url = s3://outputs/store", f"endpointurl = {bucket.removesuffix('/outputs')}")
    with socket.create_server(("127.0.0.1", 0)) as metadata:
        metadata.setblocking(False)
        told = {"HOME": str(tmp_path), "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{port_of(metadata)}"}
        done = shared_by.run(DBDFLOW, "push", **told)
        with pytest.raises(BlockingIOError):
            metadata.accept()
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "does not do what is asked (NoCredentialsError: Unable to locate credentials); look at" in done.stderr


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


# ---- a folder


def test_what_is_damaged_in_a_folder_is_named_and_put_right(
    shared_by: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert called(shared_by, monkeypatch, "push")[1].startswith("4 objects sent, 0 were there")
    damaged = tmp_path / "remote" / object_of(b"1 2 3")
    damaged.chmod(0o644)
    damaged.write_bytes(FLIPPED)
    damaged.chmod(0o444)  # DVC takes a file with these rights for whole
    (listing,) = (tmp_path / "remote").rglob("*.dir")
    whole = listing.read_text()
    listing.chmod(0o644)
    listing.write_text(whole.replace('"b"', '"c"'))

    other = clone(shared_by, "other")
    code, said = called(other, monkeypatch, "pull")
    assert code == 1
    assert f"error: data/out: damaged in the remote ({listing} has the MD5 " in said
    assert called(shared_by, monkeypatch, "push", "data/out", "--again")[1].startswith("3 objects sent, 0 were there")
    code, said = called(other, monkeypatch, "pull", "first")
    assert (code, said.startswith("1 outputs in place, 3 objects fetched and checked")) == (0, True)
    assert (other.root / "data/out/a").read_bytes() == b"1 2 3"
    assert called(shared_by, monkeypatch, "push")[1].startswith("0 objects sent, 4 were there")

    here = shared_by.root / ".dvc/cache" / object_of(b"1 2 3")
    here.chmod(0o644)
    here.write_bytes(FLIPPED)
    here.chmod(0o444)
    shutil.rmtree(shared_by.root / "data/out")
    code, said = called(shared_by, monkeypatch, "push", "--again")
    assert (code, f"error: data/out/a: damaged in this machine's cache ({here} has the MD5 " in said) == (1, True)
    code, said = called(shared_by, monkeypatch, "pull")
    assert (code, said.startswith("2 outputs in place, 1 objects fetched and checked")) == (0, True)
    assert (shared_by.root / "data/out/a").read_bytes() == b"1 2 3"

    here.unlink()
    code, said = called(shared_by, monkeypatch, "push", "--again")
    assert (code, "error: data/out/a: not in this machine's cache" in said) == (1, True)
    assert "1 objects sent" not in said
    damaged.unlink()
    code, said = called(clone(shared_by, "third"), monkeypatch, "pull")
    assert (code, f"data/out/a: not in the remote ({damaged})" in said) == (1, True)


@pytest.mark.parametrize(
    ("lines", "words", "message"),
    [
        (["url = /nowhere"], ["pull", "data/aut"], "data/aut: no output or stage of dvc.lock, e.g. data/total"),
        (["url = /nowhere"], ["pull", "-r", "other"], "pull: config file error: remote 'other' doesn't exist"),
        (["url = http://127.0.0.1:1/x"], ["push"], "http://127.0.0.1:1/x/files/md5 does not do what is asked (Cl"),
    ],
)
def test_what_cannot_be_shared_is_one_message(
    shared_by: Checkout, monkeypatch: pytest.MonkeyPatch, lines: list[str], words: list[str], message: str
) -> None:
    name_remote(shared_by, *lines)
    code, said = called(shared_by, monkeypatch, *words)
    assert code == 2
    assert message in said
    assert len(said.splitlines()) == 1


def test_what_was_changed_here_stays(shared_by: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert called(shared_by, monkeypatch, "push")[0] == 0
    mine = shared_by.root / "data/out/mine"
    mine.write_text("nowhere else")
    code, said = called(shared_by, monkeypatch, "pull")
    assert code == 2
    assert said.startswith("error: pull: Can't remove the following unsaved files without confirmation. Use `--force`")
    assert (str(mine) in said, len(said.splitlines())) == (True, 1)
    assert mine.read_text() == "nowhere else"
    assert called(shared_by, monkeypatch, "pull", "--force")[0] == 0
    assert not mine.exists()


def test_what_has_come_stays_where_one_is_stopped(shared_by: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert called(shared_by, monkeypatch, "push")[0] == 0
    other = clone(shared_by, "other")

    def stop(_: Progress, done: int, total: int, message: str) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "show", stop)
        code, said = called(other, monkeypatch, "pull")
    assert (code, said.startswith("interrupted")) == (130, True)
    assert len([path for path in (other.root / ".dvc/cache").rglob("*") if path.is_file()]) == 1
    assert not (other.root / "data/total").exists()
    assert called(other, monkeypatch, "pull")[1].startswith("2 outputs in place, 3 objects fetched and checked")
