"""What `_plain_batch` shares with `_items`."""

from cpython.dict cimport PyDict_GetItemWithError
from cpython.ref cimport PyObject

cdef enum:
    MAX_MEMBERS = 8  # of a context that is read in compiled code


cdef inline object member(dict mapped, object key):
    """The value of a key; None if there is none."""
    cdef PyObject* found = PyDict_GetItemWithError(mapped, key)
    return None if found is NULL else <object>found


cdef inline bint is_id(str text, Py_ssize_t limit):
    """Whether a text is certainly a right id or type."""
    return 0 < len(text) <= limit and text.isprintable()


cdef inline object entity(dict mapped, object raw, object map_new, object kind, Py_ssize_t limit):
    """The entity of a type and id alone: mapped before, or mapped now; None for another form, and for a fault."""
    return named(mapped, <dict>raw, map_new, kind, limit) if type(raw) is dict and len(<dict>raw) == 2 else None


cdef inline object named(dict mapped, dict raw, object map_new, object kind, Py_ssize_t limit):
    """The entity of the type and id of an object."""
    type_name, id_ = member(raw, "type"), member(raw, "id")
    if type(type_name) is not str or type(id_) is not str:
        return None
    cdef PyObject* found = PyDict_GetItemWithError(mapped, (type_name, id_))
    if found is not NULL:
        return <object>found
    if not is_id(<str>type_name, limit) or not is_id(<str>id_, limit):
        return None
    made = map_new(type_name, id_)
    return made if type(made) is kind else None


cdef class PlainItems:
    cdef dict subjects, resources, actions
    cdef object subject_type, resource_type, context_kind
    cdef Py_ssize_t max_id, max_value

    cdef object action(self, object raw, object kind)
    cdef dict read_context(self, object raw, dict keys)
    cdef dict read_tags(self, object raw, dict keys, object stored)
