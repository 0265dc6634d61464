#include "native.h"

#include <string.h>

#define FIRST_ROOM 4

/* Gathering */

static PyObject *bytes_of(PyObject *object, PyObject *name) {
    PyObject *bytes = PyObject_GetAttr(object, name);
    if (bytes != NULL && !PyBytes_Check(bytes)) {
        PyErr_Format(PyExc_TypeError, "%U is not bytes", name);
        Py_CLEAR(bytes);
    }
    return bytes;
}

static int gathering_init(Gathering *self, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"shape", "most", "timer", "is_alone", "schedule", NULL};
    PyObject *shape, *timer, *is_alone, *schedule;
    Py_ssize_t most;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OnOOO", keywords, &shape, &most, &timer,
                                     &is_alone, &schedule))
        return -1;
    PyObject *before = bytes_of(shape, names.before);
    PyObject *after = before == NULL ? NULL : bytes_of(shape, names.after);
    PyObject *count = after == NULL ? NULL : PyObject_GetAttr(shape, names.count);
    PyObject *code = count == NULL ? NULL : PyObject_GetAttr(shape, names.code);
    if (code == NULL) goto fail;
    self->count = PyLong_AsSsize_t(count);
    if (self->count == -1 && PyErr_Occurred()) goto fail;
    self->code = 0;
    if (PyUnicode_Check(code) && PyUnicode_GET_LENGTH(code) == 1 &&
        PyUnicode_READ_CHAR(code, 0) < 128)
        self->code = (char)PyUnicode_READ_CHAR(code, 0);
    self->item_bytes = size_of_code(self->code);
    if (self->count < 1 || most < 1 || (self->item_bytes && self->count > PY_SSIZE_T_MAX / 16 /
                                                                             self->item_bytes)) {
        PyErr_SetString(PyExc_ValueError, "not a shape of numbers");
        goto fail;
    }
    self->most = most;
    Py_DECREF(count);
    Py_DECREF(code);
    Py_XSETREF(self->before, before);
    Py_XSETREF(self->after, after);
    Py_XSETREF(self->shape, Py_NewRef(shape));
    Py_XSETREF(self->timer, Py_NewRef(timer));
    Py_XSETREF(self->is_alone, Py_NewRef(is_alone));
    Py_XSETREF(self->schedule, Py_NewRef(schedule));
    return 0;
fail:
    Py_XDECREF(before);
    Py_XDECREF(after);
    Py_XDECREF(count);
    Py_XDECREF(code);
    return -1;
}

