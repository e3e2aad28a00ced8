# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Group "limits": what a service with small limits does when each is passed.
"""

import contextlib
import ctypes
import fcntl
import json
import mmap
import os
import resource
import select
import signal
import socket
import struct
import termios
import time

import varlink_descriptors
from varlink_wire import (PASSED, PATIENCE, Closed, Service, check, error_of, heading, memory, message,
                          ours, report)

HELD = {"bound": "held_bytes_of_user", "limit": 64 << 20}

SMALL = """[Service]
Workers=2
Connections=12
ConnectionsPerUser=8
PipelinedCalls=16
MessageBytes=64K
QueuedBytes=128K
QueuedScans=1
SendSeconds=2
"""
INFO = "org.varlink.service.GetInfo"


def padded(length):
    """A call of so many bytes, its NUL not counted."""
    head = b'{"method":"org.varlink.service.GetInfo","com.example.padding":"'
    return head + b"x" * (length - len(head) - 2) + b'"}\0'


def refused(wire, name, limit, what, before=0):
    """The named error, and the connection closed, behind replies to so many calls that came before."""
    replies = wire.rest()
    check(len(replies) == before + 1, f"{what}: {len(replies)} replies")
    check(replies and error_of(replies[-1]) == name and
          replies[-1]["parameters"] == {"limit": limit}, f"{what}: {replies[-1:]}")
    check(all("error" not in reply for reply in replies[:-1]), f"{what}: replies before")


def messages(service, limit):
    heading("the length of a message")
    with service.wire() as wire:
        for length in (limit - 1, limit, limit):
            wire.raw(padded(length))
            check("error" not in wire.receive(), f"{length} bytes")
    for data in (padded(limit + 1), padded(4 * limit), b"x" * (limit + 1), b" " * 8 * limit):
        with service.wire() as wire:
            wire.raw(data)
            refused(wire, "MessageTooLong", limit, f"{len(data)} bytes")
        service.lives("a message that is too long")


def at_once(service, wire, call, n, descriptors=()):
    """All in the socket before the service sees the first."""
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    service.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(n):
            wire.raw(call, descriptors)
    finally:
        service.process.send_signal(signal.SIGCONT)


def echoes(service, limit):
    heading("what an error says of a long message")
    for head, tail in ((b'{"method":"', b'"}'), (b'{"method":"io.shmstate.', b'"}'),
                       (b'{"method":"io.shmstate.GetStatus","parameters":{"', b'":1}}'),
                       (b'{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"',
                        b'"}}')):
        for unit in ("a", "\u00e9", "\U0001f600", "\\u0001", "."):
            unit = unit.encode()
            with service.wire(quiet=True) as wire:
                wire.raw(head + unit * ((limit - len(head) - len(tail)) // len(unit)) + tail + b"\0")
                reply = wire.receive()
                check("error" in reply and wire.length <= limit,
                      f"{head}{unit}: {wire.length} bytes: {str(reply)[:80]}")


def calls(service, limit):
    heading("pipelined calls")
    with memory(pages=4096, step=2) as slow:
        for first in (message(INFO), message("Classify", {"selector": ours(slow)})):
            with service.wire(quiet=True) as wire:
                wire.raw(first + message(INFO) * (limit - 1))
                check(all("error" not in wire.receive() for _ in range(limit)), f"{limit} calls")
            with service.wire(quiet=True) as wire:
                wire.raw(first + message(INFO) * limit)
                refused(wire, "TooManyCalls", limit, f"{limit + 1} calls", limit)
            service.lives("too many calls")
    for size in (2048, 8192):
        call = padded(size - 1)
        for n in (limit, limit + 1, limit + 3):
            with contextlib.suppress(Closed), service.wire(quiet=True) as wire:
                at_once(service, wire, call, n)
                if n > limit:
                    refused(wire, "TooManyCalls", limit, f"{n} calls of {size} bytes", limit)
                else:
                    check(all("error" not in wire.receive() for _ in range(n)), f"{n} calls of {size} bytes")
    with memory() as descriptor, service.wire(quiet=True) as wire:
        at_once(service, wire, message("Summarize", {"selector": PASSED}), limit + 1, [descriptor])
        refused(wire, "TooManyCalls", limit, f"{limit + 1} calls with a descriptor each", limit)
        service.lives("too many calls with descriptors")


def answered(service):
    """A connection on which there is an answer, once those that were closed are gone; or what it said."""
    for _ in range(50):
        wire = service.wire(quiet=True)
        try:
            reply = wire.call("GetStatus")
        except Closed:
            reply = {}
        if "parameters" in reply and "error" not in reply:
            return wire
        wire.close()
        time.sleep(0.1)
    return None


def connections(service, limits):
    heading("connections")
    with contextlib.ExitStack() as stack:
        own = [answered(service) for _ in range(limits["connectionsPerUser"])]
        for wire in own:
            stack.enter_context(wire)
        before = own[0].call("GetStatus")["parameters"]["counters"]["refusedConnections"]
        for _ in range(3):
            with service.wire() as wire:
                refused(wire, "TooManyConnections", limits["connectionsPerUser"], "one too many of a user")
        counters = own[0].call("GetStatus")["parameters"]["counters"]
        check(counters["refusedConnections"] == before + 3, f"counted: {counters}")
        check(all("error" not in wire.call(INFO) for wire in own), "those that were there")

        def others():
            room = limits["connections"] - limits["connectionsPerUser"]
            with contextlib.ExitStack() as inner:
                for i in range(room):
                    wire = inner.enter_context(service.wire())
                    check("error" not in wire.call(INFO), f"another user's connection {i}")
                with service.wire() as wire:
                    refused(wire, "TooManyConnections", limits["connections"], "one too many of all")

        if os.geteuid() == 0:
            varlink_descriptors.as_nobody(service, others)
        else:
            report.not_tried("connections of another user: not root")
        own[0].close()
        again = answered(service)
        if check(again, "no room though one has gone"):
            again.close()


def cut(service, limit):
    heading("answers that are longer than a message")
    with memory(pages=8192, step=2) as descriptor, service.wire(quiet=True) as wire:
        asked = {"selector": ours(descriptor)}
        whole = pieces(wire, asked, limit)
        check(len(whole) == 8192 and [e["first"] for e in whole] == list(range(8192)), "extents in pieces")
        streamed, replies = [], 0
        wire.send("Classify", asked, more=True)
        while True:
            reply = wire.receive()
            check(wire.length <= limit, f"a reply of {wire.length} bytes")
            streamed += reply["parameters"]["extents"]
            replies += 1
            if not reply.get("continues"):
                break
        check(streamed == whole and replies > 1, f"extents in {replies} replies")
    with memory(pages=1 << 20, written=[0, 1 << 19]) as descriptor, service.wire(quiet=True) as wire:
        replies = wire.more("Classify", {"selector": ours(descriptor), "encoding": "bitmap",
                                         "states": ["hole"]})
        check(len(replies) > 1 and wire.length <= limit, f"a bitmap in {len(replies)} replies")
        check(replies[0]["parameters"]["first"] == 0 and
              all(a["parameters"]["next"] == b["parameters"]["first"] for a, b in
                  zip(replies, replies[1:])) and replies[-1]["parameters"].get("next") is None, "its pieces")
    with contextlib.ExitStack() as stack, service.wire(quiet=True) as wire:
        for i in range(500):
            stack.enter_context(memory(pages=1, written=(), name=f"shmstate-many-{i:0100}"))
        reply = wire.call("ListObjects", {"selector": {"pid": os.getpid()}})
        check(error_of(reply) == "TooLarge" and reply["parameters"] == {"limit": limit},
              f"a long list: {str(reply)[:200]}")
        replies = wire.more("ListObjects", {"selector": {"pid": os.getpid()}})
        check(sum(len(r["parameters"]["objects"]) for r in replies) >= 500, "a long list, streamed")


def uncut(service, limit):
    heading("answers that cannot be cut; the limit is the least that can be set")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with contextlib.ExitStack() as stack, service.wire(quiet=True) as wire:

        def within(what, name):
            reply = wire.receive()
            check(error_of(reply) in name.split("|") and wire.length < limit, f"{what}: {wire.length} bytes: {str(reply)[:200]}")
            return reply.get("parameters", {})

        for interface in ("io.shmstate", "org.varlink.service"):
            wire.send("org.varlink.service.GetInterfaceDescription", {"interface": interface})
            within(interface, "no error")
        wire.send("GetCapabilities")
        within("capabilities", "no error")
        for long in ("x" * (limit - 60), "io.shmstate." + "x" * (limit - 60)):
            wire.raw(b'{"method":"' + long.encode() + b'"}\0')
            within("a long name", "InterfaceNotFound|MethodNotFound|InvalidParameter")
        wire.send("Summarize", {"x" * (limit - 70): 1})
        within("a long parameter", "InvalidParameter")
        for _ in range(1200):
            stack.enter_context(memory(pages=1, written=(), name="shmstate-same"))
        wire.send("Summarize", {"selector": {"pid": os.getpid(), "name": "shmstate-same"}})
        several = within("many that fit", "SeveralObjects")
        check(several["count"] == 1200 and len(several["objects"]) == 900, f"of 1200: {several['count']}")


def pieces(wire, asked, limit):
    """All extents, by calls one after the other."""
    extents, first = [], 0
    while first is not None:
        reply = wire.call("Classify", asked | {"range": {"first": first}})["parameters"]
        check(wire.length <= limit, f"a reply of {wire.length} bytes")
        if not check(reply["first"] == first, f"first {reply['first']}, not {first}"):
            break
        extents += reply["extents"]
        first = reply.get("next")
    return extents


def many_extents(service):
    heading("more extents than one look tells of")
    if "SHMSTATE_TEST_BRIEF" in os.environ:
        report.not_tried("2^20 extents: brief")
        return
    pages, times, most = 4096, 260, 1 << 20
    with memory(pages=pages, step=2, name="shmstate-often") as descriptor, contextlib.ExitStack() as stack, \
            service.wire(quiet=True) as wire:
        for _ in range(times):
            stack.enter_context(mmap.mmap(descriptor, pages * mmap.PAGESIZE))
        asked, told, last = {"pid": os.getpid()}, [], {}
        while not told or (last["next"] and len(told) < 4):
            wire.send("GetPagemap", asked, more=True)
            texts = wire.texts()
            last = json.loads(texts[-1])["parameters"]
            check(all(b'"next":null' not in text for text in texts[:-1]), "a reply that others follow has no next")
            told.append(sum(text.count(b'"state":') for text in texts))
            asked["range"] = {"first": last["next"] or 0}
        check(len(told) == 2 and told[0] == most and sum(told) >= pages * times, f"extents: {told}")
        # a descriptor's limit is in bytes
        reply = wire.call("GetPagemap", {"pid": os.getpid(), "encoding": "file_descriptor",
                                         "range": {"first": 0, "count": (1 << 24) + 1}})
        check(error_of(reply) == "TooLarge" and reply["parameters"] == {"limit": 8 << 24}, f"too many words: {reply}")


def slowness(service, limits):
    heading("clients that are too slow")
    with memory(pages=65536, step=2) as descriptor:
        with service.wire(quiet=True) as stalled, service.wire(quiet=True) as half:
            stalled.send("Classify", {"selector": ours(descriptor)}, more=True)
            half.raw(message(INFO)[:-1])
            start = time.monotonic()
            check(not half.rest(), "half a message was answered")
            check(time.monotonic() - start > 1, "half a message was not waited for")
            time.sleep(1)
            replies = stalled.rest_of_stream()
            check(replies and replies[-1].get("continues"), "what was not read came all the same")
            most = limits["queuedBytes"] * 2 + (1 << 20)  # and what the socket holds
            check(stalled.total <= most, f"{stalled.total} bytes came")
        service.lives("clients that are too slow")
    asks_without_reading(service, limits)


def taken(wire):
    """Has the service read all that was sent? It may take a moment."""
    for _ in range(100):
        unread, = struct.unpack("i", fcntl.ioctl(wire.socket, termios.TIOCOUTQ, bytes(4)))
        if unread == 0:
            return True
        time.sleep(0.01)
    return False


def asks_without_reading(service, limits):
    call = message("org.varlink.service.GetInterfaceDescription", {"interface": "io.shmstate"})
    with service.wire(quiet=True) as wire:
        sent = 0
        while sent < 4096 and taken(wire):
            wire.raw(call * 8)
            sent += 8
        time.sleep(3)  # more than SendSeconds: it is sent away
        wire.rest_of_stream()
        most = limits["queuedBytes"] * 2 + (1 << 20)  # and what the socket holds
        check(sent < 4096 and wire.total <= most, f"{sent} calls were taken, {wire.total} bytes came")
    service.lives("a client that asks without reading")


def hoard(service, ready, go):
    """As another user: replies that are asked for and not read."""
    with memory(pages=1 << 17, step=2) as descriptor, contextlib.ExitStack() as stack:
        wires = [stack.enter_context(service.wire(quiet=True)) for _ in range(48)]
        for wire in wires:
            wire.send("Classify", {"selector": PASSED}, [descriptor], more=True)
        for wire in wires:
            select.select([wire.socket], [], [], PATIENCE)
        os.write(ready, b"x")
        os.read(go, 1)
        firsts = [wire.receive() for wire in wires]
        refusals = [first for first in firsts if "error" in first]
        check(refusals and all(error_of(r) == "TooBusy" and r["parameters"] == HELD
                               for r in refusals), f"{len(refusals)} refusals: {refusals[:1]}")
        check(len(refusals) < len(wires), "all were refused")


def unread_replies():
    heading("replies that another user leaves unread")
    if os.geteuid() != 0:
        report.not_tried("replies that another user leaves unread: not root")
        return
    ready, go = os.pipe(), os.pipe()
    with Service("[Service]\nSendSeconds=600\n") as service, memory() as descriptor:
        child = os.fork()
        if child == 0:
            varlink_descriptors.as_nobody(service, lambda: hoard(service, ready[1], go[0]))
            os._exit(report.failures > 0)
        os.read(ready[0], 1)
        with service.wire(quiet=True) as wire:
            reply = wire.call("Summarize", {"selector": ours(descriptor)})
            check("error" not in reply, f"root: {reply}")
        os.write(go[1], b"x")
        check(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "who left them unread")


def untaken():
    heading("descriptors that the client has not taken: the kernel counts them against all that is sent")
    with Service() as service, memory(pages=4096, step=2) as descriptor, service.wire(quiet=True) as wire, \
            service.wire(quiet=True) as watching:
        before = watching.call("GetStatus")["parameters"]["counters"]["scans"]
        call = message("Classify", {"selector": ours(descriptor), "encoding": "file_descriptor"})
        wire.raw(call * 8)
        select.select([wire.socket], [], [], PATIENCE)
        time.sleep(0.3)
        scans = watching.call("GetStatus")["parameters"]["counters"]["scans"] - before
        check(scans == 1, f"{scans} looks for a client that has taken nothing")
        for _ in range(8):
            reply = wire.receive()
            check("error" not in reply, f"{reply}")
        check(len(wire.descriptors) == 8, f"{len(wire.descriptors)} descriptors came")
        for came in wire.descriptors:
            os.close(came)
        wire.descriptors.clear()


def half_messages(service):
    """As another user: there is an end to what may be half sent, in bytes and in descriptors."""
    half = b'{"method":"%s","com.example.x":"' % INFO.encode()
    with memory() as descriptor:
        for data, descriptors in ((half + b"x" * 1000000, []), (half, [descriptor] * 8)):
            with contextlib.ExitStack() as stack:
                wires = [stack.enter_context(service.wire(quiet=True)) for _ in range(150)]
                for wire in wires:
                    wire.raw(data, descriptors)
                ready = select.select([wire.socket for wire in wires], [], [], PATIENCE)[0]
                replies = [wire.rest() for wire in wires if wire.socket in ready]
                check(replies and all(len(r) == 1 and error_of(r[0]) == "TooBusy" and
                                      r[0]["parameters"] == HELD for r in replies),
                      f"{len(data)} bytes, {len(descriptors)} descriptors: {replies[:1]}")
                check(len(replies) < 100, f"{len(replies)} of 150 were refused")


def unfinished():
    heading("messages that another user leaves half sent")
    if os.geteuid() != 0:
        report.not_tried("messages that another user leaves half sent: not root")
        return
    with Service("[Service]\nSendSeconds=600\n") as service:
        varlink_descriptors.as_nobody(service, lambda: half_messages(service))


LONG_LOOKS = """[Service]
Workers=2
ScanSeconds=20
"""


def hold_up(service, ready, go):
    """As another user: looks that take as long as they may, at a mapping of 64 TiB."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    descriptor = os.memfd_create("long", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, 1 << 46)
    libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: lost when the user changed
    check(libc.mmap(None, 1 << 46, 0, mmap.MAP_SHARED, descriptor, 0) not in (None, 2**64 - 1), "64 TiB")
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            wire = stack.enter_context(service.wire(quiet=True))
            wire.send("GetPagemap", {"pid": os.getpid()})
        os.write(ready, b"x")
        os.read(go, 1)


