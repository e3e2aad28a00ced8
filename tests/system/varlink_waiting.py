# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Group "waiting": calls that wait, for a worker or behind others, while all workers are busy with looks
that take as long as they may.
"""

import contextlib
import ctypes
import mmap
import os
import signal
import time

from varlink_descriptors import as_nobody
from varlink_wire import Service, check, error_of, heading, memory, message, ours, report

INFO = "org.varlink.service.GetInfo"
WORKERS = 2
STOP_SECONDS = 5
SHARERS = 5
BUSY = "io.shmstate.TooBusy"
SETTINGS = f"""[Service]
Workers={WORKERS}
QueuedScans=8
ScanSeconds=%d
"""


@contextlib.contextmanager
def long_mapping():
    """In this process: 64 TiB, at which GetPagemap looks for longer than any limit here."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    with memory(pages=1 << 34, written=(), name="shmstate-long") as descriptor:
        start = libc.mmap(None, 1 << 46, 0, mmap.MAP_SHARED, descriptor, 0)
        check(start not in (None, 2**64 - 1), "64 TiB")
        try:
            yield
        finally:
            libc.munmap(start, 1 << 46)


def await_status(wire, what, number, within=30):
    """Until GetStatus tells that."""
    deadline = time.monotonic() + within
    while (status := wire.call("GetStatus")["parameters"])[what] != number:
        if time.monotonic() > deadline:
            return check(False, f"{what} never was {number}: {status}")
        time.sleep(0.01)
    return True


def counters(wire):
    return wire.call("GetStatus")["parameters"]["counters"]


def await_counter(wire, name, number, within=30):
    deadline = time.monotonic() + within
    while (now := counters(wire))[name] != number:
        if time.monotonic() > deadline:
            return check(False, f"{name} never was {number}: {now}")
        time.sleep(0.01)
    return True


def hold_workers(service, stack, watching):
    """All workers have a look that does not end. Returns whose they are."""
    wires = [stack.enter_context(service.wire(quiet=True)) for _ in range(WORKERS)]
    for wire in wires:
        wire.send("GetPagemap", {"pid": os.getpid()})
    await_status(watching, "scans", WORKERS)
    return wires


def only_stopping(wire, n, what):
    """So many replies, of which the last at least is Stopping, and nothing else after the first that is."""
    names = [error_of(reply) for reply in wire.rest()]
    first = names.index("Stopping") if "Stopping" in names else len(names)
    return check(len(names) == n and first < n and set(names[first:]) == {"Stopping"} and
                 set(names[:first]) <= {"no error"}, f"{what}: {names}")


def stopping():
    heading("told to stop: what is under way, what waits, what has only been sent")
    with long_mapping(), memory() as descriptor, contextlib.ExitStack() as stack:
        service = Service(SETTINGS % 30)
        watching = service.wire(quiet=True)
        held = hold_workers(service, stack, watching)
        held[0].raw(message(INFO) * 5)
        queued, half, idle, unread = (stack.enter_context(service.wire(quiet=True)) for _ in range(4))
        queued.raw(message("Summarize", {"selector": ours(descriptor)}) + message(INFO) * 2)
        await_status(watching, "scans", WORKERS + 1)
        half.raw(message(INFO)[:10])
        for wire in (idle, unread):
            wire.call(INFO)
        # It finds these calls and the signal at the same moment.
        service.process.send_signal(signal.SIGSTOP)
        unread.raw(message(INFO) * 10)
        half.raw(message(INFO)[10:])
        start = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        service.process.send_signal(signal.SIGCONT)
        check(not idle.rest(), "a connection without a call was told something")
        only_stopping(unread, 10, "calls that nobody had read")
        names = [error_of(reply) for reply in half.rest()]
        check(names in (["Stopping"], ["no error"]), f"a call of which half had been read: {names}")
        only_stopping(held[0], 6, "a look under way, and calls behind it")
        only_stopping(held[1], 1, "a look under way")
        only_stopping(queued, 3, "a look that waited, and calls behind it")
        service.stop()
        check(time.monotonic() - start < STOP_SECONDS, f"{time.monotonic() - start} seconds until it ended")
        watching.close()


def sharing():
    heading("looks that wait are shared, and given up once nobody wants them any more")
    with long_mapping(), memory() as descriptor, Service(SETTINGS % 30) as service, \
            contextlib.ExitStack() as stack:
        watching = stack.enter_context(service.wire(quiet=True))
        asked = message("Summarize", {"selector": ours(descriptor)})
        other = message("Summarize", {"selector": ours(descriptor), "range": {"first": 1}})
        held = hold_workers(service, stack, watching)
        before = counters(watching)
        wires = [stack.enter_context(service.wire(quiet=True)) for _ in range(SHARERS)]
        for wire in wires:
            wire.raw(asked)
        await_counter(watching, "sharedScans", before["sharedScans"] + SHARERS - 1)
        with service.wire(quiet=True) as leaving:
            leaving.raw(other)
            await_status(watching, "scans", WORKERS + 2)
        await_counter(watching, "cancelledScans", before["cancelledScans"] + 1)
        # Who leaves a look that others wait for takes nothing from them.
        wires.pop().close()
        after = counters(watching)
        for wire in held:
            wire.close()
        replies = [wire.receive() for wire in wires]
        check("error" not in replies[0] and all(reply == replies[0] for reply in replies), f"shared: {replies}")
        check(after["scans"] == before["scans"] + 2, f"scans: {before}, {after}")
        check(counters(watching)["sharedScans"] == before["sharedScans"] + SHARERS - 1, "shared after all")
        check(counters(watching)["cancelledScans"] == before["cancelledScans"] + 1 + WORKERS, "cancelled after all")


