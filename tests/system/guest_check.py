# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service, the agents, and one comparison of what they say of a guest's memory with the truth."""

import os
import re
import socket
import subprocess
import time

import guest_truth as truth
from guest_qemu import PAGE, Failure

ATTEMPTS = 10
ABOVE = 1 << 32 >> 12  # the page where RAM goes on above the hole


class Tally:
    def __init__(self):
        self.compared = self.wrong = 0

    def fail(self, message):
        self.wrong += 1
        print(f"WRONG {message}")


tally = Tally()


# ---- the service and the agents --------------------------------------------------------------


class Service:
    def __init__(self, opts):
        self.path = os.path.join(opts.folder, "io.shmstate")
        self.process = subprocess.Popen([opts.service, f"--socket={self.path}"])
        for _ in range(100):
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(self.path)
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        raise Failure("shmstated does not serve")

    def holds_memory(self):
        """Between two questions it must not: a guest's memory would outlive it."""
        folder = f"/proc/{self.process.pid}/fd"
        with open(f"/proc/{self.process.pid}/maps", encoding="utf-8", errors="replace") as maps:
            return "memory-backend" in maps.read() + "".join(os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder))

    def end(self):
        self.process.terminate()
        if self.process.wait() != 0:
            tally.fail(f"shmstated ended with {self.process.returncode}")


class Agent:
    def __init__(self, name, command, service):
        self.name, self.service = name, service
        self.command = [*command, f"--socket={service.path}"]

    def run(self, *words):
        return subprocess.run([*self.command, *words], capture_output=True, text=True, check=False)

    def ask(self, *words):
        result = self.run(*words)
        if result.returncode or result.stderr:
            raise Failure(f"the agent in {self.name} ended with {result.returncode}: {result.stderr}")
        return result.stdout


def find_agents(opts, service):
    agents = [Agent("C", [opts.agent], service)]
    if subprocess.run([opts.python, "-c", "import varlink"], stderr=subprocess.DEVNULL, check=False).returncode:
        print("-- not shown: the agent in Python, for this system has no python3-varlink")
    else:
        agents.append(Agent("Python", [opts.python, "-B", opts.python_agent], service))
    return agents


# ---- one comparison --------------------------------------------------------------------------


class Subject:
    """A guest, with what is known of it: where it sees the pages of its blocks, which follow each other."""

    def __init__(self, opts, guest, below):
        self.oracle, self.guest, self.below = opts.oracle, guest, below
        self.paths = guest.paths()
        # else QEMU's own memory is swapped too: to answer by QMP it faults that in, and the kernel
        # reads ahead what lies beside it on the disk
        self.faults_tell = True
        self.seen = {}

    def learn(self):
        """Before anything is paged out: the pages say it themselves."""
        self.seen.update(truth.addresses(self.paths))

    def address(self, page):
        """Where the guest sees a page. What it has not written is where the hole puts it."""
        if page in self.seen:
            return self.seen[page]
        return page if page < self.below else page - self.below + ABOVE

    def look(self):
        return truth.look(self.oracle, self.paths)

    def settle(self):
        """Waits until what was just written to a disk moves no more."""
        before = self.look()
        for _ in range(60):
            time.sleep(0.5)
            after = self.look()
            if after == before:
                return
            before = after
        raise Failure("the memory does not come to rest")