def kept_worker():
    heading("a worker is kept for root")
    if os.geteuid() != 0:
        report.not_tried("a worker that is kept for root: not root")
        return
    ready, go = os.pipe(), os.pipe()
    with Service(LONG_LOOKS) as service, memory() as descriptor:
        child = os.fork()
        if child == 0:
            varlink_descriptors.as_nobody(service, lambda: hold_up(service, ready[1], go[0]))
            os._exit(report.failures > 0)
        os.read(ready[0], 1)
        while service.status()["scans"] < 4:
            time.sleep(0.05)
        for _ in range(10):
            with service.wire(quiet=True) as wire:
                reply = wire.call("Summarize", {"selector": ours(descriptor)})
                check("error" not in reply, f"root: {reply}")
        check(service.status()["scans"] == 4, "root was answered while the others wait")
        os.write(go[1], b"x")
        check(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "who held them up")
    for end in (*ready, *go):
        os.close(end)


def run(service):
    if not service.is_ours:
        report.not_tried("limits: not a service of our own")
        return
    many_extents(service)
    with Service(SMALL) as small:
        limits = small.limits()
        check(limits["messageBytes"] == 65536 and limits["pipelinedCalls"] == 16 and
              limits["connectionsPerUser"] == 8 and limits["sendSeconds"] == 2 and
              limits["idleSeconds"] == 60, f"the configuration was not read: {limits}")
        messages(small, limits["messageBytes"])
        echoes(small, limits["messageBytes"])
        calls(small, limits["pipelinedCalls"])
        connections(small, limits)
        cut(small, limits["messageBytes"])
        uncut(small, limits["messageBytes"])
        slowness(small, limits)
    kept_worker()
    untaken()
    unread_replies()
    unfinished()
