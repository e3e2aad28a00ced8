# SPDX-License-Identifier: LGPL-2.1-or-later
"""Policies on real memory: policy.py KIND, where KIND (zram or file) is the swap that is on."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PAGE = os.sysconf("SC_PAGESIZE")
HERE = os.path.dirname(os.path.abspath(__file__))
MIB = int(os.environ.get("SHMSTATE_POLICY_MIB", "192"))
wrong = 0
visible = None  # a folder that anybody may read


def check(true, what):
    global wrong
    if not true:
        wrong += 1
    print(("ok      " if true else "WRONG   ") + what, flush=True)


class Guest:
    def __init__(self, name, pages, group=None, user=None):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-B", os.path.join(visible, "policy_guest.py"), name, str(pages)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=group.enter if group else None,
            user=user,
            group=user,
            extra_groups=() if user else None,
        )
        self.pid = int(self.process.stdout.readline())

    def do(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        text = self.process.stdout.readline().strip()
        return int(text) if text.isdigit() else text

    def resident(self):
        """Pages that it has mapped and that are in RAM, by the kernel's own count."""
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                if line.startswith("RssShmem:"):
                    return int(line.split()[1]) * 1024 // PAGE
        raise RuntimeError("no RssShmem")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Group:
    """A memory cgroup, by which alone a swap cache can be emptied."""

    def __init__(self):
        self.v1 = os.path.exists("/sys/fs/cgroup/memory/memory.force_empty")
        root = "/sys/fs/cgroup/memory" if self.v1 else "/sys/fs/cgroup"
        if not self.v1:
            with open(f"{root}/cgroup.subtree_control", "w") as control:
                control.write("+memory")
        self.path = f"{root}/shmstate-policy-{os.getpid()}"
        os.mkdir(self.path)

    def enter(self):
        with open(f"{self.path}/cgroup.procs", "w") as procs:
            procs.write(str(os.getpid()))

    def reclaim(self, n):
        try:
            with open(f"{self.path}/" + ("memory.force_empty" if self.v1 else "memory.reclaim"), "w") as f:
                f.write("0" if self.v1 else str(n))
        except OSError:
            pass  # less than that was left

    def remove(self):
        for _ in range(50):
            try:
                os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.1)


class Service:
    def __init__(self, folder, config="", **variables):
        self.socket = os.path.join(folder, "socket")
        self.folder = folder
        with open(os.path.join(folder, "shmstated.conf"), "w") as f:
            f.write(config)
        self.process = subprocess.Popen(
            [os.environ["SHMSTATED"], "--socket", self.socket, "--config", os.path.join(folder, "shmstated.conf")],
            env=dict(os.environ, **variables),
        )
        for _ in range(200):
            if os.path.exists(self.socket):
                break
            time.sleep(0.05)
        # the loop calls it as anybody would
        wrapper = os.path.join(folder, "shmstatectl")
        with open(wrapper, "w") as f:
            f.write(f'#!/bin/sh\nexec "{os.environ["SHMSTATECTL"]}" "$@" --socket="{self.socket}"\n')
        os.chmod(wrapper, 0o755)

    def ask(self, *words, codes=(0,)):
        r = subprocess.run(
            [os.environ["SHMSTATECTL"], *words, "--json=short", "--socket", self.socket],
            capture_output=True,
            text=True,
        )
        if r.returncode not in codes:
            raise RuntimeError(f"{words}: exit {r.returncode}: {r.stderr}")
        return json.loads(r.stdout)

    def call(self, method, name, **parameters):
        parameters["selector"] = {"name": name}
        return self.ask("call", method, json.dumps(parameters))

    def end(self):
        self.process.terminate()
        self.process.wait()


def refaults(service, guest):
    return service.ask("refaults", "--name", guest.name, codes=(0, 3))


def object_of(service, guest):
    return service.ask("show", "--name", guest.name)["object"]