def faults(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return int(file.read().rpartition(")")[2].split()[9])


def compare_section(what, section, states, subject, swapped, used):
    cached = states.count(bytes([truth.SWAP_CACHE])) * PAGE
    tally.compared += len(states)
    for page in sorted(section.swapped ^ swapped)[:5]:
        tally.fail(f"{what}: {section.title}: guest page {page:#x} is "
                   f"{'swapped' if page in swapped else 'not swapped'}")
    expected = {
        "can stay on swap": len(swapped) * PAGE,
        "else dragged in": len(swapped) * PAGE,
        "in RAM": used * PAGE - len(swapped) * PAGE,
    }
    for name, number in expected.items():
        if section.numbers.get(name, [None])[0] != number:
            tally.fail(f"{what}: {section.title}: {name}: {section.numbers.get(name)}, not {number}")
    if section.numbers["else dragged in"][1] != (len(states) - used) * PAGE:
        tally.fail(f"{what}: {section.title}: holes: {section.numbers['else dragged in'][1]}")
    if section.numbers["in RAM"][1] != cached:
        tally.fail(f"{what}: {section.title}: in the swap cache: {section.numbers['in RAM'][1]}, not {cached}")
    if section.hidden or "unknown" in section.numbers or not section.stable:
        tally.fail(f"{what}: {section.title}: hidden, unknown or not stable")
    if section.numbers["swapped in meanwhile"][1] and subject.faults_tell:
        tally.fail(f"{what}: {section.title}: QEMU had major faults")


def ask_held_still(subject, agents, ways):
    """
    Each agent's answers, while the memory did not change: (way, [text of each agent]). The system may
    take pages out meanwhile. Nobody but those who look could bring one in: the guest sleeps.
    """
    for _ in range(ATTEMPTS):
        before, used, majors = subject.look(), truth.blocks_used(subject.paths), faults(subject.guest.pid)
        subject.guest.ask("query-status")
        subject.guest.events.clear()
        answers = [(way, [agent.ask(*way) for agent in agents]) for way in ways]
        majors = faults(subject.guest.pid) - majors
        after = subject.look()
        came_in = sum(after[page] != truth.SWAPPED for page in truth.pages_in(before, truth.SWAPPED))
        if came_in and subject.faults_tell:
            tally.fail(f"{came_in} pages were swapped in by asking")
        if (before, used) == (after, truth.blocks_used(subject.paths)):
            return before, used, majors, answers
        print("-- pages moved: once more")
    raise Failure("the memory does not hold still")


def check_service(what, guest, agents, stops):
    """What the asking leaves behind: nothing. The guest was stopped, and let go on."""
    if not guest.ask("query-status")["running"]:
        tally.fail(f"{what}: the guest does not run any more")
    # they came before that answer
    if guest.events.count("STOP") != stops or guest.events.count("RESUME") != stops:
        tally.fail(f"{what}: the guest was not stopped and continued {stops} times: {guest.events}")
    for _ in range(50):
        if not agents[0].service.holds_memory():
            return
        time.sleep(0.1)
    tally.fail(f"{what}: shmstated holds the guest's memory")


def check(what, subject, agents, verbose=False, by_pid=True):
    """Asks by QMP and by process, and compares all that is said. Returns how many pages are swapped."""
    guest, wrong = subject.guest, tally.wrong
    ways = [[f"--qmp={guest.qmp_path}", "--ranges", "--rounds=2", "--interval=0"]]
    ways += [[f"--pid={guest.pid}", "--ranges"]] if by_pid else []
    states, used, majors, answers = ask_held_still(subject, agents, ways)
    if majors and subject.faults_tell:
        tally.fail(f"{what}: QEMU had {majors} major faults while it was asked about")
    swapped = {subject.address(page) for page in truth.pages_in(states, truth.SWAPPED)}
    for way, texts in answers:
        if len({truth.without_system(text) for text in texts}) != 1:
            tally.fail(f"{what}: the agents do not print the same:\n" + "\n".join(map(truth.short, texts)))
        for agent, text in zip(agents, texts):
            looks = truth.sections(text)
            if len(looks) != (3 if way is ways[0] else 1):
                tally.fail(f"{what}: {len(looks)} looks")
            for section in looks:
                compare_section(f"{what}, agent in {agent.name}", section, states, subject, swapped, used)
        if verbose:
            print(f"$ migration-agent {' '.join(way)}\n{truth.short(texts[0])}")
    check_service(what, guest, agents, len(agents))
    cached = states.count(bytes([truth.SWAP_CACHE]))
    print(f"-- {what}: of {len(states)} pages {len(swapped)} are swapped and {cached} in the swap cache, "
          f"{'as' if tally.wrong == wrong else 'NOT as'} each agent says")
    return len(swapped), cached


def need(condition, what):
    """Else the test would show nothing."""
    if not condition:
        raise Failure(what)
