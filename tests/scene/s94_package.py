"""What is installed, and what the process gives up: the unit, sd_notify, the sandbox of a running kymod, the .deb installed, upgraded,
removed and purged under a real systemd (in an overlay of this machine), the container's files."""
from lib import *
import ctypes, glob, platform

top = tmpdir("package")
PACK = os.path.join(SRC, "net/pack")
ROOT = os.geteuid() == 0


def path(*names):
    return os.path.join(top, *names)


def put(name, text):
    os.makedirs(os.path.dirname(path(name)), exist_ok=True)
    with open(path(name), "w") as f:
        f.write(text)
    return path(name)


def out_of(argv, timeout=300, **more):
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, **more)
    return p.returncode, p.stdout


# ---- the unit ----

if shutil.which("systemd-analyze"):
    _, said = out_of(["systemd-analyze", "security", "--offline=yes", "--no-pager", os.path.join(PACK, "kymod.service")])
    level = re.search(r"exposure level for kymod.service: ([0-9.]+)", said)
    ok(level and float(level[1]) <= 1.5, f"systemd calls the exposure of kymod.service {level and level[1]}, at most 1.5")
else:
    skip("exposure of kymod.service", "systemd-analyze is not installed")

# ---- sd_notify ----


class Manager:
    def __init__(self, name):
        self.name = name
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind("\0" + name[1:] if name[0] == "@" else name)
        self.heard = []

    def listen(self, seconds, until=None):
        """What comes within so many seconds, or until a message holds the text."""
        end = time.time() + seconds
        while (left := end - time.time()) > 0:
            self.s.settimeout(left)
            try:
                self.heard.append((time.time(), self.s.recv(4096).decode()))
            except TimeoutError:
                break
            if until and until in self.heard[-1][1]:
                return self.heard[-1][1]
        return None


conf = put("conf/kymod.yml", "receivers:\n  statsd:\n    mapping_file: map.yml\n")
put("conf/map.yml", "mappings: []\n")
put("elsewhere/map.yml", "mappings: []\n")
for name in (path("notify"), f"@kymo-s94-{os.getpid()}"):
    m = Manager(name)
    env = dict(os.environ, NOTIFY_SOCKET=name, WATCHDOG_USEC="600000")
    k = Kymod(path("data"), "--config", conf, "--web.enable-lifecycle", env=env)
    ready = m.listen(90, "READY=1") or ""
    ok(re.search(r"^READY=1\nSTATUS=running: 127\.0\.0\.1:\d+, \d+ series$", ready), f"ready, to {name[0]}...: {ready!r}")
    m.heard.clear()
    began, end = time.time(), time.time() + 90
    while (beats := sum(t == "WATCHDOG=1" for _, t in m.heard)) < 5 and time.time() < end:
        m.listen(1, "WATCHDOG=1")
    # Late ones are the machine's; many would be its own.
    ok(beats >= 5 and len(m.heard) <= 15 + (time.time() - began) * 15, f"the watchdog hears of it every 200 ms: {beats} times in {time.time() - began:.1f} s")
    k.p.send_signal(signal.SIGHUP)
    reloading = m.listen(90, "RELOADING=1") or ""
    us = re.search(r"MONOTONIC_USEC=(\d+)", reloading)
    ok(us and abs(int(us[1]) / 1e6 - time.monotonic()) < 180, "a reload says so, by the manager's clock")
    ok("STATUS=running" in (m.listen(90, "READY=1") or ""), "and that it is done")
    if name[0] == "/":
        os.kill(k.pid, signal.SIGSTOP)
        m.listen(0.3)
        m.heard.clear()
        m.listen(1.2)
        os.kill(k.pid, signal.SIGCONT)
        ok(not m.heard, "a process that stands still is silent")
        ok(m.listen(90, "WATCHDOG=1"), "and heard of again when it goes on")
    k.p.send_signal(signal.SIGTERM)
    ok("STATUS=stopping" in (m.listen(90, "STOPPING=1") or ""), "SIGTERM: stopping")
    ok(k.p.wait(60) == 0, "it ends well")
    m.s.close()

# ---- the sandbox of a running server: system calls made in its threads by ptrace, which may come from outside ----

