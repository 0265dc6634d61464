#include "native.h"

#include <string.h>

/* Known: a head, and who takes its requests. */

static int known_init(Known *self, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"raw", "head", "take", NULL};
    PyObject *raw, *head, *take;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "SOO", keywords, &raw, &head, &take)) return -1;
    PyObject *length = PyObject_GetAttr(head, names.content_length);
    if (length == NULL) return -1;
    Py_ssize_t body_bytes = PyLong_AsSsize_t(length);
    Py_DECREF(length);
    if (body_bytes == -1 && PyErr_Occurred()) return -1;
    PyObject *keeps_alive = PyObject_GetAttr(head, names.keeps_alive);
    if (keeps_alive == NULL) return -1;
    int is_kept = PyObject_IsTrue(keeps_alive);
    Py_DECREF(keeps_alive);
    PyObject *method = is_kept < 0 ? NULL : PyObject_GetAttr(head, names.method);
    if (method == NULL) return -1;
    self->is_plain = is_kept && PyUnicode_CompareWithASCIIString(method, "HEAD") != 0;
    Py_DECREF(method);
    Py_XSETREF(self->raw, Py_NewRef(raw));
    Py_XSETREF(self->head, Py_NewRef(head));
    Py_XSETREF(self->take, Py_NewRef(take));
    self->raw_bytes = PyBytes_GET_SIZE(raw);
    self->total_bytes = self->raw_bytes + body_bytes;
    return 0;
}

static int known_traverse(Known *self, visitproc visit, void *arg) {
    Py_VISIT(self->head);
    Py_VISIT(self->take);
    return 0;
}

static int known_clear(Known *self) {
    Py_CLEAR(self->raw);
    Py_CLEAR(self->head);
    Py_CLEAR(self->take);
    return 0;
}

static void known_dealloc(Known *self) {
    PyObject_GC_UnTrack(self);
    known_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef known_members[] = {
    {"raw", T_OBJECT_EX, offsetof(Known, raw), READONLY, NULL},
    {"head", T_OBJECT_EX, offsetof(Known, head), READONLY, NULL},
    {"take", T_OBJECT_EX, offsetof(Known, take), READONLY, NULL},
    {"raw_bytes", T_PYSSIZET, offsetof(Known, raw_bytes), READONLY, NULL},
    {"total_bytes", T_PYSSIZET, offsetof(Known, total_bytes), READONLY, NULL},
    {NULL},
};

PyTypeObject Known_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "edgewright_native.Known",
    .tp_basicsize = sizeof(Known),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "A head that was parsed before, and who takes its requests.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)known_init,
    .tp_traverse = (traverseproc)known_traverse,
    .tp_clear = (inquiry)known_clear,
    .tp_dealloc = (destructor)known_dealloc,
    .tp_members = known_members,
};

/* Framed: an answer's frame, looked up once for all answers of a batch. */

int framed_begin(Framed *framed, PyObject *frame) {
    *framed = (Framed){.frame = frame};
    PyObject *fixed = PyObject_GetAttr(frame, names.fixed_bytes);
    if (fixed == NULL) return -1;
    framed->fixed_bytes = PyLong_AsSsize_t(fixed);
    Py_DECREF(fixed);
    if (framed->fixed_bytes == -1 && PyErr_Occurred()) return -1;
    framed->opening = PyObject_GetAttr(frame, names.opening);
    framed->after = framed->opening == NULL ? NULL : PyObject_GetAttr(frame, names.after);
    return framed->after == NULL ? -1 : 0;
}

void framed_end(Framed *framed) {
    Py_CLEAR(framed->house);
    Py_CLEAR(framed->date_and_all);
    Py_CLEAR(framed->opening);
    Py_CLEAR(framed->after);
}

