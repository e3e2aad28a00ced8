# SPDX-License-Identifier: LGPL-2.1-or-later
"""What pageout.py works with: victims, the oracle, shmstatectl, the service."""

import collections
import contextlib
import glob
import json
import mmap
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = mmap.PAGESIZE
MIB = 1 << 20
PATIENCE = 60
OUT = ("swapped", "swap_cache")


class Victim:
    """A pageout_victim.py that does what it is told."""

    def __init__(self, kind, pages, *arguments):
        self.process = subprocess.Popen([sys.executable, "-B", os.path.join(HERE, "pageout_victim.py"), kind,
                                         str(pages), *map(str, arguments)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pages = pages
        words = self.process.stdout.readline().split()
        self.pid, self.fd, self.address = int(words[0]), int(words[1]), words[2]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def tell(self, name, first=0, count=None):
        """What it answered: a number, for a few."""
        count = self.pages if count is None else count
        self.process.stdin.write(f"{name} {first} {count}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer.startswith("ok"):
            raise RuntimeError(answer)
        return answer[3:]

    @property
    def path(self):
        """Where others find its object: the mapping, if it has no descriptor."""
        if self.fd >= 0:
            return f"/proc/{self.pid}/fd/{self.fd}"
        folder = f"/proc/{self.pid}/map_files"
        for name in os.listdir(folder):
            if name.startswith(f"{self.address}-"):
                return os.path.join(folder, name)
        raise RuntimeError("it is not mapped")

    @property
    def select(self):
        if self.fd >= 0:
            return [f"--pid={self.pid}", f"--fd={self.fd}"]
        return [f"--pid={self.pid}", f"--address={self.address}"]


def oracle(path):
    """The state of each page, by smaps and mincore."""
    text = subprocess.run([os.environ["RAM_ORACLE"], path], stdout=subprocess.PIPE, check=True, text=True).stdout
    states = []
    for line in text.splitlines():
        if line.startswith("first"):
            continue
        first, count, state = line.split(",")
        assert int(first) == len(states), line
        states += [state] * int(count)
    return states


def in_page_table(victim, field="Rss"):
    """Pages of its mapping that it has there, by smaps, which keeps none of them from leaving: on 6.1 mincore may."""
    with open(f"/proc/{victim.pid}/smaps", encoding="utf-8", errors="replace") as file:
        record = re.search(rf"^{victim.address}-.*?^{field}: +(\d+) kB$", file.read(), re.M | re.S)
    return int(record.group(1)) * 1024 // PAGE


def count_out(states):
    return sum(state in OUT for state in states)


class Answer:
    """What shmstatectl pageout printed, and its exit status."""

    def __init__(self, code, out, err):
        self.code, self.err = code, err
        self.json = json.loads(out) if out.startswith("{") else None
        self.outcomes = collections.Counter()
        if self.json:
            self.outcomes.update({name: n for name, n in self.json["outcomes"].items() if n})

    @property
    def left(self):
        return self.outcomes["swapped"] + self.outcomes["swap_cache"]

    @property
    def was_out(self):
        return self.outcomes["out_before"] + self.outcomes["cached_before"]

    def __str__(self):
        return f"exit {self.code}, {dict(self.outcomes)}, {self.err.strip()!r}"


class Asker:
    """shmstatectl, by one way of asking."""

    def __init__(self, name, *options, before=None):
        self.name, self.options, self.before = name, list(options), before

    def on_older_kernel(self, before):
        """The same, but for what its process does to itself first."""
        return Asker(self.name, *self.options, before=before)

    def start(self, verb, *arguments, stdin=subprocess.DEVNULL):
        return subprocess.Popen([os.environ["SHMSTATECTL"], verb, *map(str, arguments), *self.options], stdin=stdin,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=self.before)

    def run(self, verb, *arguments, text=None):
        process = self.start(verb, *arguments, stdin=subprocess.DEVNULL if text is None else subprocess.PIPE)
        out, err = process.communicate(text, timeout=PATIENCE)
        return process.returncode, out, err

    def pageout(self, *arguments, text=None):
        return Answer(*self.run("pageout", "--json=short", *arguments, text=text))


@contextlib.contextmanager
def service():
    """A shmstated of our own; its socket."""
    with tempfile.TemporaryDirectory(prefix="shmstate-pageout.") as folder:
        path = os.path.join(folder, "socket")
        process = subprocess.Popen([os.environ["SHMSTATED"], f"--socket={path}"])
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(path) and time.monotonic() < deadline:
            time.sleep(0.05)
        try:
            yield path
        finally:
            process.terminate()
            process.wait()


failures = []


def check(good, what):
    """What is wrong is told by whoever runs the scenario, perhaps once more."""
    if not good:
        failures.append(what)
    return good


def expect(name, answer, code, **outcomes):
    """Exactly these outcomes; left: swapped and swap_cache together, was_out likewise."""
    got = dict(answer.outcomes)
    for total, parts in (("left", OUT), ("was_out", ("out_before", "cached_before"))):
        if total in outcomes:
            got[total] = sum(got.pop(part, 0) for part in parts)
    got = {key: n for key, n in got.items() if n}
    outcomes = {key: n for key, n in outcomes.items() if n}
    return check(answer.code == code and got == outcomes, f"{name}: {answer}, expected exit {code}, {outcomes}")


def others_page_out():
    """DAMON is told to page out what is idle: it takes pages of anybody, in any moment."""
    folder = "/sys/kernel/mm/damon/admin/kdamonds"
    for action in glob.glob(f"{folder}/*/contexts/*/schemes/*/action"):
        with open(action, encoding="ascii") as file:
            if file.read().strip() == "pageout":
                return True
    return False
