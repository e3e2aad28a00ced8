/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SHMSTATE_SHMSTATE_H
#define SHMSTATE_SHMSTATE_H

/*
 * libshmstate: asks the service shmstated, over varlink, what the pages of shared memory are.
 *
 * Errors. What can fail returns a negative errno and leaves its ret_* arguments as they were:
 *   -EREMOTEIO  the service answered with an error: see shmstate_error_name()
 *   -EINVAL     an argument makes no sense; nothing was sent
 *   -EBADMSG    the service sent what is no answer, or a map that is not laid out as it must be
 *   -EMSGSIZE   a message of the service is longer than SHMSTATE_MESSAGE_MAX
 *   -ETIMEDOUT  no answer within the time
 *   -ECONNRESET the service closed the connection
 *   -ENOTCONN   a call before this one broke the connection: open another
 *   -EMFILE     descriptors that came along could not be taken in
 *   -ENOMEM, and what the system calls give
 * After any but -EREMOTEIO, -EINVAL and (shmstate_classify) -EBADMSG of a map, the connection is of
 * no more use.
 *
 * Units. Pages are counted in pages of page_size bytes from the start of the object; sizes and
 * addresses are bytes.
 *
 * Threads. A connection is for one thread at a time; maps may be read by many at once.
 *
 * Nothing is ever printed, no signal is raised, and descriptors are close-on-exec.
 */

#include <stddef.h>
#include <stdint.h>

#include <shmstate/delta.h>
#include <shmstate/map.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHMSTATE_MESSAGE_MAX (16u * 1024 * 1024) /* bytes, in either direction */

/* A connection to the service. */
struct shmstate;

/*
 * Connects. address: a path, or as varlink writes it unix:PATH or unix:@NAME (abstract); NULL: what
 * $SHMSTATE_SOCKET says, or else /run/shmstate/io.shmstate. The caller closes what it gets.
 * Returns 0, -ENOENT or -ECONNREFUSED (no service there), -EACCES, -ENAMETOOLONG, -EINVAL (another
 * kind of address), or another negative errno.
 */
int shmstate_open(const char *address, struct shmstate **ret);
/* Takes over a connected Unix stream socket: closed with the connection, left alone on failure. */
int shmstate_open_fd(int fd, struct shmstate **ret);
/* NULL is fine. Returns NULL. */
struct shmstate *shmstate_close(struct shmstate *s);

/*
 * How long to wait for each reply, in milliseconds; 0: for ever, as it is at first. The service
 * has a limit of its own for how long a look may take (GetStatus tells it).
 */
void shmstate_set_timeout(struct shmstate *s, unsigned milliseconds);

/*
 * How long the service may look again until two looks, one after the other, agree, in milliseconds;
 * 0: one answer is enough, as it is at first. It holds for shmstate_summarize(),
 * shmstate_classify() and shmstate_classify_since(); what they give says whether it settled.
 */
void shmstate_set_settle(struct shmstate *s, unsigned milliseconds);

/*
 * Calls a method, io.shmstate.Summarize for one, with the text of a JSON object as parameters
 * (NULL: none) and with n_fds descriptors, which stay the caller's. *ret_parameters (may be NULL)
 * is the text of the reply's parameters, a JSON object: the connection's, until its next call.
 * Returns 0, or a negative errno as above.
 */
int shmstate_call(struct shmstate *s, const char *method, const char *parameters, const int *fds,
		  size_t n_fds, const char **ret_parameters);

/*
 * Is given each reply. parameters: borrowed for the time of the call. continues: more will come.
 * What is not 0 stops: the connection is shut, whereby the service is told, and
 * shmstate_call_more() returns it. It may take the reply's descriptors, but not call another
 * method.
 */
typedef int (*shmstate_reply_handler)(void *context, struct shmstate *s, const char *parameters,
				      int continues);

/*
 * The same for methods that reply more than once. Returns 0 when all replies were handled, what the
 * handler returned, or a negative errno as above.
 */
