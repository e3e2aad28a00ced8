// SPDX-License-Identifier: LGPL-2.1-or-later

// varlink-client ADDRESS PID FD - calls each method of io.shmstate by varlink-go, with the code that its
// interface generator makes of the interface's file, about a descriptor of a process. One line of what
// came of each; the exit status is 1 if one was not answered.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/varlink/go/varlink"
	"ioshmstate"
)

var failed bool

func say(method string, err error, format string, words ...interface{}) {
	if err != nil {
		fmt.Printf("%s: %T %+v\n", method, err, err)
		failed = true
		return
	}
	fmt.Printf("%s: %s\n", method, fmt.Sprintf(format, words...))
}

func objects(ctx context.Context, c *varlink.Connection, s ioshmstate.ObjectSelector) {
	list, incomplete, _, err := ioshmstate.ListObjects().Call(ctx, c, &s, nil, nil, nil, nil)
	say("ListObjects", err, "%d objects, incomplete %v", len(list), incomplete)
	receive, err := ioshmstate.ListObjects().Send(ctx, c, varlink.More, &ioshmstate.ObjectSelector{Pid: s.Pid}, nil, nil, nil, nil)
	replies, streamed := 0, 0
	for more := err == nil; more; {
		var flags uint64
		var part []ioshmstate.Object
		part, _, _, flags, err = receive(ctx)
		replies++
		streamed += len(part)
		more = err == nil && flags&varlink.Continues != 0
	}
	say("ListObjects, more", err, "%d objects in %d replies", streamed, replies)
	object, _, _, err := ioshmstate.GetObject().Call(ctx, c, s, nil)
	say("GetObject", err, "kind %s, size %d", object.Kind, *object.Size)
}

func pages(ctx context.Context, c *varlink.Connection, s ioshmstate.ObjectSelector) {
	settle := int64(1000)
	_, pageSize, size, pages, probe, _, _, _, _, _, _, _, counts, generation, settled, err := ioshmstate.Summarize().Call(ctx, c, s, nil, nil, &settle)
	if err == nil && (generation == nil || settled == nil || !*settled) {
		err = fmt.Errorf("generation %v, settled %v", generation, settled)
	}
	say("Summarize", err, "size %d, %d pages of %d, probe %s, holes %d", size, *pages.Count, pageSize, probe, counts.Hole)
	states := []ioshmstate.PageState{"hole"}
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, first, next, _, _, extents, _, _, err := ioshmstate.Classify().Call(ctx, c, s,
		&ioshmstate.PageRange{First: 1}, &states, nil, nil, nil, nil)
	if err == nil && extents == nil {
		err = fmt.Errorf("no extents")
	}
	if err == nil {
		say("Classify", nil, "first %d, next %v, extents %v", first, next, *extents)
	} else {
		say("Classify", err, "")
	}
	_, _, _, _, _, _, _, _, _, _, _, _, _, again, _, _, _, since, changes, _, _, _, err := ioshmstate.Classify().Call(ctx, c, s, nil, nil, nil, nil, generation, nil)
	if err == nil && (since == nil || again == nil || changes == nil || *since != *generation) {
		err = fmt.Errorf("since %v, generation %v, changes %v", since, again, changes)
	}
	say("Classify, since", err, "%v", err == nil)
	encoding := ioshmstate.Encoding("bitmap")
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, bitmap, _, err := ioshmstate.Classify().Call(ctx, c, s, nil, &states, &encoding, nil, nil, nil)
	if err == nil && bitmap == nil {
		err = fmt.Errorf("no bitmap")
	}
	if err == nil {
		say("Classify, bitmap", nil, "%s", *bitmap)
	} else {
		say("Classify, bitmap", err, "")
	}
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, slots, err := ioshmstate.Locate().Call(ctx, c, s, nil)
	if e, ok := err.(*ioshmstate.ProbeUnavailable); ok {
		say("Locate", nil, "unavailable: %s", e.Reason)
	} else {
		say("Locate", err, "%d extents", len(slots))
	}
	_, _, _, _, _, _, present, candidates, _, _, _, _, _, _, _, _, _, _, _, _, err := ioshmstate.FindCandidates().Call(ctx, c, s, 0, nil, nil, nil, nil)
	say("FindCandidates", err, "all that is present %v", present == candidates)
	_, _, _, _, _, _, _, refaulted, _, _, _, _, _, err := ioshmstate.GetRefaults().Call(ctx, c, s, nil, nil)
	say("GetRefaults", err, "%d pages", refaulted)
	pid, _, _, _, _, _, _, _, _, mapped, _, err := ioshmstate.GetPagemap().Call(ctx, c, *s.Pid, nil, nil, nil, nil)
	if err == nil && mapped == nil {
		err = fmt.Errorf("no extents")
	}
	if err == nil {
		say("GetPagemap", nil, "pid %d, some extents %v", pid, len(*mapped) > 0)
	} else {
		say("GetPagemap", err, "")
	}
}

