#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
subscribe.py [GROUP...] - started by tests/system/subscribe. The groups: ctl, sums, heartbeat, slow, many,
dies, rights, stop, monitor.
"""

import contextlib
import ctypes
import json
import mmap
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from subscribe_told import Told, dump
from varlink_wire import PAGE, Service, check, error_of, heading, ours, report

MADV_PAGEOUT = 21
ROUNDS = int(os.environ.get("SHMSTATE_SUBSCRIBE_ROUNDS", "3" if os.environ.get("SHMSTATE_TEST_BRIEF") else "12"))
OPERATIONS = 40
PAGES = 2048
NOBODY = 65534
DROP = "SHMSTATE_TEST_DROP_EVENTS"


class Memory:
    """A memfd of this process, and what may be done to it."""

    def __init__(self, pages=PAGES, name="shmstate-subscribe", most=2 * PAGES):
        self.descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
        self.most = max(most, pages)
        os.ftruncate(self.descriptor, self.most * PAGE)
        self.mapping = mmap.mmap(self.descriptor, self.most * PAGE)
        os.ftruncate(self.descriptor, pages * PAGE)
        self.pages = pages

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.mapping.close()
        os.close(self.descriptor)

    def write(self, first, count, step=1):
        for page in range(first, first + count, step):
            self.mapping[page * PAGE] = random.randrange(256)
            self.mapping[page * PAGE + 8] = random.randrange(256)

    def read(self, first, count):
        return sum(self.mapping[page * PAGE] for page in range(first, first + count))

    def page_out(self, first, count):
        with contextlib.suppress(OSError):
            self.mapping.madvise(MADV_PAGEOUT, first * PAGE, count * PAGE)

    def punch(self, first, count):
        self.mapping.madvise(mmap.MADV_REMOVE, first * PAGE, count * PAGE)

    def resize(self, pages):
        os.ftruncate(self.descriptor, pages * PAGE)
        self.pages = pages

    def do_something(self):
        kind = random.choices(("write", "out", "read", "punch", "shrink", "grow"),
                              (8, 8, 5, 3, 1, 1))[0]
        first = random.randrange(self.pages)
        count = random.randint(1, min(200, self.pages - first))
        if kind == "write":
            self.write(first, count, random.choice((1, 1, 2, 3)))
        elif kind == "out":
            self.page_out(first, count)
        elif kind == "read":
            self.read(first, count)
        elif kind == "punch":
            self.punch(first, count)
        elif kind == "shrink":
            self.resize(max(PAGES // 2, self.pages - random.randint(1, 300)))
        else:
            self.resize(min(self.most, self.pages + random.randint(1, 300)))


def agree(service, told, memory, **parameters):
    """What was told comes to be what a fresh look shows, once nothing moves."""
    states = None
    for _ in range(10):
        states, generation = dump(service, memory.descriptor, **parameters)
        if generation is None:
            told.until(lambda: told.states == states, 3)
        else:
            told.until(lambda: told.generation == generation, 3)
        if told.states == states:
            return True
        if generation is not None and told.generation == generation:
            break
    differ = [i for i, (a, b) in enumerate(zip(told.states, states)) if a != b]
    return check(False, f"{len(told.states)} pages told, {len(states)} there, {len(differ)} differ, "
                 f"from {differ[:3]}; {told.events} {told.error}")


def add_up(what, settings, drop=None, **parameters):
    """State and changes against fresh dumps, through random operations."""
    heading(f"sums: {what}")
    if drop:
        os.environ[DROP] = drop
    with Service(f"[Service]\n{settings}") as service:
        os.environ.pop(DROP, None)
        with Memory() as memory, Told(service, ours(memory.descriptor), **parameters) as told:
            told.ready()
            good = 0
            for _ in range(ROUNDS):
                for _ in range(OPERATIONS):
                    memory.do_something()
                    time.sleep(random.uniform(0, 0.02))
                good += agree(service, told, memory, **parameters)
            check(good == ROUNDS and not told.wrong, f"{what}: {good} of {ROUNDS} rounds agree")
            print(f"  {good} of {ROUNDS} rounds of {OPERATIONS} operations: {told.events}, "
                  f"level {told.level}, {told.lost} events lost", flush=True)
            if drop and told.level != "none":
                check(told.lost > 0, "no event was dropped")
            return told.level


def sums():
    before = report.failures
    level = add_up("all events that there are", "Events=auto\n")
    if level == "all":
        add_up("swap-outs only", "Events=swap_out\n")
    check(add_up("no events", "Events=none\n") == "none", "events come that were switched off")
    if level != "none":
        add_up("every second event lost", "Events=auto\n", "2")
        add_up("all events lost", "Events=auto\n", "1")
    add_up("the portable probe", "Probe=portable\n")
    add_up("nothing is kept", "HistoryBytes=0\n")
    print(f"sums: {report.failures - before} failures", flush=True)


def ranges():
    """Of a range, and of some states: what was told of those."""
    heading("a range, and some states")
    with Service() as service, Memory() as memory:
        wanted = ["swapped", "swap_cache"]
        part = {"range": {"first": 100, "count": 500}}
        with Told(service, ours(memory.descriptor), states=wanted) as told, \
                Told(service, ours(memory.descriptor), **part) as some:
            told.ready()
            some.wire.socket.settimeout(5)
            # what a client of only some states knows of the rest: that it is none of these
            known = {}
            seen = 0

            def fold(p):
                for e in p["extents"] or []:
                    known.update({i: e["state"] for i in range(e["first"], e["first"] + e["count"])})
                for c in p["changes"] or []:
                    for i in range(c["first"], c["first"] + c["count"]):
                        known[i] = c["to"]

            told.apply = fold
            for _ in range(3):
                first = random.randrange(1500)
                memory.write(first, 300)
                memory.page_out(first, 300)
                memory.read(first + 50, 20)
                time.sleep(1.5)
                while told.take(1.2):
                    seen += 1
                states, _ = dump(service, memory.descriptor)
                expected = {i for i, s in enumerate(states) if s in wanted}
                got = {i for i, s in known.items() if s in wanted}
                check(got == expected, f"of some states: {len(got)} pages, {len(expected)} are there")
            check(seen > 0, "no changes in some states were told")
            outside = 0
            reply = some.wire.receive()["parameters"]
            check(reply["first"] == 100 and reply["extents"][0]["first"] == 100, f"a range: {reply}")
            with contextlib.suppress(OSError):
                while True:
                    reply = some.wire.receive()["parameters"]
                    outside += sum(c["first"] < 100 or c["first"] + c["count"] > 600
                                   for c in reply["changes"] or [])
            check(outside == 0, f"{outside} changes outside of the range")


def heartbeat():
    heading("heartbeats")
    with Service() as service, Memory(16, most=16) as memory:
        with Told(service, ours(memory.descriptor), heartbeatSeconds=1) as told:
            told.ready()
            began = time.monotonic()
            told.until(lambda: told.events["heartbeat"] >= 3, 6)
            took = time.monotonic() - began
            check(told.events["heartbeat"] >= 3 and 2.5 < took < 4.5,
                  f"{told.events['heartbeat']} heartbeats in {took:.1f} s")
            check(told.last["lookAgeMilliseconds"] < 2500, f"the look is old: {told.last}")
            check(told.events["changes"] == 0, "changes without any")
        again(service)


def resident(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * PAGE


def slow():
    """A client that does not read: the service keeps little, and says it all at once afterwards."""
    heading("a slow reader")
    with Service("[Service]\nSubscribeBatches=100\n") as service, Memory(16384, most=16384) as memory:
        with Told(service, ours(memory.descriptor)) as told:
            told.ready()
            before, worst = resident(service.process.pid), 0
            scans = service.status()["counters"]["scans"]
            for i in range(16):
                for page in range(i % 2, 16384, 2):
                    memory.mapping[page * PAGE] = 1
                memory.page_out(0, 16384)
                time.sleep(0.2)
                worst = max(worst, resident(service.process.pid))
            scans = service.status()["counters"]["scans"] - scans
            grown = (worst - before) >> 20
            check(grown < 32, f"it takes {grown} MiB more for a client that does not read")
            check(agree(service, told, memory), "what came late does not add up")
            print(f"  {scans} looks, {told.events['changes']} replies, {grown} MiB more", flush=True)
        again(service)


def many():
    """A hundred of one object: one look serves many, and nothing is attached afterwards."""
    heading("a hundred subscribers")
    with Service() as service, Memory() as memory, contextlib.ExitStack() as stack:
        again(service)
        memory.write(0, PAGES, 3)
        clients = [stack.enter_context(Told(service, ours(memory.descriptor))) for _ in range(100)]
        for told in clients:
            told.ready()
        status = service.status()
        check(status["watching"]["calls"] == 100, f"{status['watching']}")
        if status["watching"]["eventLevel"] != "none":
            check(status["watching"]["attached"], "nothing is attached")
        cpu = cpu_time(service.process.pid)
        looks = status["counters"]
        time.sleep(4)
        cpu = (cpu_time(service.process.pid) - cpu) / 4
        now = service.status()["counters"]
        print(f"  at rest: {100 * cpu:.1f}% of a processor, {now['scans'] - looks['scans']} looks, "
              f"{now['sharedScans'] - looks['sharedScans']} shared in 4 s", flush=True)
        check(cpu < 0.25, f"a hundred subscribers at rest take {100 * cpu:.0f}% of a processor")
        memory.write(1, 100)
        memory.page_out(500, 200)
        states, generation = dump(service, memory.descriptor)
        for told in clients:
            told.until(lambda t=told: t.generation == generation, 10)
        check(all(told.states == states for told in clients), "not all were told the same")
        check(not any(told.wrong for told in clients), "some were told what was wrong")
        stack.pop_all().close()
        again(service)


def crowd():
    """Many who have long looks taken share a part of a processor, and are in nobody's way."""
    heading("twenty monitors of many objects")
    with Service() as service, contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(Memory(1, most=1))
        memory = stack.enter_context(Memory(16, most=16))
        told = stack.enter_context(Told(service, ours(memory.descriptor)))
        told.ready()
        for _ in range(20):
            wire = stack.enter_context(service.wire(quiet=True))
            wire.send("Monitor", {"selector": {"pid": os.getpid()}, "intervalMilliseconds": 100}, more=True)
            stack.enter_context(drained(wire))
        time.sleep(3)
        cpu = cpu_time(service.process.pid)
        time.sleep(4)
        cpu = (cpu_time(service.process.pid) - cpu) / 4
        check(cpu < 0.25, f"twenty monitors take {100 * cpu:.0f}% of a processor")
        memory.write(3, 1)
        began = time.monotonic()
        told.until(lambda: told.states[3] == "present", 10)
        took = time.monotonic() - began
        print(f"  {100 * cpu:.0f}% of a processor, another's change told after {took:.2f} s", flush=True)
        check(took < 3, f"among twenty monitors a change was told after {took:.1f} s")


