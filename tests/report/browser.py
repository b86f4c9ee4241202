"""A headless Chromium driven over a pipe (the DevTools protocol), with nothing installed beside it."""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 30.0  # seconds for an answer or a condition


def find():
    """The browser's program, None where there is none; `DBDFLOW_CHROMIUM` may name it."""
    named = os.environ.get("DBDFLOW_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One process, one page of 1280 x 900 pixels."""

    def __init__(self, folder: Path):
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        high = [fcntl.fcntl(each, fcntl.F_DUPFD, 20) for each in (theirs_in, theirs_out)]  # out of the way of 3 and 4
        words = [find(), "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        words += ["--window-size=1280,900", "--hide-scrollbars", "--no-first-run", "--disable-background-networking"]
        words += [f"--user-data-dir={folder}", "--force-color-profile=srgb"]
        script = f'exec "$@" 3<&{high[0]} 4>&{high[1]}'
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", script, "browser", *words], pass_fds=high, stdout=log, stderr=log
            )
        for each in (theirs_in, theirs_out, *high):
            os.close(each)
        self.write, self.read = ours_out, ours_in
        self.numbers, self.buffer, self.session, self.events = itertools.count(1), b"", None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.size(1280)

    def size(self, width, height=900):
        """Show so many pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def in_schemes(self, expression):
        """What an expression is in the light, and in the dark; the page stays there."""
        found = {}
        for scheme in ("light", "dark"):
            self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            found[scheme] = self.js(expression)
        return found

    def call(self, method, **params):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _next(self):
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            chunk = os.read(self.read, 1 << 20)
            assert chunk, "the browser is gone"
            self.buffer += chunk
        line, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(line)

    def open(self, path: Path, fragment=""):
        """Open a page of the file system and wait until it is loaded."""
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri() + fragment)
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    def js(self, expression):
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not self.js(f"Boolean({condition})"):
            assert time.monotonic() < deadline, condition
            time.sleep(0.02)

    def key(self, name, code, text=""):
        """Press and release a key."""
        facts = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **facts)
        self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def complaints(self):
        """Errors that the page and its policy have logged since it was opened."""
        self.js("1")
        logged = [each["params"]["entry"] for each in self.events if each.get("method") == "Log.entryAdded"]
        thrown = [each["params"] for each in self.events if each.get("method") == "Runtime.exceptionThrown"]
        return [entry["text"] + entry.get("url", "") for entry in logged if entry["level"] == "error"] + thrown

    def picture(self, path: Path, clip=None):
        """A screenshot of the window, or of `clip` (x, y, width, height) of the page."""
        options = {}
        if clip:
            place = dict(zip(("x", "y", "width", "height"), clip, strict=True))
            options = {"clip": place | {"scale": 1}, "captureBeyondViewport": True}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **options)["data"]))

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        for each in (self.read, self.write):
            os.close(each)
