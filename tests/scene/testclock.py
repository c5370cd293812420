"""A clock for a kymod under test (core/base/clock.h): wall and monotonic time as the scene wants them. KYMO_TEST_CLOCK names its file."""
import mmap, os, struct, time

SIZE = 56


class Clock:
    """Begins at the machine's own times. Both go on at real speed until told otherwise."""

    def __init__(self, path, wall_ms=None):
        self.path = path
        with open(path, "wb") as f:
            f.write(b"KYMOTCLK" + bytes(SIZE - 8))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), SIZE)
        self.serial = 0
        self.wall_ns = time.time_ns() if wall_ms is None else wall_ms * 1000000
        self.mono_ns = self.real_ns = time.monotonic_ns()
        self.speed = (1000000, 1000000)
        self._write()

    def env(self):
        return {**os.environ, "KYMO_TEST_CLOCK": self.path}

    def _write(self):
        put = lambda at, n: struct.pack_into("=q", self.map, at, n)
        put(8, self.serial + 1)
        for i, n in enumerate((self.real_ns, self.wall_ns, self.mono_ns, *self.speed)):
            put(16 + 8 * i, n)
        self.serial += 2
        put(8, self.serial)

    def _catch_up(self):
        real = time.monotonic_ns()
        passed = real - self.real_ns
        self.wall_ns += passed * self.speed[0] // 1000000
        self.mono_ns += passed * self.speed[1] // 1000000
        self.real_ns = real

    def ms(self):
        """Wall time."""
        self._catch_up()
        return self.wall_ns // 1000000

    def pass_s(self, s):
        """Time goes by: both clocks move."""
        self._catch_up()
        self.wall_ns += int(s * 1e9)
        self.mono_ns += int(s * 1e9)
        self._write()

    def step_s(self, s):
        """Somebody sets the wall clock."""
        self._catch_up()
        self.wall_ns += int(s * 1e9)
        self._write()

    def set_speed(self, wall, mono):
        self._catch_up()
        self.speed = (int(wall * 1e6), int(mono * 1e6))
        self._write()
