# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Group "errors": those that the service names when it cannot answer now, and what shmstatectl makes of
each error that there is, told by a server that knows nothing else.
"""

import contextlib
import ctypes
import fcntl
import json
import mmap
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

from varlink_wire import (INTERFACE, PATIENCE, Service, check, error_of, heading, memory, message, ours,
                          report, show)

LONG = 1 << 46  # bytes: to tell of them page by page takes hours
SHORT_LOOKS = """[Service]
ScanSeconds=1
"""
TIMED_OUT = "the look took longer than the service allows"
LEASED = "a process has a write lease on it, which opening it would break"
# What the service says, and what shmstatectl does, about an object and a path.
SAID = (
    ("ScanTimedOut", {"seconds": 3}, TIMED_OUT),
    ("TooBusy", {"bound": "queued_scans_of_others", "limit": 64},
     "the service is too busy: no more than 64 looks may wait"),
    ("TooBusy", {"bound": "held_bytes_of_user", "limit": 64},
     "the service is too busy: no more than 64 bytes of answers and half-sent calls may be held"),
    ("TooBusy", {"bound": "scan_seconds", "limit": 30},
     "the service is too busy: no more than 30 seconds may pass, and no look could begin in that time"),
    ("TooBusy", {"bound": "dead_paths", "limit": 1},
     "the service is too busy: no more than 1 path whose file system does not answer is waited for"),
    ("ObjectBusy", {"reason": "because"}, "because"),
    ("Stopping", {}, "the service is being stopped"),
    ("ProbeUnavailable", {"probe": "walk", "reason": "because"}, "--probe=walk: because"),
    ("Failed", {"reason": "because", "errno": 5}, "because"),
    ("TooManyConnections", {"limit": 7}, "the service has no room for another connection: it allows 7"),
    ("NotPermitted", {"rule": "owner"}, "see rule owner in shmstated(8)"),
    ("NotSharedMemory", {}, "not shared memory; expected a file on tmpfs"),
    ("NotSwappable", {"kind": "hugetlb"}, "memory of this kind is never swapped and has no page states"),
    # Of a version that says less than this one, or something else
    ("ObjectBusy", {}, "the service answered io.shmstate.ObjectBusy {}"),
    ("TooBusy", {"limit": "64"}, 'the service answered io.shmstate.TooBusy {"limit":"64"}'),
    ("TooBusy", {"limit": 64}, 'the service answered io.shmstate.TooBusy {"limit":64}'),
    ("MessageTooLong", {"limit": 1}, 'the service answered io.shmstate.MessageTooLong {"limit":1}'),
    ("Nil", {}, "the service answered io.shmstate.Nil {}"),
)


def program():
    return os.path.join(os.environ.get("builddir", "."), "shmstatectl")


def ctl(path, *words):
    """What it says on stderr; and that it fails, and says nothing else."""
    done = subprocess.run([program(), *words, f"--socket={path}"], capture_output=True, text=True,
                          timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL)
    show("$", f"shmstatectl {' '.join(words)}: exit {done.returncode}: {done.stderr.strip()}")
    check(done.returncode == 1 and not done.stdout and done.stderr.count("\n") == 1,
          f"{words}: exit {done.returncode}, {done.stdout}{done.stderr}")
    return done.stderr


def timed_out(service):
    heading("ScanTimedOut")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    with memory(written=(), name="shmstate-long") as descriptor, service.wire() as wire:
        os.ftruncate(descriptor, LONG)
        address = libc.mmap(None, LONG, 0, mmap.MAP_SHARED, descriptor, 0)
        if address in (None, 2**64 - 1):
            report.not_tried("ScanTimedOut: no room for a mapping of 64 TiB")
            return
        start = time.monotonic()
        reply = wire.call("GetPagemap", {"pid": os.getpid()})
        check(error_of(reply) == "ScanTimedOut" and reply["parameters"] == {"seconds": 1}, f"{reply}")
        check(time.monotonic() - start >= 1, "too early")
        check(f": {TIMED_OUT}" in ctl(service.path, "pagemap", f"--pid={os.getpid()}"), "its text")
        # it is over: the connection and the worker go on
        check("error" not in wire.call("Summarize", {"selector": ours(descriptor)}), "after it")
        libc.munmap(address, LONG)


@contextlib.contextmanager
def leased():
    """A file on tmpfs on which another process has a write lease: the descriptor must not be ours too."""
    path = f"/dev/shm/shmstate-leased.{os.getpid()}"
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            os.ftruncate(descriptor, 1 << 16)
            signal.signal(signal.SIGIO, lambda *_: os._exit(3))  # somebody has broken it
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            os._exit(0)
        finally:
            os._exit(4)
    os.close(ready[1])
    try:
        yield child, path if os.read(ready[0], 1) else None
    finally:
        os.write(go[1], b"x")
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        check(status in (0, 4), f"the lease was broken: {status}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        for end in (ready[0], *go):
            os.close(end)


def object_busy(service):
    heading("ObjectBusy")
    with leased() as (pid, path), service.wire() as wire:
        if not path:
            report.not_tried("ObjectBusy: no write lease to be had")
            return
        for method in ("Summarize", "Classify"):
            reply = wire.call(method, {"selector": {"path": path}})
            check(error_of(reply) == "ObjectBusy" and reply["parameters"] == {"reason": LEASED}, f"{method}: {reply}")
        for method in ("GetObject", "ListObjects"):
            reply = wire.call(method, {"selector": {"path": path, "pid": pid}, "summarize": True}
                              if method == "ListObjects" else {"selector": {"path": path}})["parameters"]
            found = reply["object"] if method == "GetObject" else reply["objects"][0]
            check(found["summary"] is None and found["reason"] == LEASED, f"{method}: {found}")
        check(f"{found['object']}: {LEASED}" in ctl(service.path, "dump", f"--path={path}"), "shmstatectl")


def stopping():
    heading("Stopping")
    with Service(SHORT_LOOKS) as service, service.wire() as wire, service.wire() as idle:
        half = message("GetStatus")
        wire.raw(half[:10])
        check("error" not in idle.call("GetStatus"), "before")
        service.process.terminate()
        check(not idle.rest(), "one that asks nothing is told nothing")
        wire.raw(half[10:])
        replies = wire.rest()
        check(len(replies) == 1 and error_of(replies[0]) == "Stopping" and
              replies[0].get("parameters", {}) == {}, f"{replies}")
        check(service.process.wait(PATIENCE) == 0, "its end")
        service.process = None
        service.folder.cleanup()


@contextlib.contextmanager
def answering(reply):
    """A server that has one answer for whatever it is asked. Its address."""
    def serve(server):
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                with client:
                    while data := client.recv(1 << 16):
                        for _ in range(data.count(b"\0")):
                            client.sendall(json.dumps(reply).encode() + b"\0")

    with tempfile.TemporaryDirectory(prefix="shmstate-errors.") as folder, \
            socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/socket")
        server.listen()
        thread = threading.Thread(target=serve, args=[server], daemon=True)
        thread.start()
        yield f"{folder}/socket"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def said():
    heading("what shmstatectl says")
    for name, parameters, text in SAID:
        with answering({"error": f"{INTERFACE}.{name}", "parameters": parameters}) as path:
            for words in (("dump", "0:1:5", "--probe=walk"), ("show", "--path=/nil", "--probe=walk"),
                          ("pagemap", f"--pid={os.getpid()}", "--probe=walk")):
                told = ctl(path, *words)
                check(told.startswith("shmstatectl: ") and told.endswith(f"{text}\n"), f"{name}: {words}: {told}")
    # The path is named, without asking for it once more
    with answering({"error": f"{INTERFACE}.ScanTimedOut", "parameters": {"seconds": 3}}) as path:
        check(ctl(path, "dump", "--path=/nil") == f"shmstatectl: /nil: {TIMED_OUT}\n", "the path")
    with answering({"error": f"{INTERFACE}.ProbeUnavailable", "parameters": {"probe": "auto", "reason": "because"}}) \
            as path:
        check("locate needs the walk: because" in ctl(path, "locate", "0:1:5"), "locate")


def run(service):
    if not os.access(program(), os.X_OK):
        report.not_tried("errors: no shmstatectl")
        return
    said()
    if not service.is_ours:
        report.not_tried("errors: not a service of our own")
        return
    with Service(SHORT_LOOKS) as own:
        timed_out(own)
        object_busy(own)
    stopping()
