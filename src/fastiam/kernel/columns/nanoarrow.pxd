"""The part of nanoarrow's C library that fastiam calls.

nanoarrow is one C file; it is included as text, so only modules of `kernel/columns` may cimport this.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t


cdef extern from "nanoarrow.c" nogil:
    enum:
        ARROW_FLAG_NULLABLE

    struct ArrowSchema:
        const char* format
        const char* name
        int64_t flags
        int64_t n_children
        ArrowSchema** children
        ArrowSchema* dictionary
        void (*release)(ArrowSchema*) noexcept nogil

    struct ArrowArray:
        int64_t length
        int64_t null_count
        int64_t offset
        int64_t n_buffers
        int64_t n_children
        const void** buffers
        ArrowArray** children
        ArrowArray* dictionary
        void (*release)(ArrowArray*) noexcept nogil
        void* private_data

    struct ArrowArrayStream:
        int (*get_schema)(ArrowArrayStream*, ArrowSchema*) noexcept nogil
        int (*get_next)(ArrowArrayStream*, ArrowArray*) noexcept nogil
        const char* (*get_last_error)(ArrowArrayStream*) noexcept nogil
        void (*release)(ArrowArrayStream*) noexcept nogil

    struct ArrowError:
        char message[1024]

    enum ArrowType:
        NANOARROW_TYPE_NA
        NANOARROW_TYPE_BOOL
        NANOARROW_TYPE_UINT8
        NANOARROW_TYPE_INT8
        NANOARROW_TYPE_UINT16
        NANOARROW_TYPE_INT16
        NANOARROW_TYPE_UINT32
        NANOARROW_TYPE_INT32
        NANOARROW_TYPE_UINT64
        NANOARROW_TYPE_INT64
        NANOARROW_TYPE_HALF_FLOAT
        NANOARROW_TYPE_FLOAT
        NANOARROW_TYPE_DOUBLE
        NANOARROW_TYPE_STRING
        NANOARROW_TYPE_BINARY
        NANOARROW_TYPE_TIMESTAMP
        NANOARROW_TYPE_DECIMAL32
        NANOARROW_TYPE_DECIMAL64
        NANOARROW_TYPE_DECIMAL128
        NANOARROW_TYPE_DECIMAL256
        NANOARROW_TYPE_LIST
        NANOARROW_TYPE_STRUCT
        NANOARROW_TYPE_LARGE_STRING
        NANOARROW_TYPE_LARGE_BINARY
        NANOARROW_TYPE_LARGE_LIST
        NANOARROW_TYPE_BINARY_VIEW
        NANOARROW_TYPE_STRING_VIEW

    enum ArrowBufferType:
        NANOARROW_BUFFER_TYPE_NONE
        NANOARROW_BUFFER_TYPE_VALIDITY

    struct ArrowLayout:
        ArrowBufferType buffer_type[3]

    union ArrowBufferViewData:
        const void* data
        const uint8_t* as_uint8

    struct ArrowBufferView:
        ArrowBufferViewData data
        int64_t size_bytes

    struct ArrowSchemaView:
        ArrowType type
        ArrowType storage_type
        ArrowLayout layout
        int32_t decimal_bitwidth
        int32_t decimal_scale
        int time_unit
        const char* timezone

    struct ArrowArrayView:
        int64_t offset
        int64_t length
        ArrowType storage_type
        ArrowBufferView buffer_views[3]
        ArrowArrayView** children
        ArrowArrayView* dictionary
        int32_t n_variadic_buffers
        const void** variadic_buffers
        int64_t* variadic_buffer_sizes

    struct ArrowBufferAllocator:
        void* private_data

    struct ArrowBuffer:
        uint8_t* data
        int64_t size_bytes
        int64_t capacity_bytes
        ArrowBufferAllocator allocator

    int64_t ArrowSchemaToString(const ArrowSchema*, char* out, int64_t n, char recursive)
    int ArrowSchemaViewInit(ArrowSchemaView*, const ArrowSchema*, ArrowError*)
    int ArrowArrayViewInitFromSchema(ArrowArrayView*, const ArrowSchema*, ArrowError*)
    int ArrowArrayViewSetArray(ArrowArrayView*, const ArrowArray*, ArrowError*)
    void ArrowArrayViewReset(ArrowArrayView*)
    int64_t ArrowBitCountSet(const uint8_t*, int64_t, int64_t)

    void ArrowSchemaInit(ArrowSchema*)
    int ArrowSchemaDeepCopy(const ArrowSchema*, ArrowSchema*)
    int ArrowSchemaSetFormat(ArrowSchema*, const char*)
    int ArrowSchemaSetName(ArrowSchema*, const char*)
    int ArrowSchemaSetTypeStruct(ArrowSchema*, int64_t)
    int ArrowSchemaAllocateDictionary(ArrowSchema*)
    int ArrowArrayInitFromSchema(ArrowArray*, const ArrowSchema*, ArrowError*)
    int ArrowArrayStartAppending(ArrowArray*)
    int ArrowArraySetBuffer(ArrowArray*, int64_t, ArrowBuffer*)
    int ArrowArrayFinishBuildingDefault(ArrowArray*, ArrowError*)
    int ArrowBasicArrayStreamInit(ArrowArrayStream*, ArrowSchema*, int64_t)
    void ArrowBasicArrayStreamSetArray(ArrowArrayStream*, int64_t, ArrowArray*)
    void ArrowBufferInit(ArrowBuffer*)
    ArrowBufferAllocator ArrowBufferDeallocator(void (*)(ArrowBufferAllocator*, uint8_t*, int64_t) noexcept, void*)
