# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rows of the table in shmstated(8). Run by the script access."""

import contextlib
import ctypes
import mmap
import os
import socket
import struct
import sys
import time
import traceback

from varlink_wire import PAGE, PASSED, Service, check, error_of, heading, memory, report

GROUP = 61234  # shmstate, as the script has it
ALICE, BOB = 61001, 61002
PR_SET_DUMPABLE = 4
LOADING = 1 << 38 | 1 << 39  # CAP_PERFMON, CAP_BPF


def let_go(keep):
    """What a child has inherited it holds too, and might ask about."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            with contextlib.suppress(OSError):
                os.close(int(name))


def as_user(uid, work, groups=(), keep=()):
    """Runs work() in a child that is this user. What it says of failures counts."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            let_go(keep)
            report.failures = 0
            os.setgroups(groups)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            # changing users takes it away, as it would for a program that root began
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
            work()
            status = report.failures > 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    check(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, f"as {uid}: {work.__name__}")


@contextlib.contextmanager
def process(uid, dumpable=True, prepare=None, meanwhile=None, keep=()):
    """
    A process of the user that waits. prepare() runs in it, and meanwhile(pid) here; what prepare()
    returns is kept alive.
    """
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            let_go((ready[1], go[0], *keep))
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            kept = prepare() if prepare else None
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0)
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            del kept
        finally:
            os._exit(0)
    os.close(go[0])
    os.close(ready[1])
    if meanwhile:
        meanwhile(child)
    check(os.read(ready[0], 1) == b"x", "a process to ask about")
    try:
        yield child
    finally:
        os.close(go[1])
        os.close(ready[0])
        os.waitpid(child, 0)


def asked(service, method, selector, descriptors=(), **parameters):
    """The name of the error, with its rule, or "no error"."""
    with service.wire(quiet=True) as wire:
        reply = wire.call(method, {"selector": selector, **parameters}, descriptors)
    name = error_of(reply)
    rule = reply.get("parameters", {}).get("rule")
    return f"{name} {rule}" if rule else name


def expect(service, expected, method, selector, descriptors=(), what=""):
    got = asked(service, method, selector, descriptors)
    print(f"  {os.geteuid()} {method} {what or selector}: {got}", flush=True)
    check(got == expected, f"{method} of {what or selector}: {got}, expected {expected}")


def id_of(service, descriptor):
    with service.wire(quiet=True) as wire:
        return wire.call("Summarize", {"selector": PASSED}, [descriptor])["parameters"]["object"]


@contextlib.contextmanager
def shm_file(uid, mode):
    """A file on tmpfs, with a page."""
    path = f"/dev/shm/shmstate-access.{os.getpid()}.{uid}.{mode:o}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, b"x" * PAGE, 0)
        os.fchmod(descriptor, mode)
        os.fchown(descriptor, uid, uid)
        yield path
    finally:
        os.close(descriptor)
        os.unlink(path)


def everything(service):
    heading("everything: root, and the group shmstate")
    with memory() as descriptor, process(ALICE) as pid:
        reading = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        selectors = ({"id": id_of(service, descriptor)},
                     {"pid": os.getpid(), "fileDescriptor": descriptor})

        def asks():
            for selector in selectors:
                for method in ("Summarize", "Classify", "GetObject", "Locate"):
                    expect(service, "no error", method, selector)
            expect(service, "no error", "Summarize", PASSED, [reading], "descriptor for reading")
            with service.wire(quiet=True) as wire:
                check("error" not in wire.call("GetPagemap", {"pid": pid}), "GetPagemap")

        asks()
        as_user(BOB, asks, groups=[GROUP], keep=(reading,))
        os.close(reading)