@contextlib.contextmanager
def drained(wire):
    """What comes is read, and no more."""
    def read():
        with contextlib.suppress(OSError):
            while wire.socket.recv(1 << 20):
                pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        wire.socket.shutdown(socket.SHUT_RDWR)
        reader.join()


def cpu_time(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def again(service):
    """Nobody watches: nothing is attached."""
    for _ in range(100):
        watching = service.status()["watching"]
        if watching["calls"] == 0:
            break
        time.sleep(0.02)
    check(watching["calls"] == 0 and not watching["attached"] and watching["watches"] == 0,
          f"nobody watches, but {watching}")


def child(work):
    """Another process, which does this; it ends when its work does."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = work() or 0
        finally:
            os._exit(code)
    return pid


def shmem():
    with open("/proc/meminfo") as file:
        field = {line.split(":")[0]: int(line.split()[1]) for line in file}
    return field["Shmem"] << 10


def dies():
    """The only process that has the object is killed: its memory is free, and the client is told."""
    heading("the object goes")
    size = 64 << 20
    with Service() as service:
        read, write = os.pipe()

        def hold():
            descriptor = os.memfd_create("shmstate-subscribe-dies", 0)
            os.ftruncate(descriptor, size)
            for page in range(0, size, PAGE):
                os.pwrite(descriptor, b"x", page)
            os.write(write, b"%d\n" % descriptor)
            signal.pause()

        before = shmem()
        pid = child(hold)
        descriptor = int(os.read(read, 10))
        held = shmem() - before
        with Told(service, {"pid": pid, "fileDescriptor": descriptor}) as told:
            told.ready()
            time.sleep(1.5)
            began = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            while shmem() - before > held // 4 and time.monotonic() < began + 5:
                time.sleep(0.01)
            took = time.monotonic() - began
            check(took < 1, f"its memory was free after {took:.2f} s")
            told.until(lambda: told.error, 5)
            check(told.error == "NoSuchObject", f"it ended with {told.error}")
            print(f"  free after {took:.2f} s, told after {time.monotonic() - began:.2f} s", flush=True)
            status = told.wire.call("GetStatus")
            check("parameters" in status, "the connection is of no use afterwards")
        os.close(read)
        os.close(write)
        again(service)


def second():
    """The first holder goes, a second process that maps it stays: so does the subscription."""
    heading("another process has it too")
    with Service() as service:
        ready, tell = os.pipe()
        with Memory(64, most=64) as memory:
            pid = child(lambda: (os.write(tell, b"x"), time.sleep(30)) and 0)
            os.read(ready, 1)
            told = Told(service, ours(memory.descriptor))
            told.ready()
        with told:
            # the child inherited the mapping, and nothing else of it
            time.sleep(2.5)
            told.take(0.1)
            check(told.error is None, f"it ended with {told.error}, though a process has the object")
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            told.until(lambda: told.error, 5)
            check(told.error == "NoSuchObject", f"it ended with {told.error}")
        os.close(ready)
        os.close(tell)


def as_nobody(work):
    def run():
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        failures = report.failures
        work()
        return report.failures > failures

    _, status = os.waitpid(child(run), 0)
    return check(status == 0, "as another user it failed")


def rights():
    heading("another user")
    with Service() as service, Memory(16, most=16) as memory:
        mine = ours(memory.descriptor)

        def others():
            with Told(service, mine) as told:
                told.until(lambda: told.error, 5)
                check(told.error in ("NotPermitted", "NoSuchProcess"), f"of root's: {told.error}")

        as_nobody(others)
        with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="shmstate-subscribe.") as file:
            os.ftruncate(file.fileno(), 16 * PAGE)
            os.fchown(file.fileno(), NOBODY, NOBODY)
            read, write = os.pipe()

            def own():
                with Told(service, {"path": file.name}) as told:
                    told.ready()
                    os.write(write, b"x")
                    told.until(lambda: told.error, 6)
                    check(told.error == "NotPermitted", f"once it is root's: {told.error}")

            pid = os.fork()
            if pid == 0:
                as_nobody(own)
                os._exit(report.failures > 0)
            os.read(read, 1)
            time.sleep(1.2)
            os.fchown(file.fileno(), 0, 0)
            os.fchmod(file.fileno(), 0o600)
            check(os.waitpid(pid, 0)[1] == 0, "as another user it failed")
            os.close(read)
            os.close(write)
        again(service)


def let_go():
    """Who may see an object by having it open only may not any more once it is closed, though others have it."""
    heading("another user closes what is not his")
    with Service() as service, Memory(16, most=16) as memory:
        os.fchmod(memory.descriptor, 0o666)

        def closes():
            # what a process may be asked about goes with its user, but for this
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE
            with service.wire() as wire:
                found = wire.call("Summarize", {"selector": ours(memory.descriptor)})
            # by it all who have the object are found
            with Told(service, {"id": found["parameters"]["object"]}) as told:
                told.ready()
                memory.mapping.close()
                os.close(memory.descriptor)
                told.until(lambda: told.error, 6)
                check(told.error in ("NotPermitted", "NoSuchObject"), f"without the object: {told.error}")

        as_nobody(closes)
        again(service)


def stop():
    heading("the service ends")
    with Service() as service, Memory(16, most=16) as memory:
        with Told(service, ours(memory.descriptor)) as told, service.wire(quiet=True) as monitor:
            told.ready()
            monitor.send("Monitor", {"intervalMilliseconds": 200}, more=True)
            monitor.receive()
            began = time.monotonic()
            service.process.terminate()
            told.until(lambda: told.error, 5)
            check(told.error == "Stopping", f"it ended with {told.error}")
            check(error_of(monitor.rest()[-1]) == "Stopping", "the monitor did not")
            service.process.wait(10)
            took = time.monotonic() - began
            check(took < 1, f"the end took {took:.1f} s")
            service.start()
        with service.wire(quiet=True) as wire:
            for method in ("Subscribe", "Monitor"):
                reply = wire.call(method, {"selector": ours(memory.descriptor)})
                check(error_of(reply) == "ExpectedMore", f"{method} without more: {reply}")
            reply = wire.more("Subscribe", {"selector": {"name": "there is none"}})[-1]
            check(error_of(reply) == "NoSuchObject", f"no such object: {reply}")
            reply = wire.more("Subscribe", {"selector": ours(memory.descriptor),
                                            "range": {"first": 17}})[-1]
            check(error_of(reply) == "OutOfRange", f"a range behind the end: {reply}")
        # clients that vanish at any moment
        for i in range(40):
            with Told(service, ours(memory.descriptor), heartbeatSeconds=1) as told:
                time.sleep(i / 2000)
        again(service)


def vanish():
    """A look of a monitor is given up in its midst; that nothing is lost by it the sanitizers tell."""
    heading("monitors that vanish while they look")
    with Service("[Service]\nProbe=portable\n") as service, Memory(16384, most=16384) as memory:
        memory.write(0, 16384, 3)
        given_up = service.status()["counters"]["cancelledScans"]
        question = {"selector": ours(memory.descriptor), "intervalMilliseconds": 100}
        with service.wire(quiet=True) as wire:
            began = time.monotonic()
            wire.send("Monitor", question, more=True)
            wire.receive()
            took = time.monotonic() - began
        for i in range(60):
            with service.wire(quiet=True) as wire:
                wire.send("Monitor", question, more=True)
                time.sleep(took * i / 60)
        again(service)
        given_up = service.status()["counters"]["cancelledScans"] - given_up
        check(given_up > 0, "no look was given up")
        print(f"  {given_up} looks given up", flush=True)


class Rates:
    """What a monitor of one object has counted."""

    def __init__(self, service, selector, milliseconds):
        self.wire = service.wire(quiet=True)
        self.out = self.into = self.unknown = self.events_out = self.events_in = 0
        self.counted = True
        self.wire.send("Monitor", {"selector": selector, "intervalMilliseconds": milliseconds}, more=True)
        self.first = self.take()

    def take(self):
        p = self.wire.receive()["parameters"]
        for o in p["objects"]:
            if o["reason"]:
                self.unknown += 1
                continue
            self.out += o["swappedOut"]
            self.into += o["swappedIn"]
            if o["swapOutEvents"] is None:
                self.counted = False
            else:
                self.events_out += o["swapOutEvents"]
            self.events_in += o["swapInEvents"] or 0
        return p


def out_of(states):
    return sum(state in ("swapped", "swap_cache") for state in states)


def monitor():
    heading("rates")
    with Service() as service, Memory() as memory:
        memory.write(0, PAGES)
        rates = Rates(service, ours(memory.descriptor), 200)
        check(rates.first["objects"][0]["swappedOut"] is None, f"rates at once: {rates.first}")
        before = out_of(dump(service, memory.descriptor)[0])
        for first in range(0, 1600, 100):
            memory.page_out(first, 100)
            rates.take()
        rates.take()
        rates.take()
        states, _ = dump(service, memory.descriptor)
        went = out_of(states) - before
        check(went > 0 and rates.out == went, f"{rates.out} pages out, {went} went")
        if rates.counted:
            check(rates.events_out >= went, f"{rates.events_out} events of {went} pages that went out")
        swapped = states.count("swapped")
        for first in range(0, 800, 100):
            memory.read(first, 100)
            rates.take()
        rates.take()
        rates.take()
        came = swapped - dump(service, memory.descriptor)[0].count("swapped")
        check(came > 0 and rates.into == came, f"{rates.into} pages in, {came} came")
        check(rates.unknown == 1, f"{rates.unknown} intervals without rates")
        print(f"  out {rates.out} of {went} ({rates.events_out if rates.counted else 'no'} events), "
              f"in {rates.into} of {came} ({rates.events_in} events), level {rates.first['eventLevel']}",
              flush=True)
        owners = rates.first["objects"][0]["owners"]
        with open("/proc/self/cgroup") as file:
            groups = [line.rstrip().split(":", 2)[2] for line in file]
        check(owners and all(o["cgroup"] in groups or o["reason"] for o in owners), f"{owners}")
        appear(service)
        rates.wire.close()
        again(service)


def appear(service):
    """Objects come and go."""
    with service.wire(quiet=True) as wire:
        wire.send("Monitor", {"intervalMilliseconds": 200, "selector": {"name": "shmstate-appears"}}, more=True)
        counts = []
        for i in range(9):
            if i == 3:
                memory = Memory(16, "shmstate-appears", 16)
            if i == 6:
                memory.__exit__()
            counts.append(len(wire.receive()["parameters"]["objects"]))
        check(counts[0] == 0 and counts[-1] == 0 and 1 in counts, f"objects that appear and go: {counts}")


def live(service, *words):
    program = os.environ.get("SHMSTATECTL", os.path.join(os.environ.get("builddir", "."), "shmstatectl"))
    return subprocess.Popen([program, *words, f"--socket={service.path}"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def ctl():
    """shmstatectl monitor and watch: lines that are whole, and a good end when they are interrupted."""
    heading("shmstatectl monitor and watch")
    with Service() as service, Memory(16, "shmstate-live", 16) as memory:
        for by in ("object", "unit"):
            out, err = live(service, "monitor", "--count=2", "--interval=100ms", f"--by={by}",
                            "--name=shmstate-live").communicate(timeout=20)
            check(out.count("OUT/S") == 2 and len(out.splitlines()) == 8 and not err, f"{out} {err}")
        out, err = live(service, "monitor", "--count=3", "--interval=100ms", "--json=short",
                        f"--pid={os.getpid()}").communicate(timeout=20)
        replies = [json.loads(line) for line in out.splitlines()]
        check(len(replies) == 3 and all("objects" in r and "complete" not in r for r in replies), out)
        with live(service, "watch", "--name=shmstate-live") as watch:
            lines = [watch.stdout.readline() for _ in range(2)]
            memory.write(3, 2)
            lines.append(watch.stdout.readline())
            words = [line.split() for line in lines]
            check(words == [["EVENT", "FIRST", "COUNT", "FROM", "TO"], ["state", "0", "16", "-", "hole"],
                            ["changes", "3", "2", "hole", "present"]], f"{lines}")
            watch.send_signal(signal.SIGINT)
            check(watch.wait(10) == 0, f"interrupted, it ends with {watch.returncode}")
            check(not watch.stdout.read() and not watch.stderr.read(), "interrupted, it says something")
        out, err = live(service, "watch", "--name=shmstate-no-such").communicate(timeout=20)
        check(err.count("\n") == 1 and not out.replace("EVENT", "", 1).strip("FIRSTCOUNTFROMTO \n"), err)
        again(service)
    out, err = live(service, "monitor").communicate(timeout=20)
    check(err.count("\n") == 1 and not out, f"without a service: {out} {err}")


GROUPS = {"ctl": (ctl,), "sums": (sums, ranges), "heartbeat": (heartbeat,), "slow": (slow,), "many": (many, crowd),
          "dies": (dies, second), "rights": (rights, let_go), "stop": (stop, vanish), "monitor": (monitor,)}


def main():
    wanted = sys.argv[1:] or list(GROUPS)
    unknown = set(wanted) - set(GROUPS)
    if unknown:
        sys.exit(f"subscribe: no group {' '.join(unknown)}; there are {' '.join(GROUPS)}")
    seed = random.randrange(1 << 32)
    random.seed(seed)
    print(f"seed {seed}", flush=True)
    for group in wanted:
        for work in GROUPS[group]:
            work()
    print(f"subscribe: {report.tests} checks, {report.failures} failures")
    return report.failures > 0


if __name__ == "__main__":
    sys.exit(main())
