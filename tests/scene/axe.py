"""axe-core, which looks for what keeps people from using a page: it comes with a package of PyPI, pinned here, and is kept for
the next run. Where it cannot be had, have() is None and says so once."""
import hashlib, json, os, subprocess, sys, tempfile, zipfile

PACKAGE, SHA256 = "axe-playwright-python==0.1.8", "84494fec757e4710dc751c8d7a636e457f4532f08f85c86dc9070133fbff53bc"
_kept = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"), "kymo", "axe-0.1.8.js")
_source = None


def have():
    """The source of axe-core; None: it is not here, and cannot be fetched."""
    global _source
    if _source is None:
        if not os.path.exists(_kept):
            with tempfile.TemporaryDirectory(prefix="kymo-axe-") as d:
                p = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check", "-d", d, PACKAGE], capture_output=True, text=True, timeout=120)
                wheels = [f for f in os.listdir(d) if f.endswith(".whl")]
                if not wheels:
                    print(f"# axe-core cannot be fetched: {(p.stderr or p.stdout).strip()[-300:]}", flush=True)
                    return None
                with zipfile.ZipFile(os.path.join(d, wheels[0])) as z:
                    js = z.read("axe_playwright_python/axe.min.js")
            os.makedirs(os.path.dirname(_kept), exist_ok=True)
            with open(f"{_kept}.{os.getpid()}", "wb") as f:
                f.write(js)
            os.rename(f.name, _kept)
        js = open(_kept, "rb").read()
        if hashlib.sha256(js).hexdigest() != SHA256:
            os.unlink(_kept)
            raise RuntimeError("axe-core is not the one that is known")
        _source = js.decode()
    return _source


def violations(page, contrast=True, others=True):
    """What is wrong with the page as it stands: lines of rule, how grave, where, why. Without contrast, or without all else: cheaper."""
    rules = {} if others else {"runOnly": ["color-contrast"]}
    if not contrast:
        rules["rules"] = {"color-contrast": {"enabled": False}}
    if not page.js("typeof axe === 'object'"):
        page.js(have() + ";0")
    found = page.js("axe.run(document, {resultTypes: ['violations'], ...%s}).then(r => r.violations.map(v => [v.id, v.impact, v.nodes.map(n => n.target.join(' ') + ': ' + (n.failureSummary || '').split('\\n').slice(1).join(' ').trim())]))" % json.dumps(rules), timeout=300)
    return [f"{rule} ({impact}): {where}" for rule, impact, nodes in found for where in nodes]
