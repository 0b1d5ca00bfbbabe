"""A Chromium without a window, driven by its DevTools protocol over a pipe, which needs no library."""

import base64
import itertools
import json
import os
import selectors
import shutil
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
]
PATIENCE = 60
KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " "), "ArrowRight": (39, ""), "End": (35, "")}


class Browser:
    def __init__(self, profile: Path) -> None:
        reads, theirs_out = os.pipe()
        theirs_in, writes = os.pipe()
        flags = [*FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        # Chromium reads what it is told from descriptor 3 and answers on 4.
        shell = ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", CHROMIUM, *flags]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(shell, pass_fds=(theirs_in, theirs_out), **quiet)
        os.close(theirs_in)
        os.close(theirs_out)
        self._reads, self._writes = reads, writes
        self._numbers, self._rest, self._session = itertools.count(1), b"", {}
        self._events: list[dict[str, Any]] = []
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(reads, selectors.EVENT_READ)
        page = next(each for each in self.tell("Target.getTargets")["targetInfos"] if each["type"] == "page")
        attached = self.tell("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **params: object) -> dict[str, Any]:
        """What the browser answers to a command of the protocol."""
        return self._answer(method, self._ask(method, **params))

    def wait(self, method: str) -> None:
        """Until an event comes that has not been waited for."""
        while not any(event["method"] == method for event in self._events):
            self._events.append(self._next())
        names = [event["method"] for event in self._events]
        del self._events[names.index(method)]

    def open(self, page: Path, *, width: int = 1280, scheme: str = "light", media: str = "") -> None:
        """Load a page in a window of this width, in light or dark, on screen or (`media="print"`) as if printed."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.tell("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.tell("Emulation.setEmulatedMedia", media=media, features=features)
        self._events.clear()
        self.tell("Page.navigate", url=page.as_uri())
        self.wait("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of an expression, or of the promise that it is."""
        answer = self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, times: int = 1) -> None:
        code, text = KEYS[key]
        named = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        kinds = [("keyDown" if text else "rawKeyDown", text), ("keyUp", "")] * times
        method = "Input.dispatchKeyEvent"
        for number in [self._ask(method, type=kind, text=typed, **named) for kind, typed in kinds]:
            self._answer(method, number)

    def screenshot(self) -> bytes:
        return base64.b64decode(self.tell("Page.captureScreenshot")["data"])

    def pdf(self) -> bytes:
        return base64.b64decode(self.tell("Page.printToPDF")["data"])

    def problems(self) -> list[str]:
        """Exceptions, and what was written to the console, since the page was opened."""
        kinds = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}
        return [json.dumps(event["params"]) for event in self._events if event["method"] in kinds]

    def close(self) -> None:
        self._session = {}
        try:
            self.tell("Browser.close")
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
            self._waiting.close()
            os.close(self._reads)
            os.close(self._writes)

    def _ask(self, method: str, **params: object) -> int:
        number = next(self._numbers)
        message = json.dumps({"id": number, "method": method, "params": params, **self._session}).encode() + b"\0"
        while message:
            message = message[os.write(self._writes, message) :]
        return number

    def _answer(self, method: str, number: int) -> dict[str, Any]:
        while (answer := self._next()).get("id") != number:
            self._events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert self._waiting.select(PATIENCE), f"Expected a word of the browser within {PATIENCE} s, but got none."
            more = os.read(self._reads, 2**20)
            assert more, "The browser ended."
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)
