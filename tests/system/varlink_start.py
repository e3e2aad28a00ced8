# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Group "start": a service that is started by hand, where few files may be open, and where the socket of
another one is left.
"""

import contextlib
import os
import resource
import subprocess
import tempfile
import time

from varlink_wire import Closed, PATIENCE, Service, check, error_of, heading, memory, ours, report

FILES = 64


def few_files():
    """It says that it takes fewer clients; those it takes are answered, and so are later ones."""
    heading(f"{FILES} descriptors")
    with tempfile.TemporaryFile("w+") as log, memory() as descriptor:
        with Service("[Service]\nWorkers=2\n", log=log,
                     prepare=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))) as small:
            limit = small.limits()["connections"]
            check(0 < limit < FILES, f"{limit} connections with {FILES} descriptors")
            with contextlib.ExitStack() as stack:
                wires = [stack.enter_context(small.wire(quiet=True)) for _ in range(2 * FILES)]
                refused = [wire for wire in wires if not is_welcome(wire)]
                check(len(refused) == len(wires) - limit, f"{len(refused)} of {len(wires)} were refused")
                for wire in wires:
                    if wire not in refused:
                        reply = wire.call("Summarize", {"selector": ours(descriptor)})
                        if not check("counts" in reply.get("parameters", {}), f"no look: {reply}"):
                            break
            small.lives("more clients than descriptors")
        log.seek(0)
        text = log.read()
        check(f"is lowered to {limit}: no more than {FILES} files" in text, f"its log: {text[:300]}")


class Unasked(Service):
    """Nobody has asked it anything yet."""

    def wait(self):
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(self.path) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)


def no_descriptor():
    """The very first client comes when no file can be opened: it waits, and is not forgotten."""
    heading("no descriptor left")
    with Unasked("[Service]\nWorkers=1\n") as first:
        pid = first.process.pid
        used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(len(used) + 1)) - used), hard))
        with first.wire(quiet=True) as wire:
            wire.socket.settimeout(10)
            wire.send("GetStatus")
            time.sleep(0.3)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
            try:
                check("parameters" in wire.receive(), "no answer once there were descriptors again")
            except (OSError, Closed) as error:
                check(False, f"no answer once there were descriptors again: {error!r}")


def is_welcome(wire):
    """Answered, or turned away in one word."""
    try:
        reply = wire.call("GetStatus")
    except Closed:
        return check(False, "closed without a word")
    if "error" in reply:
        check(error_of(reply) == "TooManyConnections", f"turned away by {error_of(reply)}")
    return "error" not in reply


def run_at(path):
    """A service that is not to start there: what it said, or None if it did."""
    process = subprocess.Popen([os.environ["SHMSTATED"], f"--socket={path}"], stdin=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    try:
        _, said = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    check(process.returncode != 0, f"it ended with {process.returncode}")
    return said


def sockets():
    """What is left of one that was killed goes; nothing else does."""
    heading("a socket that is left")
    with Service("[Service]\nWorkers=1\n") as first:
        first.process.kill()
        first.process.wait()
        check(os.path.exists(first.path), "the socket of one that was killed is gone")
        left = os.stat(first.path).st_ctime_ns
        first.start()
        first.lives("a start where a socket was left")
        check(os.stat(first.path).st_ctime_ns != left, "it is not another socket")
        heading("a socket that is used, and what is none")
        said = run_at(first.path)
        check(said and "in use" in said, f"a second service at the same socket: {said}")
        first.lives("a second one that was started")
        path = os.path.join(first.folder.name, "file")
        with open(path, "w") as file:
            file.write("x")
        said = run_at(path)
        check(said and "File exists" in said, f"a service where a file is: {said}")
        with open(path) as file:
            check(file.read() == "x", "the file was touched")
        first.process.terminate()
        first.process.wait(PATIENCE)
        check(not os.path.exists(first.path), "its socket stays when it was told to end")
        first.start()


def run(service):
    if not service.is_ours:
        report.not_tried("start: not a service of our own")
        return
    few_files()
    no_descriptor()
    sockets()