def writable_descriptor(service):
    heading("writable-descriptor: others, by a descriptor that they pass")
    with memory() as roots:
        ways = {
            "no error": (os.O_RDWR, os.O_WRONLY),
            "NotPermitted writable-descriptor": (os.O_RDONLY, os.O_PATH),
        }
        opened = [(expected, flags, os.open(f"/proc/self/fd/{roots}", flags | os.O_CLOEXEC))
                  for expected, every in ways.items() for flags in every]

        def passes():
            for expected, flags, descriptor in opened:
                for method in ("Summarize", "Classify"):
                    expect(service, expected, method, PASSED, [descriptor], f"flags {flags:o}")
            with memory(name="own") as own:
                reading = os.open(f"/proc/self/fd/{own}", os.O_RDONLY)
                expect(service, "no error", "Summarize", PASSED, [own], "own")
                expect(service, "NotPermitted writable-descriptor", "Summarize", PASSED, [reading],
                       "own, for reading")

        as_user(ALICE, passes, keep=[descriptor for _, _, descriptor in opened])
        for _, _, descriptor in opened:
            os.close(descriptor)


def owner(service):
    heading("owner: others, by id, name or path")
    here, there = socket.socketpair()

    # made by Alice, held by root alone afterwards
    def makes():
        with memory(name="alices") as descriptor:
            socket.send_fds(there, [b"x"], [descriptor])

    as_user(ALICE, makes, keep=(there.fileno(),))
    descriptor = socket.recv_fds(here, 1, 1)[1][0]
    selector = {"id": id_of(service, descriptor)}
    name = {"name": "alices"}
    as_user(ALICE, lambda: [expect(service, "no error", "Summarize", s) for s in (selector, name)])
    as_user(BOB, lambda: [expect(service, "NotPermitted owner", m, s) for s in (selector, name)
                          for m in ("Summarize", "Classify", "GetObject")])
    os.close(descriptor)
    here.close()
    there.close()
    with shm_file(ALICE, 0o600) as own, shm_file(0, 0o644) as readable, \
            shm_file(0, 0o666) as writable:

        def by_path():
            expect(service, "no error", "Summarize", {"path": own}, what="own file")
            for path in (readable, writable, "/dev/shm/there is no such file", "/etc/shadow"):
                expect(service, "NotPermitted owner", "Summarize", {"path": path})

        as_user(ALICE, by_path)
    # by no answer does it become known what others have
    with memory(name="roots"), memory(name="roots"), shm_file(0, 0o600) as path, \
            shm_file(0, 0o644) as other:

        def guesses():
            for selector in ({"id": "0:1:4294967290"}, {"name": "roots"}, {"name": "nobody's"},
                             {"path": path, "pid": os.getpid()},
                             {"path": path + "x", "pid": os.getpid()}):
                expect(service, "NotPermitted owner", "Summarize", selector)
            lists = []
            for selector in ({"path": path}, {"path": other}, {"path": path + "x"},
                             {"name": "roots"}, {"name": "nobody's"}):
                with service.wire(quiet=True) as wire:
                    lists.append(wire.call("ListObjects", {"selector": selector}))
            check(lists[0]["parameters"]["objects"] == [] and lists.count(lists[0]) == len(lists),
                  f"what is hidden and what is not there look the same: {lists}")

        as_user(ALICE, guesses)


def ptrace(service):
    heading("ptrace: others, by process")
    with process(ALICE, prepare=lambda: kept_memfd()) as own, process(BOB) as others, \
            process(ALICE, dumpable=False) as closed:

        def asks():
            expect(service, "no error", "Summarize", {"pid": own, "name": "kept"}, what="own process")
            for pid, expected in ((own, "no error"), (others, "NotPermitted ptrace"),
                                  (closed, "NotPermitted ptrace"), (1, "NotPermitted ptrace"),
                                  (4194304 - 1, "NoSuchProcess")):
                with service.wire(quiet=True) as wire:
                    reply = wire.call("GetPagemap", {"pid": pid})
                got = error_of(reply)
                if "rule" in reply.get("parameters", {}):
                    got += " " + reply["parameters"]["rule"]
                check(got == expected, f"GetPagemap of {pid}: {got}, expected {expected}")
                if pid != own and expected != "NoSuchProcess":
                    expect(service, expected, "Summarize", {"pid": pid})
            # what it has open is other clients'; the kernel lets it look at itself
            status = service.status()["pid"]
            tasks = f"/proc/{status}/task"
            first = os.listdir(tasks)
            time.sleep(0.2)  # those that look at a path go by themselves
            for tid in set(first) & set(os.listdir(tasks)):
                expect(service, "NotPermitted ptrace", "Summarize", {"pid": int(tid)}, what="itself")

        as_user(ALICE, asks)