def fill(service, stack, watching, descriptor, room):
    """As many looks as there is room for, at something different each; then what one more is told."""
    waiting = watching.call("GetStatus")["parameters"]["scans"]
    for i in range(room):
        wire = stack.enter_context(service.wire(quiet=True))
        wire.send("Summarize", {"selector": ours(descriptor), "range": {"first": i}})
        await_status(watching, "scans", waiting + i + 1)
    reply = watching.call("Summarize", {"selector": ours(descriptor), "range": {"first": room}})
    return reply.get("error", ""), reply.get("parameters")


def too_many_looks():
    heading("more looks than may wait")
    room = 8
    with long_mapping(), memory(pages=32) as descriptor, Service(SETTINGS % 30) as service, \
            contextlib.ExitStack() as stack:
        watching = stack.enter_context(service.wire(quiet=True))

        def told(n, wire, bound, limit):
            with contextlib.ExitStack() as inner:
                answer = fill(service, inner, wire, descriptor, n)
                check(answer == (BUSY, {"bound": bound, "limit": limit}), f"behind {n} looks: {answer}")

        def of_user():
            with service.wire(quiet=True) as wire:
                told(room // 2, wire, "queued_scans_of_user", room // 2)

        def of_others():
            with service.wire(quiet=True) as wire:
                told(room // 2, wire, "queued_scans_of_others", room // 4 * 3)

        hold_workers(service, stack, watching)
        if os.geteuid() == 0:
            told(room, watching, "queued_scans", room)
            await_status(watching, "scans", WORKERS)
            as_nobody(service, of_user)
            await_status(watching, "scans", WORKERS)
            for i in range(room // 4):
                wire = stack.enter_context(service.wire(quiet=True))
                wire.send("GetObject", {"selector": ours(descriptor)})
                await_status(watching, "scans", WORKERS + i + 1)
            as_nobody(service, of_others)
        else:
            told(room // 2 - 1, watching, "queued_scans_of_user", room // 2)  # a worker is not for these
            report.not_tried("bounds of looks that wait for several users: not root")


def too_long():
    heading("looks that wait for a worker for longer than a look may take")
    with long_mapping(), memory() as descriptor, Service(SETTINGS % 30) as service, \
            contextlib.ExitStack() as stack:
        watching = stack.enter_context(service.wire(quiet=True))
        held = hold_workers(service, stack, watching)
        with open(os.path.join(service.folder.name, "shmstated.conf"), "w") as file:
            file.write(SETTINGS % 2)
        service.process.send_signal(signal.SIGHUP)
        while service.limits()["scanSeconds"] != 2:
            time.sleep(0.01)
        before = counters(watching)
        sharers = [stack.enter_context(service.wire(quiet=True)) for _ in range(2)]
        start = time.monotonic()
        for wire in sharers:
            wire.raw(message("Summarize", {"selector": ours(descriptor)}) + message(INFO))
        for wire in sharers:
            reply = wire.receive()
            check(reply.get("error") == BUSY and reply["parameters"] == {"bound": "scan_seconds", "limit": 2},
                  f"too late: {reply}")
            check("error" not in wire.receive(), "the call behind it")
        check(2 <= time.monotonic() - start < 3, f"{time.monotonic() - start} seconds")
        after = counters(watching)
        check(after["cancelledScans"] == before["cancelledScans"] + 1, f"given up: {before} {after}")
        check(watching.call("GetStatus")["parameters"]["scans"] == WORKERS, "still under way")
        for wire in held:
            wire.close()
        await_status(watching, "scans", 0)
        reply = watching.call("GetPagemap", {"pid": os.getpid()})
        check(error_of(reply) == "ScanTimedOut" and reply["parameters"] == {"seconds": 2}, f"too long: {reply}")
        check(counters(watching)["cancelledScans"] == after["cancelledScans"] + WORKERS + 1, "given up by themselves")


def too_many_bytes():
    heading("more found than may wait to be read")
    if os.geteuid() != 0:
        report.not_tried("more found than may wait to be read: not root")
        return
    unread = "[Service]\nMessageBytes=64K\nQueuedBytes=64K\n"
    # A stretch takes 24 bytes of the service, a page in a bitmap next to nothing.
    with memory(pages=1 << 16, step=2) as descriptor, mmap.mmap(descriptor, 0), Service(unread) as service:
        most = service.limits()["heldBytes"]

        def by_nobody():
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: lost when the user changed
            reply, clients = {}, 0
            with contextlib.ExitStack() as stack:
                while "error" not in reply and clients < 100:
                    wire = stack.enter_context(service.wire(quiet=True))
                    wire.send("GetPagemap", {"pid": os.getpid()}, more=True)
                    clients += 1
                    reply = wire.receive()
            check(reply.get("error") == BUSY and
                  reply["parameters"] == {"bound": "held_bytes_of_user", "limit": most // 8},
                  f"{clients} clients that do not read: {str(reply)[:200]}")

        as_nobody(service, by_nobody)
        service.lives("many answers that nobody has read")


def run(service):
    if not service.is_ours:
        report.not_tried("what waits: not a service of our own")
        return
    stopping()
    sharing()
    too_many_looks()
    too_long()
    too_many_bytes()
