# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Group "parameters": unknown and mistyped ones, of each method; named errors; answers that are known.
"""

import base64
import contextlib
import ctypes
import fcntl
import mmap
import os
import signal
import struct
import tempfile

from varlink_wire import INTERFACE, PAGE, PASSED, check, error_of, heading, memory, ours, report

PID = os.getpid()
SYS_MEMFD_SECRET = 447
ONE = {"pid": PID, "fileDescriptor": 0}
MISTYPED = {
    "string": (1, True, [], {}, 1.5),
    "int": ("x", True, [], {}, 1.5),
    "bool": (0, "true", [], {}),
    "array": (1, "x", {}, True),
    "object": (1, "x", [], True),
    "enum": (1, "nil", "", "PRESENT", [], {}, True),
}
# Fields of each method, by path, and their types. A selector's are in each that takes one.
SELECTOR = {"id": "string", "pid": "int", "fileDescriptor": "int", "address": "int",
            "path": "string", "name": "string", "passedFileDescriptor": "int"}
RANGE = {"range": "object", "range.first": "int", "range.count": "int"}
METHODS = {
    "ListObjects": {"selector": "object", "kinds": "array", "kinds.": "enum", "summarize": "bool",
                    "stability": "bool", "probe": "enum"},
    "GetObject": {"selector": "object", "probe": "enum"},
    "Summarize": {"selector": "object", "probe": "enum", **RANGE},
    "Classify": {"selector": "object", "probe": "enum", "states": "array", "states.": "enum",
                 "encoding": "enum", **RANGE},
    "Locate": {"selector": "object", **RANGE},
    "Subscribe": {"selector": "object", "probe": "enum", "states": "array", "states.": "enum",
                  "batchesPerSecond": "int", "heartbeatSeconds": "int", **RANGE},
    "Monitor": {"selector": "object", "probe": "enum", "intervalMilliseconds": "int"},
    "FindCandidates": {"selector": "object", "ageSeconds": "int", "maxPages": "int", "unproven": "bool",
                       "probe": "enum", **RANGE},
    "GetRefaults": {"selector": "object", "probe": "enum", **RANGE},
    "GetPagemap": {"pid": "int", "states": "array", "states.": "enum", "encoding": "enum",
                   "probe": "enum", **RANGE},
    "GetCapabilities": {},
    "GetStatus": {},
}


GO_ON = ("Subscribe", "Monitor")  # they need `more`


def good(method):
    """Parameters with which it would be answered."""
    parameters = {"pid": PID} if method == "GetPagemap" else {"selector": dict(ONE)}
    if method == "FindCandidates":
        parameters["ageSeconds"] = 0
    return parameters if METHODS[method] else {}


def put(parameters, path, value):
    """The same with one field set: a.b is a field of an object, a. an element of an array."""
    outer, dot, inner = path.partition(".")
    if not dot:
        parameters[outer] = value
    elif not inner:
        parameters[outer] = [value]
    else:
        parameters.setdefault(outer, {"first": 0} if outer == "range" else {})[inner] = value
    return parameters


def names_it(reply, path):
    """InvalidParameter with the field's name: the innermost, or its path."""
    if error_of(reply) != "InvalidParameter":
        return False
    named = reply.get("parameters", {}).get("parameter", "")
    parts = [part for part in path.split(".") if part]
    return named == parts[-1] or named.split("[")[0] in (".".join(parts), parts[-1])


def mistyped(service):
    heading("unknown and mistyped parameters")
    with service.wire(quiet=True) as wire:
        for method, fields in METHODS.items():
            fields = dict(fields)
            if "selector" in fields:
                fields |= {f"selector.{name}": kind for name, kind in SELECTOR.items()}
            tries = [(path, value) for path, kind in fields.items() for value in MISTYPED[kind]]
            tries += [("nil", 1), ("Selector", None)]
            tries += [(f"{path}.nil", 1) for path, kind in fields.items() if kind == "object"]
            more = {"more": True} if method in GO_ON else {}
            for path, value in tries:
                reply = wire.call(method, put(good(method), path, value), **more)
                check(names_it(reply, path), f"{method} with {path} = {value!r}: {reply}")
            for field in () if method in ("ListObjects", "Monitor") else good(method):
                others = {name: value for name, value in good(method).items() if name != field}
                reply = wire.call(method, others, **more)
                check(names_it(reply, field), f"{method} without {field}: {reply}")
                reply = wire.call(method, others | {field: None}, **more)
                check(names_it(reply, field), f"{method} with {field} null: {reply}")
        for method, field in (("GetInfo", "nil"), ("GetInterfaceDescription", "interface")):
            reply = wire.call(f"org.varlink.service.{method}", {field: 1})
            check(names_it(reply, field), f"{method} with {field} = 1: {reply}")
        reply = wire.call("org.varlink.service.GetInterfaceDescription")
        check(names_it(reply, "interface"), f"GetInterfaceDescription without: {reply}")


