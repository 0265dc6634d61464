/* The part in C: what every request of a busy client passes. The classes mean what their namesakes
 * in Python mean (edgewright/transports/_http1_quick.py, edgewright/device/serve/gathering.py), which
 * are the reference; tests run both on the same bytes.
 */

#ifndef EDGEWRIGHT_NATIVE_H
#define EDGEWRIGHT_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <structmember.h>

#define SEAM 1

/* A head that was parsed before, and who takes its requests. */
typedef struct {
    PyObject_HEAD
    PyObject *raw, *head, *take;
    Py_ssize_t raw_bytes, total_bytes;
    bool is_plain; /* answers of such requests are written without further questions */
} Known;

/* What one connection is at, and its quick ways in and out. */
typedef struct {
    PyObject_HEAD
    PyObject *house, *transport, *framing, *buffer, *known, *head;
    double deadline_s;
    Py_ssize_t served;
    char is_blocked, is_ending, is_paused, is_pumping, is_closed;
} QuickConnection;

/* What answers of one frame have in common, and what the house says while they are written. */
typedef struct {
    PyObject *frame;
    PyObject *house; /* whose answers the rest was looked up for, NULL before the first */
    PyObject *date_and_all, *opening, *after;
    Py_ssize_t fixed_bytes;
    double idle_deadline_s;
    bool is_closing;
} Framed;

/* A request that waits: who asked, and the bytes in which its body begins at `offset`. */
typedef struct {
    PyObject *exchange, *data, *arrived_s;
    Py_ssize_t offset;
} Waiting;

typedef struct {
    PyObject_HEAD
    PyObject *shape, *before, *after, *timer, *is_alone, *schedule;
    Py_ssize_t most, count, item_bytes;
    char code;
    char *rows;
    Waiting *waiting;
    Py_ssize_t used, room;
} Gathering;

typedef struct {
    PyObject_HEAD
    PyObject *content; /* all rows' numbers as the model reads them */
    Waiting *waiting;
    Py_ssize_t count;
} Batch;

typedef struct {
    PyObject_HEAD
    PyObject *holder, *care, *fail;
} Door;

extern PyTypeObject Known_Type, QuickConnection_Type, Gathering_Type, Batch_Type, Door_Type;

/* numbers.c: a flat JSON list of exactly `count` numbers, `[` and `]` outside of the text. False
 * where that is not what it is, or where a number does not belong into the type: nothing is raised.
 */
bool read_numbers(const char *text, const char *end, char code, Py_ssize_t count, char *into);
Py_ssize_t size_of_code(char code); /* 0 of a code that is not known here */

/* A tensor's JSON, flat or nested as its shape says, as packed elements; None of all else. */
PyObject *read_tensor(PyObject *module, PyObject *args);

/* connection.c */
int framed_begin(Framed *framed, PyObject *frame);
void framed_end(Framed *framed);
int reply_in_frame(PyObject *exchange, Framed *framed, const char *content, Py_ssize_t size);

/* batch.c: takes over what waits. */
PyObject *batch_new(PyObject *content, Waiting *waiting, Py_ssize_t count);
void waiting_clear(Waiting *waiting, Py_ssize_t count);

/* gathering.c: 1 taken, 0 left to others, -1 raised. */
int door_take(Door *door, PyObject *exchange, PyObject *data, Py_ssize_t offset);

/* Names that are looked up for every request. */
extern struct Names {
    PyObject *pending, *heads, *date, *is_closing, *idle_deadline_s, *receive_with_care;
    PyObject *reply_with_care, *next, *write, *keeps_alive, *method, *content_length, *preamble;
    PyObject *body, *renew, *preamble_and_date, *opening, *after, *fixed_bytes, *reply_framed;
    PyObject *model, *lanes, *answer, *run, *count, *code, *before, *buffer;
} names;

#endif