/* What this house says now: the date, whether it closes, until when an idle peer may stay. */
static int framed_for(Framed *framed, PyObject *house) {
    if (framed->house == house) return 0;
    PyObject *is_closing = PyObject_GetAttr(house, names.is_closing);
    if (is_closing == NULL) return -1;
    int is_true = PyObject_IsTrue(is_closing);
    Py_DECREF(is_closing);
    if (is_true < 0) return -1;
    PyObject *deadline = PyObject_GetAttr(house, names.idle_deadline_s);
    if (deadline == NULL) return -1;
    double deadline_s = PyFloat_AsDouble(deadline);
    Py_DECREF(deadline);
    if (deadline_s == -1.0 && PyErr_Occurred()) return -1;
    PyObject *date = PyObject_GetAttr(house, names.date);
    PyObject *rendered = date == NULL ? NULL : PyObject_GetAttr(framed->frame, names.date);
    if (rendered != NULL && rendered != date) {
        PyObject *none = PyObject_CallMethodOneArg(framed->frame, names.renew, date);
        if (none == NULL) Py_CLEAR(rendered);
        Py_XDECREF(none);
    }
    Py_XDECREF(date);
    if (rendered == NULL) return -1;
    Py_DECREF(rendered);
    PyObject *date_and_all = PyObject_GetAttr(framed->frame, names.preamble_and_date);
    if (date_and_all == NULL) return -1;
    if (!PyBytes_Check(date_and_all) || !PyBytes_Check(framed->opening) ||
        !PyBytes_Check(framed->after)) {
        Py_DECREF(date_and_all);
        PyErr_SetString(PyExc_TypeError, "a frame is of bytes");
        return -1;
    }
    Py_XSETREF(framed->date_and_all, date_and_all);
    Py_XSETREF(framed->house, Py_NewRef(house));
    framed->is_closing = is_true;
    framed->idle_deadline_s = deadline_s;
    return 0;
}

static char *put_bytes(char *into, PyObject *bytes) {
    Py_ssize_t size = PyBytes_GET_SIZE(bytes);
    memcpy(into, PyBytes_AS_STRING(bytes), (size_t)size);
    return into + size;
}

static PyObject *whole_answer(const Framed *framed, const char *content, Py_ssize_t size) {
    char digits[24];
    Py_ssize_t length = framed->fixed_bytes + size, count = 0;
    do {
        digits[count++] = (char)('0' + length % 10);
        length /= 10;
    } while (length);
    Py_ssize_t total = PyBytes_GET_SIZE(framed->date_and_all) + count +
                       PyBytes_GET_SIZE(framed->opening) + size + PyBytes_GET_SIZE(framed->after);
    PyObject *answer = PyBytes_FromStringAndSize(NULL, total);
    if (answer == NULL) return NULL;
    char *p = put_bytes(PyBytes_AS_STRING(answer), framed->date_and_all);
    while (count) *p++ = digits[--count];
    p = put_bytes(p, framed->opening);
    memcpy(p, content, (size_t)size);
    put_bytes(p + size, framed->after);
    return answer;
}

/* QuickConnection */

static int connection_init(QuickConnection *self, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"house", "framing", NULL};
    PyObject *house, *framing;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO", keywords, &house, &framing)) return -1;
    PyObject *buffer = PyObject_GetAttr(framing, names.buffer);
    if (buffer == NULL) return -1;
    Py_XSETREF(self->buffer, buffer);
    Py_XSETREF(self->house, Py_NewRef(house));
    Py_XSETREF(self->framing, Py_NewRef(framing));
    self->deadline_s = Py_HUGE_VAL;
    return 0;
}

static bool holds_bytes(const QuickConnection *self) {
    return self->buffer == NULL || !PyByteArray_Check(self->buffer) ||
           PyByteArray_GET_SIZE(self->buffer) > 0;
}

/* Whether what comes begins a request: 1, 0, or -1 and raised. */
static int is_between(const QuickConnection *self) {
    if (self->head != NULL && self->head != Py_None) return 0;
    if (self->is_blocked || self->is_ending || self->framing == NULL || holds_bytes(self)) return 0;
    PyObject *pending = PyObject_GetAttr(self->framing, names.pending);
    if (pending == NULL) return -1;
    Py_DECREF(pending);
    return pending == Py_None;
}

static bool is_whole(const PyObject *known, const char *data, Py_ssize_t size) {
    if (known == NULL || !Py_IS_TYPE(known, &Known_Type)) return false;
    const Known *head = (const Known *)known;
    return head->raw != NULL && head->take != NULL && head->take != Py_None &&
           size == head->total_bytes &&
           memcmp(data, PyBytes_AS_STRING(head->raw), (size_t)head->raw_bytes) == 0;
}

/* A head that is known, if these bytes are one and its whole body; borrowed. */
static PyObject *find_whole(QuickConnection *self, const char *data, Py_ssize_t size) {
    const char *p = data, *end = data + size;
    while ((p = memchr(p, '\r', (size_t)(end - p))) != NULL && end - p >= 4) {
        if (memcmp(p, "\r\n\r\n", 4) == 0) break;
        p++;
    }
    if (p == NULL || end - p < 4) return NULL;
    PyObject *heads = PyObject_GetAttr(self->house, names.heads);
    if (heads == NULL) return NULL;
    PyObject *raw = PyBytes_FromStringAndSize(data, p + 4 - data);
    PyObject *known = NULL;
    if (raw != NULL && PyDict_Check(heads)) known = PyDict_GetItemWithError(heads, raw);
    Py_XDECREF(raw);
    Py_DECREF(heads);
    return is_whole(known, data, size) ? known : NULL;
}

