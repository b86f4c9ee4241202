"""The page of `dbdflow look`: photographs in, maps out, on the loopback; 255 = in focus in every map.

The server keeps nothing: a photograph is read into memory when its turn has come, and its map is the answer. Pictures
are composed in the page (`page/views.js`), with the colours of `components.views.compose`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from components.common.errors import InputError, TryAgainError
from pipelines.servers.look_guard import Guard
from pipelines.servers.look_work import Made, make_map, make_photograph
from pipelines.servers.look_workers import Workers

PAGE = Path(__file__).parent / "page"
MEGABYTES = 128
"""Largest file that is taken."""
STALLED = 20.0
"""Seconds without a byte after which a photograph that is being sent gives up its turn."""
NOTICED = 0.01
"""Seconds within which it is seen that who sent a photograph went away while it waited for its turn."""
LONGEST_NAME = 100
WHOSE = "README.md"
"""Of the examples: who took them, and under which licence they may be shown."""
log = logging.getLogger(__name__)


def make_app(workers: Workers, models: Sequence[str], examples: Mapping[str, Path]) -> FastAPI:
    """The page and what it asks for.

    Args:
        workers: make the maps.
        models: names that may be asked for, as `find_detector` takes them; the page begins with those of `workers`.
        examples: photographs to try, and the text that says whose they are, by name.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard)
    app.add_exception_handler(AnyHTTPException, refused)
    app.add_exception_handler(RequestValidationError, refused)

    @app.get("/facts")
    def facts() -> dict[str, object]:
        from components.views.compose import STRENGTH, TINT

        colours = {"tint": TINT, "strength": STRENGTH}
        shown = {
            "models": list(models),
            "chosen": workers.models,
            "examples": [name for name in examples if name != WHOSE],
        }
        return {**shown, **colours, "megabytes": MEGABYTES}

    @app.get("/examples/{name}")
    def example(name: str) -> FileResponse:
        if name not in examples:
            raise HTTPException(404, f"{name}: none of the examples")
        return FileResponse(examples[name], media_type="text/plain" if name == WHOSE else None)

    @app.post("/map")
    async def map_of(request: Request, model: str, name: str = "") -> Response:
        if model not in models:
            raise HTTPException(404, f"{model!a}: not at hand; expected {', '.join(models)}")
        return await answer(workers, request, model, name, make_map, model, workers.device)

    @app.post("/photograph")
    async def photograph(request: Request, name: str = "") -> Response:
        return await answer(workers, request, "", name, make_photograph)

    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


async def answer(
    workers: Workers, request: Request, kind: str, name: str, function: Callable[..., Made], *words: object
) -> Response:
    """What a function makes of the photograph in a request, once a turn of its kind has come; errors are one line."""
    check_length(request)
    named = tame(name)
    try:
        async with workers.turns.turn(kind):
            made = await workers.run(function, *words, named, await received(request))
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it
    except asyncio.CancelledError as error:
        raise HTTPException(503, "`dbdflow look` was ended; start it and send the photograph again") from error
    except HTTPException:
        raise
    except Exception as error:
        raise excuse(named, error) from error
    return picture(made)


def excuse(name: str, error: Exception) -> HTTPException:
    """What is said of a photograph of which there is no map."""
    if isinstance(error, InputError):
        return HTTPException(503 if isinstance(error, TryAgainError) else 422, one_line(error))
    if isinstance(error, MemoryError):
        return HTTPException(503, f"{name}: not enough memory for it; close other programs and try again")
    log.error("%s", name, exc_info=error)
    return HTTPException(500, f"{name}: {type(error).__name__}, a fault of the program; report it")


def picture(made: Made) -> Response:
    """A picture as a file, and what is known of it in headers."""
    known = {"X-Size": made.size, "X-Seen-At": made.seen_at or (), "X-Counts": made.counts}
    headers = {name: " ".join(map(str, values)) for name, values in known.items()}
    return Response(made.png, media_type="image/png", headers={**headers, "X-Seconds": f"{made.seconds:.3f}"})


def check_length(request: Request) -> None:
    """Refuse a body that says itself that it is too large."""
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > MEGABYTES * 1e6:
        raise too_large(f"{int(stated) / 1e6:.0f}")


async def received(request: Request) -> bytes:
    """The body of a request.

    Raises:
        HTTPException: too large, or it does not come.
        ClientDisconnect: who sent it is gone.
    """
    body, stream = bytearray(), aiter(request.stream())
    try:
        while chunk := await asyncio.wait_for(anext(stream, b""), STALLED):
            body += chunk
            if len(body) > MEGABYTES * 1e6:
                raise too_large(f"over {MEGABYTES}")
    except TimeoutError as error:
        raise HTTPException(408, f"nothing came for {STALLED:.0f} seconds; send the photograph again") from error
    await asyncio.sleep(NOTICED)
    if await request.is_disconnected():
        raise ClientDisconnect
    return bytes(body)


def too_large(megabytes: str) -> HTTPException:
    return HTTPException(413, f"{megabytes} MB, and at most {MEGABYTES} are taken; use `dbdflow predict` for it")


def tame(name: str) -> str:
    """A file's name as errors and pictures may hold it, whatever was sent."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(each for each in last if each.isprintable()).strip(". ")[-LONGEST_NAME:] or "photograph"


def one_line(error: Exception) -> str:
    """A message without the traceback that some end with: what was said, and the error itself."""
    first, *more = str(error).splitlines() or [type(error).__name__]
    return f"{first} {more[-1].strip()}" if more else first


async def refused(request: Request, error: Exception) -> Response:
    """A refusal as plain text."""
    if isinstance(error, AnyHTTPException):
        return PlainTextResponse(f"{error.detail}\n", error.status_code)
    return PlainTextResponse(f"{request.url.path}: expected ?model=NAME&name=FILE\n", 422)