def out_of_bounds(service):
    heading("values that cannot be")
    with memory() as descriptor, service.wire(quiet=True) as wire:
        for method, field, values in (("Subscribe", "batchesPerSecond", (0, 1001, 1 << 40)),
                                      ("Subscribe", "heartbeatSeconds", (0, 45, 1 << 40)),
                                      ("Monitor", "intervalMilliseconds", (0, 99, 40001)),
                                      ("Monitor", "selector", ({"passedFileDescriptor": 0},))):
            for value in values:
                reply = wire.call(method, {"selector": ours(descriptor), field: value}, more=True)
                check(error_of(reply) == "InvalidParameter", f"{method} with {field} = {value}: {reply}")
        for path, value in (("selector.pid", -1), ("selector.pid", 0), ("selector.pid", 1 << 40),
                            ("selector.fileDescriptor", -1), ("selector.fileDescriptor", 1 << 40),
                            ("selector.address", -1), ("selector.id", "x"), ("selector.id", ""),
                            ("selector.id", "0:1"), ("selector.path", "relative"),
                            ("selector.passedFileDescriptor", -1),
                            ("range.first", -1), ("range.count", -1)):
            reply = wire.call("Summarize", put({"selector": ours(descriptor)}, path, value))
            check("error" in reply and error_of(reply) != "Failed", f"{path} = {value!r}: {reply}")
        for whole in (b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808",
                      b"18446744073709551617", b"1e3", b"1.0"):
            wire.raw(b'{"method":"io.shmstate.GetPagemap","parameters":{"pid":%s}}\0' % whole)
            reply = wire.receive()
            check("error" in reply and error_of(reply) != "Failed", f"pid = {whole}: {reply}")
        for first, count in ((0, 9), (9, 0), (8, 1), (7, 2), (1 << 62, 1), (1, (1 << 63) - 1),
                             ((1 << 63) - 1, (1 << 63) - 1)):
            for method in ("Summarize", "Classify", "FindCandidates", "GetRefaults"):
                reply = wire.call(method, good(method) | {"selector": ours(descriptor),
                                                          "range": {"first": first, "count": count}})
                check(error_of(reply) == "OutOfRange" and reply["parameters"] == {"pages": 8},
                      f"{method} of {first}+{count}: {reply}")
        # a word's place in the file would not fit into 64 bits, and come out as another
        for first in (1 << 52, 1 << 60, 1 << 61, (1 << 63) - 1):
            reply = wire.call("GetPagemap", {"pid": PID, "encoding": "file_descriptor",
                                             "range": {"first": first, "count": 4}})
            check(error_of(reply) == "OutOfRange", f"GetPagemap of {first}+4: {reply}")


def named_errors(service):
    heading("named errors")
    with service.wire() as wire, memory(), memory():
        gone = 4194304 + 1  # above the largest that there can be
        for selector, wanted in (({"id": "ff:ff:1"}, "NoSuchObject"),
                                 ({"name": "shmstate-no-such-thing"}, "NoSuchObject"),
                                 ({"pid": PID, "fileDescriptor": 999}, "NoSuchObject"),
                                 ({"pid": gone}, "NoSuchProcess"),
                                 ({"path": "/proc/version"}, "NotSharedMemory"),
                                 ({"path": "/dev/shm/shmstate-no-such-thing"}, "NoSuchObject"),
                                 ({"pid": PID, "name": "shmstate-varlink"}, "SeveralObjects"),
                                 ({}, "InvalidParameter"),
                                 ({"passedFileDescriptor": 0}, "InvalidParameter")):
            for method in ("GetObject", "Summarize", "Classify"):
                reply = wire.call(method, {"selector": selector})
                check(error_of(reply) == wanted, f"{method} of {selector}: {reply}")
        objects = wire.call("GetObject", {"selector": {"pid": PID, "name": "shmstate-varlink"}})
        check(len(objects.get("parameters", {}).get("objects", [])) == 2, f"two of one name: {objects}")
        check(error_of(wire.call("GetPagemap", {"pid": gone})) == "NoSuchProcess", "GetPagemap")
        busy(wire)
        without_states(wire)