int shmstate_call_more(struct shmstate *s, const char *method, const char *parameters,
		       const int *fds, size_t n_fds, shmstate_reply_handler handler, void *context);

/*
 * Descriptor number `index` that came along with the last reply, for the caller to close: once.
 * What is not taken is closed by the next call. Returns the descriptor or -ENOENT.
 */
int shmstate_take_fd(struct shmstate *s, unsigned index);

/*
 * The error that the last call ended in, if it returned -EREMOTEIO: its full name,
 * io.shmstate.NoSuchObject for one, and the text of its parameters, a JSON object ("{}" if it has
 * none). Else NULL. They are the connection's, until its next call.
 */
const char *shmstate_error_name(const struct shmstate *s);
const char *shmstate_error_parameters(const struct shmstate *s);

/*
 * Says which object is meant: all that is given must fit, and one object must be left. Start with
 * SHMSTATE_SELECTOR_INIT. Strings are borrowed.
 */
struct shmstate_selector {
	const char *id;   /* MAJOR:MINOR:INODE[@GENERATION] as the service writes it */
	const char *path; /* absolute, of a file on tmpfs */
	const char *name; /* of a memfd, or as the service writes it: other bytes, and \, as \xHH */
	int pid;          /* a process that holds or maps it; 0: not given */
	int process_fd;   /* a descriptor of that process; -1: not given */
	int have_address;
	uint64_t address; /* where that process maps it */
	int fd; /* a descriptor of the caller's own, passed along; -1: none. Goes with nothing else
		 */
	uint64_t reserved[4]; /* 0 */
};

#define SHMSTATE_SELECTOR_INIT                     \
	{                                          \
		NULL, NULL, NULL, 0, -1, 0, 0, -1, \
		{                                  \
			0, 0, 0, 0                 \
		}                                  \
	}

/* Pages that follow each other. count SHMSTATE_TO_END: up to the end of the object. */
struct shmstate_range {
	uint64_t first;
	uint64_t count;
};

#define SHMSTATE_TO_END UINT64_MAX

/* Which way of looking is to be taken. */
enum shmstate_probe {
	SHMSTATE_PROBE_AUTO = 0, /* the walk; where it cannot be had, the portable way */
	SHMSTATE_PROBE_WALK = 1,
	SHMSTATE_PROBE_PORTABLE = 2,
	SHMSTATE_PROBE_VERIFY = 3, /* both, compared page by page */
};

/* swap_cache for SHMSTATE_SWAP_CACHE, and so on; NULL for what is no state. Static. */
const char *shmstate_state_name(int state);

struct shmstate_summary {
	char object[64];      /* its id */
	char probe[16];       /* which gave the answer: walk or portable */
	uint64_t page_size;   /* bytes */
	uint64_t object_size; /* bytes */
	uint64_t first;       /* pages: what was looked at */
	uint64_t count;
	uint64_t counts[SHMSTATE_STATES]; /* pages in each state */
	uint64_t moved;                   /* pages that changed between two looks */
	int stable;                       /* a second look at what could have changed agreed */
	int incomplete;                   /* some page could not be determined */
	int settled;                      /* two looks in a row agreed, if that was asked for */
	int reserved0;
	uint64_t generation; /* number of this answer; 0: the service does not keep it */
	uint64_t reserved[6];
};

/*
 * Counts an object's pages by state. range: NULL for all of it. Returns 0, or a negative errno as
 * above.
 */
int shmstate_summarize(struct shmstate *s, const struct shmstate_selector *selector,
		       const struct shmstate_range *range, enum shmstate_probe probe,
		       struct shmstate_summary *ret);

/* The state of each page, in memory that is shared with the service and does not change. */
struct shmstate_map;

/*
 * Asks for the state of each page. The map does not need the connection, which may be closed first.
 * Returns 0 (the caller frees *ret), or a negative errno as above.
 */
int shmstate_classify(struct shmstate *s, const struct shmstate_selector *selector,
		      const struct shmstate_range *range, enum shmstate_probe probe,
		      struct shmstate_map **ret);

