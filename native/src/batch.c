#include "native.h"

#include <string.h>

void waiting_clear(Waiting *waiting, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_DECREF(waiting[i].exchange);
        Py_DECREF(waiting[i].data);
        Py_DECREF(waiting[i].arrived_s);
    }
}

PyObject *batch_new(PyObject *content, Waiting *waiting, Py_ssize_t count) {
    Batch *self = PyObject_GC_New(Batch, &Batch_Type);
    if (self == NULL) {
        waiting_clear(waiting, count);
        PyMem_Free(waiting);
        Py_DECREF(content);
        return NULL;
    }
    self->content = content;
    self->waiting = waiting;
    self->count = count;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static PyObject *content(Batch *self, PyObject *ignored) {
    (void)ignored;
    return Py_NewRef(self->content);
}

static PyObject *arrived_s(Batch *self, void *ignored) {
    (void)ignored;
    PyObject *moments = PyList_New(self->count);
    for (Py_ssize_t i = 0; moments != NULL && i < self->count; i++)
        PyList_SET_ITEM(moments, i, Py_NewRef(self->waiting[i].arrived_s));
    return moments;
}

/* Where the row that begins at `p` ends: before the next `],[`, or at the end. */
static const char *end_of_row(const char *p, const char *end) {
    while ((p = memchr(p, ']', (size_t)(end - p))) != NULL) {
        if (end - p >= 3 && p[1] == ',' && p[2] == '[') return p;
        p++;
    }
    return end;
}

static Py_ssize_t count_rows(const char *p, const char *end) {
    Py_ssize_t count = 1;
    for (; (p = end_of_row(p, end)) != end; p += 3) count++;
    return count;
}

static PyObject *reply(Batch *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 2 || !PyBytes_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "expected a frame and bytes");
        return NULL;
    }
    const char *row = PyBytes_AS_STRING(args[1]), *end = row + PyBytes_GET_SIZE(args[1]);
    if (count_rows(row, end) != self->count) {
        PyErr_SetString(PyExc_ValueError, "not one row each");
        return NULL;
    }
    Framed framed;
    int outcome = framed_begin(&framed, args[0]);
    for (Py_ssize_t i = 0; outcome == 0 && i < self->count; i++) {
        const char *stop = end_of_row(row, end);
        outcome = reply_in_frame(self->waiting[i].exchange, &framed, row, stop - row);
        row = stop + 3;
    }
    framed_end(&framed);
    if (outcome < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *requests(Batch *self, PyObject *ignored) {
    (void)ignored;
    PyObject *all = PyList_New(0);
    for (Py_ssize_t i = 0; all != NULL && i < self->count; i++) {
        const Waiting *one = &self->waiting[i];
        PyObject *body = PyBytes_FromStringAndSize(PyBytes_AS_STRING(one->data) + one->offset,
                                                   PyBytes_GET_SIZE(one->data) - one->offset);
        PyObject *request =
            body == NULL ? NULL : PyTuple_Pack(3, one->exchange, body, one->arrived_s);
        Py_XDECREF(body);
        if (request == NULL || PyList_Append(all, request) < 0) Py_CLEAR(all);
        Py_XDECREF(request);
    }
    return all;
}

static int batch_traverse(Batch *self, visitproc visit, void *arg) {
    for (Py_ssize_t i = 0; i < self->count; i++) Py_VISIT(self->waiting[i].exchange);
    return 0;
}

static int batch_clear(Batch *self) {
    Py_ssize_t count = self->count;
    self->count = 0;
    waiting_clear(self->waiting, count);
    return 0;
}

static void batch_dealloc(Batch *self) {
    PyObject_GC_UnTrack(self);
    batch_clear(self);
    PyMem_Free(self->waiting);
    Py_CLEAR(self->content);
    PyObject_GC_Del(self);
}

static PyMemberDef batch_members[] = {
    {"count", T_PYSSIZET, offsetof(Batch, count), READONLY, NULL},
    {NULL},
};

static PyGetSetDef batch_getset[] = {
    {"arrived_s", (getter)arrived_s, NULL, "When each had arrived.", NULL},
    {NULL},
};

static PyMethodDef batch_methods[] = {
    {"content", (PyCFunction)content, METH_NOARGS,
     "The numbers of all rows as the model reads them."},
    {"reply", (PyCFunction)(void (*)(void))reply, METH_FASTCALL, "Answer each with its row."},
    {"requests", (PyCFunction)requests, METH_NOARGS, "Each request as it came."},
    {NULL},
};

PyTypeObject Batch_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "edgewright_native.Batch",
    .tp_basicsize = sizeof(Batch),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "Requests that are answered by one pass.",
    .tp_traverse = (traverseproc)batch_traverse,
    .tp_clear = (inquiry)batch_clear,
    .tp_dealloc = (destructor)batch_dealloc,
    .tp_members = batch_members,
    .tp_getset = batch_getset,
    .tp_methods = batch_methods,
};