func service(ctx context.Context, c *varlink.Connection) {
	var vendor, product, version, url string
	var interfaces []string
	err := c.GetInfo(ctx, &vendor, &product, &version, &url, &interfaces)
	say("GetInfo", err, "%s, %s, %s, %s, %v", vendor, product, version, url, interfaces)
	description, err := c.GetInterfaceDescription(ctx, "io.shmstate")
	say("GetInterfaceDescription", err, "%d characters", len(description))
	kernel, machine, _, _, capabilities, err := ioshmstate.GetCapabilities().Call(ctx, c)
	say("GetCapabilities", err, "%s, %s, some %v", kernel, machine, len(capabilities) > 0)
	_, pid, _, _, _, _, _, _, counters, _, watching, limits, err := ioshmstate.GetStatus().Call(ctx, c)
	say("GetStatus", err, "pid %v, calls %v, limits %v, watches %d", pid > 0, counters.Calls > 0, limits.MessageBytes > 0, watching.Watches)
}

// What goes on until its client goes: two replies of each, on a connection of its own.
func tidings(ctx context.Context, address string, s ioshmstate.ObjectSelector) {
	c, err := varlink.NewConnection(ctx, address)
	if err != nil {
		say("Subscribe", err, "")
		return
	}
	receive, err := ioshmstate.Subscribe().Send(ctx, c, varlink.More, s, nil, nil, nil, nil, nil)
	for _, wanted := range []ioshmstate.Tidings{"state", "ready"} {
		var event ioshmstate.Tidings
		var flags uint64
		if err == nil {
			event, _, _, _, _, _, _, _, _, _, _, _, _, _, _, flags, err = receive(ctx)
		}
		if err == nil && (event != wanted || flags&varlink.Continues == 0) {
			err = fmt.Errorf("%s, flags %d", event, flags)
		}
	}
	say("Subscribe", err, "%v", err == nil)
	c.Close()
	c, err = varlink.NewConnection(ctx, address)
	if err != nil {
		say("Monitor", err, "")
		return
	}
	defer c.Close()
	interval := int64(100)
	again, err := ioshmstate.Monitor().Send(ctx, c, varlink.More, &s, nil, &interval)
	for i := 0; i < 2; i++ {
		var objects []ioshmstate.MonitoredObject
		if err == nil {
			_, objects, _, _, _, _, _, _, err = again(ctx)
		}
		if err == nil && (len(objects) != 1 || (objects[0].SwappedOut == nil) != (i == 0)) {
			err = fmt.Errorf("%d objects, %+v", len(objects), objects)
		}
	}
	say("Monitor", err, "%v", err == nil)
}

// Typed, with their parameters.
func errors(ctx context.Context, c *varlink.Connection) {
	gone, id := int64(4194305), "ff:ff:1"
	_, _, _, err := ioshmstate.GetObject().Call(ctx, c, ioshmstate.ObjectSelector{Pid: &gone}, nil)
	e, ok := err.(*ioshmstate.NoSuchProcess)
	if !ok || e.Pid != gone {
		say("NoSuchProcess", fmt.Errorf("got %T %v", err, err), "")
	} else {
		say("NoSuchProcess", nil, "of %d", e.Pid)
	}
	_, _, _, err = ioshmstate.GetObject().Call(ctx, c, ioshmstate.ObjectSelector{Id: &id}, nil)
	// an error without parameters it does not make one of its own types
	if plain, ok := err.(*varlink.Error); !ok || plain.Name != "io.shmstate.NoSuchObject" {
		say("NoSuchObject", fmt.Errorf("got %T %v", err, err), "")
	} else {
		say("NoSuchObject", nil, "")
	}
	nil_probe := ioshmstate.Probe("nil")
	_, _, _, err = ioshmstate.GetObject().Call(ctx, c, ioshmstate.ObjectSelector{Id: &id}, &nil_probe)
	if bad, ok := err.(*varlink.InvalidParameter); !ok {
		say("InvalidParameter", fmt.Errorf("got %T %v", err, err), "")
	} else {
		say("InvalidParameter", nil, "%s", bad.Parameter)
	}
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: varlink-client ADDRESS PID FD")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	pid, _ := strconv.ParseInt(os.Args[2], 10, 64)
	fd, _ := strconv.ParseInt(os.Args[3], 10, 64)
	c, err := varlink.NewConnection(ctx, os.Args[1])
	if err != nil {
		fmt.Fprintf(os.Stderr, "varlink-client: %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	defer c.Close()
	selector := ioshmstate.ObjectSelector{Pid: &pid, FileDescriptor: &fd}
	service(ctx, c)
	objects(ctx, c, selector)
	pages(ctx, c, selector)
	tidings(ctx, os.Args[1], selector)
	errors(ctx, c)
	if failed {
		os.Exit(1)
	}
}
