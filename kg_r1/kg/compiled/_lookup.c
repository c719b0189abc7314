/* The two inner loops of an answer, on the mapped sections of a compiled store: which entity a text means, and
 * the labels of its neighbours as JSON. The same as MappedGraph's own code in Python, which is used where this
 * module was not built, and several times faster.
 *
 * Every index is compared with the length of its section before it is used: a store that is inconsistent in
 * spite of its checksums raises IndexError and cannot make the process read elsewhere.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum {
    BUCKETS, HASHES, ENTITIES, IDS, ID_STARTS, NAMES, NAME_STARTS, NODES,
    TAIL_ROWS, TAIL_RELATIONS, TAIL_ENDS, TAIL_NODES,
    HEAD_ROWS, HEAD_RELATIONS, HEAD_ENDS, HEAD_NODES,
    QUALIFIED_NODES, QUALIFIED_LABELS, QUALIFIED_STARTS,
    NUM_SECTIONS
};
enum { ROWS, RELATIONS, ENDS, EDGE_NODES }; /* of one side, counted from TAIL_ROWS or HEAD_ROWS */

typedef struct {
    PyObject_HEAD
    Py_buffer sections[NUM_SECTIONS];
    int num_open;
    int shift;
} Lookup;

/* -1 with IndexError set, or 0 and the item as an integer, whatever its width. */
static int
item(const Py_buffer *section, uint64_t index, uint64_t *value)
{
    if (index >= (uint64_t)(section->len / section->itemsize)) {
        PyErr_SetString(PyExc_IndexError, "a compiled store is inconsistent: an index lies beyond its section");
        return -1;
    }
    switch (section->itemsize) {
    case 1: *value = ((const uint8_t *)section->buf)[index]; break;
    case 2: *value = ((const uint16_t *)section->buf)[index]; break;
    case 4: *value = ((const uint32_t *)section->buf)[index]; break;
    default: *value = ((const uint64_t *)section->buf)[index]; break;
    }
    return 0;
}

/* The slice of a text: -1 with an error set, or 0. */
static int
text(const Py_buffer *data, const Py_buffer *starts, uint64_t index, const char **slice, uint64_t *length)
{
    uint64_t start, end;
    if (item(starts, index, &start) < 0 || item(starts, index + 1, &end) < 0) {
        return -1;
    }
    if (start > end || end > (uint64_t)data->len) {
        PyErr_SetString(PyExc_IndexError, "a compiled store is inconsistent: a text lies beyond its section");
        return -1;
    }
    *slice = (const char *)data->buf + start;
    *length = end - start;
    return 0;
}

