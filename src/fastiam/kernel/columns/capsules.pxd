"""Arrow structs in capsules, and memory for them.

A capsule frees its struct, after the release of what a consumer has not moved out of it.
"""
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.stdlib cimport calloc, free

from fastiam.kernel.columns.nanoarrow cimport ArrowArray, ArrowArrayStream, ArrowSchema


cdef inline int check_code(int code) except -1:
    """Raise for an error code of nanoarrow: the calls that are checked by it fail for lack of memory alone."""
    if code != 0:
        raise MemoryError(f"nanoarrow failed with code {code}")
    return 0


cdef inline void* zeroed(size_t size) except NULL:
    cdef void* memory = calloc(1, size)
    if memory == NULL:
        raise MemoryError
    return memory


cdef inline void drop_schema(object capsule) noexcept:
    cdef ArrowSchema* s = <ArrowSchema*>PyCapsule_GetPointer(capsule, "arrow_schema")
    if s.release != NULL:
        s.release(s)
    free(s)


cdef inline void drop_array(object capsule) noexcept:
    cdef ArrowArray* a = <ArrowArray*>PyCapsule_GetPointer(capsule, "arrow_array")
    if a.release != NULL:
        a.release(a)
    free(a)


cdef inline void drop_stream(object capsule) noexcept:
    cdef ArrowArrayStream* s = <ArrowArrayStream*>PyCapsule_GetPointer(capsule, "arrow_array_stream")
    if s.release != NULL:
        s.release(s)
    free(s)


cdef inline object new_schema():
    return PyCapsule_New(zeroed(sizeof(ArrowSchema)), "arrow_schema", drop_schema)


cdef inline object new_array():
    return PyCapsule_New(zeroed(sizeof(ArrowArray)), "arrow_array", drop_array)
