# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Group "descriptors": those that a client passes along with a call.
"""

import contextlib
import os
import socket
import struct
import time
import traceback

from varlink_wire import (PASSED, PATIENCE, Closed, check, error_of, heading, memory, message, ours,
                          report)

NOBODY = 65534
MANY = 253  # as the kernel takes at once
ABOUT = {"selector": PASSED}


def summarized(reply):
    return reply.get("parameters", {}).get("counts", {}).get("hole")


def passing(service):
    heading("a descriptor that is passed")
    with memory() as one, memory(pages=20) as two, service.wire() as wire:
        reply = wire.call("Summarize", ABOUT, [one])
        check(summarized(reply) == 5, f"Summarize: {reply}")
        for index, holes in ((0, 5), (1, 17)):
            selector = {"selector": {"passedFileDescriptor": index}}
            check(summarized(wire.call("Summarize", selector, [one, two])) == holes, f"index {index} of two")
        for method in ("GetObject", "Classify", "Summarize"):
            check("error" not in wire.call(method, ABOUT, [two]), method)
        identity = wire.call("Summarize", {"selector": ours(one)})["parameters"]["object"]
        check(wire.call("Summarize", ABOUT, [one])["parameters"]["object"] == identity, "another object")
        # each goes with its own message, though they come as one
        call = message("Summarize", ABOUT)
        wire.raw(call, [one])
        wire.raw(call, [two])
        check([summarized(wire.receive()), summarized(wire.receive())] == [5, 17], "two pipelined")
        # in parts: they come with the first byte
        wire.raw(call[:1], [one])
        time.sleep(0.05)
        wire.raw(call[1:20])
        time.sleep(0.05)
        wire.raw(call[20:])
        check(summarized(wire.receive()) == 5, "in parts")
        reply = wire.call("Classify", ABOUT | {"encoding": "file_descriptor"}, [one])
        check(reply["parameters"]["fileDescriptor"] == 0 and len(wire.descriptors) == 1, "one for another")


def refused(service):
    heading("a descriptor that is not there, or none of ours")
    folder = os.open("/", os.O_RDONLY)
    path = os.open("/dev/null", os.O_PATH)
    null = os.open("/dev/null", os.O_RDWR)
    pipe = os.pipe()
    with memory() as one, service.wire() as wire:
        for index in (1, 2, 253, 1 << 31, (1 << 63) - 1, -1):
            reply = wire.call("Summarize", {"selector": {"passedFileDescriptor": index}}, [one])
            check(error_of(reply) == "InvalidParameter" and
                  "passedFileDescriptor" in reply["parameters"]["parameter"], f"index {index}: {reply}")
        reply = wire.call("Summarize", ABOUT)
        check(error_of(reply) == "InvalidParameter", f"none passed: {reply}")
        for other, value in (("pid", os.getpid()), ("name", "x"), ("id", "0:1:1")):
            reply = wire.call("Summarize", {"selector": PASSED | {other: value}}, [one])
            check(error_of(reply) == "InvalidParameter", f"beside {other}: {reply}")
        for what, descriptor in (("/", folder), ("/dev/null", null), ("a path only", path),
                                 ("a pipe", pipe[0]), ("a socket", wire.socket.fileno())):
            reply = wire.call("Summarize", ABOUT, [descriptor])
            check(error_of(reply) == "NotSharedMemory", f"{what}: {reply}")
        reply = wire.call("GetStatus", None, [one])
        check("uptimeSeconds" in reply.get("parameters", {}), f"one that is of no use: {reply}")
        # not with the call before, nor with the one behind it
        wire.raw(message("GetStatus"), [one])
        wire.raw(message("Summarize", ABOUT))
        check("error" not in wire.receive(), "GetStatus")
        check(error_of(wire.receive()) == "InvalidParameter", "another message's descriptor was taken")
    for descriptor in (folder, path, null, *pipe):
        os.close(descriptor)


def too_many(service):
    heading("too many descriptors")
    with memory() as one:
        with service.wire() as wire:
            with contextlib.suppress(Closed):
                wire.send("Summarize", ABOUT, [one] * MANY)
                reply = wire.receive()
                check("error" in reply or summarized(reply) == 5, f"{MANY}: {reply}")
        service.lives(f"{MANY} descriptors")
        # with every byte of a message that never ends
        with service.wire(quiet=True) as wire:
            for byte in message("Summarize", ABOUT)[:40]:
                wire.raw(bytes([byte]), [one] * 50)
            check(opened(service) < 1000, "descriptors are hoarded")
        service.lives("descriptors with each byte")


def opened(service):
    return service.descriptors()


def give_back(service, before):
    """All that was passed is closed again, once the service has noticed that we are gone."""
    for _ in range(50):
        after = service.open_files()
        if len(after) <= before:
            return
        time.sleep(0.1)
    check(False, f"descriptors stay open: {before} before, {len(after)} after: {after}")


def as_nobody(service, work):
    """Runs it in a process without privilege."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            failures = report.failures
            work()
            status = report.failures != failures
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    check(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, f"as nobody: {work.__name__}")


def without_privilege(service):
    heading("open for reading only, as nobody")
    if os.geteuid() != 0:
        report.not_tried("another user: not root")
        return
    with memory() as writable:
        reading = os.open(f"/proc/self/fd/{writable}", os.O_RDONLY)

        def passes():
            with service.wire() as wire:
                check(summarized(wire.call("Summarize", ABOUT, [writable])) == 5, "open for writing")
                for method in ("Summarize", "Classify"):
                    reply = wire.call(method, ABOUT, [reading])
                    check(error_of(reply) == "NotPermitted" and reply["parameters"].get("rule"),
                          f"{method}, open for reading: {reply}")
                reply = wire.call("Locate", ABOUT, [writable])
                check(error_of(reply) in ("NotPermitted", "ProbeUnavailable"), f"Locate: {reply}")

        def asks():
            with service.wire() as wire:
                for selector in ({"pid": os.getppid(), "fileDescriptor": writable}, {"pid": 1}):
                    reply = wire.call("Summarize", {"selector": selector})
                    check("error" in reply, f"of another's: {reply}")
                check("error" not in wire.call("GetStatus"), "GetStatus")

        as_nobody(service, passes)
        as_nobody(service, asks)
        with service.wire() as wire:
            check(summarized(wire.call("Summarize", ABOUT, [reading])) == 5, "as root, for reading")
        os.close(reading)


@contextlib.contextmanager
def lingering():
    """A socket that takes as long to close as its other end likes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        other, _ = server.accept()
        with one, other:
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    one.send(bytes(1 << 16))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3 * PATIENCE))
            yield one


def slow_to_close(service):
    heading("descriptors that take long to close")
    for parameters in (None, ABOUT):
        with lingering() as one, service.wire() as wire, service.wire() as unread:
            for w, text in ((wire, message("Summarize", parameters)), (unread, b"{}")):
                w.raw(text[:-1], [one.fileno()])
            # now nobody else has it
            one.close()
            wire.raw(b"\0")
            check("error" in wire.receive(), "no shared memory")
            unread.close()
            service.lives("a descriptor that takes long to close")
            with service.wire() as other, memory() as descriptor:
                for _ in range(4):
                    reply = other.call("Summarize", ABOUT, [descriptor])
                    check(summarized(reply) == 5, f"others are answered: {reply}")


def run(service):
    before = service.descriptors()
    passing(service)
    refused(service)
    too_many(service)
    slow_to_close(service)
    without_privilege(service)
    give_back(service, before)