/* The first place in [start, end) of an ascending section whose item is not below `wanted`; -1 on error. */
static int
lower_bound(const Py_buffer *section, uint64_t start, uint64_t end, uint64_t wanted, uint64_t *place)
{
    while (start < end) {
        uint64_t middle = start + (end - start) / 2, value;
        if (item(section, middle, &value) < 0) {
            return -1;
        }
        if (value < wanted) {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    *place = start;
    return 0;
}

static int
unsigned_arguments(PyObject *const *arguments, Py_ssize_t count, uint64_t *values)
{
    for (Py_ssize_t index = 0; index < count; index++) {
        values[index] = PyLong_AsUnsignedLongLong(arguments[index]);
        if (values[index] == (uint64_t)-1 && PyErr_Occurred()) {
            return -1;
        }
    }
    return 0;
}

PyDoc_STRVAR(find_doc,
"find(key, checksum, first_node, end_node) -> int | list[int]\n\n"
"The one entity of a graph whose id or unqualified label is `key`, counted from first_node; where there is\n"
"none, the list of those that share the name `key`, ascending.");

static PyObject *
find(Lookup *self, PyObject *const *arguments, Py_ssize_t count)
{
    const Py_buffer *sections = self->sections;
    uint64_t numbers[3], start, end;
    long long found = -1;
    PyObject *named = NULL;
    if (count != 4 || !PyBytes_Check(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "find takes a key in bytes and three integers");
        return NULL;
    }
    if (unsigned_arguments(arguments + 1, 3, numbers) < 0) {
        return NULL;
    }
    const char *key = PyBytes_AS_STRING(arguments[0]);
    const uint64_t key_length = (uint64_t)PyBytes_GET_SIZE(arguments[0]);
    const uint64_t checksum = numbers[0] & 0xffffffffu, first_node = numbers[1], end_node = numbers[2];
    const uint64_t bucket = checksum >> self->shift;
    if (item(&sections[BUCKETS], bucket, &start) < 0 || item(&sections[BUCKETS], bucket + 1, &end) < 0) {
        return NULL;
    }
    named = PyList_New(0);
    if (named == NULL) {
        return NULL;
    }
    for (uint64_t place = start; place < end; place++) {
        uint64_t value, entity, node_place, node, id_length, name_length;
        const char *id, *name;
        if (item(&sections[HASHES], place, &value) < 0) {
            goto failed;
        }
        if (value != checksum) {
            continue;
        }
        if (item(&sections[ENTITIES], place, &entity) < 0
            || lower_bound(&sections[NODES], first_node, end_node, entity << 1, &node_place) < 0) {
            goto failed;
        }
        if (node_place == end_node) {
            continue;
        }
        if (item(&sections[NODES], node_place, &node) < 0) {
            goto failed;
        }
        if (node >> 1 != entity) {
            continue;
        }
        if (text(&sections[IDS], &sections[ID_STARTS], entity, &id, &id_length) < 0
            || text(&sections[NAMES], &sections[NAME_STARTS], entity, &name, &name_length) < 0) {
            goto failed;
        }
        const int is_name = name_length == key_length && memcmp(name, key, key_length) == 0;
        /* An id that is the name is not written down twice. */
        if (id_length ? id_length == key_length && memcmp(id, key, key_length) == 0 : is_name) {
            Py_DECREF(named);
            return PyLong_FromUnsignedLongLong(node_place - first_node);
        }
        if (is_name && !(node & 1)) {
            found = (long long)(node_place - first_node);
        } else if (is_name) {
            PyObject *index = PyLong_FromUnsignedLongLong(node_place - first_node);
            if (index == NULL || PyList_Append(named, index) < 0) {
                Py_XDECREF(index);
                goto failed;
            }
            Py_DECREF(index);
        }
    }
    if (found < 0) {
        return named;
    }
    Py_DECREF(named);
    return PyLong_FromLongLong(found);
failed:
    Py_DECREF(named);
    return NULL;
}

/* The label of a node of a graph as JSON: -1 with an error set, or 0. */
static int
label(const Py_buffer *sections, const uint64_t *graph, uint64_t index, const char **slice, uint64_t *length)
{
    uint64_t node, place, value;
    if (item(&sections[NODES], graph[0] + index, &node) < 0) {
        return -1;
    }
    if (!(node & 1)) {
        return text(&sections[NAMES], &sections[NAME_STARTS], node >> 1, slice, length);
    }
    if (lower_bound(&sections[QUALIFIED_NODES], graph[3], graph[4], index, &place) < 0
        || item(&sections[QUALIFIED_NODES], place, &value) < 0) {
        return -1;
    }
    return text(&sections[QUALIFIED_LABELS], &sections[QUALIFIED_STARTS], place, slice, length);
}

/* The labels of the edges [start, end) of a side, joined by `","`. */
static PyObject *
joined_labels(const Py_buffer *sections, const Py_buffer *edge_nodes, const uint64_t *graph, uint64_t start,
              uint64_t end)
{
    PyObject *joined = NULL;
    char *target = NULL;
    uint64_t num_bytes = 0;
    for (int is_copying = 0; is_copying < 2; is_copying++) {
        for (uint64_t edge = start; edge < end; edge++) {
            uint64_t index, length;
            const char *slice;
            if (item(edge_nodes, edge, &index) < 0 || label(sections, graph, index, &slice, &length) < 0) {
                Py_XDECREF(joined);
                return NULL;
            }
            if (!is_copying) {
                num_bytes += length + (edge > start ? 3 : 0);
                continue;
            }
            if (edge > start) {
                memcpy(target, "\",\"", 3);
                target += 3;
            }
            memcpy(target, slice, length);
            target += length;
        }
        if (!is_copying) {
            joined = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)num_bytes);
            if (joined == NULL) {
                return NULL;
            }
            target = PyBytes_AS_STRING(joined);
        }
    }
    return joined;
}

PyDoc_STRVAR(neighbours_doc,
"neighbours(is_head, graph, entity, relation) -> (bytes, int)\n\n"
"The labels of an entity's neighbours by a relation as JSON, joined by '\",\"', and their number. `graph` is\n"
"(first node, first group of the side, first edge, first and end of the qualified labels).");

