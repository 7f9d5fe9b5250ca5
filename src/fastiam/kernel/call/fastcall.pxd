"""Methods that read their positional arguments in place (vectorcall). Header only.

PERF: Cython copies the arguments of a method into an array and takes a reference to each. That is a twelfth of the time of a common single
call. A call without keyword arguments skips it.
"""
from cpython.ref cimport PyObject


cdef extern from *:
    """
    /* principal, action, resource, context, unknown, resource_account, now */
    typedef PyObject* (*fastiam_method)(PyObject* self, PyObject*, PyObject*, PyObject*, PyObject*, PyObject*, PyObject*, PyObject*);
    typedef PyObject* (*fastiam_parsed)(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* names);
    #define FASTIAM_METHOD(name)                                                                                                        \\
        static fastiam_method fastiam_##name##_method;                                                                                        \\
        static fastiam_parsed fastiam_##name##_parsed;                                                                                        \\
        static PyObject* fastiam_##name(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* names) {                               \\
            if (names != NULL || (n != 3 && n != 4)) return fastiam_##name##_parsed(self, args, n, names);                                    \\
            return fastiam_##name##_method(self, args[0], args[1], args[2], n == 4 ? args[3] : Py_None, fastiam_no_keys, Py_None, Py_None);   \\
        }                                                                                                                                     \\
        static void fastiam_take_##name(PyObject* method, fastiam_method as) {                                                                \\
            PyMethodDef* def = PyObject_TypeCheck(method, &PyMethodDescr_Type) ? ((PyMethodDescrObject*)method)->d_method : NULL;             \\
            if (def == NULL || def->ml_flags != (METH_FASTCALL | METH_KEYWORDS) || fastiam_##name##_parsed != NULL) return;                   \\
            if (fastiam_no_keys == NULL) fastiam_no_keys = PyTuple_New(0);                                                                    \\
            fastiam_##name##_method = as;                                                                                                     \\
            fastiam_##name##_parsed = (fastiam_parsed)(void (*)(void))def->ml_meth;                                                           \\
            def->ml_meth = (PyCFunction)(void (*)(void))fastiam_##name;                                                                       \\
        }
    static PyObject* fastiam_no_keys;    /* no unknown keys: the empty tuple, which there is once */
    FASTIAM_METHOD(is_allowed)
    FASTIAM_METHOD(decide)
    """
    ctypedef object (*Method "fastiam_method")(
        object self, object principal, object action, object resource, object context, object unknown, object resource_account, object now
    )
    # have a method of a type, whose signature this is, done by a function where no argument is named
    void take_is_allowed "fastiam_take_is_allowed" (object method, Method function)
    void take_decide "fastiam_take_decide" (object method, Method function)
