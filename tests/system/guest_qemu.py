# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real QEMU that runs tests/guest, and what is done to its memory from outside."""

import ctypes
import json
import os
import re
import select
import socket
import subprocess
import sys
import time

PAGE = 4096
PROCESS_MADVISE = 440
MADV_PAGEOUT = 21
LOADER = 16  # pages behind the guest in which QEMU's loader leaves something whenever it starts
LIMIT = 120  # seconds; nothing here takes a tenth of that

MAPPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest_mapper.py")
libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """The test cannot go on."""


class Lines:
    """A child that is told something in a line, and says something in lines."""

    def __init__(self, arguments, log=None):
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self.rest = b""

    def read(self):
        deadline = time.monotonic() + LIMIT
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.process.stdout], [], [], deadline - time.monotonic())
            part = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not part:
                raise Failure(f"{self.process.args[0]}: {'it ended' if ready else 'it says nothing'}")
            self.rest += part
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode(errors="replace").strip("\r")

    def write(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Guest:
    """QEMU, and the guest in it. All numbers are of pages; addresses are the guest's."""

    def __init__(self, options, machine, size_mib, shared=True, nodes=1):
        self.pages = size_mib << 20 >> 12
        self.events = []
        self.qmp_path = os.path.join(options.folder, "qmp")  # for the agents
        self.own_path = os.path.join(options.folder, "own")
        arguments = [options.qemu, "-accel", "tcg", "-nodefaults", "-no-user-config", "-display", "none",
                     "-m", f"{size_mib}M", "-kernel", options.guest, "-serial", "stdio", "-monitor", "none",
                     "-machine", machine + (",memory-backend=ram0" if shared and nodes == 1 else "")]
        for node in range(nodes if shared else 0):
            arguments += ["-object", f"memory-backend-memfd,id=ram{node},size={size_mib // nodes}M,share=on"]
            arguments += ["-numa", f"node,memdev=ram{node}"] if nodes > 1 else []
        for path in (self.qmp_path, self.own_path):
            arguments += ["-qmp", f"unix:{path},server=on,wait=off"]
        with open(os.path.join(options.folder, "qemu.log"), "wb") as log:
            self.lines = Lines(arguments, log)
        self.pid = self.lines.process.pid
        try:
            self.wait_until_ready()
            self.qmp = self.connect()
        except Failure:
            with open(os.path.join(options.folder, "qemu.log"), encoding="utf-8", errors="replace") as log:
                print(log.read(), end="")
            self.end()
            raise

    def end(self):
        self.lines.end()

    # ---- the guest's commands

    def wait_until_ready(self):
        self.ram, self.own_end = [], 0
        while (line := self.lines.read()) != "ready":
            what, *numbers = line.split()
            if what == "ram":
                self.ram.append((int(numbers[0], 16), int(numbers[1], 16)))
            elif what == "own":
                self.own_end = int(numbers[1], 16)
            else:
                raise Failure(f"the guest says {line}")

    def command(self, *words):
        self.lines.write(" ".join(word if isinstance(word, str) else f"{word:x}" for word in words))
        return self.lines.read()

    def do(self, *words):
        """What must succeed."""
        answer = self.command(*words)
        if not answer.startswith("ok"):
            raise Failure(f"guest: {words}: {answer}")

    def usable(self):
        """Pieces of RAM that the guest may write: above the first MiB and itself."""
        return [(max(first, self.own_end + LOADER), end) for first, end in self.ram if end > 0x100]

    # ---- QMP

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(LIMIT)
        connection.connect(self.own_path)
        self.qmp_lines = connection.makefile("rb")
        self.qmp_lines.readline()
        connection.sendall(b'{"execute": "qmp_capabilities"}\n')
        self.qmp_lines.readline()
        return connection

    def ask(self, command, **arguments):
        self.qmp.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            reply = json.loads(self.qmp_lines.readline())
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise Failure(f"{command}: {reply['error']['desc']}")
            self.events.append(reply["event"])

    def reset(self):
        self.ask("system_reset")
        self.wait_until_ready()

    # ---- from outside

    def memfds(self):
        """The descriptors of the RAM blocks, in order."""
        folder = f"/proc/{self.pid}/fd"
        fds = [int(fd) for fd in os.listdir(folder)
               if os.readlink(f"{folder}/{fd}").startswith("/memfd:memory-backend-memfd")]
        if not fds:
            raise Failure("QEMU has no memfd")
        return sorted(fds)

    def paths(self):
        return [f"/proc/{self.pid}/fd/{fd}" for fd in self.memfds()]

    def mapping(self, path):
        inode = os.stat(path).st_ino
        with open(f"/proc/{self.pid}/maps", encoding="utf-8", errors="replace") as maps:
            for line in maps:
                match = re.match(rf"(\w+)-\w+ rw-s 0+ \S+ {inode} ", line)
                if match:
                    return int(match[1], 16)
        raise Failure("QEMU does not map its memfd")

    def places(self, extents):
        """Where QEMU has mapped pages of the blocks, which follow each other."""
        start = 0
        for path in self.paths():
            base, end = self.mapping(path), start + os.stat(path).st_size // PAGE
            for first, count in extents:
                low, high = max(first, start), min(first + count, end)
                if low < high:
                    yield Iovec(base + (low - start) * PAGE, (high - low) * PAGE)
            start = end

    def page_out(self, extents):
        """Asks the kernel to; which pages go is for the oracle to say."""
        vectors, pidfd = list(self.places(extents)), os.pidfd_open(self.pid)
        for i in range(0, len(vectors), 512):
            part = vectors[i : i + 512]
            array = (Iovec * len(part))(*part)
            if libc.syscall(PROCESS_MADVISE, pidfd, array, ctypes.c_size_t(len(part)), MADV_PAGEOUT, 0) < 0:
                raise Failure(f"process_madvise: {os.strerror(ctypes.get_errno())}")
        os.close(pidfd)


class Group:
    """A memory cgroup that holds nothing but QEMU, to reclaim what is in the swap cache."""

    def __init__(self):
        self.path = None
        for root, knob in (("/sys/fs/cgroup/memory", "memory.force_empty"), ("/sys/fs/cgroup", "memory.reclaim")):
            path = f"{root}/shmstate-guest.{os.getpid()}"
            try:
                os.mkdir(path)
            except OSError:
                continue
            if os.path.exists(f"{path}/{knob}"):
                self.path, self.knob = path, f"{path}/{knob}"
                return
            os.rmdir(path)

    def take(self, pid):
        with open(f"{self.path}/cgroup.procs", "w", encoding="ascii") as file:
            file.write(str(pid))

    def reclaim(self):
        for _ in range(3):
            try:
                with open(self.knob, "w", encoding="ascii") as file:
                    file.write("1G" if self.knob.endswith("reclaim") else "0")
            except OSError:  # it could not reclaim that much
                pass

    def remove(self):
        for _ in range(50):
            try:
                os.rmdir(self.path)
                return
            except OSError:  # QEMU is on its way out
                time.sleep(0.1)


class Mapper(Lines):
    """A second process that maps the guest's memory."""

    def __init__(self, guest):
        super().__init__([sys.executable, "-B", MAPPER, str(guest.pid), str(guest.memfds()[0])])
        if self.read() != "ready":
            raise Failure("the second mapper does not start")

    def do(self, *words):
        self.write(" ".join(str(word) for word in words))
        if self.read() != "ok":
            raise Failure(f"the second mapper: {words}")