static PyObject *
neighbours(Lookup *self, PyObject *const *arguments, Py_ssize_t count)
{
    uint64_t numbers[3], graph[5], row_start = 0, row_end, group, value, start = 0, end;
    if (count != 4 || !PyTuple_Check(arguments[1]) || PyTuple_GET_SIZE(arguments[1]) != 5) {
        PyErr_SetString(PyExc_TypeError, "neighbours takes a side, a tuple of five integers and two integers");
        return NULL;
    }
    if (unsigned_arguments(arguments, 1, numbers) < 0 || unsigned_arguments(arguments + 2, 2, numbers + 1) < 0
        || unsigned_arguments(&PyTuple_GET_ITEM(arguments[1], 0), 5, graph) < 0) {
        return NULL;
    }
    const Py_buffer *side = self->sections + (numbers[0] ? HEAD_ROWS : TAIL_ROWS);
    const uint64_t first_node = graph[0], first_group = graph[1], first_edge = graph[2];
    const uint64_t entity = numbers[1], relation = numbers[2];
    if (item(&side[ROWS], first_node + entity, &row_end) < 0
        || (entity && item(&side[ROWS], first_node + entity - 1, &row_start) < 0)
        || lower_bound(&side[RELATIONS], first_group + row_start, first_group + row_end, relation, &group) < 0) {
        return NULL;
    }
    if (group == first_group + row_end) {
        return Py_BuildValue("(yi)", "", 0);
    }
    if (item(&side[RELATIONS], group, &value) < 0) {
        return NULL;
    }
    if (value != relation) {
        return Py_BuildValue("(yi)", "", 0);
    }
    if (item(&side[ENDS], group, &end) < 0
        || (group > first_group && item(&side[ENDS], group - 1, &start) < 0)) {
        return NULL;
    }
    PyObject *joined = joined_labels(
        self->sections, &side[EDGE_NODES], graph, first_edge + start, first_edge + end);
    if (joined == NULL) {
        return NULL;
    }
    return Py_BuildValue("(NK)", joined, (unsigned long long)(end > start ? end - start : 0));
}

static int
init(Lookup *self, PyObject *arguments, PyObject *keywords)
{
    PyObject *sections;
    if (self->num_open) {
        PyErr_SetString(PyExc_TypeError, "a Lookup is made once");
        return -1;
    }
    if (keywords != NULL || !PyArg_ParseTuple(arguments, "O!i", &PyTuple_Type, &sections, &self->shift)) {
        PyErr_SetString(PyExc_TypeError, "Lookup takes a tuple of sections and a shift");
        return -1;
    }
    if (PyTuple_GET_SIZE(sections) != NUM_SECTIONS || self->shift < 0 || self->shift > 32) {
        PyErr_Format(PyExc_ValueError, "a Lookup has %d sections and a shift of 0 to 32", NUM_SECTIONS);
        return -1;
    }
    for (int index = 0; index < NUM_SECTIONS; index++) {
        Py_buffer *section = &self->sections[index];
        if (PyObject_GetBuffer(PyTuple_GET_ITEM(sections, index), section, PyBUF_CONTIG_RO) < 0) {
            return -1;
        }
        self->num_open = index + 1;
        if (section->itemsize != 1 && section->itemsize != 2 && section->itemsize != 4 && section->itemsize != 8) {
            PyErr_Format(PyExc_ValueError, "section %d has items of %zd bytes", index, section->itemsize);
            return -1;
        }
    }
    return 0;
}

static void
dealloc(Lookup *self)
{
    PyTypeObject *type = Py_TYPE(self);
    for (int index = 0; index < self->num_open; index++) {
        PyBuffer_Release(&self->sections[index]);
    }
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"find", (PyCFunction)(void (*)(void))find, METH_FASTCALL, find_doc},
    {"neighbours", (PyCFunction)(void (*)(void))neighbours, METH_FASTCALL, neighbours_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Look-ups in the mapped sections of one compiled data set."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, init},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {"kg_r1.kg.compiled._lookup.Lookup", sizeof(Lookup), 0, Py_TPFLAGS_DEFAULT, slots};

static int
execute(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&spec);
    if (type == NULL) {
        return -1;
    }
    int failed = PyModule_AddObjectRef(module, "Lookup", type);
    Py_DECREF(type);
    return failed;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_lookup", "Look-ups in compiled stores, in C.", 0, NULL, module_slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__lookup(void)
{
    return PyModuleDef_Init(&definition);
}
