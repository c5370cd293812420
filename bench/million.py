"""Series as a large installation has them, for those who measure names, labels and values: SERIES of METRICS metrics with 200 label names; `uid` has a value of its own in each."""
from lib import *

AREAS, THINGS = ["net", "disk", "http", "db", "cache", "queue", "auth", "billing", "search", "mail"], ["latency", "requests", "errors", "bytes", "depth", "retries", "hits", "misses", "open", "age"]
BODY = 5000


def metric(m):
    return f"app_{AREAS[m % 10]}_{THINGS[m // 10 % 10]}_{m // 100:03d}_total"


def labels(i, all_series, metrics):
    m = i % metrics
    return {"__name__": metric(m), "job": f"job-{i % 20}", "instance": f"10.0.{i % 40}.{i % 25}:9100", "region": f"r{i % 5}", "uid": f"u-{i * 7919 % all_series:07d}",
            f"own_{m % 195:03d}": f"v{i % 7}"}


def bodies(all_series, metrics, now_ms):
    """Write requests, one after the other, with a sample of each."""
    for first in range(0, all_series, BODY):
        yield b"".join(series(labels(i, all_series, metrics), [(now_ms, 1)]) for i in range(first, min(first + BODY, all_series)))


def taken(port, raw):
    """Until it is: who is told to come back does."""
    for _ in range(100):
        status = write(port, raw)[0]
        if status in (200, 204):
            return True
        time.sleep(0.1)
    return ok(False, f"a write is taken: {status}")