CLONE_NEWUSER = 0x10000000


@contextlib.contextmanager
def contained_process(uid):
    """One of the user's in a user namespace that root has made, as containers are; or None."""
    unshared, mapped = os.pipe(), os.pipe()

    def enters():
        if ctypes.CDLL(None).unshare(CLONE_NEWUSER) != 0:
            os.write(unshared[1], b"-")
            return None
        os.write(unshared[1], b"x")
        os.read(mapped[0], 1)
        os.setgroups([])
        os.setresgid(1, 1, 1)
        os.setresuid(1, 1, 1)
        return kept_memfd()

    def maps(child):
        for kind in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{kind}", "w") as file:
                file.write(f"0 {uid - 1} 2")
        os.write(mapped[1], b"x")

    with process(0, prepare=enters, meanwhile=lambda child: os.read(unshared[0], 1) == b"x" and maps(child),
                 keep=(unshared[1], mapped[0])) as child:
        for end in unshared + mapped:
            os.close(end)
        yield child


def paths(service):
    heading("ptrace: nor does a path lead into another's process")
    with shm_file(ALICE, 0o600) as own:
        opened = os.open(own, os.O_RDONLY | os.O_CLOEXEC)
        with process(BOB, prepare=lambda: os.chdir("/dev/shm"), keep=(opened,)) as others:
            name = os.path.basename(own)

            def asks():
                expect(service, "no error", "Summarize", {"path": own}, what="own file")
                with service.wire(quiet=True) as wire:
                    reply = wire.call("GetObject", {"selector": {"path": own}})["parameters"]
                    check(reply["object"]["holders"] == [], f"holders: {reply}")
                for path in (f"/proc/{others}/fd/{opened}", f"/proc/{others}/cwd/{name}",
                             f"/proc/{others}/root/{own}", "/proc/self/fd/0"):
                    expect(service, "NotPermitted owner", "Summarize", {"path": path})
                    with service.wire(quiet=True) as wire:
                        reply = wire.call("ListObjects", {"selector": {"path": path}})
                    check(reply["parameters"]["objects"] == [], f"list of {path}: {reply}")

            as_user(ALICE, asks)
        os.close(opened)


def namespaces(service):
    heading("ptrace: who is contained by root is root's")
    with contained_process(ALICE) as pid:
        if os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user"):
            report.not_tried("a process in a user namespace")
            return

        def asks():
            try:
                os.close(os.open(f"/proc/{pid}/maps", os.O_RDONLY))
                check(False, "the kernel lets it read the process")
            except PermissionError:
                pass
            with service.wire(quiet=True) as wire:
                reply = wire.call("GetPagemap", {"pid": pid})
            check(error_of(reply) == "NotPermitted", f"GetPagemap of {pid}: {reply}")
            expect(service, "NotPermitted ptrace", "Summarize", {"pid": pid})

        as_user(ALICE, asks)


def kept_memfd():
    descriptor = os.memfd_create("kept", os.MFD_CLOEXEC)
    os.pwrite(descriptor, b"x" * PAGE, 0)
    return descriptor


