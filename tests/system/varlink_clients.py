# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Group "clients": each method, by real clients: varlinkctl, python3-varlink and varlink-go.
"""

import json
import os
import shutil
import subprocess
import tempfile

from varlink_wire import INTERFACE, PAGE, check, heading, memory, ours, report, show

HERE = os.path.dirname(os.path.abspath(__file__))
IDL = os.path.join(HERE, "../../src/serve/io.shmstate.varlink")
METHODS = ["Classify", "FindCandidates", "GetCapabilities", "GetObject", "GetPagemap", "GetRefaults", "GetStatus",
           "ListObjects", "Locate", "Monitor", "Subscribe", "Summarize"]
GO_ON = ["Subscribe", "Monitor"]
SERVICE = "org.varlink.service"


def run_client(command, **options):
    """What it printed, and its exit status; both to the log."""
    print("$ " + " ".join(command), flush=True)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)
    for line in (done.stdout + done.stderr).splitlines()[:60]:
        show(" ", line)
    return done


# ---- varlinkctl ------------------------------------------------------------------------------


class Varlinkctl:
    def __init__(self, service):
        self.program = os.environ.get("VARLINKCTL") or shutil.which("varlinkctl")
        self.address = f"unix:{service.path}"

    def run(self, *words, **options):
        return run_client([self.program, "--no-pager", *words], **options)

    def call(self, method, parameters=None, *options):
        done = self.run("--json=short", *options, "call", self.address,
                        method if "." in method else f"{INTERFACE}.{method}", json.dumps(parameters or {}))
        if not check(done.returncode == 0, f"varlinkctl call {method}: {done.stderr.strip()}"):
            return {}
        # JSON-SEQ has a record separator before each
        texts = [text for text in done.stdout.replace("\x1e", "").splitlines() if text.strip()]
        return [json.loads(text) for text in texts] if "--more" in options and "--collect" not in options \
            else json.loads(done.stdout or "{}")


def varlinkctl(service):
    heading("varlinkctl")
    ctl = Varlinkctl(service)
    if not ctl.program:
        report.no_client("varlinkctl", "it is not installed")
        return
    options = ctl.run("--help").stdout
    ctl.run("--version")
    describe(ctl)
    with memory() as descriptor:
        selector = {"selector": ours(descriptor)}
        for method, parameters in (("GetObject", selector), ("Summarize", selector), ("Classify", selector),
                                   ("GetPagemap", {"pid": os.getpid()}), ("ListObjects", selector),
                                   ("GetCapabilities", {}), ("GetStatus", {})):
            check(ctl.call(method, parameters), f"varlinkctl call {method}: nothing")
        locate(ctl, selector)
        reply = ctl.call("Classify", selector | {"encoding": "file_descriptor"})
        check(reply.get("fileDescriptor") == 0, "varlinkctl: a descriptor that comes along")
        streams(ctl, options)
        for method in GO_ON:
            until_told(ctl, method, selector)
        if "--oneway" in options:
            done = ctl.run("--oneway", "call", ctl.address, f"{INTERFACE}.GetStatus", "{}")
            check(done.returncode == 0 and not done.stdout, "varlinkctl --oneway")
        done = ctl.run("call", ctl.address, f"{INTERFACE}.GetObject", '{"selector":{"id":"ff:ff:1"}}')
        check(done.returncode != 0 and "NoSuchObject" in done.stderr, "varlinkctl: an error")
        push(ctl, options, descriptor)


def until_told(ctl, method, selector):
    """Two replies of a method that goes on until its client goes."""
    command = [ctl.program, "--no-pager", "--json=short", "--more", "call", ctl.address,
               f"{INTERFACE}.{method}", json.dumps(selector)]
    print("$ " + " ".join(command), flush=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        replies = [json.loads(client.stdout.readline().lstrip("\x1e") or "{}") for _ in range(2)]
        client.terminate()
    told = [reply.get("event") or "objects" in reply for reply in replies]
    check(told == (["state", "ready"] if method == "Subscribe" else [True, True]),
          f"varlinkctl call {method}: {told}")


def describe(ctl):
    done = ctl.run("info", ctl.address)
    check(done.returncode == 0 and INTERFACE in done.stdout, "varlinkctl info")
    done = ctl.run("--json=short", "info", ctl.address)
    info = json.loads(done.stdout or "{}")
    check(set(info.get("interfaces", [])) == {INTERFACE, SERVICE} and info.get("version"), f"info: {info}")
    done = ctl.run("list-interfaces", ctl.address)
    check(done.stdout.split() == sorted([INTERFACE, SERVICE]), "varlinkctl list-interfaces")
    done = ctl.run("list-methods", ctl.address, INTERFACE)
    check(sorted(done.stdout.split()) == [f"{INTERFACE}.{m}" for m in METHODS], "varlinkctl list-methods")
    with open(IDL) as file:
        text = file.read()
    done = ctl.run("validate-idl", input=text)
    check(done.returncode == 0, "varlinkctl validate-idl")
    for interface in (INTERFACE, SERVICE):
        done = ctl.run("introspect", ctl.address, interface)
        check(done.returncode == 0 and f"interface {interface}" in done.stdout, f"introspect {interface}")
        again = ctl.run("validate-idl", input=done.stdout)
        check(again.returncode == 0, f"validate-idl of what introspect tells of {interface}")
        if interface == INTERFACE:
            check("# In RAM, with data" in done.stdout, "introspect: comments are lost")


def locate(ctl, selector):
    done = ctl.run("--json=short", "call", ctl.address, f"{INTERFACE}.Locate", json.dumps(selector))
    check(done.returncode == 0 and "contents" in json.loads(done.stdout) or
          "ProbeUnavailable" in done.stderr, "varlinkctl call Locate")


def streams(ctl, options):
    with memory(name="shmstate-two"):
        asked = {"selector": {"pid": os.getpid()}}
        replies = ctl.call("ListObjects", asked, "--more")
        objects = [o for reply in replies for o in reply.get("objects", [])]
        check(len(objects) >= 2, f"varlinkctl --more: {len(objects)} objects in {len(replies)} replies")
        if "--collect" in options:
            collected = ctl.call("ListObjects", asked, "--collect")
            check(isinstance(collected, list) and
                  len([o for r in collected for o in r.get("objects", [])]) == len(objects),
                  "varlinkctl --collect")
        else:
            report.no_client("varlinkctl --collect", "this varlinkctl has no such option")


def push(ctl, options, descriptor):
    if "--push-fd" not in options:
        report.not_tried("varlinkctl --push-fd: this varlinkctl has none, systemd 258 has")
        return
    for method in ("Summarize", "Classify", "GetObject"):
        done = ctl.run("--json=short", f"--push-fd={descriptor}", "call", ctl.address, f"{INTERFACE}.{method}",
                       '{"selector":{"passedFileDescriptor":0}}', pass_fds=[descriptor])
        check(done.returncode == 0 and (json.loads(done.stdout).get("size") == 8 * PAGE or method == "GetObject"),
              f"varlinkctl --push-fd: {method}")


# ---- python3-varlink -------------------------------------------------------------------------


def python_varlink(service):
    heading("python3-varlink")
    try:
        import varlink
    except ImportError:
        report.no_client("python3-varlink", "it is not installed")
        return
    with varlink.Client.new_with_address(f"unix:{service.path}") as client, memory() as descriptor, \
            memory(name="shmstate-two"):
        check(set(client.get_interfaces()) == {INTERFACE, SERVICE}, "get_interfaces")
        interface = client.get_interface(INTERFACE)
        with open(IDL) as file:
            check(interface.description.strip() == file.read().strip(), "another description")
        for namespaced in (False, True):
            with client.open(INTERFACE, namespaced=namespaced) as connection:
                python_methods(varlink, connection, descriptor, namespaced)
        python_tidings(client, descriptor)


def python_tidings(client, descriptor):
    """Two replies of what goes on until its client goes."""
    selector = ours(descriptor)
    with client.open(INTERFACE) as connection:
        replies = connection.Subscribe(selector, _more=True)
        events = [next(replies)["event"] for _ in range(2)]
        check(events == ["state", "ready"], f"python: Subscribe: {events}")
    with client.open(INTERFACE) as connection:
        replies = connection.Monitor(selector, None, 100, _more=True)
        objects = [len(next(replies)["objects"]) for _ in range(2)]
        check(objects == [1, 1], f"python: Monitor: {objects}")


def python_methods(varlink, connection, descriptor, namespaced):
    def field(reply, *names):
        for name in names:
            reply = getattr(reply, name) if namespaced and not isinstance(reply, dict) else reply[name]
        return reply

    def shown(what, reply):
        show(f"{what}:", str(reply))
        return reply

    selector = ours(descriptor)
    reply = shown("Summarize", connection.Summarize(selector))
    check(field(reply, "counts", "hole") == 5 and field(reply, "size") == 8 * PAGE, "python: Summarize")
    reply = shown("Classify", connection.Classify(selector=selector, states=["hole"]))
    check(sum(field(e, "count") for e in field(reply, "extents")) == 5, "python: Classify")
    reply = shown("Classify, range", connection.Classify(selector, {"first": 2, "count": 3}))
    check(field(reply, "range", "count") == 3, "python: Classify of a range")
    reply = shown("Classify, bitmap", connection.Classify(selector, None, ["hole"], "bitmap"))
    check(field(reply, "bitmap") == "3A==", "python: a bitmap")  # bits 2, 3, 4, 6 and 7
    reply = shown("GetObject", connection.GetObject(selector))
    check(field(reply, "object", "kind") == "memfd", "python: GetObject")
    reply = shown("GetPagemap", connection.GetPagemap(os.getpid()))
    check(field(reply, "pid") == os.getpid(), "python: GetPagemap")
    try:
        shown("Locate", connection.Locate(selector))
    except varlink.VarlinkError as error:
        check(error.error() == "io.shmstate.ProbeUnavailable", f"python: Locate: {error}")
    reply = shown("FindCandidates", connection.FindCandidates(selector, 0))
    check(field(reply, "candidatePages") == field(reply, "presentPages"), "python: FindCandidates")
    check(field(shown("GetRefaults", connection.GetRefaults(selector)), "refaultedPages") == 0, "python: GetRefaults")
    check(field(shown("GetStatus", connection.GetStatus()), "limits", "messageBytes") > 0, "python: GetStatus")
    check(field(shown("GetCapabilities", connection.GetCapabilities()), "pageSize") == PAGE,
          "python: GetCapabilities")
    reply = shown("ListObjects", connection.ListObjects({"pid": os.getpid()}))
    objects = len(field(reply, "objects"))
    replies = list(connection.ListObjects({"pid": os.getpid()}, _more=True))
    streamed = sum(len(field(reply, "objects")) for reply in replies if reply)
    check(streamed == objects >= 2 and len(replies) >= objects, f"python: {streamed} objects streamed")
    connection.GetStatus(_oneway=True)
    check(field(connection.GetStatus(), "pid") > 0, "python: after a oneway call")
    if not namespaced:  # it does not know how to make an error a namespace
        python_errors(varlink, connection)


def python_errors(varlink, connection):
    for words, name, told in ((({"id": "ff:ff:1"},), "io.shmstate.NoSuchObject", ""),
                              (({"pid": 4194305},), "io.shmstate.NoSuchProcess", "4194305"),
                              (({"id": "ff:ff:1"}, "nil"), "org.varlink.service.InvalidParameter", "probe")):
        try:
            connection.GetObject(*words)
            check(False, f"python: {words}: no error")
        except varlink.VarlinkError as error:
            show("error:", str(error))
            check(error.error() == name and told in str(error), f"python: {words}: {error}")


# ---- varlink-go ------------------------------------------------------------------------------


def build_go(folder):
    """The client, or why there is none."""
    program = os.environ.get("VARLINK_GO") or os.path.join(os.environ.get("builddir", "."), "varlink-client")
    if os.access(program, os.X_OK):
        return program, None
    helpers = os.path.join(HERE, "../helpers")
    source = os.path.join(helpers, "varlink-client.go")
    if not os.path.exists(source):
        return None, "its source is not here"
    done = run_client([os.path.join(helpers, "build-varlink-client"), source, IDL, folder])
    if done.returncode == 77:
        return None, done.stdout.strip()
    check(done.returncode == 0, "varlink-go: the client could not be built")
    return (os.path.join(folder, "varlink-client") if done.returncode == 0 else None), "it could not be built"


def varlink_go(service):
    heading("varlink-go")
    with tempfile.TemporaryDirectory(prefix="shmstate-go.") as folder, memory() as descriptor:
        program, why = build_go(folder)
        if not program:
            report.no_client("varlink-go", why)
            return
        done = run_client([program, f"unix:{service.path}", str(os.getpid()), str(descriptor)])
        check(done.returncode == 0, "varlink-go: not all was answered")
        lines = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
        check({m for m in METHODS if m in lines} == set(METHODS), f"varlink-go: only {sorted(lines)}")
        check("kind memfd" in lines.get("GetObject", "") and "holes 5" in lines.get("Summarize", "") and
              lines.get("Classify, bitmap") == "3A==" and lines.get("InvalidParameter") == "probe",
              f"varlink-go: {lines}")


def run(service):
    varlinkctl(service)
    python_varlink(service)
    varlink_go(service)
