"""Whether a server answers, asked with the standard library alone: at once where there is none, never by a proxy."""

import http.client
from contextlib import closing
from urllib.parse import urlsplit

TIMEOUT = 3.0  # seconds that a busy server has to answer; where there is none, the answer is immediate


def answers(address: str, below: int = 400) -> bool:
    """Whether a server answers a GET of an address, with a status below a limit."""
    url = urlsplit(address)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    try:
        with closing(kind(url.hostname or "", url.port, timeout=TIMEOUT)) as connection:
            connection.request("GET", url.path or "/")
            return connection.getresponse().status < below
    except (OSError, http.client.HTTPException, ValueError):
        return False