def not_writable(service):
    heading("what one's own process may read, but not write to")
    with shm_file(0, 0o644) as readable, shm_file(0, 0o666) as writable:

        def maps(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            area = mmap.mmap(descriptor, PAGE, mmap.MAP_SHARED, mmap.PROT_READ)
            expected = "no error" if path == writable else "NotPermitted owner"
            expect(service, expected, "Summarize",
                   {"pid": os.getpid(), "fileDescriptor": descriptor}, what=path)
            with service.wire(quiet=True) as wire:
                reply = wire.call("GetPagemap", {"pid": os.getpid()})["parameters"]
            states = {e["state"] for e in reply["extents"] if e["name"] == path}
            check(states == ({"present"} if path == writable else {"barred"}),
                  f"GetPagemap of a mapping of {path}: {states}")
            check(reply["incomplete"] == (path != writable), "it says that it is incomplete")
            area.close()

        for path in (readable, writable):
            as_user(ALICE, lambda: maps(path))


def locate(service):
    heading("locate: slots of the swap are nobody else's business")
    with memory() as descriptor:
        as_user(ALICE, lambda: expect(service, "NotPermitted locate", "Locate", PASSED, [descriptor]),
                keep=(descriptor,))

    # with root's eyes the frames would be there
    def words():
        area = mmap.mmap(-1, 4 * PAGE, mmap.MAP_SHARED)
        area[:4] = b"data"
        start = ctypes.addressof(ctypes.c_char.from_buffer(area)) // PAGE
        with service.wire(quiet=True) as wire:
            wire.send("GetPagemap", {"pid": os.getpid(), "range": {"first": start, "count": 4},
                                     "encoding": "file_descriptor"})
            reply = wire.receive()
            check("error" not in reply, f"GetPagemap by descriptor: {reply}")
            word, = struct.unpack("=Q", os.pread(wire.descriptors[0], 8, start * 8))
        check(word >> 63 == 1 and word & (1 << 55) - 1 == 0, f"a word without its frame: {word:x}")

    as_user(ALICE, words)


def lists(service):
    heading("list: others see what they may ask about")
    with process(ALICE, prepare=kept_memfd) as own, memory(name="roots") as roots:

        def asks():
            with service.wire(quiet=True) as wire:
                reply = wire.call("ListObjects", {"summarize": True})["parameters"]
                names = [o["name"] for o in reply["objects"]]
                check("kept" in names and "roots" not in names, f"they see {names}")
                check(reply["incomplete"] and reply["reasons"], "the list says that it is incomplete")
                kept = next(o for o in reply["objects"] if o["name"] == "kept")
                check(kept["summary"]["counts"]["present"] == 1, f"its summary: {kept}")
                reply = wire.call("GetObject", {"selector": {"id": kept["object"]}})["parameters"]
                pids = {h["pid"] for h in reply["object"]["holders"]}
                check(pids == {own}, f"holders: {pids}, expected {own}")

        # root holds it too, which is nobody else's business
        path = f"/proc/{own}/fd"
        held = [os.open(f"{path}/{n}", os.O_RDWR | os.O_CLOEXEC) for n in os.listdir(path)
                if "kept" in os.readlink(f"{path}/{n}")]
        as_user(ALICE, asks)
        with service.wire(quiet=True) as wire:
            names = [o["name"] for o in wire.call("ListObjects", {})["parameters"]["objects"]]
            check("kept" in names and "roots" in names, "root sees both")
        for descriptor in held:
            os.close(descriptor)
        check(roots >= 0, "")


def anybody(service):
    heading("what anybody may ask")

    def asks():
        with service.wire(quiet=True) as wire:
            for method in ("GetStatus", "GetCapabilities", "org.varlink.service.GetInfo"):
                check("error" not in wire.call(method), method)

    as_user(BOB, asks)


def capabilities(service):
    """What loading programs took is given up by every thread; what was loaded still runs."""
    heading("the service's own privilege")
    pid = service.status()["pid"]
    threads = os.listdir(f"/proc/{pid}/task")
    check(len(threads) > 2, f"threads: {threads}")
    for thread in threads:
        with open(f"/proc/{pid}/task/{thread}/status") as file:
            sets = {line.split()[0]: int(line.split()[1], 16) for line in file if line.startswith("Cap")}
        for name in ("CapPrm:", "CapEff:", "CapInh:", "CapAmb:"):
            check(not sets[name] & LOADING, f"{name} {sets[name]:x} of thread {thread}")
    with service.wire() as wire, memory() as descriptor:
        reply = wire.call("Summarize", {"selector": {"passedFileDescriptor": 0}}, [descriptor])
        check(reply["parameters"]["probe"] == service.status()["probe"], f"{reply}")


def main():
    with Service() as service:
        for row in (capabilities, everything, writable_descriptor, owner, ptrace, paths, namespaces, not_writable,
                    locate, lists, anybody):
            row(service)
    print(f"access: {report.tests} checks, {report.failures} failures")
    return report.failures > 0


sys.exit(main())
