/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The errors that replies carry: their names, and how our own errors become them. */

#include "serve/access.h"
#include "serve/busy.h"
#include "serve/result.h"

#define ERROR_INTERFACE_NOT_FOUND "org.varlink.service.InterfaceNotFound"
#define ERROR_METHOD_NOT_FOUND "org.varlink.service.MethodNotFound"
#define ERROR_METHOD_NOT_IMPLEMENTED "org.varlink.service.MethodNotImplemented"
#define ERROR_INVALID_PARAMETER "org.varlink.service.InvalidParameter"
#define ERROR_EXPECTED_MORE "org.varlink.service.ExpectedMore"
#define ERROR_NO_SUCH_OBJECT "io.shmstate.NoSuchObject"
#define ERROR_NO_SUCH_PROCESS "io.shmstate.NoSuchProcess"
#define ERROR_SEVERAL_OBJECTS "io.shmstate.SeveralObjects"
#define ERROR_NOT_PERMITTED "io.shmstate.NotPermitted"
#define ERROR_OUT_OF_RANGE "io.shmstate.OutOfRange"
#define ERROR_GENERATION_GONE "io.shmstate.GenerationGone"
#define ERROR_TOO_LARGE "io.shmstate.TooLarge"
#define ERROR_OBJECT_BUSY "io.shmstate.ObjectBusy"
#define ERROR_NOT_SWAPPABLE "io.shmstate.NotSwappable"
#define ERROR_NOT_SHARED_MEMORY "io.shmstate.NotSharedMemory"
#define ERROR_PROBE_UNAVAILABLE "io.shmstate.ProbeUnavailable"
#define ERROR_SCAN_TIMED_OUT "io.shmstate.ScanTimedOut"
#define ERROR_TOO_BUSY "io.shmstate.TooBusy"
#define ERROR_TOO_MANY_CONNECTIONS "io.shmstate.TooManyConnections"
#define ERROR_TOO_MANY_CALLS "io.shmstate.TooManyCalls"
#define ERROR_MESSAGE_TOO_LONG "io.shmstate.MessageTooLong"
#define ERROR_STOPPING "io.shmstate.Stopping"
#define ERROR_FAILED "io.shmstate.Failed"

/* Parameters of ERROR_TOO_BUSY. */
struct json_object *error_busy(struct busy busy);

/* Parameters with one field. */
struct json_object *error_with_text(const char *field, const char *text);
/*
 * The same, of what a client sent: at most the beginning of it, for the reply must not be longer
 * than a message may be.
 */
struct json_object *error_with_name(const char *field, const char *name);
struct json_object *error_with_number(const char *field, uint64_t n);

/* Those of ERROR_FAILED. error: negative errno. */
struct json_object *error_of_failure(int error);

/* Each makes the result that error. */
void errors_not_permitted(struct result *r, enum access_rule rule);
void errors_no_process(struct result *r, pid_t pid);
void errors_several(struct result *r, struct object *const *objects, int n);
void errors_out_of_range(struct result *r, uint64_t pages);
void errors_generation_gone(struct result *r, uint64_t number, const struct history_bounds *bounds);
void errors_too_large(struct result *r, uint64_t limit);
void errors_too_busy(struct result *r, struct busy busy);
void errors_no_probe(struct result *r, enum probe_choice choice, int error);
/* An object that could not be opened or looked at. */
void errors_object(struct result *r, const struct object *o, int error);
/* Anything else. -EUSERS: paths whose file system does not answer are being waited for. */
void errors_fail(struct result *r, int error);
