"""A file that is not what it should be is told by how it begins."""

import pytest

from components.common.looks import looks_like

LFS = "a Git LFS pointer in place of the file (`git lfs pull` fetches it)"
QUOTA = b"<!DOCTYPE html><html><head><title>\n Google Drive -  Quota exceeded </title></head></html>"


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        (b"", "an empty file"),
        (QUOTA, "a web page titled 'Google Drive - Quota exceeded'"),
        (b"\xef\xbb\xbf\n<html lang=en>", "a web page"),
        (b"<!-- saved from a browser -->\n<HTML>", "a web page"),
        ("\ufeff<html><title>Sign in</title>".encode("utf-16-le"), "a web page titled 'Sign in'"),
        (b'<?xml version="1.0"?><Error>', "an XML text, such as servers send with an error"),
        (b'{"error": {"code": 403}}', "a JSON text, such as servers send with an error"),
        (b"version https://git-lfs.github.com/spec/v1\n", LFS),
        (b"PK\x03\x04....", "a zip archive"),
        (b"PK\x05\x06" + bytes(18), "an empty zip archive"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"\x89HDF\r\n", "an HDF5 file (Keras, MATLAB)"),
        (b"\xff\xd8\xff\xe0", "a JPEG image"),
        (bytes(512) + b"<html>", "a file of another kind"),
        (b"hello <html>", "a file of another kind"),
    ],
)
def test_what_a_file_seems_to_be(tmp_path, content, looks):
    (tmp_path / "file").write_bytes(content)
    assert looks_like(tmp_path / "file") == looks