/* Room for one more: 0, or -1 and raised. */
static int make_room(Gathering *self) {
    if (self->used < self->room) return 0;
    Py_ssize_t room = self->room ? self->room * 2 : FIRST_ROOM;
    Py_ssize_t row_bytes = self->count * self->item_bytes;
    if (room > PY_SSIZE_T_MAX / row_bytes) {
        PyErr_NoMemory();
        return -1;
    }
    char *rows = PyMem_Realloc(self->rows, (size_t)(room * row_bytes));
    if (rows != NULL) self->rows = rows;
    Waiting *waiting =
        rows == NULL ? NULL : PyMem_Realloc(self->waiting, (size_t)room * sizeof(Waiting));
    if (waiting == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->waiting = waiting;
    self->room = room;
    return 0;
}

/* Hands all that wait to `_answer`. */
static int answer_all(Gathering *self) {
    Py_ssize_t used = self->used;
    if (used == 0) return 0;
    PyObject *content =
        PyBytes_FromStringAndSize(self->rows, used * self->count * self->item_bytes);
    Waiting *waiting = content == NULL ? NULL : PyMem_Malloc((size_t)used * sizeof(Waiting));
    if (waiting == NULL) {
        Py_XDECREF(content);
        PyErr_NoMemory();
        return -1;
    }
    memcpy(waiting, self->waiting, (size_t)used * sizeof(Waiting));
    self->used = 0;
    PyObject *batch = batch_new(content, waiting, used);
    if (batch == NULL) return -1;
    PyObject *none = PyObject_CallMethodOneArg((PyObject *)self, names.answer, batch);
    Py_DECREF(batch);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

static int schedule_run(Gathering *self) {
    PyObject *run = PyObject_GetAttr((PyObject *)self, names.run);
    PyObject *handle = run == NULL ? NULL : PyObject_CallOneArg(self->schedule, run);
    Py_XDECREF(run);
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

static int is_alone(Gathering *self) {
    PyObject *answer = PyObject_CallNoArgs(self->is_alone);
    int is_true = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    return is_true;
}

static bool looks_alike(const Gathering *self, const char *body, Py_ssize_t size) {
    Py_ssize_t before = PyBytes_GET_SIZE(self->before), after = PyBytes_GET_SIZE(self->after);
    return size >= before + after &&
           memcmp(body, PyBytes_AS_STRING(self->before), (size_t)before) == 0 &&
           memcmp(body + size - after, PyBytes_AS_STRING(self->after), (size_t)after) == 0;
}

/* 1 taken, 0 left to others, -1 raised. */
static int gathering_take(Gathering *self, PyObject *exchange, PyObject *data, Py_ssize_t offset) {
    const char *body = PyBytes_AS_STRING(data) + offset;
    Py_ssize_t size = PyBytes_GET_SIZE(data) - offset;
    if (self->before == NULL || self->item_bytes == 0 || !looks_alike(self, body, size)) return 0;
    PyObject *arrived_s = PyObject_CallNoArgs(self->timer);
    if (arrived_s == NULL) return -1;
    if (make_room(self) < 0) {
        Py_DECREF(arrived_s);
        return -1;
    }
    const char *text = body + PyBytes_GET_SIZE(self->before);
    const char *end = body + size - PyBytes_GET_SIZE(self->after);
    char *row = self->rows + self->used * self->count * self->item_bytes;
    if (!read_numbers(text, end, self->code, self->count, row)) {
        Py_DECREF(arrived_s);
        return 0;
    }
    self->waiting[self->used++] = (Waiting){
        .exchange = Py_NewRef(exchange),
        .data = Py_NewRef(data),
        .arrived_s = arrived_s,
        .offset = offset,
    };
    int outcome = 0;
    if (self->used >= self->most) {
        outcome = answer_all(self);
    } else if (self->used == 1) {
        int alone = is_alone(self);
        if (alone < 0) return -1;
        outcome = alone ? answer_all(self) : schedule_run(self);
    }
    return outcome < 0 ? -1 : 1;
}

static PyObject *take(Gathering *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 2 || !PyBytes_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "expected an exchange and bytes");
        return NULL;
    }
    int outcome = gathering_take(self, args[0], args[1], 0);
    return outcome < 0 ? NULL : PyBool_FromLong(outcome);
}

static PyObject *run(Gathering *self, PyObject *ignored) {
    (void)ignored;
    if (answer_all(self) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *answer(PyObject *self, PyObject *batch) {
    (void)self;
    (void)batch;
    PyErr_SetNone(PyExc_NotImplementedError);
    return NULL;
}

static Py_ssize_t gathering_length(PyObject *self) { return ((Gathering *)self)->used; }

static int gathering_traverse(Gathering *self, visitproc visit, void *arg) {
    Py_VISIT(self->shape);
    Py_VISIT(self->timer);
    Py_VISIT(self->is_alone);
    Py_VISIT(self->schedule);
    for (Py_ssize_t i = 0; i < self->used; i++) Py_VISIT(self->waiting[i].exchange);
    return 0;
}

static int gathering_clear(Gathering *self) {
    Py_ssize_t used = self->used;
    self->used = 0;
    waiting_clear(self->waiting, used);
    Py_CLEAR(self->shape);
    Py_CLEAR(self->before);
    Py_CLEAR(self->after);
    Py_CLEAR(self->timer);
    Py_CLEAR(self->is_alone);
    Py_CLEAR(self->schedule);
    return 0;
}

static void gathering_dealloc(Gathering *self) {
    PyObject_GC_UnTrack(self);
    gathering_clear(self);
    PyMem_Free(self->rows);
    PyMem_Free(self->waiting);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef gathering_members[] = {
    {"shape", T_OBJECT_EX, offsetof(Gathering, shape), READONLY, NULL},
    {NULL},
};

static PyMethodDef gathering_methods[] = {
    {"take", (PyCFunction)(void (*)(void))take, METH_FASTCALL,
     "Take a request, if it looks like one of this shape."},
    {"run", (PyCFunction)run, METH_NOARGS, "Let all that wait be answered."},
    {"_answer", answer, METH_O, "Answer these."},
    {NULL},
};

static PySequenceMethods gathering_sequence = {.sq_length = gathering_length};

PyTypeObject Gathering_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "edgewright_native.Gathering",
    .tp_basicsize = sizeof(Gathering),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_doc = "Requests of one shape that wait for the end of this turn.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)gathering_init,
    .tp_traverse = (traverseproc)gathering_traverse,
    .tp_clear = (inquiry)gathering_clear,
    .tp_dealloc = (destructor)gathering_dealloc,
    .tp_members = gathering_members,
    .tp_methods = gathering_methods,
    .tp_as_sequence = &gathering_sequence,
};

/* Door */

static int door_init(Door *self, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"holder", "care", "fail", NULL};
    PyObject *holder, *care, *fail;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO", keywords, &holder, &care, &fail))
        return -1;
    Py_XSETREF(self->holder, Py_NewRef(holder));
    Py_XSETREF(self->care, Py_NewRef(care));
    Py_XSETREF(self->fail, Py_NewRef(fail));
    return 0;
}

/* As `gathering_take`, by the first lane of the model that takes it. */
static int try_lanes(Door *self, PyObject *exchange, PyObject *data, Py_ssize_t offset) {
    PyObject *model = PyObject_GetAttr(self->holder, names.model);
    if (model == NULL) return -1;
    if (model == Py_None) {
        Py_DECREF(model);
        return 0;
    }
    PyObject *lanes = PyObject_GetAttr(model, names.lanes);
    Py_DECREF(model);
    if (lanes == NULL) return -1;
    int outcome = 0;
    for (Py_ssize_t i = 0; PyList_Check(lanes) && i < PyList_GET_SIZE(lanes) && !outcome; i++) {
        PyObject *lane = Py_NewRef(PyList_GET_ITEM(lanes, i));
        if (PyObject_TypeCheck(lane, &Gathering_Type))
            outcome = gathering_take((Gathering *)lane, exchange, data, offset);
        Py_DECREF(lane);
    }
    Py_DECREF(lanes);
    return outcome;
}

static int read_with_care(Door *self, PyObject *exchange, PyObject *data, Py_ssize_t offset) {
    PyObject *body = Py_NewRef(data);
    if (offset) {
        Py_SETREF(body, PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + offset,
                                                  PyBytes_GET_SIZE(data) - offset));
        if (body == NULL) return -1;
    }
    PyObject *none = PyObject_CallFunctionObjArgs(self->care, exchange, body, NULL);
    Py_DECREF(body);
    Py_XDECREF(none);
    return none == NULL ? -1 : 1;
}

/* One request's fault must not end the server: it is handed to `fail`. */
static int tell_fault(Door *self, PyObject *exchange) {
    if (!PyErr_ExceptionMatches(PyExc_Exception)) return -1;
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace != NULL) PyException_SetTraceback(error, trace);
    PyObject *none = PyObject_CallFunctionObjArgs(self->fail, exchange, error, NULL);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
    Py_XDECREF(none);
    return none == NULL ? -1 : 1;
}

