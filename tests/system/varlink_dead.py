# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Group "dead": paths that lead to a file system that does not answer, a FUSE of our own.
"""

import contextlib
import ctypes
import os
import struct
import tempfile
import time

from varlink_descriptors import NOBODY, as_nobody
from varlink_wire import PASSED, Service, check, error_of, heading, memory, report

SETTINGS = """[Service]
Workers=2
ScanSeconds=3
"""
SECONDS = 3
STOP_SECONDS = 5  # as shmstated(8) has it
ROOM = 8  # LOOKUPS_OTHERS_MAX
MS_NOSUID, MS_NODEV, MNT_DETACH = 2, 4, 2
libc = ctypes.CDLL(None, use_errno=True)


def libc_call(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Dead:
    """It says that it is there, and nothing more. Whoever looks for a file in it waits until it goes."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="shmstate-dead.")
        os.chmod(self.folder, 0o755)
        self.path = f"{self.folder}/file"
        self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.fd},rootmode=40755,user_id={NOBODY},group_id={NOBODY},allow_other"
        try:
            libc_call(libc.mount(b"shmstate-dead", self.folder.encode(), b"fuse", MS_NOSUID | MS_NODEV,
                                 options.encode()))
        except OSError:
            os.close(self.fd)
            os.rmdir(self.folder)
            raise
        self.begin()

    def begin(self):
        """FUSE_INIT and its answer: linux/fuse.h."""
        question = os.read(self.fd, 1 << 16)
        unique, = struct.unpack_from("<Q", question, 8)
        major, minor = struct.unpack_from("<II", question, 40)
        answer = struct.pack("<IIIIHHIIHHI28x", major, min(minor, 31), 0, 0, 16, 12, 4096, 1, 0, 0, 0)
        os.write(self.fd, struct.pack("<IiQ", 16 + len(answer), 0, unique) + answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # to close its descriptor is to abort it: all who wait are told
        os.close(self.fd)
        libc_call(libc.umount2(self.folder.encode(), MNT_DETACH))
        os.rmdir(self.folder)


@contextlib.contextmanager
def shm_file(uid):
    path = f"/dev/shm/shmstate-dead.{os.getpid()}.{uid}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, 1 << 16)
        os.fchown(descriptor, uid, uid)
        yield path
    finally:
        os.close(descriptor)
        os.unlink(path)


def as_user(service, uid, work):
    """Runs it in a process of that user's."""
    def become():
        os.setresuid(0, 0, 0)
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        work()
    child = os.fork()
    if child == 0:
        failures = report.failures
        with contextlib.suppress(Exception):
            become()
            os._exit(report.failures != failures)
        os._exit(1)
    check(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, f"as {uid}: {work.__name__}")


def ask(service, path, expected, most=None):
    """Summarize, by a path."""
    with service.wire() as wire:
        start = time.monotonic()
        reply = wire.call("Summarize", {"selector": {"path": path}})
        took = time.monotonic() - start
        check(error_of(reply) in expected, f"{path}: {reply}, not {expected}")
        check(most is None or took < most, f"{path}: it took {took} s")
        return reply


def threads(service):
    with open(f"/proc/{service.process.pid}/status") as file:
        return int(next(line for line in file if line.startswith("Threads:")).split()[1])


def others(service, dead):
    """Who asks for such a path holds nobody up for longer than looks may take, and then nobody at all."""
    heading("a path that leads to a dead file system, as nobody")
    own = f"/dev/shm/shmstate-dead.{os.getpid()}.{NOBODY}"

    def all_at_once():
        with contextlib.ExitStack() as stack:
            wires = [stack.enter_context(service.wire()) for _ in range(4)]
            for i, wire in enumerate(wires):
                wire.send("Summarize", {"selector": {"path": dead.path}, "range": {"first": i}})
            start = time.monotonic()
            replies = [wire.receive() for wire in wires]
            took = time.monotonic() - start
        errors = sorted(error_of(reply) for reply in replies)
        check(errors == ["ScanTimedOut"] + 3 * ["TooBusy"], f"{errors}")
        bounds = {"dead_paths": 1, "scan_seconds": SECONDS}  # the others wait for a turn, or for a worker
        for parameters in (reply["parameters"] for reply in replies):
            check(parameters == {"seconds": SECONDS} or
                  bounds.get(parameters.get("bound"), 0) == parameters.get("limit"), f"{replies}")
        check(took < SECONDS + 3 + 2, f"{took} s")

    def afterwards():
        ask(service, own, {"TooBusy"}, 3)
        with service.wire() as wire, memory() as descriptor:
            reply = wire.call("Summarize", {"selector": PASSED}, [descriptor])
            check("error" not in reply, f"not by path: {reply}")
            reply = wire.call("ListObjects", {"selector": {"path": own}})
            check(error_of(reply) == "TooBusy", f"{reply}")

    def at_last():
        ask(service, own, {"no error"})

    with shm_file(NOBODY), shm_file(0) as roots:
        before = threads(service)
        as_nobody(service, at_last)
        child = os.fork()
        if child == 0:
            as_nobody(service, all_at_once)
            os._exit(report.failures > 0)
        while service.status()["scans"] < 4:
            time.sleep(0.01)
        ask(service, roots, {"no error"}, SECONDS - 1)
        check(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "who waits for it")
        as_nobody(service, afterwards)
        with shm_file(NOBODY - 1) as path:
            as_user(service, NOBODY - 1, lambda: ask(service, path, {"no error"}, SECONDS))
    return before


def root(service, dead):
    heading("as root")
    with shm_file(0) as path:
        reply = ask(service, dead.path, {"ScanTimedOut"}, SECONDS + 2)
        check(reply.get("parameters") == {"seconds": SECONDS}, f"{reply}")
        ask(service, path, {"no error"}, 2)
        ask(service, dead.path, {"ScanTimedOut"}, SECONDS + 2)


def many(service, dead):
    heading("as many users")

    def hold_up():
        with service.wire(quiet=True) as wire:
            wire.send("Summarize", {"selector": {"path": dead.path}})
            time.sleep(0.3)

    for uid in range(1, ROOM):
        as_user(service, uid, hold_up)
    with shm_file(ROOM) as path, shm_file(0) as roots:
        as_user(service, ROOM, lambda: ask(service, path, {"TooBusy"}, 3))
        ask(service, roots, {"no error"}, 2)
    check(threads(service) < 32, f"{threads(service)} threads")


def back(service, before):
    heading("when it has gone")
    with shm_file(NOBODY) as path:
        for _ in range(50):
            if threads(service) <= before:
                break
            time.sleep(0.1)
        check(threads(service) <= before, f"{threads(service)} threads, {before} before")
        as_nobody(service, lambda: ask(service, path, {"no error"}, 2))


def stop():
    heading("the end of the service while it waits")
    # what looks for leaks stops all threads, which those do not let it
    before = os.environ.get("ASAN_OPTIONS")
    os.environ["ASAN_OPTIONS"] = ":".join(filter(None, [before, "detect_leaks=0"]))
    try:
        with Dead() as dead, Service("[Service]\nWorkers=2\nScanSeconds=60\n") as service, \
                contextlib.ExitStack() as stack:
            for i in range(2):
                wire = stack.enter_context(service.wire())
                wire.send("Summarize", {"selector": {"path": dead.path}, "range": {"first": i}})
            while service.status()["scans"] < 2:
                time.sleep(0.01)
            start = time.monotonic()
            service.stop()
            took = time.monotonic() - start
            check(took < STOP_SECONDS + 3, f"it took {took} s to end")
    finally:
        del os.environ["ASAN_OPTIONS"]
        if before is not None:
            os.environ["ASAN_OPTIONS"] = before


def run(service):
    if not service.is_ours or os.geteuid() != 0 or not os.path.isdir("/dev/shm"):
        report.not_tried("a file system that does not answer: not root, or not a service of our own")
        return
    try:
        Dead().__exit__()
    except OSError as error:
        report.not_tried(f"a file system that does not answer: no FUSE: {error}")
        return
    with Service(SETTINGS) as own:
        with Dead() as dead:
            before = others(own, dead)
            root(own, dead)
            many(own, dead)
        back(own, before)
    stop()
