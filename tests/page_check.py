#!/usr/bin/env python3
"""Looks at pages in headless Chromium (Debian package chromium) at 1280 and 400 pixels: no error, no request beyond the
page, every picture there and within the page, no text too small, no sideways scrolling. Leaves screenshots.

    tests/page_check.py FOLDER_FOR_SCREENSHOTS PAGE.html ...
"""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile

MEASURE = """(() => {
  const wide = document.documentElement.scrollWidth, inner = window.innerWidth;
  const faults = [];
  if (wide > inner) faults.push(`the page is ${wide} pixels wide`);
  const pictures = [...document.querySelectorAll('svg[role=img]')];
  for (const svg of pictures) {
    const box = svg.getBoundingClientRect(), name = svg.getAttribute('aria-label');
    if (box.width < 100 || box.height < 80) faults.push(`${name}: ${box.width} x ${box.height}`);
    if (box.left < 0 || box.right > inner + 0.5) faults.push(`${name}: beyond the edge`);
    const drawn = [...svg.querySelectorAll('path,rect,circle')].filter(e => {
      const b = e.getBBox(); return b.width > 0 || b.height > 0; });
    if (drawn.length < 3) faults.push(`${name}: empty`);
    for (const text of svg.querySelectorAll('text')) {
      const size = parseFloat(getComputedStyle(text).fontSize) * box.width / svg.viewBox.baseVal.width;
      if (size < 6.5) { faults.push(`${name}: text of ${size.toFixed(1)} pixels`); break; }
      const t = text.getBoundingClientRect();
      if (t.left < box.left - 1 || t.right > box.right + 1) faults.push(`${name}: '${text.textContent}' is cut`);
    }
  }
  return {faults, pictures: pictures.length, height: document.documentElement.scrollHeight};
})()"""


class Browser:
    """Chromium at the other end of a pipe."""

    def __init__(self, profile):
        to_read, self.to_write = os.pipe()
        self.from_read, from_write = os.pipe()

        def pipes():
            os.dup2(to_read, 3)
            os.dup2(from_write, 4)

        os.set_inheritable(to_read, True)
        os.set_inheritable(from_write, True)
        self.process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--remote-debugging-pipe", f"--user-data-dir={profile}"],
            preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(from_write)
        self.buffer, self.number, self.session, self.events = b"", 0, None, []

    def receive(self):
        while b"\0" not in self.buffer:
            part = os.read(self.from_read, 1 << 16)
            if not part:
                raise SystemExit("chromium has ended")
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive())

    def close(self):
        self.session = None
        self.call("Browser.close")
        self.process.wait()


def look(browser, page, width, dark, folder):
    url = page.resolve().as_uri()
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
        browser.call(f"{domain}.enable")
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    browser.call("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
    browser.events = []
    browser.call("Page.navigate", url=url)
    browser.wait("Page.loadEventFired")
    answer = browser.call("Runtime.evaluate", expression=MEASURE, returnByValue=True)
    if "exceptionDetails" in answer:
        raise SystemExit(str(answer["exceptionDetails"]))
    seen = answer["result"]["value"]
    faults = list(seen["faults"])
    if seen["pictures"] == 0:
        faults.append("no picture")
    for event in browser.events:
        method, what = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent" and what["request"]["url"] not in (url, "data:,"):
            faults.append(f"asks for {what['request']['url']}")
        if method == "Runtime.exceptionThrown" or method == "Log.entryAdded" and what["entry"]["level"] == "error":
            faults.append(f"error: {what}")
        if method == "Runtime.consoleAPICalled":
            faults.append(f"writes to the console: {what}")
    shot = browser.call("Page.captureScreenshot", captureBeyondViewport=True,
                        clip={"x": 0, "y": 0, "width": width, "height": seen["height"], "scale": 1})
    name = folder / f"{page.stem}-{width}{'-dark' if dark else ''}.png"
    name.write_bytes(base64.b64decode(shot["data"]))
    browser.session = None
    browser.call("Target.closeTarget", targetId=target)
    print(f"{page.name} at {width} pixels{', dark' if dark else ''}: {seen['pictures']} pictures, {len(faults)} faults")
    for fault in faults:
        print(f"  {fault}")
    return not faults


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        good = [look(browser, pathlib.Path(page), width, dark, folder)
                for page in sys.argv[2:] for width, dark in ((1280, False), (400, False), (400, True))]
        browser.close()
    raise SystemExit(0 if all(good) else 1)


main()
