# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the tests of the service share: a client that knows nothing but sockets, a service to speak to,
and memory whose states are known.
"""

import array
import contextlib
import fcntl
import json
import os
import socket
import struct
import subprocess
import tempfile
import termios
import time

INTERFACE = "io.shmstate"
PAGE = os.sysconf("SC_PAGESIZE")
PATIENCE = 60  # seconds after which an answer is taken to be lost; machines without KVM are slow
SHOWN = 300


class Report:
    """What was tried, and what was wrong."""

    tests = failures = 0

    def __init__(self):
        self.missing = []

    def check(self, good, what):
        self.tests += 1
        if not good:
            self.failures += 1
            print(f"FAIL: {what}", flush=True)
        return good

    def not_tried(self, what):
        """Of what, and why: tools/check looks for such lines."""
        self.missing.append(what)
        print(f"-- not shown: {what}", flush=True)

    def no_client(self, client, why):
        """Where each is known to be installed (tests/vm), its absence is a fault."""
        self.not_tried(f"{client}: {why}")
        self.check(os.environ.get("SHMSTATE_ALL_CLIENTS") != "1", f"{client}: {why}, but is to be here")


report = Report()
check = report.check


def show(mark, data):
    text = data if isinstance(data, str) else data.decode(errors="backslashreplace")
    print(f"  {mark} {text[:SHOWN]}{f' ... ({len(text)} characters)' if len(text) > SHOWN else ''}")


def heading(text):
    print(f"== {text}", flush=True)


class Closed(Exception):
    """The service closed the connection."""


class Wire:
    """A connection, as bytes."""

    def __init__(self, path, quiet=False):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.socket.settimeout(PATIENCE)
        self.quiet = quiet
        self.buffer = b""
        self.length = 0  # of the last message
        self.total = 0
        self.descriptors = []
        self.socket.connect(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []

    def raw(self, data, descriptors=()):
        """Bytes as they are, with the descriptors beside the first of them."""
        if not self.quiet:
            show("->", data.replace(b"\0", b"<NUL>") if len(data) < 4 * SHOWN else data[:SHOWN] + b" ...")
        try:
            if descriptors:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
                data = data[self.socket.sendmsg([data], rights):]
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what it said before is still to be read

    def until_read(self):
        """The service has taken what was sent: what is sent next comes to it as another piece."""
        deadline = time.monotonic() + PATIENCE
        while struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, bytes(4)))[0] > 0:
            if time.monotonic() > deadline:
                check(False, "the service does not read what was sent")
                break
            time.sleep(0.0002)

    def send(self, method, parameters=None, descriptors=(), **flags):
        self.raw(message(method, parameters, **flags), descriptors)

    def receive(self):
        """A message; Closed if there is none any more."""
        while b"\0" not in self.buffer:
            try:
                space = socket.CMSG_SPACE(4 * 16)
                data, extra, _, _ = self.socket.recvmsg(1 << 20, space, socket.MSG_CMSG_CLOEXEC)
            except ConnectionResetError:
                data, extra = b"", ()
            for level, kind, content in extra:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors = array.array("i")
                    descriptors.frombytes(content[:len(content) - len(content) % 4])
                    self.descriptors += descriptors
            if not data:
                if self.buffer:
                    check(False, f"closed within a message: {self.buffer[:100]}")
                if not self.quiet:
                    show("<-", "(closed)")
                raise Closed
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        self.length = len(text)
        if not self.quiet:
            show("<-", text)
        return json.loads(text)

    def texts(self):
        """All replies to a call with `more`, as they came: for those that are too long to be parsed."""
        texts = []
        while not texts or b'"continues":true' in texts[-1][:100] + texts[-1][-100:]:
            parts = [self.buffer]
            while b"\0" not in parts[-1]:
                parts.append(self.socket.recv(1 << 20))
                if not parts[-1]:
                    raise Closed
            text, self.buffer = b"".join(parts).split(b"\0", 1)
            texts.append(text)
        return texts

    def rest(self):
        """All replies up to the end."""
        replies = []
        with contextlib.suppress(Closed):
            while True:
                replies.append(self.receive())
        return replies

    def rest_of_stream(self):
        """As rest(), but the last message may be cut off; in total how many bytes came."""
        replies, self.total = [], 0
        with contextlib.suppress(ConnectionResetError):
            while data := self.socket.recv(1 << 20):
                self.buffer += data
        self.total = len(self.buffer)
        *whole, _ = self.buffer.split(b"\0")
        replies = [json.loads(text) for text in whole]
        self.buffer = b""
        return replies

    def call(self, method, parameters=None, descriptors=(), **flags):
        self.send(method, parameters, descriptors, **flags)
        return self.receive()

    def more(self, method, parameters=None, descriptors=()):
        self.send(method, parameters, descriptors, more=True)
        return self.stream()

    def stream(self):
        replies = [self.receive()]
        while replies[-1].get("continues"):
            replies.append(self.receive())
        return replies


def message(method, parameters=None, **flags):
    call = {"method": method if "." in method else f"{INTERFACE}.{method}", **flags}
    if parameters is not None:
        call["parameters"] = parameters
    return json.dumps(call).encode() + b"\0"


def error_of(reply):
    """Its name, without the interface's if it is ours or that of all services."""
    name = reply.get("error", "no error")
    for prefix in (INTERFACE + ".", "org.varlink.service."):
        name = name.removeprefix(prefix)
    return name


