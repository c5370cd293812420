#!/usr/bin/env python3
"""What stands around the views of the web page: navigation, keys, settings, who signs in and which tenant is looked at, a server that starts, is away or comes back, a prefix, a listener for administration."""
import re, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
import axe
from chrome import Chrome

need("chromium")
top = tmpdir("uishell")
SHOTS = os.environ.get("KYMO_SHOTS")  # a folder: screenshots of dialogs are left there
TOKEN = {name: name + "-secret-0123456789abcdef" for name in ("ops", "writer")}


def secret(flag, text):
    return subprocess.run([KYMOD, flag], input=text.encode() + b"\n", stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().strip()


config = os.path.join(top, "kymod.yml")
with open(config, "w") as f:
    f.write(f"""identities:
  tokens:
  - {{name: ops, token_hash: "{secret('--hash-token', TOKEN['ops'])}", roles: [read, write, admin], trusted: true, tenants: [acme, beta]}}
  - {{name: writer, token_hash: "{secret('--hash-token', TOKEN['writer'])}", roles: [write]}}
  basic:
  - {{name: jörg, password_hash: "{secret('--hash-password', 'pässword: 1')}", roles: [read]}}
""")
os.chmod(config, 0o600)
PORT, = free_ports(1)
FLAGS = ("--web.external-url=https://mon.example/kymo/", "--config", config)


def shot(p, name):
    if SHOTS:
        p.shot(os.path.join(SHOTS, f"shell-{name}.png"))


def clean(p, what, *expected):
    errors = [e for e in p.errors if not any(x in e for x in expected)]
    ok(not errors, f"{what}: the console is silent: {errors}")
    p.errors.clear()
    if os.path.exists(axe._kept):
        found = axe.violations(p)
        ok(not found, f"{what}: axe-core finds nothing" + "".join(f"\n# {v}" for v in found))


def text(p, selector):
    return p.js(f"document.querySelector({json.dumps(selector)})?.textContent ?? null")


def there(p, selector, part, what, timeout=90):
    got = p.wait(f"document.querySelector({json.dumps(selector)})?.textContent.includes({json.dumps(part)})", timeout)
    ok(got, what if got else f"{what}: {text(p, selector)!r}")


def press(p, selector, label):
    """A button by its text or its name."""
    done = p.js(f"(() => {{ const b = [...document.querySelectorAll({json.dumps(selector)})].find(b => (b.getAttribute('aria-label') ?? b.textContent).startsWith({json.dumps(label)})); b?.click(); return !!b; }})()")
    if not done:
        ok(False, f"there is no {label!r}")


with Chrome() as c:
    # --- without identities: keys, focus, titles, settings ---
    k = Kymod(os.path.join(top, "open"))
    base = f"http://127.0.0.1:{k.port}/"
    p = c.page(1280, 800)
    p.open(base + "status")
    there(p, "main", "No identities are set up", "the status page says that it is open")
    ok(p.js("document.title") == "Status - Kymo" and p.js("document.querySelector('.k-nav [aria-current]').textContent") == "Status", "its title and its place in the navigation")
    p.key("Tab")
    ok(p.js("document.activeElement.className") == "k-skip", "the first stop of the tabulator skips the navigation")
    p.key("Enter")
    ok(p.js("document.activeElement.id") == "view", "and leads to the view")
    p.key("g"), p.key("h")
    ok(p.wait("location.pathname.startsWith('/help') && document.title.endsWith('Kymo') && document.activeElement.tagName === 'H1'"), "g h leads to the help, and the focus to its heading")
    there(p, "#say", "Kymo", "which screen readers are told")
    p.click(".k-nav [data-view=status]")
    ok(p.wait("location.pathname === '/status' && document.activeElement.textContent === 'Status'") and not [u for u in p.requests if u.endswith("/help")], "a link leads on without loading the page again")
    p.js("history.back()")
    ok(p.wait("location.pathname.startsWith('/help')"), "back leads back")
    p.js("history.forward()")
    ok(p.wait("location.pathname === '/status' && document.querySelectorAll('.k-flags tbody tr').length > 50"), "and forward")
    p.key("?")
    there(p, "dialog[open]", "these keys", "? shows the keys")
    clean(p, "keys")
    shot(p, "keys")
    p.key("Escape")
    ok(p.wait("!document.querySelector('dialog')"), "Escape closes them")
    p.key("/")
    ok(p.js("document.activeElement.type") == "search", "/ leads to where one types")
    p.type("retention g s")
    ok(p.js("document.activeElement.value") == "retention g s" and p.js("location.pathname") == "/status", "where letters are letters")
    p.js("document.activeElement.value = ''; document.activeElement.dispatchEvent(new Event('input')); document.activeElement.blur()")
    ok(p.js("[...document.querySelectorAll('.k-flags tbody tr')].slice(0, 3).filter(r => r.querySelector('.k-tag')).map(r => r.querySelector('th').textContent)") == ["--data-dir", "--listen"], "flags that were changed stand first")
    for _ in range(2):
        press(p, ".k-tools button", "Colors")
    ok(p.js("document.documentElement.dataset.theme") == "dark", "the second press of the colors is dark")
    press(p, ".k-tools button", "Local times")
    ok(p.wait("document.querySelector('main').textContent.includes(' UTC')"), "times are UTC at once")
    p.open(base + "status")
    ok(p.wait("document.documentElement.dataset.theme === 'dark'") and text(p, ".k-tools .k-chip") == "UTC", "both are remembered")
    press(p, ".k-tools button", "Settings")
    there(p, "dialog[open]", "Colors", "settings")
    clean(p, "settings")
    shot(p, "settings-dark")
    p.key("Escape")
    p.open(base + "none")
    there(p, "body", "404", "what is no view is none")
    p.errors.clear()

    # --- a browser whose clock is wrong ---
    q = c.page()
    q.cdp("Page.addScriptToEvaluateOnNewDocument", {"source": "const D = Date; Date = class extends D { constructor(...a) { a.length ? super(...a) : super(Date.now()); } static now() { return D.now() - 7200e3; } };"})
    q.open(base + "query?g0.expr=vector(1)&g0.tab=1")
    there(q, "#banner", "clock is 2h behind", "a clock that is two hours behind is told of")
    ok(q.wait("document.querySelector('.k-result')") and abs(int(re.findall(r"[?&]time=(\d+)", [u for u in q.requests if "api/v1/query?" in u][-1])[0]) - time.time()) < 1800, "and now is the server's")
    clean(q, "a wrong clock")

    # --- a server that goes and comes back ---
    p.open(base + "status")
    there(p, "main", "flags", "the page is there")
    k.p.send_signal(signal.SIGKILL)
    k.p.wait()
    p.click(".k-nav [data-view=cardinality]")
    there(p, ".k-cardview .k-error", "does not answer", "a view says what it could not ask")
    ok("Nothing is stored" not in text(p, "main"), "and nothing of what it does not know")
    p.click(".k-nav [data-view=doctor]")
    there(p, "#banner", "does not answer", "a server that is away is told of")
    clean(p, "a banner", "ERR_CONNECTION", "Failed to load")
    shot(p, "banner")
    k = Kymod(os.path.join(top, "open"), port=k.port)
    ok(p.wait("!document.querySelector('#banner').textContent"), "until it is there again")
    there(p, "main", "Doctor", "and the view is shown again")
    p.errors.clear()
    k.end()

    # --- with identities, below a prefix ---
    k = Kymod(os.path.join(top, "closed"), *FLAGS, port=PORT, wait=False)
    base = f"http://127.0.0.1:{k.port}/kymo/"
    end = time.time() + 60
    while time.time() < end:
        try:
            if request(k.port, "GET", "/kymo/-/ready")[0] == 200:
                break
        except OSError:
            pass
        time.sleep(0.05)
    for tenant in ("acme", "beta"):
        request(k.port, "POST", "/kymo/api/v1/import/prometheus", f'only_{tenant} 1\n'.encode(), {"Authorization": "Bearer " + TOKEN["ops"], "X-Scope-OrgID": tenant})
    p = c.page(1280, 800)
    p.open(base + "status")
    there(p, "dialog[open]", "Sign in", "who is not known is asked")
    there(p, "dialog[open]", "has to show who he is", "and told why")
    ok(p.js("document.querySelectorAll('dialog').length") == 1, "once, though several questions were refused")
    clean(p, "signing in", "401")
    shot(p, "sign-in")
    p.type("wrong-token-0123456789")
    p.key("Enter")
    there(p, "dialog[open] .k-error", "does not take it", "a wrong token is refused")
    p.js("document.querySelector('dialog input[name=token]').value = ''")
    p.type(TOKEN["ops"])
    p.key("Enter")
    ok(p.wait("!document.querySelector('dialog')"), "a right one is taken")
    there(p, "main", "You are ops with write, read, admin", "and the view goes on by itself")
    there(p, "main", "roles:", "with the configuration, which admin may see")
    ok(p.js("sessionStorage.getItem('kymo.auth')") == "Bearer " + TOKEN["ops"] and "secret" not in p.js("JSON.stringify(localStorage) + document.cookie"), "the token is this tab's alone")
    ok(p.js("[...document.querySelectorAll('.k-tenants tbody th')].map(e => e.textContent)") == ["default", "acme", "beta"], "its tenants are listed, its own first")
    p.click(".k-nav [data-view=help]")
    p.click(".k-nav [data-view=status]")
    there(p, "main", "You are ops", "other views know who asks, too")
    press(p, ".k-tools button", "Settings")
    there(p, "dialog[open]", "You are ops", "settings say who it is")
    ok(p.js("[...document.querySelectorAll('datalist option')].map(o => o.value)") == ["default", "acme", "beta"], "and offer its tenants")
    p.js("document.querySelector('dialog input[type=text]').focus()")
    p.type("acme|beta")
    p.key("Enter")
    there(p, ".k-tools", "acme|beta", "two tenants at once stand in the header")
    ok(p.js("fetch('api/v1/label/__name__/values', {headers: {Authorization: sessionStorage.getItem('kymo.auth'), 'X-Scope-OrgID': 'acme|beta'}}).then(r => r.json()).then(r => r.data)") == ["only_acme", "only_beta"], "whose names are there")
    p.errors.clear()
    p.js("localStorage.setItem('kymo.tenant', '\"nobody\"')")
    p.open(base + "status")
    ok(p.wait("localStorage.getItem('kymo.tenant') === null && document.querySelector('main').textContent.includes('You are ops')"), "a tenant that may not be read is let go")
    for odd in ("\u4f60\u597d", "a/b", "x" * 5000, "\u202e\r\nX: y"):
        p.js(f"localStorage.setItem('kymo.tenant', {json.dumps(json.dumps(odd))})")
        p.open(base + "status")
        ok(p.wait("localStorage.getItem('kymo.tenant') === null && document.querySelector('main').textContent.includes('You are ops')") and not text(p, "#banner"), f"so is one that is none: {odd[:10]!r}")
    p.errors.clear()
    p.open(base + "query?g0.expr=%7B__name__%3D~%22only_.%2A%22%7D&g0.tab=1")
    p.js("localStorage.setItem('kymo.tenant', '\"acme\"')")
    p.js("dispatchEvent(new StorageEvent('storage', {key: 'kymo.tenant'}))")
    there(p, "main", "only_acme", "a tenant chosen in another tab is asked for here, too")
    p.js("window.fetch = () => new Promise(() => {})")
    p.js("localStorage.setItem('kymo.tenant', '\"beta\"')")
    p.js("dispatchEvent(new StorageEvent('storage', {key: 'kymo.tenant'}))")
    there(p, ".k-tools", "beta", "the next one, of a server that is slow")
    ok("only_acme" not in text(p, "main"), "nothing of the one before is seen meanwhile")
    p.js("localStorage.removeItem('kymo.tenant')")
    p.open(base + "status")
    there(p, "main", "You are ops", "and back")
    p.errors.clear()
    press(p, ".k-tools button", "Settings")
    press(p, "dialog button", "Sign out")
    there(p, "dialog[open]", "Sign in", "signed out it is asked again")
    ok(p.js("sessionStorage.getItem('kymo.auth')") is None, "and nothing is kept")
    p.js("document.querySelector('dialog input[value=name]').click()")
    p.js("document.querySelector('dialog input[name=username]').focus()")
    p.type("jörg"), p.key("Tab"), p.type("pässword: 1"), p.key("Enter")
    there(p, "main", "You are jörg with read", "a name and a password do, too, letters of all kinds")
    there(p, "main", '"admin" is needed', "what he may not see says so, the rest is there")
    for view, turn in (("live", 6), ("doctor", 1)):  # it asks each five seconds; Doctor each ten
        out = c.page(1280, 800)
        out.open(base + view)
        there(out, "dialog[open]", "Sign in", f"{view} asks who is there")
        out.rest(turn)
        out.key("Escape")
        there(out, "main", "has to show who he is", f"{view} says what it lacks")
        out.rest(turn / 2)
        ok(not out.js("!!document.querySelector('dialog')"), "and does not ask again by itself")
        there(out, ".k-tools", "Sign in", "but offers it")
        out.click(".k-nav [data-view=status]")
        there(out, "dialog[open]", "Sign in", "another view asks")
    phone = c.page(390, 844, phone=True)
    phone.open(base + "status")
    there(phone, "dialog[open]", "Sign in", "on a phone it is asked, too")
    shot(phone, "sign-in-phone")
    ok(phone.js("document.querySelector('dialog').getBoundingClientRect().right <= innerWidth && document.documentElement.scrollWidth <= innerWidth"), "nothing stands beyond its edge")
    ok(phone.js("[...document.querySelectorAll('.k-nav a, .k-tools button, dialog button')].filter(e => e.offsetParent).every(e => e.getBoundingClientRect().height >= 40)"), "its buttons are large enough for fingers")
    phone.key("Escape")
    there(phone, "main", "has to show who he is", "who leaves the dialog is told why nothing is there")

    k.end()

    # --- a listener for administration: the page is there, too, with what answers there ---
    admin, = free_ports(1)
    with open(config, "w") as f:
        f.write(f"listeners:\n- {{address: '127.0.0.1:{PORT}'}}\n- {{address: '127.0.0.1:{admin}', admin: true}}\n")
    k = Process([KYMOD, "--data-dir", os.path.join(top, "admin"), "--config", config], os.path.join(top, "admin.log"))
    end = time.time() + 60
    while time.time() < end:
        try:
            if request(admin, "GET", "/-/ready")[0] == 200:
                break
        except OSError:
            pass
        time.sleep(0.05)
    p = c.page(1280, 800)
    p.open(f"http://127.0.0.1:{admin}/status")
    there(p, "main", "answers on the other listeners", "what answers elsewhere says so")
    there(p, "main", "listeners:", "and the configuration is here")
    k.end()
shutil.rmtree(top)
done()
