#include "native.h"

struct Names names;

static struct {
    PyObject **into;
    const char *text;
} const NAMES[] = {
    {&names.after, "after"},
    {&names.answer, "_answer"},
    {&names.before, "before"},
    {&names.body, "body"},
    {&names.buffer, "buffer"},
    {&names.code, "code"},
    {&names.content_length, "content_length"},
    {&names.count, "count"},
    {&names.date, "date"},
    {&names.fixed_bytes, "fixed_bytes"},
    {&names.heads, "heads"},
    {&names.idle_deadline_s, "idle_deadline_s"},
    {&names.is_closing, "is_closing"},
    {&names.keeps_alive, "keeps_alive"},
    {&names.lanes, "lanes"},
    {&names.method, "method"},
    {&names.model, "model"},
    {&names.next, "_next"},
    {&names.opening, "opening"},
    {&names.pending, "pending"},
    {&names.preamble, "preamble"},
    {&names.preamble_and_date, "preamble_and_date"},
    {&names.receive_with_care, "_receive_with_care"},
    {&names.renew, "renew"},
    {&names.reply_framed, "reply_framed"},
    {&names.reply_with_care, "_reply_with_care"},
    {&names.run, "run"},
    {&names.write, "write"},
};

static PyMethodDef functions[] = {
    {"read_tensor", read_tensor, METH_VARARGS,
     "A tensor's JSON, flat or nested as its shape says, as packed elements; None of all else."},
    {NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "edgewright_native",
    .m_doc = "The hot path of edgewright's inference server in C.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit_edgewright_native(void) {
    PyTypeObject *types[] = {&Known_Type, &QuickConnection_Type, &Gathering_Type, &Batch_Type,
                             &Door_Type};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        *NAMES[i].into = PyUnicode_InternFromString(NAMES[i].text);
        if (*NAMES[i].into == NULL) return NULL;
    }
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL || PyModule_AddIntConstant(module, "SEAM", SEAM) < 0) goto fail;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (PyModule_AddType(module, types[i]) < 0) goto fail;
    }
    return module;
fail:
    Py_XDECREF(module);
    return NULL;
}
