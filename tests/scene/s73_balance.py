#!/usr/bin/env python3
"""Two servers behind a load balancer, haproxy (HTTP/2 to the servers) and nginx (HTTP/1.1): each is restarted in turn, by SIGTERM and
by SIGKILL, while senders write and repeat what got no 2xx. Every sample that got one is found in one of the two, with its value."""
import random, shutil, signal, sys, threading, time
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

need("haproxy", "nginx")
SEED = int(os.environ.get("KYMO_SEED", str(int(time.time()))))
rnd = random.Random(SEED)
note(f"seed {SEED}")
top = tmpdir("balance")
SENDERS, SERIES = 4, 25
BASE = int(time.time() * 1000) - 3600_000


def path(name):
    return os.path.join(top, name)


haproxy_port, nginx_port, *server_ports = free_ports(4)
open(path("haproxy.cfg"), "w").write(f"""
global
  maxconn 500
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout check 5s
  option redispatch
  retries 2
listen kymo
  bind 127.0.0.1:{haproxy_port}
  balance roundrobin
  option httpchk
  http-check send meth GET uri /-/ready ver HTTP/1.1 hdr Host kymo
  server a 127.0.0.1:{server_ports[0]} proto h2 check check-proto h2 inter 200ms fall 1 rise 1
  server b 127.0.0.1:{server_ports[1]} proto h2 check check-proto h2 inter 200ms fall 1 rise 1
""")
open(path("nginx.conf"), "w").write(f"""
daemon off;
pid {path('nginx.pid')};
error_log {path('nginx.err')};
events {{ worker_connections 500; }}
http {{
  access_log off;
  client_body_temp_path {path('b')};
  proxy_temp_path {path('p')};
  fastcgi_temp_path {path('f')};
  uwsgi_temp_path {path('u')};
  scgi_temp_path {path('s')};
  upstream kymo {{
    server 127.0.0.1:{server_ports[0]} max_fails=1 fail_timeout=1s;
    server 127.0.0.1:{server_ports[1]} max_fails=1 fail_timeout=1s;
    keepalive 8;
  }}
  server {{
    listen 127.0.0.1:{nginx_port};
    location / {{
      proxy_pass http://kymo;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
""")


class Sender(threading.Thread):
    """Rounds of its own series, each until it got a 2xx."""

    def __init__(self, no, port, name):
        super().__init__(daemon=True)
        self.no, self.port, self.name_, self.stop = no, port, name, False
        self.round, self.acked, self.repeats, self.refused, self.c = 0, {}, 0, [], None

    def send(self, body):
        try:
            if not self.c:
                self.c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            self.c.request("POST", "/api/v1/write", body, WRITE_HEADERS)
            r = self.c.getresponse()
            r.read()
            return r.status
        except (OSError, http.client.HTTPException):
            self.c = None
            return 0

    def run(self):
        while not self.stop:
            self.round += 1
            t = BASE + self.round * 100
            rows = [({"__name__": self.name_, "sender": str(self.no), "series": str(i)}, t, float(self.no * 10**9 + self.round * SERIES + i)) for i in range(SERIES)]
            body = snappy(b"".join(series(ls, [(t, v)]) for ls, t, v in rows))
            while True:
                status = self.send(body)
                if 200 <= status < 300:
                    for ls, t, v in rows:
                        self.acked[(ls["sender"], ls["series"], t)] = v
                    break
                if status and status < 500:
                    self.refused.append(status)
                    return
                self.repeats += 1
                time.sleep(0.02)
            time.sleep(0.005)


def found_in(port, name):
    end = BASE + 3600_000
    status, answer = api(port, "query", query=f"{name}[2h]", time=end / 1000)
    if status != 200:
        raise RuntimeError(str(answer))
    return {(s["metric"]["sender"], s["metric"]["series"], round(float(t) * 1000)): float(v) for s in answer["data"]["result"] for t, v in s["values"]}


def wait_for(cond, timeout=60):
    end = time.time() + timeout
    while time.time() < end and not cond():
        time.sleep(0.02)
    return cond()


def answers(port):
    try:
        return request(port, "GET", "/-/ready", timeout=5)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


servers = [Kymod(path(f"data{i}"), "--loops", "1", port=p) for i, p in enumerate(server_ports)]
haproxy = Process(["haproxy", "-f", path("haproxy.cfg")], path("haproxy.log"))
nginx = Process(["nginx", "-p", top, "-e", path("nginx.err"), "-c", path("nginx.conf")], path("nginx.log"))
for name, port in (("haproxy", haproxy_port), ("nginx", nginx_port)):
    ok(wait_for(lambda: answers(port)), f"{name} is there: " + tail(path(f"{name}.log"), 3))
    senders = [Sender(n, port, f"behind_{name}") for n in range(SENDERS)]
    for s in senders:
        s.start()
    for sig in (signal.SIGTERM, signal.SIGKILL):
        for i in (0, 1):
            rounds = [s.round for s in senders]
            wait_for(lambda: all(s.round > r + 20 or not s.is_alive() for s, r in zip(senders, rounds)))
            time.sleep(rnd.uniform(0, 0.3))
            servers[i].end(sig)
            rounds = [s.round for s in senders]
            ok(wait_for(lambda: all(s.round > r + 5 or not s.is_alive() for s, r in zip(senders, rounds))),
               f"{name}: one server alone takes what comes while the other one is gone ({sig.name})")
            servers[i] = Kymod(path(f"data{i}"), "--loops", "1", port=server_ports[i])
    rounds = [s.round for s in senders]
    wait_for(lambda: all(s.round > r + 20 or not s.is_alive() for s, r in zip(senders, rounds)))
    for s in senders:
        s.stop = True
    for s in senders:
        s.join(120)
    acked = {k: v for s in senders for k, v in s.acked.items()}
    parts = [found_in(p, f"behind_{name}") for p in server_ports]
    lost = [k for k, v in acked.items() if all(part.get(k) != v for part in parts)]
    note(f"{name}: {len(acked)} samples acknowledged, {sum(s.repeats for s in senders)} repeats, in the servers {[len(p) for p in parts]}")
    ok(not any(s.refused for s in senders), f"{name}: nothing was refused: {[s.refused for s in senders]}")
    ok(all(len(p) > len(acked) / 20 for p in parts), f"{name}: both servers have their part")
    ok(acked and not lost, f"{name}: every acknowledged sample is in one of the two ({len(lost)} of {len(acked)} lost: {lost[:3]})")
for p in (haproxy, nginx, *servers):
    p.end()
shutil.rmtree(top)
done()
