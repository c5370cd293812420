"""A headless Chromium, driven through a pipe by its DevTools protocol: pages, keys, the mouse, screenshots.

    with Chrome() as c:
        p = c.page(width=1280, height=800, dark=True)
        p.open(f"http://127.0.0.1:{port}/query")
        p.wait("document.querySelector('canvas')")
        p.type("up"); p.key("Enter"); p.click("#run"); p.shot("/tmp/one.png")
        p.errors      # what the console was told, exceptions, CSP violations, requests that failed

A timeout is for what hangs: a busy machine takes its time.
"""
import base64, json, os, select, shutil, signal, subprocess, tempfile, time

_KEYS = {
    "Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), "Backspace": (8, ""), "Delete": (46, ""), "ArrowUp": (38, ""), "ArrowDown": (40, ""),
    "ArrowLeft": (37, ""), "ArrowRight": (39, ""), "Home": (36, ""), "End": (35, ""), "PageUp": (33, ""), "PageDown": (34, ""), " ": (32, " "),
}
_MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}


def there():
    return shutil.which("chromium")


class Broken(Exception):
    pass


class Chrome:
    def __init__(self, *flags, timeout=120):
        self.timeout, self.dir = timeout, tempfile.mkdtemp(prefix="kymo-chrome-")
        self._id, self._buf, self._answers, self._pages = 0, b"", {}, {}
        to_r, self._w = os.pipe()
        self._r, from_w = os.pipe()

        def pipes():
            # Its ends must be 3 and 4, whatever they are here.
            a, b = os.dup2(to_r, 100), os.dup2(from_w, 101)
            os.dup2(a, 3), os.dup2(b, 4)

        self.log = open(os.path.join(self.dir, "log"), "wb")
        self.process = subprocess.Popen(
            [there() or "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-default-apps", "--disable-extensions", "--disable-sync", "--hide-scrollbars", "--force-color-profile=srgb",
             "--remote-debugging-pipe", f"--user-data-dir={self.dir}/profile", *flags, "about:blank"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, close_fds=False, preexec_fn=pipes, start_new_session=True)
        os.close(to_r), os.close(from_w)
        self.send("Browser.getVersion")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        for fd in (self._r, self._w):
            os.close(fd)
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _pump(self, until):
        """Reads what has come, until then at most; False: nothing came."""
        ready, _, _ = select.select([self._r], [], [], max(0, until - time.time()))
        if not ready:
            return False
        data = os.read(self._r, 1 << 20)
        if not data:
            raise Broken("chromium ended")
        self._buf += data
        *whole, self._buf = self._buf.split(b"\0")
        for text in whole:
            m = json.loads(text)
            if "id" in m:
                self._answers[m["id"]] = m
            elif m.get("sessionId") in self._pages:
                self._pages[m["sessionId"]]._event(m["method"], m["params"])
        return True

    def send(self, method, params=None, session=None, timeout=None):
        self._id += 1
        m = {"id": self._id, "method": method, "params": params or {}}
        if session:
            m["sessionId"] = session
        data = json.dumps(m).encode() + b"\0"
        while data:
            data = data[os.write(self._w, data):]
        until = time.time() + (timeout or self.timeout)
        while self._id not in self._answers:
            if not self._pump(until) and time.time() > until:
                raise Broken(f"{method}: no answer")
        m = self._answers.pop(self._id)
        if "error" in m:
            raise Broken(f"{method}: {m['error']}")
        return m["result"]

    def page(self, width=1280, height=800, dark=False, phone=False, reduced_motion=True, headers=None):
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", {"url": "about:blank", "browserContextId": context})["targetId"]
        session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        p = Page(self, session, target)
        self._pages[session] = p
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            p.cdp(f"{domain}.enable")
        p.look(width, height, dark, phone, reduced_motion)
        if headers:
            p.cdp("Network.setExtraHTTPHeaders", {"headers": headers})
        return p


class Page:
    def __init__(self, chrome, session, target):
        self.chrome, self.session, self.target = chrome, session, target
        self.errors, self.requests, self._loaded = [], [], False

    def cdp(self, method, params=None, timeout=None):
        return self.chrome.send(method, params, self.session, timeout)

    def look(self, width, height, dark=False, phone=False, reduced_motion=True):
        self.cdp("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone})
        self.cdp("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}, {"name": "prefers-reduced-motion", "value": "reduce" if reduced_motion else "no-preference"}]})

    def _event(self, method, p):
        if method == "Runtime.exceptionThrown":
            d = p["exceptionDetails"]
            self.errors.append(f"exception: {d.get('exception', {}).get('description') or d['text']} at {d.get('url')}:{d['lineNumber'] + 1}")
        elif method == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning", "assert"):
            self.errors.append(f"console.{p['type']}: " + " ".join(str(a.get("value", a.get("description"))) for a in p["args"]))
        elif method == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"log: {p['entry']['text']} {p['entry'].get('url', '')}")
        elif method == "Audits.issueAdded" and p["issue"]["code"] == "ContentSecurityPolicyIssue":
            self.errors.append(f"csp: {json.dumps(p['issue']['details'])}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(p["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded = True

    def open(self, url, timeout=120):
        self._loaded = False
        r = self.cdp("Page.navigate", {"url": url})
        if r.get("errorText"):
            raise Broken(f"{url}: {r['errorText']}")
        until = time.time() + timeout
        while "loaderId" in r and not self._loaded:
            if not self.chrome._pump(until) and time.time() > until:
                raise Broken(f"{url}: not loaded")

    def js(self, expression, timeout=None):
        """Its value, a promise's when it is one."""
        r = self.cdp("Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True, "userGesture": True}, timeout)
        if "exceptionDetails" in r:
            d = r["exceptionDetails"]
            raise Broken(f"{expression[:200]}: {d.get('exception', {}).get('description') or d['text']}")
        return r["result"].get("value")

    def wait(self, expression, timeout=90):
        """Until it is true; its value, or None when it never was."""
        until = time.time() + timeout
        while True:
            value = self.js(f"(() => {{ const v = ({expression}); return v instanceof Node ? true : v; }})()")
            if value or time.time() > until:
                return value or None
            self.chrome._pump(time.time() + 0.02)

    def rest(self, seconds):
        until = time.time() + seconds
        while time.time() < until:
            self.chrome._pump(until)

    def box(self, selector):
        return self.js("(() => { const e = document.querySelector(%s); if (!e) return null; e.scrollIntoView({block: 'nearest'}); const r = e.getBoundingClientRect(); return [r.x, r.y, r.width, r.height]; })()" % json.dumps(selector))

    def mouse(self, kind, x, y, button="none", count=0, buttons=0):
        self.cdp("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": button, "clickCount": count, "buttons": buttons})

    def click(self, selector, count=1):
        b = self.box(selector)
        if not b:
            raise Broken(f"nothing to click: {selector}")
        x, y = b[0] + b[2] / 2, b[1] + b[3] / 2
        self.mouse("mouseMoved", x, y)
        for n in range(1, count + 1):
            self.mouse("mousePressed", x, y, "left", n, 1)
            self.mouse("mouseReleased", x, y, "left", n)

    def drag(self, x1, y1, x2, y2, steps=8):
        self.mouse("mouseMoved", x1, y1)
        self.mouse("mousePressed", x1, y1, "left", 1, 1)
        for i in range(1, steps + 1):
            self.mouse("mouseMoved", x1 + (x2 - x1) * i / steps, y1 + (y2 - y1) * i / steps, "left", 0, 1)
        self.mouse("mouseReleased", x2, y2, "left", 1)

    def type(self, text):
        """A key at a time where it is one, so that the page sees what people do."""
        for c in text:
            self.cdp("Input.dispatchKeyEvent", {"type": "keyDown", "text": c, "key": c, "unmodifiedText": c})
            self.cdp("Input.dispatchKeyEvent", {"type": "keyUp", "key": c})

    def key(self, name, *held):
        """key("Enter"), key("a", "Control")"""
        mask = sum(_MODIFIERS[h] for h in held)
        code, text = _KEYS.get(name, (ord(name.upper()) if len(name) == 1 else 0, name if len(name) == 1 else ""))
        m = {"key": name, "code": name if name in _KEYS and name != " " else "", "windowsVirtualKeyCode": code, "modifiers": mask}
        self.cdp("Input.dispatchKeyEvent", {"type": "keyDown" if text and mask in (0, 8) else "rawKeyDown", **m, **({"text": text} if text and mask in (0, 8) else {})})
        self.cdp("Input.dispatchKeyEvent", {"type": "keyUp", **m})

    def shot(self, file, full=False):
        data = self.cdp("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": full})["data"]
        with open(file, "wb") as f:
            f.write(base64.b64decode(data))