def busy(wire):
    """A file with a write lease, which asking must not break."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="shmstate-busy.") as file:
        before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # what tells that a lease is being broken
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            for selector in ({"path": file.name}, ours(file.fileno())):
                for method in ("Summarize", "Classify"):
                    reply = wire.call(method, {"selector": selector})
                    check(error_of(reply) == "ObjectBusy" and reply["parameters"]["reason"],
                          f"{method} of {selector}: {reply}")
                reply = wire.call("GetObject", {"selector": selector})["parameters"]["object"]
                check(reply["summary"] is None and reply["reason"], f"GetObject of {selector}: {reply}")
            check(fcntl.fcntl(file, fcntl.F_GETLEASE) == fcntl.F_WRLCK, "the lease is broken")
        finally:
            signal.signal(signal.SIGIO, before)


def without_states(wire):
    """Memory that cannot be swapped: hugetlb takes no huge page to be there, secretmem a boot option."""
    made = []
    with contextlib.suppress(OSError):
        made.append(("hugetlb", os.memfd_create("shmstate-huge", os.MFD_CLOEXEC | os.MFD_HUGETLB)))
    secret = ctypes.CDLL(None).syscall(SYS_MEMFD_SECRET, 0)
    if secret >= 0:
        made.append(("secretmem", secret))
    if not made:
        report.not_tried("NotSwappable: neither hugetlb nor secretmem")
    for kind, descriptor in made:
        for method in ("Summarize", "Classify"):
            for selector, passed in ((ours(descriptor), ()), (PASSED, (descriptor,))):
                reply = wire.call(method, {"selector": selector}, passed)
                check(error_of(reply) == "NotSwappable" and reply["parameters"] == {"kind": kind},
                      f"{method} of {kind}, {selector}: {reply}")
        os.close(descriptor)


# What of varlink_wire.memory() is known.
WRITTEN = (0, 1, 5)
EXPECTED = [{"first": 0, "count": 2, "state": "present"}, {"first": 2, "count": 3, "state": "hole"},
            {"first": 5, "count": 1, "state": "present"}, {"first": 6, "count": 2, "state": "hole"}]


def known(extents):
    """As they were made; an old kernel may have less to say, and who is short of memory pages out."""
    def same(state, expected):
        return state == expected or (expected == "present" and state in ("in_core", "swapped", "swap_cache"))
    pages = [(e["first"] + i, e["state"]) for e in extents for i in range(e["count"])]
    expected = [(e["first"] + i, e["state"]) for e in EXPECTED for i in range(e["count"])]
    return len(pages) == len(expected) and all(
        a[0] == b[0] and same(a[1], b[1]) for a, b in zip(pages, expected))


def candidates(wire, asked, mapping):
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    reply = wire.call("FindCandidates", asked | {"ageSeconds": 0})["parameters"]
    check(reply["presentPages"] == reply["candidatePages"] == 3 and not reply["incomplete"] and
          reply["process"] == PID and [(r["first"], r["count"]) for r in reply["ranges"]] == [(0, 2), (5, 1)] and
          reply["ranges"][1]["address"] == address + 5 * PAGE, f"FindCandidates: {reply}")
    reply = wire.call("FindCandidates", asked | {"ageSeconds": 0, "maxPages": 1})["parameters"]
    check([(r["first"], r["count"]) for r in reply["ranges"]] == [(0, 1)], f"maxPages: {reply}")
    reply = wire.call("FindCandidates", asked | {"ageSeconds": 3600})["parameters"]
    check(reply["candidatePages"] == 0 and reply["unprovenPages"] == 3 and reply["incomplete"] and
          reply["reasons"] and not reply["ranges"], f"of an hour nothing is known: {reply}")
    reply = wire.call("FindCandidates", asked | {"ageSeconds": 3600, "unproven": True})["parameters"]
    check(reply["candidatePages"] == reply["unprovenPages"] == 3 and reply["incomplete"] and
          len(reply["ranges"]) == 2, f"unproven: {reply}")
    reply = wire.call("FindCandidates", asked | {"ageSeconds": 3601})
    check(names_it(reply, "ageSeconds"), f"an age of more than an hour: {reply}")
    reply = wire.call("GetRefaults", asked)["parameters"]
    check(reply["refaultedPages"] == 0 and reply["extents"] == [], f"GetRefaults: {reply}")


def answers(service):
    heading("each method's answer")
    with memory() as descriptor, service.wire() as wire, mmap.mmap(descriptor, 8 * PAGE) as mapping:
        assert mapping[0] == mapping[PAGE] == mapping[5 * PAGE] == ord("x")  # and so they have page table entries
        asked = {"selector": ours(descriptor)}
        reply = wire.call("GetObject", asked)["parameters"]
        identity = reply["object"]["object"]
        check(reply["object"]["kind"] == "memfd" and reply["object"]["size"] == 8 * PAGE and
              {"pid": PID, "fileDescriptor": descriptor} in reply["object"]["holders"] and
              any(m["pid"] == PID and m["sharing"] == "shared" for m in reply["object"]["mappers"]),
              "GetObject")
        reply = wire.call("Summarize", {"selector": {"id": identity}})["parameters"]
        check(reply["object"] == identity and reply["counts"]["hole"] == 5 and
              reply["range"] == {"first": 0, "count": 8} and reply["pageSize"] == PAGE, "Summarize")
        reply = wire.call("Summarize", asked | {"range": {"first": 1, "count": 3}})["parameters"]
        check(reply["range"] == {"first": 1, "count": 3} and reply["counts"]["hole"] == 2, "a range")
        classify(wire, asked)
        reply = wire.call("Locate", asked)
        check(error_of(reply) in ("no error", "ProbeUnavailable", "NotPermitted"), f"Locate: {reply}")
        if "error" not in reply:
            reply = reply["parameters"]
            check(reply["object"] == identity and reply["probe"] == "walk" and
                  reply["range"] == {"first": 0, "count": 8} and
                  reply["stable"] == (reply["movedPages"] == 0), f"Locate: {reply}")
        candidates(wire, asked, mapping)
        pagemap(wire)
        reply = wire.call("ListObjects", {"selector": asked["selector"], "kinds": ["memfd"],
                                          "summarize": True, "stability": True})["parameters"]
        check([o["object"] for o in reply["objects"]] == [identity] and
              reply["objects"][0]["summary"]["counts"]["hole"] == 5, "ListObjects")
        reply = wire.call("ListObjects", {"selector": asked["selector"], "kinds": ["sysv"]})
        check(reply["parameters"]["objects"] == [], "ListObjects of another kind")
        reply = wire.call("GetStatus")["parameters"]
        check(reply["connections"] >= 1 and reply["counters"]["calls"] > 0 and
              all(limit > 0 for limit in reply["limits"].values()), "GetStatus")
        reply = wire.call("GetCapabilities")["parameters"]
        check(reply["pageSize"] == PAGE and reply["kernel"] == os.uname().release and
              {"mincore", "walk"} <= {c["capability"] for c in reply["capabilities"]}, "GetCapabilities")
        reply = wire.call("org.varlink.service.GetInfo")["parameters"]
        check(set(reply) == {"vendor", "product", "version", "url", "interfaces"} and
              set(reply["interfaces"]) == {INTERFACE, "org.varlink.service"}, f"GetInfo: {reply}")


def classify(wire, asked):
    reply = wire.call("Classify", asked)["parameters"]
    check(known(reply["extents"]) and reply.get("next") is None, "Classify by extents")
    present = ["present", "in_core", "swap_cache", "swapped"]
    reply = wire.call("Classify", asked | {"states": present, "encoding": "bitmap"})["parameters"]
    check(base64.b64decode(reply["bitmap"])[:1] == b"\x23" and reply["first"] == 0, "a bitmap")
    reply = wire.call("Classify", asked | {"states": ["hole"]})["parameters"]
    check({e["state"] for e in reply["extents"]} == {"hole"}, "holes only")
    reply = wire.call("Classify", asked | {"encoding": "file_descriptor"})["parameters"]
    check(reply["fileDescriptor"] == 0 and len(wire.descriptors) == 1, "no descriptor came")
    received = wire.descriptors.pop()
    with mmap.mmap(received, 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as mapping:
        head = struct.unpack_from("=QIIQQQQQQ8Q4Q", mapping)
        check(head[0].to_bytes(8, "little") == b"shmtemap" and head[1] == 1 and
              head[3] == len(mapping) and head[4:8] == (PAGE, 8 * PAGE, 0, 8), f"the header: {head}")
        check(head[9] == 5 and sum(head[9:17]) == 8, f"its counts: {head[9:17]}")
    os.close(received)


def pagemap(wire):
    reply = wire.call("GetPagemap", {"pid": PID})["parameters"]
    mapped = [e for e in reply["extents"] if "shmstate-varlink" in (e["name"] or "")]
    check(sum(e["pages"] for e in mapped) == 8, f"GetPagemap: {mapped}")
    check(reply["range"] == {"first": 0, "count": None} and reply["probe"] in ("walk", "portable"),
          f"GetPagemap: {reply['range']}, {reply['probe']}")
    start = min(e["start"] for e in mapped) // PAGE
    asked = {"pid": PID, "range": {"first": start, "count": 8}}
    reply = wire.call("GetPagemap", asked | {"encoding": "file_descriptor"})["parameters"]
    check(reply["fileDescriptor"] == 0 and len(wire.descriptors) == 1, "GetPagemap: no descriptor")
    check(reply["range"] == asked["range"], f"GetPagemap: {reply['range']}")
    received = wire.descriptors.pop()
    words = struct.unpack("=8Q", os.pread(received, 64, 8 * start))  # where /proc/PID/pagemap has them
    check([bool(w >> 62) for w in words] == [page in WRITTEN for page in range(8)],
          f"GetPagemap: {[hex(w) for w in words]}")
    os.close(received)


def run(service):
    mistyped(service)
    out_of_bounds(service)
    named_errors(service)
    answers(service)
