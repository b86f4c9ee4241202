"""The published addresses, answered by a local server: a proxy that code under test reaches through its environment.

Plain HTTP comes by absolute address; HTTPS by CONNECT, behind a certificate made on the spot. Nothing is passed on:
what no rule serves is 404.
"""

import datetime
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com", "github.com", "huggingface.co")
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
"""Of a key; Python from 3.13 on wants them said."""
CHUNK = 16_384
QUOTA_PAGE = (
    b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>"
    b'<p class="uc-error-caption">Sorry, you can&#39;t view or download this file at this time.</p>\n'
    b'<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently. Please try accessing '
    b"the file again later.</p></body></html>"
)
GONE_PAGE = b"<!DOCTYPE html><html><head><title>Google Drive - Page Not Found</title></head><body>Sorry</body></html>"


@dataclass
class Rule:
    """What an address gives."""

    content: bytes = b""
    kind: str = "application/octet-stream"
    status: int = 200
    ranges: bool = True
    """Whether byte ranges are honoured."""
    cuts: list[int] = field(default_factory=list)
    """Bytes after which each of the first connections is cut."""
    failures: int = 0
    """Answers of 503 before the first good one."""
    pause_s: float = 0.0
    """Between chunks of 16 KiB."""
    attachment: bool = False
    """As Google Drive sends files; its pages come without."""


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for `HOSTS` that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local test")])
    now = datetime.datetime.now(datetime.UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    usage = dict.fromkeys(USAGES, False) | {"digital_signature": True, "key_cert_sign": True}
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(authority, critical=False)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(built.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


class Server:
    """The rules by address, the requests that came, and the environment that leads here."""

    def __init__(self, folder: Path) -> None:
        self.rules: dict[str, Rule] = {}
        self.requests: list[tuple[str, str]] = []
        """Address and Range header, empty where there is none."""
        self.cert, key = certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, key)
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"owner": self, "tls": context}))
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def close(self) -> None:
        """Stop answering."""
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def serve(self, address: str, content: bytes | Path, **rule: object) -> Rule:
        """Give `content` at `address`; see `Rule`."""
        data = content.read_bytes() if isinstance(content, Path) else content
        self.rules[address] = Rule(data, attachment="google" in address, **rule)  # type: ignore[arg-type]
        return self.rules[address]

    def page(self, address: str, html: bytes, status: int = 200) -> None:
        """Give a web page at `address`."""
        self.rules[address] = Rule(html, kind="text/html; charset=utf-8", status=status)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to come here, and nowhere else."""
        proxy = f"http://127.0.0.1:{self.http.server_port}"
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
        return dict.fromkeys(names, proxy) | {"REQUESTS_CA_BUNDLE": str(self.cert), "no_proxy": "", "NO_PROXY": ""}


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server for the length of a block."""
    server = Server(folder)
    try:
        yield server
    finally:
        server.close()


class Handler(BaseHTTPRequestHandler):
    """Answers by the rules of its server."""

    owner: Server
    tls: ssl.SSLContext
    protocol_version = "HTTP/1.1"
    host = ""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Close the tunnel too."""
        with suppress(OSError):
            super().finish()
        if self.host:
            self.connection.close()

    def do_CONNECT(self) -> None:
        host = self.path.partition(":")[0]
        if host not in HOSTS:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.host = host
        self.connection = self.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    def do_GET(self) -> None:
        address = f"https://{self.host}{self.path}" if self.host else self.path
        asked = self.headers.get("Range", "")
        self.owner.requests.append((address, asked))
        rule = self.owner.rules.get(address, Rule(b"nothing here", status=404))
        if rule.failures > 0:
            rule.failures -= 1
            rule = Rule(b"busy", status=503)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and rule.ranges and rule.status == 200 else 0
        if start >= len(rule.content) > 0:
            return self.answer(Rule(status=416), 0)
        return self.answer(rule, start)

    def answer(self, rule: Rule, start: int) -> None:
        body = rule.content[start:]
        self.send_response(206 if start else rule.status)
        if rule.kind:
            self.send_header("Content-Type", rule.kind)
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(rule.content) - 1}/{len(rule.content)}")
        if rule.attachment:
            self.send_header("Content-Disposition", 'attachment; filename="file"')
        self.end_headers()
        whole = rule.cuts.pop(0) if rule.cuts else len(body)
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            for place in range(0, min(whole, len(body)), CHUNK):
                self.wfile.write(body[place : min(place + CHUNK, whole)])
                time.sleep(rule.pause_s)
        if whole < len(body):
            self.close_connection = True
