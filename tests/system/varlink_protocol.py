# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Group "protocol": frames, the header of a call, the order of replies, and what closes a connection.
"""

import contextlib
import itertools
import json
import socket
import time

from varlink_wire import INTERFACE, Closed, check, error_of, heading, memory, message, ours

SERVICE = "org.varlink.service"
INFO = f"{SERVICE}.GetInfo"
STATUS = f"{INTERFACE}.GetStatus"


def closes(service, data, what):
    """No reply, and the connection closed; what else came before is not looked at."""
    with service.wire() as wire:
        wire.raw(data)
        replies = wire.rest()
        check(not replies, f"{what}: answered with {replies}")
    service.lives(what)


def is_info(reply):
    return reply.get("parameters", {}).get("interfaces", []) and "error" not in reply


def frames(service):
    heading("frames: split at every byte, merged, pipelined")
    call = message(INFO, {})
    with service.wire(quiet=True) as wire:
        for split in range(1, len(call)):
            wire.raw(call[:split])
            wire.until_read()
            wire.raw(call[split:])
            check(is_info(wire.receive()), f"split at {split}: no answer")
        for byte in call:
            wire.raw(bytes([byte]))
            wire.until_read()
        check(is_info(wire.receive()), "byte by byte: no answer")
        pair = call + message(STATUS)
        for split in range(len(call), len(pair)):
            wire.raw(pair[:split])
            check(is_info(wire.receive()), f"two, split at {split}: no answer to the first")
            wire.until_read()
            wire.raw(pair[split:])
            check("uptimeSeconds" in wire.receive().get("parameters", {}),
                  f"two, split at {split}: no answer to the second")
    with service.wire(quiet=True) as wire:
        wire.raw(call * 3 + call[:10])
        check(all(is_info(wire.receive()) for _ in range(3)), "three merged: no answers")
        wire.raw(call[10:])
        check(is_info(wire.receive()), "the rest of a fourth: no answer")
    with service.wire() as wire:
        wire.raw(b"\n\t " + call[:-1] + b" \n\0")
        check(is_info(wire.receive()), "white space around it: no answer")
    closes(service, b"\0", "an empty message")
    order(service)


def order(service):
    """Quick ones behind slow ones, and errors between: replies come as the calls did."""
    heading("pipelined: the order of the replies")
    with memory(pages=4096, step=2) as slow, service.wire(quiet=True) as wire:
        calls = [("Classify", {"selector": ours(slow)}), (STATUS, None), ("Nil", None),
                 ("Summarize", {"selector": ours(slow)}), (INFO, None), ("GetCapabilities", None)]
        calls = calls * 2
        wire.raw(b"".join(message(*call) for call in calls))
        for (method, _), reply in zip(calls, [wire.receive() for _ in calls]):
            fields = reply.get("parameters", {})
            mark = {"Classify": "extents", STATUS: "uptimeSeconds", "Summarize": "counts",
                    INFO: "interfaces", "GetCapabilities": "capabilities", "Nil": "method"}[method]
            check(mark in fields, f"reply to {method}: {error_of(reply)}, {list(fields)}")
    with service.wire(quiet=True) as wire:
        wire.raw(b"".join(message(INFO) if i % 3 else message(f"Nil{i}") for i in range(20)))
        got = [wire.receive() for _ in range(20)]
        check(all(is_info(r) if i % 3 else f"Nil{i}" in json.dumps(r) for i, r in enumerate(got)),
              "twenty pipelined: not in order")


def flags(service):
    heading("flags")
    with service.wire() as wire:
        for method, parameters in ((INFO, None), ("Nil", None), ("GetStatus", {"nil": 1}),
                                   ("GetObject", {"selector": {"pid": 1, "fileDescriptor": 9999}})):
            wire.send(method, parameters, oneway=True)
            reply = wire.call(STATUS)
            check("uptimeSeconds" in reply.get("parameters", {}), f"oneway {method} was answered")
        for flag in ("oneway", "more", "upgrade"):
            reply = wire.call(INFO, **{flag: False})
            check(is_info(reply), f"{flag} false: {error_of(reply)}")
        for method in (INFO, STATUS, "GetCapabilities"):
            reply = wire.call(method, more=True)
            check("parameters" in reply and not reply.get("continues"), f"{method}, more: {reply}")
        reply = wire.call("Nil", more=True)
        check("error" in reply and "continues" not in reply, f"an error that continues: {reply}")
        reply = wire.call(INFO, oneway=False, more=False, upgrade=False)
        check(is_info(reply), f"three times false: {error_of(reply)}")
    with service.wire() as wire:
        wire.send(INFO, upgrade=True)  # there is nothing to upgrade to: an error, or no more than that
        with contextlib.suppress(Closed):
            check("error" in wire.receive(), "upgrade was not refused")
    service.lives("upgrade")


def streams(service):
    heading("more")
    with contextlib.ExitStack() as stack, service.wire() as wire:
        made = [stack.enter_context(memory(name=f"shmstate-stream-{i}")) for i in range(5)]
        selector = {"pid": ours(made[0])["pid"]}
        # all in one go: nothing behind it may be processed before its final reply
        wire.raw(message("ListObjects", {"selector": selector}, more=True) + message(STATUS) +
                 message("Nil", oneway=True) + message(INFO))
        replies = wire.stream()
        names = [o["name"] for r in replies for o in r["parameters"].get("objects", [])]
        check(sum("shmstate-stream-" in name for name in names) == len(made), f"streamed: {names}")
        check(all(len(r["parameters"].get("objects", [])) <= 1 for r in replies),
              "more than one object a reply")
        check(all(r["continues"] is True for r in replies[:-1]), "a reply that does not continue")
        check("uptimeSeconds" in wire.receive()["parameters"], "not GetStatus behind the stream")
        check(is_info(wire.receive()), "not GetInfo behind the stream")
        whole = wire.call("ListObjects", {"selector": selector})
        check("continues" not in whole, "continues, though more was not asked for")
        check({o["name"] for o in whole["parameters"]["objects"]} == set(names), "another list")
        replies = wire.more("ListObjects", {"selector": {"name": "shmstate-no-such-thing"}})
        check(len(replies) == 1 and replies[0]["parameters"]["objects"] == [], "an empty list")
        replies = wire.more("Classify", {"selector": ours(made[0])})
        check(sum(e["count"] for r in replies for e in r["parameters"]["extents"]) == 8, "Classify, more")


def parameters(service):
    heading("parameters: null, absent, {}")
    forms = [b"", b', "parameters": null', b', "parameters": {}', b',"parameters":{ \n }']
    with service.wire() as wire:
        for method, form in itertools.product((INFO, STATUS, "io.shmstate.GetCapabilities"), forms):
            wire.raw(b'{"method": "%s"%s}\0' % (method.encode(), form))
            reply = wire.receive()
            check("error" not in reply and reply["parameters"], f"{method}{form}: {reply}")
        for null in ({"selector": None}, {"kinds": None, "summarize": None, "probe": None}):
            check("error" not in wire.call("ListObjects", null), f"ListObjects {null}")
    for bad in (b"1", b'"x"', b"[]", b"true"):
        with service.wire() as wire:
            wire.raw(b'{"method":"%s","parameters":%s}\0' % (INFO.encode(), bad))
            with contextlib.suppress(Closed):  # either will do
                check("error" in wire.receive(), f"parameters {bad} were accepted")
        service.lives(f"parameters {bad}")


def names(service):
    heading("names of methods")
    with service.wire() as wire:
        for method in ("io.shmstate.Nil", "org.varlink.service.Nil", "io.shmstate.getStatus"):
            reply = wire.call(method)
            check(error_of(reply) == "MethodNotFound" and
                  reply["parameters"]["method"].endswith(method.split(".")[-1]), f"{method}: {reply}")
        for method in ("com.example.nil.Nil", "io.Shmstate.GetStatus", "io.shmstate.x.GetStatus"):
            reply = wire.call(method)
            check(error_of(reply) == "InterfaceNotFound" and
                  reply["parameters"] == {"interface": method.rpartition(".")[0]}, f"{method}: {reply}")
        reply = wire.call(f"{SERVICE}.GetInterfaceDescription", {"interface": "com.example.nil"})
        check(error_of(reply) == "InterfaceNotFound" and
              reply["parameters"] == {"interface": "com.example.nil"}, f"its description: {reply}")
        for name in (INTERFACE, SERVICE):
            reply = wire.call(f"{SERVICE}.GetInterfaceDescription", {"interface": name})
            check(f"interface {name}\n" in reply["parameters"]["description"], f"description of {name}")
    for method in ("GetStatus", "", ".", "x.", ".x", "é.Ü", "a" * 100000, "io.shmstate.GetStatus "):
        with service.wire() as wire:
            wire.raw(json.dumps({"method": method}).encode() + b"\0")
            with contextlib.suppress(Closed):
                reply = wire.receive()
                check(error_of(reply) in ("MethodNotFound", "InterfaceNotFound", "InvalidParameter"),
                      f"method {method[:20]!r}: {reply}")
        service.lives(f"method {method[:20]!r}")


def malformed(service):
    heading("what closes the connection")
    method = b'"method":"org.varlink.service.GetInfo"'
    for text in (b"{", b"}", b"nil", b"{]", b"[]", b"1", b'"x"', b"null", b"true", b"{}", b"   ",
                 b'{"parameters":{}}', b'{"method":null}', b'{"method":1}', b'{"method":["x"]}',
                 b"{%s" % method, b"{%s}}" % method, b"{%s} {%s}" % (method, method),
                 b"{%s,}" % method, b"{'method':'org.varlink.service.GetInfo'}",
                 b"\xff\xfe{%s}" % method, b'{%s,"com.example.x":"\xff"}' % method,
                 b'{"METHOD":"org.varlink.service.GetInfo"}', b'{"\xc3\xa9":1,%s}' % method):
        closes(service, text + b"\0", f"{text}")
    for flag in (b"oneway", b"more", b"upgrade"):
        for value in (b"1", b"0", b'"true"', b"[]", b"{}"):
            closes(service, b'{%s,"%s":%s}\0' % (method, flag, value), f"{flag}: {value}")
    for one, two in itertools.combinations((b"oneway", b"more", b"upgrade"), 2):
        closes(service, b'{%s,"%s":true,"%s":true}\0' % (method, one, two), f"{one} and {two}")
    for field in (b"nil", b"continues", b"error", b"id", b""):
        closes(service, b'{%s,"%s":false}\0' % (method, field), f"an unknown field {field}")
    heading("what does not")
    with service.wire() as wire:
        for field in (b"com.example.trace", b"io.systemd.x", b"a.b"):
            for value in (b"1", b"null", b'{"a":[1,{}]}', b'"oneway"'):
                wire.raw(b'{%s,"%s":%s}\0' % (method, field, value))
                check(is_info(wire.receive()), f"a vendor's field: {field}: {value}")
    # what was asked before is answered, what comes behind is not
    with service.wire() as wire:
        wire.raw(message(INFO) + b"garbage\0" + message(INFO))
        replies = wire.rest()
        check(len(replies) <= 1 and all(map(is_info, replies)), f"around garbage: {replies}")


def vanishing(service):
    heading("clients that vanish")
    call = message(INFO)
    for split in (0, 1, len(call) // 2, len(call) - 1, len(call)):
        with service.wire(quiet=True) as wire:
            wire.raw(call[:split])
        service.lives(f"{split} bytes")
    with memory(pages=65536, step=2) as large:
        for data in (message("Classify", {"selector": ours(large)}),
                     message("Classify", {"selector": ours(large)}, more=True),
                     message("ListObjects", {"summarize": True}, more=True), call * 50):
            for delay in (0, 0.002, 0.02):
                with service.wire(quiet=True) as wire:
                    wire.raw(data)
                    time.sleep(delay)
                service.lives(data[:60])
            with service.wire(quiet=True) as wire:  # in the middle of the answer
                wire.raw(data)
                wire.socket.recv(10)
            service.lives(data[:60])
    with service.wire() as wire:
        wire.raw(call)
        wire.socket.shutdown(socket.SHUT_WR)  # has no more to ask, but listens
        replies = wire.rest()
        check(len(replies) == 1 and is_info(replies[0]), f"half closed: {replies}")


def run(service):
    frames(service)
    flags(service)
    parameters(service)
    names(service)
    streams(service)
    malformed(service)
    vanishing(service)
