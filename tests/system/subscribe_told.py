# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What a client of Subscribe knows: the state that it was told, and each change put on top of it.
"""

import socket
import time

from varlink_wire import Closed, check, error_of, ours


class Told:
    """A subscription, and what its replies add up to."""

    def __init__(self, service, selector, **parameters):
        self.service = service
        self.wire = service.wire(quiet=True)
        self.states = []
        self.generation = None
        self.error = None
        self.events = {"state": 0, "ready": 0, "changes": 0, "heartbeat": 0}
        self.level = None
        self.lost = 0
        self.wrong = 0
        self.size = 0
        self.last = None
        self.wire.send("Subscribe", {"selector": selector, **parameters}, more=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def fault(self, what):
        self.wrong += 1
        check(False, what)

    def take(self, timeout=20.0):
        """One reply; False if none comes within the time, or none will."""
        if self.error:
            return False
        self.wire.socket.settimeout(timeout)
        try:
            reply = self.wire.receive()
        except (socket.timeout, TimeoutError):
            return False
        except Closed:
            self.error = "closed"
            return False
        if "error" in reply:
            self.error = error_of(reply)
            if "continues" in reply:
                self.fault(f"an error that goes on: {reply}")
            return False
        if not reply.get("continues"):
            self.fault("a reply that does not say that others follow")
        self.apply(reply["parameters"])
        return True

    def apply(self, p):
        event = p["event"]
        self.events[event] += 1
        self.level, self.last = p["eventLevel"], p
        if p["lostEvents"] < self.lost:
            self.fault("fewer events are lost than before")
        self.lost = p["lostEvents"]
        if event == "state":
            self.apply_extents(p)
        elif event == "changes":
            self.apply_changes(p)
        elif p["generation"] != self.generation:
            self.fault(f"{event}: generation {p['generation']}, was told {self.generation}")
        if event != "state" and not self.events["ready"]:
            self.fault(f"{event} before it was ready")

    def apply_extents(self, p):
        if p["first"] != len(self.states):
            self.fault(f"state goes on at {p['first']}, it ended at {len(self.states)}")
        for e in p["extents"]:
            self.states += [e["state"]] * e["count"]
        self.generation = p["generation"]
        self.size = p["size"]

    def apply_changes(self, p):
        if p["since"] != self.generation:
            self.fault(f"changes since {p['since']}, was told {self.generation}")
        for c in p["changes"]:
            self.apply_change(c)
        # what lies behind the end now; a part of it may be left for the next reply
        while self.states and self.states[-1] is None:
            self.states.pop()
        if p["next"] is None:
            if None in self.states:
                self.fault(f"page {self.states.index(None)} is behind the end, others after it are not")
            self.generation = p["generation"]
            self.size = p["size"]

    def apply_change(self, c):
        first, end = c["first"], c["first"] + c["count"]
        old = self.states[first:end] or [None] * c["count"]
        if any(state != c["from"] for state in old) or len(old) != c["count"]:
            self.fault(f"{c}, but it was told to be {sorted(set(map(str, old)))}")
        if c["to"] is not None and c["from"] is None:
            if first != len(self.states):
                self.fault(f"{c}: not behind the end of {len(self.states)} pages")
            self.states += [c["to"]] * c["count"]
        else:
            self.states[first:end] = [c["to"]] * c["count"]

    def until(self, condition, seconds=20.0):
        """Takes replies until the condition holds. False: it did not within the time."""
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0 or (not self.take(left) and self.error):
                return condition()
        return True

    def ready(self, seconds=20.0):
        return check(self.until(lambda: self.events["ready"] > 0, seconds),
                     f"it does not get ready: {self.events} {self.error}")


def dump(service, descriptor, **parameters):
    """A fresh look: the states and the generation."""
    with service.wire(quiet=True) as wire:
        replies = wire.more("Classify", {"selector": ours(descriptor), **parameters})
    states = []
    for reply in replies:
        for e in reply["parameters"]["extents"]:
            states += [e["state"]] * e["count"]
    return states, replies[0]["parameters"]["generation"]
