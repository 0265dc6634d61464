/* JSON numbers to packed elements. A decimal is rounded to a double first and that to a float, as
 * Python does it; where the quick arithmetic leaves a doubt, Python's own conversion decides.
 */

#include "native.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define MOST_DIGITS 19 /* as many fit into 64 bits, whatever they are */
#define MOST_TOKEN 64
#define MOST_DEPTH 8
#define EXACT_POWER 22 /* the largest power of ten that is a double */

static const double POWERS[EXACT_POWER + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

/* A number as it stands in the text: digits * 10^exponent. */
typedef struct {
    const char *begin, *end;
    uint64_t digits;
    int exponent;
    bool is_negative, is_integer, is_whole; /* whole: no digit was left out */
} Decimal;

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static const char *after_space(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) p++;
    return p;
}

/* Digits, as many as fit; those that do not are read over. */
static const char *read_digits(const char *p, const char *end, Decimal *found, int *counted) {
    for (; p < end && is_digit(*p); p++) {
        if (*counted == MOST_DIGITS) {
            found->is_whole = false;
            continue;
        }
        found->digits = found->digits * 10 + (uint64_t)(*p - '0');
        *counted += found->digits != 0;
    }
    return p;
}

/* What follows the number, NULL where there is none. */
static const char *read_decimal(const char *p, const char *end, Decimal *found) {
    int counted = 0;
    *found = (Decimal){.begin = p, .is_integer = true, .is_whole = true};
    if (p < end && *p == '-') {
        found->is_negative = true;
        p++;
    }
    if (p == end || !is_digit(*p)) return NULL;
    if (*p == '0' && p + 1 < end && is_digit(p[1])) return NULL;
    p = read_digits(p, end, found, &counted);
    if (p < end && *p == '.') {
        found->is_integer = false;
        p++;
        if (p == end || !is_digit(*p)) return NULL;
        const char *point = p;
        p = read_digits(p, end, found, &counted);
        found->exponent -= (int)(p - point);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        int exponent = 0;
        bool is_negative = false;
        found->is_integer = false;
        p++;
        if (p < end && (*p == '+' || *p == '-')) is_negative = *p++ == '-';
        if (p == end || !is_digit(*p)) return NULL;
        for (; p < end && is_digit(*p); p++) {
            if (exponent < 10000) exponent = exponent * 10 + (*p - '0');
        }
        found->exponent += is_negative ? -exponent : exponent;
    }
    found->end = p;
    return p;
}