class Service:
    """One of our own in a temporary folder, or one that runs already ($SHMSTATE_SOCKET)."""

    def __init__(self, settings="", log=None, prepare=None):
        """log: where it writes what it says; prepare: done in its process before it runs."""
        self.path = None if settings else os.environ.get("SHMSTATE_SOCKET")
        self.is_ours = "SHMSTATE_SOCKET" not in os.environ
        self.process = self.folder = None
        if self.path:
            return
        self.folder = tempfile.TemporaryDirectory(prefix="shmstate-varlink.")
        os.chmod(self.folder.name, 0o755)
        self.path = os.path.join(self.folder.name, "io.shmstate")
        self.command = [os.environ["SHMSTATED"], f"--socket={self.path}"]
        self.options = {"stderr": log, "preexec_fn": prepare}
        if settings:
            config = os.path.join(self.folder.name, "shmstated.conf")
            with open(config, "w") as file:
                file.write(settings)
            self.command.append(f"--config={config}")
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, **self.options)
        self.wait()

    def wait(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                Wire(self.path, quiet=True).close()
                return
            except (FileNotFoundError, ConnectionRefusedError):
                if self.process.poll() is not None:
                    raise SystemExit(f"varlink: the service ended: {self.process.returncode}")
                if time.monotonic() > deadline:
                    raise SystemExit(f"varlink: nobody listens at {self.path}")
                time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process:
            ended = self.process.poll()
            if check(ended is None, f"the service ended by itself: {ended}"):
                self.process.terminate()
                try:
                    code = self.process.wait(PATIENCE)
                    check(code == 0, f"told to stop, the service ended with {code}")
                except subprocess.TimeoutExpired:
                    check(False, "told to stop, the service does not end")
                    self.process.kill()
                    self.process.wait()
            self.process = None
            self.folder.cleanup()

    def wire(self, quiet=False):
        return Wire(self.path, quiet)

    def status(self):
        with self.wire(quiet=True) as wire:
            return wire.call("GetStatus")["parameters"]

    def limits(self):
        return self.status()["limits"]

    def lives(self, after):
        """It answers others whatever one of them did."""
        try:
            with self.wire(quiet=True) as wire:
                return check("parameters" in wire.call("GetStatus"), f"no answer after {after}")
        except (OSError, Closed) as error:
            return check(False, f"no answer after {after}: {error!r}")

    def open_files(self):
        """What the service has open, by number; what it opens once and keeps is there already."""
        with self.wire(quiet=True) as wire:
            call = message("GetStatus")
            wire.raw(call[:10])
            time.sleep(0.05)  # so that it has had to wait, for which there is a timer
            wire.raw(call[10:])
            pid = wire.receive()["parameters"]["pid"]
            files = {}
            for number in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(FileNotFoundError):
                    files[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
            return files

    def descriptors(self):
        return len(self.open_files())


@contextlib.contextmanager
def memory(pages=8, written=(0, 1, 5), name="shmstate-varlink", step=0):
    """A memfd of which these pages, or every so many, are written and stay in RAM."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        os.ftruncate(descriptor, pages * PAGE)
        for page in range(0, pages, step) if step else written:
            os.pwrite(descriptor, b"x" * PAGE, page * PAGE)
        yield descriptor
    finally:
        os.close(descriptor)


def ours(descriptor):
    """The selector of a descriptor of this process."""
    return {"pid": os.getpid(), "fileDescriptor": descriptor}


PASSED = {"passedFileDescriptor": 0}