class Run:
    """One policy on one guest, of which every third chunk is in use all the time."""

    def __init__(self, service, name, age, seconds, mib=MIB, share=0.4):
        pages = mib * 1024 * 1024 // PAGE
        self.guest = Guest(name, pages)
        self.hot = self.guest.do("run", 3, 16)
        self.target = int(pages * share)
        self.samples = []
        self.reached = None
        before = self.guest.do("faults")
        start = time.monotonic()
        loop = subprocess.Popen(
            [
                "sh",
                os.path.join(HERE, "../../examples/policy-loop"),
                object_of(service, self.guest),
                str(self.target),
                age,
            ],
            env=dict(os.environ, PATH=service.folder + ":" + os.environ["PATH"], PERIOD="0.5", CHUNK="32M"),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        while time.monotonic() < start + seconds:
            time.sleep(0.5)
            now = time.monotonic() - start
            resident, faults = self.guest.resident(), self.guest.do("faults") - before
            self.samples.append((now, resident, faults))
            if resident <= self.target:
                self.reached = self.reached or now
        check(loop.poll() is None, f"age {age}: the loop runs on")
        os.killpg(loop.pid, signal.SIGTERM)
        loop.wait()
        self.faults = self.samples[-1][2]
        self.late = self.faults - self.samples[len(self.samples) * 2 // 3][2]
        self.resident = self.samples[-1][1]
        self.times = max([e["times"] for e in refaults(service, self.guest)["extents"]], default=0)
        self.passes = self.guest.do("passes")
        self.guest.do("halt")
        check(self.guest.do("verify") == 0, f"age {age}: the guest reads what it wrote")
        self.guest.end()

    def tell(self, what):
        reached = f"{self.reached:.1f} s" if self.reached else "never"
        print(f"{what}: {self.hot} pages in use, target {self.target} pages, reached: {reached}, "
              f"at the end {self.resident}; "
              f"major faults {self.faults}, in the last third {self.late}; came back {self.times} times at most; "
              f"passes {self.passes}")
        samples = " ".join(f"{t:.1f}:{r}:{f}" for t, r, f in self.samples[::4])
        print("  seconds, resident, major faults: " + samples, flush=True)


def loop_reaches_its_target(service):
    seconds = float(os.environ.get("SHMSTATE_POLICY_SECONDS", "24"))
    policy = Run(service, "policy-guest", "600s", seconds)
    policy.tell("policy")
    naive = Run(service, "policy-naive", "0s", seconds)
    naive.tell("naive (age 0)")
    check(policy.reached is not None, "the loop reaches its target")
    check(policy.resident <= policy.target, "and stays there")
    check(policy.times <= 2, "what is in use comes back twice at most")
    check(policy.faults <= policy.hot * 2, "and so do major faults")
    check(policy.late <= policy.hot // 50, "then there are none")
    # a fault may bring in a whole large folio
    check(naive.late > 4 * max(policy.late, policy.hot // 50), "a loop that forgets thrashes on and on")
    check(naive.faults > 2 * policy.faults, "and has far more faults in all")


def target_below_what_is_in_use(service):
    """It cannot be reached: what is in use goes out once, comes back, and is left alone."""
    policy = Run(service, "policy-below", "600s", 10, 64, 0.2)
    policy.tell("below what is in use")
    check(policy.times <= 2, "what is in use comes back twice at most")
    check(policy.faults <= policy.hot * 2, "and so do major faults")
    check(policy.late <= policy.hot // 50, "then there are none")
    check(policy.resident <= policy.hot * 1.1, "all that is not in use is out")


def fault_around_neighbours(service):
    """A halted guest is all out. Who reads one page brings neighbours into the swap cache."""
    group = Group()
    guest = Guest("policy-halted", 4096, group)
    try:
        service.call("FindCandidates", guest.name, ageSeconds=2)
        guest.do("pageout", 0, 4096)
        for _ in range(20):
            group.reclaim(64 << 20)
            counts = service.call("Summarize", guest.name)["counts"]
            if counts["swapped"] == 4096:
                break
            time.sleep(0.2)
        check(counts["swapped"] == 4096, f"the guest is out: {counts}")
        time.sleep(2.5)
        # the kernel reads ahead once it sees that slots are asked for one after the other
        touched = []
        while counts["swap_cache"] == 0 and len(touched) < 16:
            touched.append(1000 + len(touched))
            guest.do("touch", touched[-1], 1)
            time.sleep(0.1)
            counts = service.call("Summarize", guest.name)["counts"]
        n = len(touched)
        back = service.call("GetRefaults", guest.name)
        check(counts["present"] == n, f"{n} pages were touched: {counts}")
        check(counts["swap_cache"] > 0, f"neighbours came along: {counts['swap_cache']}")
        extents = [(e["first"], e["count"], e["times"]) for e in back["extents"]]
        pages = [page for first, count, times in extents for page in range(first, first + count) if times == 1]
        check(pages == touched, f"but only what was touched came back: {extents}")
        answer = service.call("FindCandidates", guest.name, ageSeconds=2)
        check(
            (answer["presentPages"], answer["candidatePages"], answer["recentPages"]) == (n, 0, n),
            "nothing is worth paging out: what is in RAM is in use, and neighbours are out already",
        )
        check(answer["unprovenPages"] == 0 and not answer["incomplete"], "and that is known")
        # what is taken back from the swap cache has come back all the same
        states = service.call("Classify", guest.name, states=["swap_cache"])["extents"]
        guest.do("touch", states[0]["first"], 1)
        extents = service.call("GetRefaults", guest.name)["extents"]
        pages = [page for e in extents for page in range(e["first"], e["first"] + e["count"])]
        check(pages == sorted(touched + [states[0]["first"]]), f"and has come back, for it is in use: {pages}")
    finally:
        guest.end()
        group.remove()


def ranges_of(changes, to):
    return [(c["first"], c["count"]) for c in changes if c["to"] == to and c["from"] in ("swapped", "swap_cache")]


def scan_and_page_out(service):
    """Somebody reads the pages of a guest from outside, and sends back just what he brought in."""
    guest = Guest("policy-scanned", 8192)
    try:
        service.call("FindCandidates", guest.name, ageSeconds=1)
        guest.do("pageout", 2048, 4096)
        time.sleep(1.2)
        before = service.call("Summarize", guest.name)
        out = before["counts"]["swapped"]
        check(out >= 4000, f"half of the guest is out: {out} pages")
        guest.do("touch", 3000, 50)  # the guest itself
        generation = service.call("Summarize", guest.name)["generation"]
        guest.do("touch", 0, 8192)  # the scanner; in its stead, for what others map does not go out
        delta = service.call("Classify", guest.name, since=generation)
        mine = ranges_of(delta["changes"], "present")
        brought = sum(count for _, count in mine)
        check(brought == out - 50, f"the delta names what the scan brought in: {brought} pages")
        check(not any(f < 3050 and f + n > 3000 for f, n in mine), "and not what the guest took back before")
        lines = "".join(f"{first},{count}\n" for first, count in mine)
        r = subprocess.run(
            [os.environ["SHMSTATECTL"], "pageout", "--name", guest.name, "--ranges=-", "--socket", service.socket],
            input=lines, capture_output=True, text=True,
        )
        check(r.returncode in (0, 3), f"they are sent back: exit {r.returncode} {r.stderr.strip()}")
        after = service.call("Classify", guest.name, since=before["generation"])
        back = ranges_of(after["changes"], "present")
        check(back == [(3000, 50)], f"since before the scan only what the guest took has come back: {back}")
        # it is known that they came back, once: who sent them back on purpose names them, not the age
        extents = {(e["first"], e["count"]): e["times"] for e in service.call("GetRefaults", guest.name)["extents"]}
        check(set(extents.values()) == {1}, f"each page came back once: {extents}")
        answer = service.call("FindCandidates", guest.name, ageSeconds=1)
        check(
            answer["presentPages"] == 8192 - out + 50 and answer["recentPages"] == 50,
            f"what is in RAM is what was, and what the guest took: {answer['presentPages']}, {answer['recentPages']}",
        )
    finally:
        guest.end()


def what_is_known(service):
    """It is said what is not known, and nothing is given for known."""
    guest = Guest("policy-unproven", 1024)
    try:
        answer = service.call("FindCandidates", guest.name, ageSeconds=5)
        check(
            answer["candidatePages"] == 0 and answer["unprovenPages"] == 1024 and answer["incomplete"],
            "of an object that was never followed nothing is known",
        )
        r = subprocess.run(
            [os.environ["SHMSTATECTL"], "candidates", "--name", guest.name, "--age=3s", "--wait", "--format=csv",
             "--socket", service.socket],
            capture_output=True, text=True,
        )
        check(
            r.returncode == 0 and r.stdout.splitlines()[1].startswith("0,1024,"),
            f"--wait waits until it is: {r.stdout!r} {r.stderr!r}",
        )
        # went out and came back between two looks: events tell
        service.call("FindCandidates", guest.name, ageSeconds=3)
        guest.do("pageout", 100, 200)
        guest.do("touch", 100, 50)
        answer = service.call("FindCandidates", guest.name, ageSeconds=3)
        check(answer["recentPages"] == 50, f"what went out and came back between two looks: {answer['recentPages']}")
        check(
            [(r["first"], r["count"]) for r in answer["ranges"]] == [(0, 100), (300, 724)],
            "is no candidate",
        )
        check(answer["process"] == guest.pid, "the process that maps it")
        status = service.ask("status")
        check(status["connections"] <= 1, "nothing else is connected")
        links = []
        for fd in os.listdir(f"/proc/{service.process.pid}/fd"):
            try:
                links.append(os.readlink(f"/proc/{service.process.pid}/fd/{fd}"))
            except OSError:
                pass
        check(not any("policy-unproven" in link for link in links), "nothing of the object is open between looks")
    finally:
        guest.end()


class Truth:
    """What a guest did, page by page: when each page came back last."""

    def __init__(self, guest, pages, age):
        self.guest, self.pages, self.age = guest, pages, age
        self.back = {}
        self.maybe = {}
        self.out = set()
        self.answers = self.given = self.left_out = self.wrong = self.missing = self.unproven = 0

    def page_out(self):
        count = random.choice((1, 3, 20, 100, 300))
        first = random.randrange(self.pages - count)
        self.guest.do("pageout", first, count)
        self.out |= set(range(first, first + count))

    def take_back(self):
        if not self.out:
            return
        first = random.choice(sorted(self.out))
        count = min(random.choice((1, 2, 30, 200)), self.pages - first)
        before = time.monotonic()
        text = self.guest.do("takeback", first, count)
        # for mincore the swap cache is RAM: these may have come back
        self.maybe |= {page: time.monotonic() for page in self.out & set(range(first, first + count))}
        self.out -= set(range(first, first + count))
        for page in str(text).split(",") if text != "none" else ():
            self.back[int(page)] = (before, time.monotonic())

    def compare(self, service):
        asked = time.monotonic()
        answer = service.call("FindCandidates", self.guest.name, ageSeconds=self.age)
        answered = time.monotonic()
        given = {p for r in answer["ranges"] for p in range(r["first"], r["first"] + r["count"])}
        lately = {p for p, (began, _) in self.back.items() if began > answered - self.age}
        # a look a second tells when, at the latest
        latest = {p: max(self.back.get(p, (0, 0))[1], self.maybe.get(p, 0)) for p in range(self.pages)}
        long_ago = {p for p, at in latest.items() if at < asked - self.age - 2.5}
        self.answers += 1
        self.given += len(given)
        self.left_out += len(lately - self.out)
        self.wrong += len(given & lately)
        self.unproven += answer["unprovenPages"] > 0
        if answer["unprovenPages"] == 0:
            self.missing += len(long_ago - self.out - given)

    def run(self, service, seconds):
        random.seed(11)
        service.call("FindCandidates", self.guest.name, ageSeconds=self.age)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            random.choice((self.page_out, self.take_back, self.take_back))()
            if random.random() < 0.3:
                self.compare(service)
            time.sleep(random.choice((0, 0, 0.01, 0.1)))
        return (
            f"{self.answers} answers, {self.given} pages given, {self.left_out} left out, "
            f"{self.unproven} answers unproven"
        )


def never_wrong(service, what="events", all_unproven=False):
    """Pages go out and come back at random. None that came back within the age is ever given."""
    guest = Guest("policy-random", 2048)
    try:
        truth = Truth(guest, 2048, 3)
        told = truth.run(service, float(os.environ.get("SHMSTATE_POLICY_RANDOM_SECONDS", "15")))
        check(truth.wrong == 0, f"{what}: {truth.wrong} pages that came back lately were given: {told}")
        check(truth.missing == 0, f"{what}: {truth.missing} pages that did not were left out, though it is known")
        if all_unproven:
            check(truth.given == 0, f"{what}: nothing was given that is not known")
        else:
            check(truth.given > 0 and truth.left_out > 100, f"{what}: there was something to tell")
    finally:
        guest.end()


def never_wrong_without_events(_):
    for what, config, variables in (
        ("no events", "[Service]\nEvents=none\n", {}),
        ("every second event is lost", "", {"SHMSTATE_TEST_DROP_EVENTS": "2"}),
    ):
        with tempfile.TemporaryDirectory() as folder:
            service = Service(folder, config, **variables)
            try:
                never_wrong(service, what, True)
            finally:
                service.end()


def stays_while_it_follows(_):
    """Whoever was started for a client, and has none any more, does not go while it follows an object."""
    program = shutil.which("systemd-socket-activate")
    if not program:
        print("not tried: there is no systemd-socket-activate")
        return
    with tempfile.TemporaryDirectory() as folder:
        socket, config = os.path.join(folder, "socket"), os.path.join(folder, "conf")
        with open(config, "w") as f:
            f.write("[Service]\nIdleSeconds=1\n")
        activator = subprocess.Popen(
            [program, "-l", socket, os.environ["SHMSTATED"], "--config", config], stderr=subprocess.DEVNULL
        )
        guest = Guest("policy-stays", 64)
        try:
            while not os.path.exists(socket):
                time.sleep(0.05)
            ask = lambda method, **p: json.loads(subprocess.run(
                [os.environ["SHMSTATECTL"], "call", method, json.dumps(p), "--socket", socket],
                capture_output=True, text=True).stdout)
            ask("FindCandidates", selector={"name": guest.name}, ageSeconds=1)
            time.sleep(4)
            check(activator.poll() is None and ask("GetStatus")["uptimeSeconds"] >= 3, "it is still there")
            answer = ask("FindCandidates", selector={"name": guest.name}, ageSeconds=3)
            check(answer["unprovenPages"] == 0, "and has gone on following")
            guest.end()
            time.sleep(4)
            check(activator.poll() is not None, "with the object it goes")
        finally:
            guest.end()
            activator.kill()
            activator.wait()


def without_room(_):
    """Nothing can be remembered: that is said, and --wait does not wait for what never comes."""
    with tempfile.TemporaryDirectory() as folder:
        service = Service(folder, "[Service]\nHistoryBytes=0\n")
        guest = Guest("policy-no-room", 64)
        try:
            service.call("FindCandidates", guest.name, ageSeconds=1)
            time.sleep(2.5)
            answer = service.call("FindCandidates", guest.name, ageSeconds=1)
            check(answer["unprovenPages"] == 64 and answer["provenInSeconds"] is None, "nothing is known, nor will be")
            check("HistoryBytes" in answer["reasons"][0], f"it is said why: {answer['reasons']}")
            before = time.monotonic()
            answer = service.ask("candidates", "--name", guest.name, "--age=60s", "--wait", codes=(3,))
            check(not answer["ranges"] and time.monotonic() < before + 30, "--wait does not wait for it")
        finally:
            guest.end()
            service.end()


def for_others(service):
    """Another user is told of his own objects, and a few of them are followed."""
    nobody = 65534
    guests = [Guest(f"policy-nobody-{i}", 16, user=nobody) for i in range(9)]
    own = Guest("policy-root", 16)

    def ask(guest, method, **parameters):
        parameters["selector"] = {"pid": guest.pid, "name": guest.name}
        r = subprocess.run(
            [os.path.join(visible, "client"), "call", method, json.dumps(parameters), "--socket", service.socket],
            capture_output=True, text=True, user=nobody, group=nobody, extra_groups=(),
        )
        return json.loads(r.stdout) if r.returncode == 0 else r.stderr

    try:
        for guest in guests:
            ask(guest, "FindCandidates", ageSeconds=1)
        time.sleep(1.5)
        answers = [ask(guest, "FindCandidates", ageSeconds=1) for guest in guests]
        proven = [a["unprovenPages"] == 0 and a["candidatePages"] == 16 for a in answers]
        check(proven == [True] * 8 + [False], f"eight objects of a user are followed: {proven}")
        last = answers[8]
        check(last["provenInSeconds"] is None and "too many" in last["reasons"][0], f"it is said: {last['reasons']}")
        addresses = [a["process"] == g.pid and a["ranges"][0]["address"] > 0 for a, g in zip(answers[:8], guests)]
        check(all(addresses), "with addresses")
        for method in ("FindCandidates", "GetRefaults"):
            text = ask(own, method, **({"ageSeconds": 0} if method == "FindCandidates" else {}))
            check("NotPermitted" in text, f"{method}: not of what is root's: {text.strip()}")
        check(service.call("FindCandidates", own.name, ageSeconds=0)["candidatePages"] == 16, "root may ask")
    finally:
        for guest in guests + [own]:
            guest.end()


def main():
    global visible
    parts = {
        "zram": [
            what_is_known,
            without_room,
            for_others,
            never_wrong,
            never_wrong_without_events,
            stays_while_it_follows,
            scan_and_page_out,
            target_below_what_is_in_use,
            loop_reaches_its_target,
        ],
        "file": [fault_around_neighbours],
    }
    if os.environ.get("SHMSTATE_TEST_BRIEF") and len(sys.argv) == 2:
        parts = {"zram": [what_is_known, for_others, never_wrong], "file": [fault_around_neighbours]}
    with tempfile.TemporaryDirectory() as folder:
        visible = folder
        os.chmod(folder, 0o755)
        shutil.copy(os.path.join(HERE, "policy_guest.py"), folder)
        shutil.copy(os.environ["SHMSTATECTL"], os.path.join(folder, "client"))
        service = Service(folder)
        try:
            for part in parts[sys.argv[1]]:
                if len(sys.argv) > 2 and part.__name__ not in sys.argv[2:]:
                    continue
                print(f"-- {part.__name__}", flush=True)
                part(service)
        finally:
            service.end()
    sys.exit(1 if wrong else 0)


main()
