"""A real Chromium, driven over the DevTools protocol: no driver program and no new dependency."""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from websockets.sync.client import connect


class Browser:
    """One headless page. ``problems`` collects every console error, exception, CSP report and request made."""

    def __init__(self, profile: Path, width=1280, height=900):
        program = (
            shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        )
        assert program, (
            "this test opens the report in Chromium: install it (Debian: apt-get install chromium)"
        )
        self._process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--mute-audio",
             "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run", "--disable-extensions",
             f"--window-size={width},{height}", f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.problems: list[str] = []
        self._id = 0
        self._open = ExitStack()
        try:
            address = self._page_address(profile)
            self._socket = self._open.enter_context(connect(address, max_size=2**28, ping_interval=None))
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def _page_address(self, profile: Path) -> str:
        file = profile / "DevToolsActivePort"
        deadline = time.monotonic() + 120
        while not (file.is_file() and file.read_text().count("\n")):
            assert time.monotonic() < deadline and self._process.poll() is None, "Chromium did not start"
            time.sleep(0.05)
        port, path = file.read_text().split("\n")[:2]
        with connect(f"ws://127.0.0.1:{port}{path}", ping_interval=None) as socket:
            socket.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
            targets = json.loads(socket.recv(120))["result"]["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        return f"ws://127.0.0.1:{port}/devtools/page/{page}"

    def call(self, method, **parameters):
        self._id += 1
        self._socket.send(json.dumps({"id": self._id, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(120))
            if message.get("id") == self._id:
                assert "error" not in message, message["error"]
                return message["result"]
            self._note(message)

    def _note(self, message):
        method, p = message["method"], message["params"]
        if method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(p["exceptionDetails"])[:600])
        elif method == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning", "assert"):
            self.problems.append(json.dumps(p["args"])[:600])
        elif method == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
            self.problems.append(p["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not p["request"]["url"].startswith(("file:", "data:")):
            self.problems.append(f"request to {p['request']['url'][:100]}")

    def open(self, path: Path):
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.readyState === 'complete'")
        return self

    def wait(self, condition, seconds=120):
        """Until a condition holds; how long it takes is the machine's affair."""
        deadline = time.monotonic() + seconds
        while not self.run(condition):
            assert time.monotonic() < deadline, condition
            time.sleep(0.05)

    def run(self, expression):
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def screenshot(self, path: Path, **parameters):
        path.write_bytes(
            base64.b64decode(self.call("Page.captureScreenshot", format="png", **parameters)["data"])
        )

    def size(self, width, height, mobile=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )

    def close(self):
        """End the whole process group: the program is a script with a dozen children that outlive it."""
        self._open.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