/* What has changed, in memory that is shared with the service and does not change. */
struct shmstate_delta;

/*
 * Asks what has changed since the answer with that number, shmstate_map_generation() for one. The
 * delta does not need the connection, which may be closed first. Returns 0 (the caller frees *ret),
 * -EREMOTEIO with the error io.shmstate.GenerationGone (ask for all of it, by shmstate_classify()),
 * or another negative errno as above.
 */
int shmstate_classify_since(struct shmstate *s, const struct shmstate_selector *selector,
			    const struct shmstate_range *range, enum shmstate_probe probe,
			    uint64_t since, struct shmstate_delta **ret);

/*
 * Maps a descriptor that Classify answered with, for those who call it themselves; the descriptor
 * stays the caller's, and may be closed. All offsets and sizes in it are checked before they are
 * used. Returns 0 (the caller frees *ret), -EBADMSG (it is not laid out as <shmstate/map.h> says,
 * or not sealed), -EPROTONOSUPPORT (its version is another), or another negative errno.
 */
int shmstate_map_open(int fd, struct shmstate_map **ret);
/* NULL is fine. Returns NULL. */
struct shmstate_map *shmstate_map_free(struct shmstate_map *map);

uint64_t shmstate_map_page_size(const struct shmstate_map *map);   /* bytes */
uint64_t shmstate_map_object_size(const struct shmstate_map *map); /* bytes */
uint64_t shmstate_map_first(const struct shmstate_map *map);       /* pages: what was looked at */
uint64_t shmstate_map_count(const struct shmstate_map *map);
uint64_t shmstate_map_moved(const struct shmstate_map *map); /* pages that changed meanwhile */
int shmstate_map_is_stable(const struct shmstate_map *map);
int shmstate_map_is_incomplete(const struct shmstate_map *map);
/* Two looks in a row agreed, as was asked for. */
int shmstate_map_is_settled(const struct shmstate_map *map);
/* The number of this answer; 0: the service does not keep it. */
uint64_t shmstate_map_generation(const struct shmstate_map *map);
/* Pages in a state; 0 for what is no state. */
uint64_t shmstate_map_pages(const struct shmstate_map *map, int state);

/* The state of a page, enum shmstate_state; -ERANGE if it was not looked at. */
int shmstate_map_get(const struct shmstate_map *map, uint64_t page);

/* Pages that follow each other in one state. */
struct shmstate_extent {
	uint64_t first;
	uint64_t count;
	uint32_t state; /* enum shmstate_state */
	uint32_t reserved;
};

/*
 * Goes over the extents: *page, at first 0 or the page to start with, is moved behind the extent.
 * Two that follow each other differ in state. Returns 1, or 0 at the end.
 */
int shmstate_map_next(const struct shmstate_map *map, uint64_t *page, struct shmstate_extent *ret);

/* The same as shmstate_map_open(), for a descriptor that holds what has changed. */
int shmstate_delta_open(int fd, struct shmstate_delta **ret);
/* NULL is fine. Returns NULL. */
struct shmstate_delta *shmstate_delta_free(struct shmstate_delta *delta);

/* What is known about it as a whole: borrowed, and checked. */
const struct shmstate_delta_header *shmstate_delta_header(const struct shmstate_delta *delta);

#define SHMSTATE_BEYOND \
	(-1) /* no state: behind the end of the object, which has another size now */

/* Pages that follow each other, and went from one state to another. */
struct shmstate_change {
	uint64_t first;
	uint64_t count;
	int from; /* enum shmstate_state, or SHMSTATE_BEYOND */
	int to;
};

/* How far one has read. All zero: nothing yet. */
struct shmstate_place {
	uint64_t offset;
	uint64_t page;
};

/*
 * Goes over the changes, in the order of pages; *place is moved on. Returns 1, or 0 at the end.
 */
int shmstate_delta_next(const struct shmstate_delta *delta, struct shmstate_place *place,
			struct shmstate_change *ret);

#ifdef __cplusplus
}
#endif

#endif