static PyObject *take_whole(QuickConnection *self, Known *known, PyObject *data) {
    Py_INCREF(known);
    Py_XSETREF(self->head, Py_NewRef(known->head));
    if (self->known != (PyObject *)known) Py_XSETREF(self->known, Py_NewRef(known));
    self->deadline_s = Py_HUGE_VAL;
    PyObject *result = NULL;
    if (Py_IS_TYPE(known->take, &Door_Type)) {
        Door *door = (Door *)known->take;
        if (door_take(door, (PyObject *)self, data, known->raw_bytes) >= 0) result = Py_None;
        Py_XINCREF(result);
    } else {
        PyObject *body = PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + known->raw_bytes,
                                                   PyBytes_GET_SIZE(data) - known->raw_bytes);
        if (body != NULL) {
            result = PyObject_CallFunctionObjArgs(known->take, (PyObject *)self, body, NULL);
            Py_DECREF(body);
        }
    }
    Py_DECREF(known);
    return result;
}

static PyObject *data_received(QuickConnection *self, PyObject *data) {
    if (PyBytes_CheckExact(data)) {
        int is_next = is_between(self);
        if (is_next < 0) return NULL;
        if (is_next) {
            const char *bytes = PyBytes_AS_STRING(data);
            Py_ssize_t size = PyBytes_GET_SIZE(data);
            PyObject *known = self->known;
            if (!is_whole(known, bytes, size)) known = find_whole(self, bytes, size);
            if (known != NULL) return take_whole(self, (Known *)known, data);
            if (PyErr_Occurred()) return NULL;
        }
    }
    return PyObject_CallMethodOneArg((PyObject *)self, names.receive_with_care, data);
}

/* 1 where an answer may be written as it is, 0 where it needs care, -1 raised. */
static int is_plain(const QuickConnection *self, const Framed *framed) {
    if (framed->is_closing) return 0;
    if (self->known != NULL && Py_IS_TYPE(self->known, &Known_Type) &&
        ((Known *)self->known)->head == self->head)
        return ((Known *)self->known)->is_plain;
    return 0;
}

static int reply_with_care(QuickConnection *self, const Framed *framed, const char *content,
                           Py_ssize_t size) {
    int outcome = -1;
    PyObject *body = NULL, *preamble = PyObject_GetAttr(framed->frame, names.preamble);
    PyObject *middle = PyBytes_FromStringAndSize(content, size);
    if (preamble != NULL && middle != NULL)
        body = PyObject_CallMethodOneArg(framed->frame, names.body, middle);
    if (body != NULL) {
        PyObject *head = Py_NewRef(self->head);
        PyObject *none = PyObject_CallMethodObjArgs((PyObject *)self, names.reply_with_care, head,
                                                    preamble, body, NULL);
        outcome = none == NULL ? -1 : 0;
        Py_XDECREF(none);
        Py_DECREF(head);
    }
    Py_XDECREF(body);
    Py_XDECREF(middle);
    Py_XDECREF(preamble);
    return outcome;
}

static int write_answer(QuickConnection *self, Framed *framed, const char *content,
                        Py_ssize_t size) {
    if (self->head == NULL || self->head == Py_None || self->is_closed) return 0;
    PyObject *closing = PyObject_CallMethodNoArgs(self->transport, names.is_closing);
    if (closing == NULL) return -1;
    int is_closing = PyObject_IsTrue(closing);
    Py_DECREF(closing);
    if (is_closing) return is_closing < 0 ? -1 : 0;
    if (framed_for(framed, self->house) < 0) return -1;
    int is_quick = is_plain(self, framed);
    if (is_quick <= 0) return is_quick < 0 ? -1 : reply_with_care(self, framed, content, size);
    PyObject *answer = whole_answer(framed, content, size);
    if (answer == NULL) return -1;
    PyObject *none = PyObject_CallMethodOneArg(self->transport, names.write, answer);
    Py_DECREF(answer);
    if (none == NULL) return -1;
    Py_DECREF(none);
    Py_XSETREF(self->head, Py_NewRef(Py_None));
    self->served++;
    self->deadline_s = framed->idle_deadline_s;
    if (self->is_paused || holds_bytes(self)) {
        none = PyObject_CallMethodNoArgs((PyObject *)self, names.next);
        if (none == NULL) return -1;
        Py_DECREF(none);
    }
    return 0;
}