/* As Python reads it; false where that is no finite number. */
static bool slow_double(const Decimal *decimal, double *into) {
    char token[MOST_TOKEN + 1];
    Py_ssize_t size = decimal->end - decimal->begin;
    if (size > MOST_TOKEN) return false;
    memcpy(token, decimal->begin, (size_t)size);
    token[size] = 0;
    double value = PyOS_string_to_double(token, NULL, NULL);
    if (value == -1.0 && PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    *into = value;
    return isfinite(value);
}

/* At most two roundings away from the decimal, or exact. */
static bool quick_double(const Decimal *decimal, double *into, bool *is_exact) {
    int exponent = decimal->exponent;
    if (FLT_EVAL_METHOD != 0 || !decimal->is_whole) return false;
    /* An exponent of many digits was not read to its end; in so short a text it is out of reach. */
    if (decimal->end - decimal->begin > MOST_TOKEN) return false;
    if (exponent < -EXACT_POWER || exponent > EXACT_POWER) return false;
    double value = (double)decimal->digits;
    value = exponent < 0 ? value / POWERS[-exponent] : value * POWERS[exponent];
    *is_exact = decimal->digits <= ((uint64_t)1 << DBL_MANT_DIG);
    *into = decimal->is_negative ? -value : value;
    return true;
}

static bool is_minus_zero_of_integers(const Decimal *decimal) {
    return decimal->is_integer && decimal->is_negative && decimal->digits == 0;
}

static bool put_double(const Decimal *decimal, char *into) {
    double value;
    bool is_exact = false;
    if (is_minus_zero_of_integers(decimal)) value = 0.0;
    else if (!quick_double(decimal, &value, &is_exact) || !is_exact) {
        if (!slow_double(decimal, &value)) return false;
    }
    memcpy(into, &value, sizeof value);
    return true;
}

/* Sixteen bits, rounded by what `struct` uses for them. */
static bool put_half(const Decimal *decimal, char *into) {
    double value;
    if (!put_double(decimal, (char *)&value)) return false;
    if (PyFloat_Pack2(value, into, PY_LITTLE_ENDIAN) == 0) return true;
    PyErr_Clear();
    return false;
}

static bool put_float(const Decimal *decimal, char *into) {
    double value;
    bool is_exact = false;
    if (is_minus_zero_of_integers(decimal)) value = 0.0;
    else if (!quick_double(decimal, &value, &is_exact)) {
        if (!slow_double(decimal, &value)) return false;
    } else if (!is_exact && (float)(value * (1 - 0x1p-50)) != (float)(value * (1 + 0x1p-50))) {
        if (!slow_double(decimal, &value)) return false;
    }
    float rounded = (float)value;
    if (!isfinite(rounded)) return false;
    memcpy(into, &rounded, sizeof rounded);
    return true;
}

#define PUT_INTEGER(type)                                                                          \
    do {                                                                                           \
        type element = (type)value;                                                                \
        if (element != value) return false;                                                        \
        memcpy(into, &element, sizeof element);                                                    \
        return true;                                                                               \
    } while (0)

static bool put_integer(const Decimal *decimal, char code, char *into) {
    if (!decimal->is_integer || !decimal->is_whole || decimal->digits > INT64_MAX) return false;
    int64_t value = (int64_t)decimal->digits;
    if (decimal->is_negative) value = -value;
    switch (code) {
    case 'B': PUT_INTEGER(uint8_t);
    case 'b': PUT_INTEGER(int8_t);
    case 'h': PUT_INTEGER(int16_t);
    case 'i': PUT_INTEGER(int32_t);
    case 'q': PUT_INTEGER(int64_t);
    default: return false;
    }
}

static bool put(const Decimal *decimal, char code, char *into) {
    if (code == 'f') return put_float(decimal, into);
    if (code == 'd') return put_double(decimal, into);
    if (code == 'e') return put_half(decimal, into);
    return put_integer(decimal, code, into);
}

Py_ssize_t size_of_code(char code) {
    switch (code) {
    case 'B':
    case 'b': return 1;
    case 'e':
    case 'h': return 2;
    case 'i':
    case 'f': return 4;
    case 'q':
    case 'd': return 8;
    default: return 0;
    }
}

/* `count` numbers with commas between them; what follows them, NULL where that is not what it is. */
static const char *read_row(const char *p, const char *end, char code, Py_ssize_t count,
                            char *into) {
    Py_ssize_t item_bytes = size_of_code(code);
    for (Py_ssize_t i = 0; i < count; i++) {
        Decimal decimal;
        p = read_decimal(after_space(p, end), end, &decimal);
        if (p == NULL || !put(&decimal, code, into)) return NULL;
        into += item_bytes;
        p = after_space(p, end);
        if (i + 1 < count) {
            if (p == end || *p != ',') return NULL;
            p++;
        }
    }
    return p;
}

bool read_numbers(const char *text, const char *end, char code, Py_ssize_t count, char *into) {
    return read_row(text, end, code, count, into) == end;
}

/* A list nested as these sizes say, each level with its brackets. */
static const char *read_nested(const char *p, const char *end, char code, const Py_ssize_t *sizes,
                               int depth, char **into) {
    p = after_space(p, end);
    if (p == end || *p != '[') return NULL;
    p++;
    if (depth == 1) {
        p = read_row(p, end, code, *sizes, *into);
        *into += *sizes * size_of_code(code);
    } else {
        for (Py_ssize_t i = 0; p != NULL && i < *sizes; i++) {
            p = read_nested(p, end, code, sizes + 1, depth - 1, into);
            if (p == NULL) return NULL;
            p = after_space(p, end);
            if (i + 1 < *sizes) {
                if (p == end || *p != ',') return NULL;
                p++;
            }
        }
    }
    return p == NULL || p == end || *p != ']' ? NULL : p + 1;
}

/* The sizes of a tuple of numbers and their product; 0 where that is no shape for this. */
static int sizes_of(PyObject *shape, Py_ssize_t *sizes, Py_ssize_t *count) {
    Py_ssize_t depth = PyTuple_GET_SIZE(shape);
    if (depth < 1 || depth > MOST_DEPTH) return 0;
    *count = 1;
    for (Py_ssize_t i = 0; i < depth; i++) {
        sizes[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, i));
        if (sizes[i] == -1 && PyErr_Occurred()) PyErr_Clear();
        if (sizes[i] < 1 || sizes[i] > PY_SSIZE_T_MAX / 16 / *count) return 0;
        *count *= sizes[i];
    }
    return (int)depth;
}

static bool begins_nested(const char *p, const char *end) {
    p = after_space(p, end);
    if (p == end || *p != '[') return false;
    p = after_space(p + 1, end);
    return p < end && *p == '[';
}

PyObject *read_tensor(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer text;
    const char *code;
    PyObject *shape, *content = NULL;
    if (!PyArg_ParseTuple(args, "y*sO!", &text, &code, &PyTuple_Type, &shape)) return NULL;
    Py_ssize_t sizes[MOST_DEPTH], count, item_bytes = size_of_code(*code);
    int depth = sizes_of(shape, sizes, &count);
    const char *p = text.buf, *end = p + text.len;
    /* An element takes two bytes at least: no memory for more than can have been sent. */
    if (depth > 0 && item_bytes > 0 && count <= text.len / 2) {
        content = PyBytes_FromStringAndSize(NULL, count * item_bytes);
        if (content == NULL) {
            PyBuffer_Release(&text);
            return NULL;
        }
        char *into = PyBytes_AS_STRING(content);
        if (!begins_nested(p, end)) {
            sizes[0] = count;
            depth = 1;
        }
        p = read_nested(p, end, *code, sizes, depth, &into);
        if (p == NULL || after_space(p, end) != end) Py_CLEAR(content);
    }
    PyBuffer_Release(&text);
    if (content == NULL) Py_RETURN_NONE;
    return content;
}