EACCES, EPERM = -13, -1
REGS = "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs".split()


class Regs(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in REGS]


libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(what, tid, data=None):
    if libc.ptrace(what, tid, None, data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def calls_in(pid, tid, calls):
    """Each (number, args) made by that thread, where it waits in a call of its own; texts are put below its stack."""
    said = []
    ptrace(16, tid)                                                     # PTRACE_ATTACH
    try:
        os.waitpid(tid, 0x40000000)                                     # __WALL
        was, now = Regs(), Regs()
        ptrace(12, tid, ctypes.addressof(was))                          # PTRACE_GETREGS
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as mem:
            mem.seek(was.rip - 2)
            if mem.read(2) != b"\x0f\x05":
                raise OSError(0, "it is not in a system call")
            for number, *args in calls:
                ctypes.pointer(now)[0] = was
                now.rip, now.rax, now.orig_rax = was.rip - 2, number, (1 << 64) - 1
                at = was.rsp - 8192
                for reg, arg in zip(("rdi", "rsi", "rdx", "r10", "r8"), args):
                    if isinstance(arg, bytes):
                        mem.seek(at)
                        mem.write(arg + b"\0")
                        arg, at = at, at + len(arg) + 1
                    setattr(now, reg, arg & (1 << 64) - 1)
                ptrace(13, tid, ctypes.addressof(now))                  # PTRACE_SETREGS
                ptrace(9, tid)                                          # PTRACE_SINGLESTEP
                os.waitpid(tid, 0x40000000)
                ptrace(12, tid, ctypes.addressof(now))
                said.append(ctypes.c_longlong(now.rax).value)
        ptrace(13, tid, ctypes.addressof(was))
    finally:
        ptrace(17, tid)                                                 # PTRACE_DETACH
    return said


AT = -100
RDONLY, CREATE = 0o2000000, 0o2000102                                   # O_CLOEXEC with O_RDONLY; with O_RDWR | O_CREAT
OPENAT, CLOSE, EXECVE, PTRACE, MOUNT, BPF, UNSHARE, MEMFD, KEYCTL = 257, 3, 59, 101, 165, 321, 272, 319, 250


def each_thread(k, calls):
    """{what the calls said: names of threads}; a thread that runs is asked again."""
    told = {}
    for tid in sorted(int(t) for t in os.listdir(f"/proc/{k.pid}/task")):
        for attempt in range(50):
            try:
                said = calls_in(k.pid, tid, calls)
                break
            except OSError as e:
                if e.errno:
                    raise
                time.sleep(0.02)
        name = open(f"/proc/{k.pid}/task/{tid}/comm").read().strip()
        told.setdefault(tuple(said), []).append(name)
    return told


def promise(k, sandboxed):
    calls = [(OPENAT, AT, b"/etc/passwd", RDONLY, 0), (OPENAT, AT, path("elsewhere/map.yml").encode(), RDONLY, 0),
             (OPENAT, AT, path("elsewhere/new").encode(), CREATE, 0o600)]
    if sandboxed:                                                       # without it, it would be gone
        calls += [(EXECVE, b"/bin/true", 0, 0), (PTRACE, 0, 0, 0, 0), (MOUNT, b"x", b"/mnt", b"tmpfs", 0), (BPF, 0, 0, 0), (UNSHARE, 0), (KEYCTL, 0, 0, 0, 0)]
    calls += [(MEMFD, b"x", 0)]
    return each_thread(k, calls)


state = open("/proc/self/status").read()
log = open(path("data.log")).read()
line = re.search(r"event=sandbox files=(\w+).* calls=(\w+)", log)
ok(line, f"one line says what is given up: {line and line[0]}")
files, calls = line.groups() if line else ("?", "?")
if files != "landlock" or calls != "seccomp":
    skip("what a running server cannot do", f"this kernel or build has no sandbox: files={files} calls={calls}")
elif platform.machine() != "x86_64":
    skip("what a running server cannot do", "ptrace here is of x86_64")
else:
    k = Kymod(path("data"), "--config", conf, "--web.enable-lifecycle", "--loops", "2", "--sandbox", "on")
    status = open(f"/proc/{k.pid}/status").read()
    ok(re.search(r"^NoNewPrivs:\s1$", status, re.M) and re.search(r"^Seccomp:\s2$", status, re.M), "the kernel says no_new_privs and a filter")
    try:
        told = promise(k, True)
        names = sorted(set(sum(told.values(), [])))
        ok(list(told) == [(EACCES,) * 3 + (EPERM,) * 7], f"no thread of {names} reads or writes elsewhere, or execs, traces, mounts, ...: {told}")
        mine = each_thread(k, [(OPENAT, AT, path("data").encode(), RDONLY, 0), (OPENAT, AT, conf.encode(), RDONLY, 0)])
        ok(all(min(said) >= 0 for said in mine), f"its own are open to all: {mine}")
        free = Kymod(path("free"), "--sandbox", "off", "--loops", "1")
        told = promise(free, False)
        ok(all(min(said) >= 0 for said in told), "the same calls work in a server without a sandbox")
        ok("event=sandbox files=open calls=open reason=\"--sandbox=off\"" in open(path("free.log")).read(), "which says so")
        missing = [line for line in request(free.port, "GET", "/metrics")[1].decode().splitlines() if line.startswith("kymo_sandbox_missing")]
        ok(missing == ['kymo_sandbox_missing{part="files"} 1', 'kymo_sandbox_missing{part="calls"} 1'], f"in its metrics, too: {missing}")
        missing = [line for line in request(k.port, "GET", "/metrics")[1].decode().splitlines() if line.startswith("kymo_sandbox_missing")]
        ok(missing == ['kymo_sandbox_missing{part="files"} 0', 'kymo_sandbox_missing{part="calls"} 0'], "where the other's say 0")
        free.end()
    except OSError as e:
        skip("what a running server cannot do", f"ptrace: {e}")
    ok(request(k.port, "GET", "/-/healthy")[0] == 200, "it serves on")
    ok(write(k.port, series({"__name__": "s94"}, [(int(time.time() * 1000), 7)]))[0] == 204, "and takes writes")
    put("conf/kymod.yml", f"receivers:\n  statsd:\n    mapping_file: {path('elsewhere/map.yml')}\n")
    code, said, _ = request(k.port, "POST", "/-/reload")
    ok(code == 500 and b"--sandbox" in said and path("conf").encode() in said, f"a file elsewhere takes a restart, and the answer says so: {said.decode()!r}")
    put("conf/kymod.yml", "receivers:\n  statsd:\n    mapping_file: new.yml\n")
    put("conf/new.yml.tmp", "mappings: []\n")
    os.rename(path("conf/new.yml.tmp"), path("conf/new.yml"))
    ok(request(k.port, "POST", "/-/reload")[0] == 200, "a new file in the same folder does not")
    ok(k.end() == 0, "it ends well")

# ---- the container's files ----

WANTED = r"""usr/bin/(kymod|kymoctl)
usr/lib/[^/]+/lib(c|m|pthread|dl|cares|crypt|crypto|event_core-2\.1|gcc_s|jansson|lmdb|nghttp2|pcre2-8|protobuf-c|roaring|snappy|sodium|ssl|stdc\+\+|xxhash|yaml-0|z|zstd)\.so(\.[0-9]+)?
usr/lib(64)?/ld-linux[-a-z0-9_]*\.so\.[0-9]
usr/share/doc/[-a-z0-9.+]+/copyright
etc/(passwd|group|nsswitch\.conf|kymo/kymod\.yaml|ssl/certs/ca-certificates\.crt)"""
rootfs = path("rootfs")
code, said = out_of(["sh", os.path.join(PACK, "rootfs.sh"), os.path.abspath(BUILD), rootfs])
ok(code == 0, f"the root of the image is assembled {said}")
found = [os.path.relpath(os.path.join(d, f), rootfs) for d, _, fs in os.walk(rootfs) for f in fs]
strange = [f for f in found if not any(re.fullmatch(w, f) for w in WANTED.split("\n"))]
ok(found and not strange, f"{len(found)} files and no other: {strange}")
ok({"usr/bin/kymod", "usr/bin/kymoctl", "etc/passwd", "usr/share/doc/libc6/copyright", "usr/share/doc/kymo/copyright"} <= set(found), "programs, user, licenses are there")
ok(not any(os.lstat(os.path.join(rootfs, f)).st_mode & 0o6022 for f in found), "nothing is setuid, or writable by others")
size = sum(os.lstat(os.path.join(rootfs, f)).st_size for f in found)
ok(size < 60e6, f"{size / 1e6:.1f} MB")
if ROOT:
    port = free_port()
    kept = path("rootfs/var/lib/kymo")
    p = Process(["chroot", "--userspec=65532:65532", rootfs, "/usr/bin/kymod", "--config", "/etc/kymo/kymod.yaml", "--listen", f"127.0.0.1:{port}"], path("image.log"))
    p.port = port
    Kymod.wait_ready(p)
    health = re.search(r'HEALTHCHECK .*CMD (\[.*\])', open(os.path.join(PACK, "Containerfile")).read())
    probe = [a.replace(":9470", f":{port}") for a in json.loads(health[1])]
    ok(out_of(["chroot", "--userspec=65532:65532", rootfs, *probe])[0] == 0, "the image's health check finds it well")
    ok(p.end() == 0 and os.stat(os.path.join(kept, "log")).st_uid == 65532, "it ran as its user, in its folder, and ended well")
    ok(out_of(["chroot", "--userspec=65532:65532", rootfs, *probe])[0] != 0, "which it does not find when it is gone")
    shutil.rmtree(kept)
    os.makedirs(kept)
    os.chown(kept, 65532, 65532)
else:
    skip("kymod in the image's root", "chroot takes root")
if shutil.which("buildah") and ROOT:
    ctx = path("ctx")
    os.makedirs(ctx)
    out_of(["tar", "-C", rootfs, "-cf", os.path.join(ctx, "rootfs.tar"), "."])   # which keeps owners, as the stage that builds does
    text = open(os.path.join(PACK, "Containerfile")).read()
    put("ctx/Containerfile", "FROM scratch AS build\nADD rootfs.tar /rootfs/\n" + text[text.index("FROM scratch"):])
    buildah = ["buildah", "--storage-driver", "vfs", "--root", path("bs"), "--runroot", path("bsr")]
    code, said = out_of([*buildah, "bud", "--isolation", "chroot", "--format", "docker", "-t", "kymo", ctx])
    ok(code == 0, f"buildah makes an image of the Containerfile's second half {said[-300:] if code else ''}")
    code, said = out_of([*buildah, "inspect", "--type", "image", "kymo"])
    image = json.loads(said)["Docker"]["config"] if code == 0 else {}
    ok(image.get("User") == "65532:65532" and "/var/lib/kymo" in image.get("Volumes", {}) and "9470/tcp" in image.get("ExposedPorts", {}) and image.get("Healthcheck"),
       "with its user, volume, port and health check")
    _, said = out_of([*buildah, "from", "kymo"])
    code, mounted = out_of([*buildah, "mount", said.strip()])
    at = mounted.strip()
    inside = [os.path.relpath(os.path.join(d, f), at) for d, _, fs in os.walk(at) for f in fs] if code == 0 else []
    ok(sorted(inside) == sorted(found), f"and the same files: {set(inside) ^ set(found)}")
    ok(os.stat(os.path.join(at, "var/lib/kymo")).st_uid == 65532, "the volume is its user's")
    out_of([*buildah, "rm", "-a"])
else:
    skip("the image by buildah", "buildah is not installed, or this is not root")

# ---- the package ----

if not all(shutil.which(p) for p in ("dpkg-buildpackage", "dh", "lintian")):
    skip("kymo_*.deb", "dpkg-dev, debhelper, lintian are not installed")
    shutil.rmtree(top, ignore_errors=True)
    done()
env = dict(os.environ, KYMO_BUILT=os.path.abspath(BUILD), KYMO_BUILD=path("deb"), DEB_BUILD_OPTIONS="noautodbgsym", LC_ALL="C")
began = time.time()
made = os.environ.get("KYMO_DEB_DIR")                                   # by .ci/run, with all of it compiled
if not made:
    made = path("deb")
    code, said = out_of([os.path.join(SRC, "bootstrap"), "deb"], 3600, env=env)  # all of it is compiled
    ok(code == 0, f"./bootstrap deb makes it, and lintian has no errors and no warnings {said[-2000:] if code else ''}")
    note(f"bootstrap deb: {time.time() - began:.1f} s")
debs = glob.glob(os.path.join(made, "kymo_*.deb"))
ok(len(debs) == 1 and glob.glob(os.path.join(made, "kymo_*.dsc")), "a package and its source")
if not debs:
    shutil.rmtree(top, ignore_errors=True)
    done()
deb = debs[0]
version = out_of(["dpkg-deb", "-f", deb, "Version"])[1].strip()
configure_ac = open(os.path.join(SRC, "configure.ac")).read()
ok(re.search(r"AC_INIT\(\[kymo\], \[([^]]*)\]", configure_ac)[1] == version, f"its version is configure.ac's, {version}")
listed = {line.split()[5] for line in out_of(["dpkg-deb", "-c", deb])[1].splitlines()}
for f in ("./usr/bin/kymod", "./usr/bin/kymoctl", "./usr/bin/kymobench", "./usr/share/man/man1/kymod.1.gz", "./usr/share/man/man1/kymoctl.1.gz", "./usr/share/man/man1/kymobench.1.gz",
          "./lib/systemd/system/kymod.service", "./usr/lib/sysusers.d/kymo.conf", "./etc/kymo/kymod.yaml", "./etc/default/kymod",
          "./usr/share/bash-completion/completions/kymoctl", "./usr/share/zsh/vendor-completions/_kymoctl"):
    ok(f in listed, f"it holds {f[1:]}")
code, said = out_of([KYMOD, "--check-config", os.path.join(PACK, "kymod.yaml")])
ok(code == 0, f"its configuration is fine: {said}")
code, said = out_of([KYMOD, "--check-config", os.path.join(PACK, "container.yaml")])
ok(code == 0, f"the container's, too: {said}")
# The one before it: the same with a lesser number.
old = path("old.deb")
out_of(["dpkg-deb", "-R", deb, path("unpacked")])
control = open(path("unpacked/DEBIAN/control")).read()
put("unpacked/DEBIAN/control", control.replace(f"Version: {version}", "Version: 0.0.9"))
code, said = out_of(["dpkg-deb", "-Zgzip", "--root-owner-group", "-b", path("unpacked"), old])
ok(code == 0, "one of an earlier version, for the upgrade")


class Machine:
    """This machine's files under an overlay, in namespaces of its own: what is done there is gone with it. With a systemd, when there
    is a cgroup of version 2 to give it."""

    SCRIPT = r"""
set -e
mkdir -p $T/ov
mount -t tmpfs over $T/ov
mkdir $T/ov/up $T/ov/work $T/ov/root
R=$T/ov/root
mount -t overlay over -o lowerdir=/,upperdir=$T/ov/up,workdir=$T/ov/work $R
mount -t proc proc $R/proc
mount -t sysfs sys $R/sys || true
mount -t tmpfs run $R/run
mount --rbind /dev $R/dev
mkdir $R/run/debs $R/oldroot
cp $DEBS $R/run/debs
rm -f $R/etc/fstab $R/usr/sbin/policy-rc.d $R/var/lib/man-db/auto-update
: >$R/etc/machine-id
if [ -n "$CG" ] && [ -x /lib/systemd/systemd ]; then
	mount -t cgroup2 cgroup2 $R/sys/fs/cgroup
	printf '[Unit]\nDescription=nothing but what is tested\nAllowIsolate=yes\n' >$R/etc/systemd/system/only.target
	cd $R
	pivot_root . oldroot
	umount -l /oldroot
	exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=only.target --show-status=no
fi
cd $R
pivot_root . oldroot
umount -l /oldroot
echo no systemd
exec sleep 3600
"""

    def __init__(self, debs):
        self.cgroup = None
        for line in open("/proc/mounts"):
            _, at, kind, *_ = line.split()
            if kind == "cgroup2" and not self.cgroup:
                self.cgroup = os.path.join(at, f"kymo-s94-{os.getpid()}")
                try:
                    os.mkdir(self.cgroup)
                except OSError:
                    self.cgroup = None
        env = dict(os.environ, T=top, DEBS=" ".join(debs), CG=self.cgroup or "")
        enter = f"echo $$ > {self.cgroup}/cgroup.procs; " if self.cgroup else ""
        self.log = path("machine.log")
        argv = ["unshare", "-Cmpun", "--ipc", "--propagation", "private", "-f", "--kill-child", "sh", "-c", self.SCRIPT]
        self.p = Process(["sh", "-c", enter + 'exec "$@"', "sh", *argv], self.log, env=env)
        self.pid = None
        end = time.time() + 90
        while time.time() < end and self.p.alive() and not self.up():
            time.sleep(0.1)

    def up(self):
        try:
            self.pid = int(open(f"/proc/{self.p.pid}/task/{self.p.pid}/children").read().split()[0])
        except (OSError, IndexError):
            return False
        self.boots = open(f"/proc/{self.pid}/comm").read().strip() == "systemd"
        if not self.boots:
            return "no systemd" in open(self.log).read()
        return self.sh("systemctl is-system-running; systemctl list-jobs")[1].strip().endswith("No jobs running.")

    def sh(self, command, timeout=120):
        return out_of(["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "env", "-i", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive",
                       "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", command], timeout)

    def end(self):
        if self.pid:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except OSError:
                pass
        self.p.end(signal.SIGKILL)
        for d, _, _ in os.walk(self.cgroup or "/nonexistent", topdown=False):
            for _ in range(50):
                try:
                    os.rmdir(d)
                    break
                except OSError:
                    time.sleep(0.05)


def here():
    """Without overlays: on this machine itself, which .ci/run allows since it is thrown away."""
    class Here:
        boots = False
        end = lambda self: None

        def sh(self, command, timeout=120):
            return out_of(["sh", "-c", command], timeout)
    shutil.copytree(path("debs"), "/run/debs", dirs_exist_ok=True)
    return Here()


m = None
if ROOT:
    os.makedirs(path("debs"))
    shutil.copy(deb, path("debs/new.deb"))
    shutil.copy(old, path("debs/old.deb"))
    m = Machine([path("debs/new.deb"), path("debs/old.deb")])
    if not m.pid or not m.up():
        note(tail(m.log))
        m.end()
        bare = not any(os.path.exists(p) for p in ("/usr/bin/kymod", "/usr/local/bin/kymod", "/var/lib/kymo", "/etc/kymo"))
        m = here() if os.environ.get("KYMO_INSTALL_HERE") == "1" and bare else None
if not m:
    skip("install, upgrade, remove, purge", "takes root and overlays (or KYMO_INSTALL_HERE=1)")
    shutil.rmtree(top, ignore_errors=True)
    done()
began = time.time()
note(f"with a systemd: {m.boots}")
URL = "http://127.0.0.1:9470"


def query(expr):
    code, said = m.sh(f"kymoctl query --timeout 5s --server {URL} --format json '{expr}'")
    try:
        return json.loads(said)["result"] if code == 0 else None
    except (ValueError, KeyError):
        return None


def wait(what, seconds=90):
    end = time.time() + seconds
    while time.time() < end:
        got = what()
        if got:
            return got
        time.sleep(0.1)
    return what()


def prop(name):
    return m.sh(f"systemctl show -P {name} kymod")[1].strip()


def start():
    """By systemd it runs already; else as its user, by hand."""
    if not m.boots:
        m.sh("mkdir -p /var/lib/kymo; chown kymo:kymo /var/lib/kymo; setsid setpriv --reuid kymo --regid kymo --clear-groups "
             "kymod --config /etc/kymo/kymod.yaml --data-dir /var/lib/kymo >/run/kymod.log 2>&1 & echo $! >/run/kymod.pid")
    return wait(lambda: query("vector(1)"))


def stop():
    if not m.boots:
        m.sh("kill $(cat /run/kymod.pid); while kill -0 $(cat /run/kymod.pid) 2>/dev/null; do sleep 0.1; done")


code, said = m.sh("dpkg -i /run/debs/old.deb")
ok(code == 0, f"installed {said[-600:] if code else ''}")
ok(m.sh("getent passwd kymo")[1].split(":")[5:] == ["/var/lib/kymo", "/usr/sbin/nologin\n"], "with a user of its own, who has no shell")
ok(start(), "it answers")
if m.boots:
    pid = prop("MainPID")
    ok(prop("ActiveState") == "active" and prop("StatusText").startswith("running: 127.0.0.1:9470"), f"systemd knows: {prop('StatusText')}")
    ok(prop("User") == "kymo" and re.search(r"^CapEff:\t0+$", m.sh(f"cat /proc/{pid}/status")[1], re.M), "as its user, without capabilities")
    code, said = m.sh("systemctl reload kymod")
    ok(code == 0 and wait(lambda: "configuration read again" in prop("StatusText")), f"reload: {prop('StatusText')}")
    m.sh("mkdir -p /run/systemd/system/kymod.service.d; printf '[Service]\\nWatchdogSec=4\\nRestartSec=0\\n' >/run/systemd/system/kymod.service.d/test.conf; systemctl daemon-reload; systemctl restart kymod")
    wait(lambda: query("vector(1)"))
    time.sleep(5)
    ok(prop("NRestarts") == "0" and prop("ActiveState") == "active", "the watchdog of 4 s is content with it")
    m.sh(f"kill -STOP {prop('MainPID')}")
    ok(wait(lambda: prop("NRestarts") == "1") and prop("Result") in ("success", "watchdog"), "one that stands still is restarted")
    wait(lambda: query("vector(1)"))
    m.sh("rm -r /run/systemd/system/kymod.service.d; systemctl daemon-reload; systemctl restart kymod")
wait(lambda: query("up"))
at = int(time.time())
put_in = f"printf 's94_kept 94 %s\\n' {at}000 >/run/s94; " \
    "python3 -c \"import urllib.request as u; print(u.urlopen(u.Request('" + URL + "/api/v1/import/prometheus', open('/run/s94','rb').read())).status)\""
ok(m.sh(put_in)[1].strip() in ("200", "204"), "a sample is written")
code, said = m.sh("sed -i 's/^#storage:/storage:/; s/^#  retention: 30d/  retention: 40d/' /etc/kymo/kymod.yaml")
stop()
code, said = m.sh("dpkg --force-confdef --force-confold -i /run/debs/new.deb")
ok(code == 0 and f"({version})" in said, f"upgraded over it {said[-600:] if code else ''}")
ok(start(), "it answers again")
kept = wait(lambda: query(f"s94_kept @ {at + 1}"))
ok(kept and kept[0]["value"][1] == "94", f"what was written is there: {kept}")
ok("retention: 40d" in m.sh("cat /etc/kymo/kymod.yaml")[1], "the configuration is as it was edited")
if m.boots:
    ok(prop("ActiveState") == "active" and prop("MainPID") != "0", "the service runs")
stop()
code, said = m.sh("dpkg -r kymo")
ok(code == 0 and m.sh("command -v kymod; test -e /var/lib/kymo/catalog && test -e /etc/kymo/kymod.yaml && echo kept")[1] == "kept\n", f"removed: the programs are gone, data and configuration are kept {said[-600:] if code else ''}")
if m.boots:
    ok(wait(lambda: query("vector(1)") is None), "and nothing answers")
code, said = m.sh("dpkg -i /run/debs/new.deb")
ok(code == 0 and start(), "installed anew, it answers")
kept = wait(lambda: query(f"s94_kept @ {at + 1}"))
ok(kept and kept[0]["value"][1] == "94", "with what was written before")
stop()
code, said = m.sh("dpkg -P kymo </dev/null")
ok(code == 0 and m.sh("ls -d /var/lib/kymo /etc/kymo /etc/default/kymod /lib/systemd/system/kymod.service 2>/dev/null")[1] == "", f"purged without a question: nothing is left {said[-600:] if code else ''}")
if m.boots:
    ok("kymod" not in m.sh("systemctl list-units --all --plain --no-legend 'kymod*'; ls /etc/systemd/system/multi-user.target.wants | grep kymo")[1], "systemd knows it no more")
m.end()
note(f"the machine: {time.time() - began:.1f} s")
shutil.rmtree(top, ignore_errors=True)
done()