int door_take(Door *self, PyObject *exchange, PyObject *data, Py_ssize_t offset) {
    Py_INCREF(self);
    int outcome = try_lanes(self, exchange, data, offset);
    if (outcome == 0) outcome = read_with_care(self, exchange, data, offset);
    if (outcome < 0) outcome = tell_fault(self, exchange);
    Py_DECREF(self);
    return outcome;
}

static PyObject *door_call(Door *self, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"exchange", "body", NULL};
    PyObject *exchange, *body;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OS", keywords, &exchange, &body)) return NULL;
    if (door_take(self, exchange, body, 0) < 0) return NULL;
    Py_RETURN_NONE;
}

static int door_traverse(Door *self, visitproc visit, void *arg) {
    Py_VISIT(self->holder);
    Py_VISIT(self->care);
    Py_VISIT(self->fail);
    return 0;
}

static int door_clear(Door *self) {
    Py_CLEAR(self->holder);
    Py_CLEAR(self->care);
    Py_CLEAR(self->fail);
    return 0;
}

static void door_dealloc(Door *self) {
    PyObject_GC_UnTrack(self);
    door_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

PyTypeObject Door_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "edgewright_native.Door",
    .tp_basicsize = sizeof(Door),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "Who takes requests of a head that is known.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)door_init,
    .tp_call = (ternaryfunc)door_call,
    .tp_traverse = (traverseproc)door_traverse,
    .tp_clear = (inquiry)door_clear,
    .tp_dealloc = (destructor)door_dealloc,
};