int reply_in_frame(PyObject *exchange, Framed *framed, const char *content, Py_ssize_t size) {
    if (PyObject_TypeCheck(exchange, &QuickConnection_Type))
        return write_answer((QuickConnection *)exchange, framed, content, size);
    PyObject *text = PyBytes_FromStringAndSize(content, size);
    if (text == NULL) return -1;
    PyObject *none =
        PyObject_CallMethodObjArgs(exchange, names.reply_framed, framed->frame, text, NULL);
    Py_DECREF(text);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

static PyObject *reply_framed(QuickConnection *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 2 || !PyBytes_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "expected a frame and bytes");
        return NULL;
    }
    Framed framed;
    int outcome = framed_begin(&framed, args[0]);
    if (outcome == 0)
        outcome = write_answer(self, &framed, PyBytes_AS_STRING(args[1]), PyBytes_GET_SIZE(args[1]));
    framed_end(&framed);
    if (outcome < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *not_implemented(PyObject *self, PyObject *args) {
    (void)self;
    (void)args;
    PyErr_SetNone(PyExc_NotImplementedError);
    return NULL;
}

static int connection_traverse(QuickConnection *self, visitproc visit, void *arg) {
    Py_VISIT(self->house);
    Py_VISIT(self->transport);
    Py_VISIT(self->framing);
    Py_VISIT(self->buffer);
    Py_VISIT(self->known);
    Py_VISIT(self->head);
    return 0;
}

static int connection_clear(QuickConnection *self) {
    Py_CLEAR(self->house);
    Py_CLEAR(self->transport);
    Py_CLEAR(self->framing);
    Py_CLEAR(self->buffer);
    Py_CLEAR(self->known);
    Py_CLEAR(self->head);
    return 0;
}

static void connection_dealloc(QuickConnection *self) {
    PyObject_GC_UnTrack(self);
    connection_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef connection_members[] = {
    {"_house", T_OBJECT_EX, offsetof(QuickConnection, house), 0, NULL},
    {"_transport", T_OBJECT, offsetof(QuickConnection, transport), 0, NULL},
    {"_framing", T_OBJECT_EX, offsetof(QuickConnection, framing), 0, NULL},
    {"_buffer", T_OBJECT_EX, offsetof(QuickConnection, buffer), 0, NULL},
    {"_known", T_OBJECT, offsetof(QuickConnection, known), 0, NULL},
    {"head", T_OBJECT, offsetof(QuickConnection, head), 0, NULL},
    {"deadline_s", T_DOUBLE, offsetof(QuickConnection, deadline_s), 0, NULL},
    {"served", T_PYSSIZET, offsetof(QuickConnection, served), 0, NULL},
    {"_is_blocked", T_BOOL, offsetof(QuickConnection, is_blocked), 0, NULL},
    {"_is_ending", T_BOOL, offsetof(QuickConnection, is_ending), 0, NULL},
    {"_is_paused", T_BOOL, offsetof(QuickConnection, is_paused), 0, NULL},
    {"_is_pumping", T_BOOL, offsetof(QuickConnection, is_pumping), 0, NULL},
    {"is_closed", T_BOOL, offsetof(QuickConnection, is_closed), 0, NULL},
    {NULL},
};

static PyMethodDef connection_methods[] = {
    {"data_received", (PyCFunction)data_received, METH_O, "Bytes have come."},
    {"reply_framed", (PyCFunction)(void (*)(void))reply_framed, METH_FASTCALL,
     "Answer with a body whose beginning and end are always the same."},
    {"_receive_with_care", not_implemented, METH_VARARGS,
     "Bytes that are not just one request whose head is known."},
    {"_reply_with_care", not_implemented, METH_VARARGS,
     "An answer without a body, or the connection's last one."},
    {"_next", not_implemented, METH_VARARGS, "Go on with what has arrived meanwhile."},
    {NULL},
};

PyTypeObject QuickConnection_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "edgewright_native.QuickConnection",
    .tp_basicsize = sizeof(QuickConnection),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_doc = "A connection's state, and its quick ways in and out.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)connection_init,
    .tp_traverse = (traverseproc)connection_traverse,
    .tp_clear = (inquiry)connection_clear,
    .tp_dealloc = (destructor)connection_dealloc,
    .tp_members = connection_members,
    .tp_methods = connection_methods,
};
