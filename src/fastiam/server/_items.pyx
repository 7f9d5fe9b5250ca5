"""The items of an AuthZEN batch that state nothing but what was mapped before: their requests in one pass (G220)."""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.ref cimport PyObject


cdef inline object or_default(dict item, str name, object default):
    """The entity of an item as sent, or the default one if it has none."""
    value = member(item, name)
    return default if value is None else value


@cython.final
cdef class PlainItems:
    """Maps items with cached entities.

    Parameters
    ----------
    subjects, resources
        entities without properties by type and id.
    subject_type, resource_type
        their classes.
    actions
        IAM actions by name and prefix of the type of the resource.
    context_kind
        `Key.kind` of the keys that are read here.
    max_id, max_value
        characters of an id and of a value.
    """

    def __init__(
        self, dict subjects not None, dict resources not None, dict actions not None, subject_type, resource_type, context_kind,
        Py_ssize_t max_id, Py_ssize_t max_value
    ):
        self.subjects, self.resources, self.actions = subjects, resources, actions
        self.subject_type, self.resource_type, self.context_kind = subject_type, resource_type, context_kind
        self.max_id, self.max_value = max_id, max_value

    def map(
        self, list items not None, tuple defaults not None, principal, dict given, dict keys not None, dict tag_keys, map_subject, map_resource,
        stored_tags, bint is_shared=False
    ):
        """The requests of items.

        Parameters
        ----------
        defaults
            subject, action, resource and context for items without their own, as sent; None: there is none.
        principal, given
            what the default subject and context are for the engine; None: not known, or they state more.
        keys
            the condition keys that members of a context state.
        tag_keys
            the condition keys that properties of a resource state as its tags; None: none may be stated.
        is_shared
            whether `given` has facts of the default subject, so that only items with the default subject and context have it.
        map_subject, map_resource
            map a type and id; they return something else than the class for a fault.
        stored_tags
            gives the folded `aws:ResourceTag/*` keys of the record of an ARN.

        Returns
        -------
        tuple
            for each item `(principal, action, resource, context)` or None, and the numbers of those that are None.
        """
        cdef list found = [], missing = []
        cdef Py_ssize_t i
        cdef dict item, values
        default_subject, default_action, default_resource, default_context = defaults
        # of the last item: mostly, the next one has the same objects
        last_subject, last_context, last_action, last_type, name = default_subject, default_context, None, None, None
        for i in range(len(items)):
            found.append(None)
            if type(items[i]) is not dict:
                missing.append(i)
                continue
            item = <dict>items[i]
            subject, action = or_default(item, "subject", default_subject), or_default(item, "action", default_action)
            resource, context = or_default(item, "resource", default_resource), or_default(item, "context", default_context)
            if is_shared and (subject is not default_subject or context is not default_context):
                missing.append(i)
                continue
            if subject is not last_subject:
                last_subject, known = subject, entity(self.subjects, subject, map_subject, self.subject_type, self.max_id)
                principal = None if known is None else known.principal
            if context is not last_context:
                last_context, given = context, {} if context is None else self.read_context(context, keys)
            values = given
            known = entity(self.resources, resource, map_resource, self.resource_type, self.max_id)
            if known is None and tag_keys is not None and type(resource) is dict and len(<dict>resource) == 3:
                known = named(self.resources, <dict>resource, map_resource, self.resource_type, self.max_id)
                if known is not None:
                    values = self.read_tags(member(<dict>resource, "properties"), tag_keys, stored_tags(known.arn))
                    if values is not None and given is not None:
                        values.update(given)
            if principal is None or given is None or known is None or values is None:
                missing.append(i)
                continue
            kind = known.type
            if action is not last_action or kind is not last_type:
                last_action, last_type, name = action, kind, self.action(action, kind)
            if name is None:
                missing.append(i)
                continue
            found[i] = (principal, name, known.arn, values)
        return found, missing

    cdef object action(self, object raw, object kind):
        """The IAM action of an action without properties, if it was mapped before."""
        if type(raw) is not dict or len(<dict>raw) != 1:
            return None
        name = member(<dict>raw, "name")
        if type(name) is not str:
            return None
        return member(self.actions, (name, None if kind is None else kind.action_prefix))

    cdef dict read_tags(self, object raw, dict keys, object stored):
        """The properties of a resource as its tags; None if they are not all known keys with a text or a bool, or it has one."""
        cdef dict stated = {}
        cdef list read = []
        cdef tuple key
        if type(raw) is not dict or not 0 < len(<dict>raw) <= MAX_MEMBERS:
            return None
        for name, value in (<dict>raw).items():
            known = member(keys, name)
            if known is None:
                return None
            key = <tuple>known  # `Key`: name, folded, kind, info, read
            if key[1] in read or key[1] in stored:
                return None
            read.append(key[1])
            if type(value) is str:
                if len(<str>value) > self.max_value:
                    return None
            elif type(value) is bool:
                value = "true" if value else "false"
            else:
                return None
            stated[key[0]] = value
        return stated

    cdef dict read_context(self, object raw, dict keys):
        """The context for the engine; None if its members are not all known keys with a text or a bool."""
        cdef list read = []
        cdef dict stated
        cdef tuple key
        cdef PyObject* known
        cdef bint is_same = True
        if type(raw) is not dict or len(<dict>raw) > MAX_MEMBERS:
            return None
        for name, value in (<dict>raw).items():
            known = PyDict_GetItemWithError(keys, name)
            if known is NULL:
                return None
            key = <tuple><object>known  # `Key`: name, folded, kind, info, read
            if key[2] is not self.context_kind:
                return None
            if type(value) is str:
                if len(<str>value) > self.max_value:
                    return None
                text = value
            elif type(value) is bool:
                text = "true" if value else "false"
            else:
                return None
            if key[4] is not None and key[4](text) is None:
                return None
            for other in read:
                if (<tuple>other)[1] == key[1]:
                    return None  # stated twice
            read.append(key)
            is_same = is_same and key[0] == name
        if is_same:
            return <dict>raw
        stated = {}
        for known_key, value in zip(read, (<dict>raw).values()):
            stated[(<tuple>known_key)[0]] = value
        return stated


def write_cached(list decisions not None, dict cached not None, Py_ssize_t most):
    """What to write of decisions whose answers are cached.

    Parameters
    ----------
    cached
        answers `(decision, head, body, is_allowed, key)` by the `id` of their decisions; equal keys are one object.
    most
        denied items that are returned.

    Returns
    -------
    tuple
        the bodies with commas between them, counts by key, and the first denied items. None if one is not cached.
    """
    cdef list denied = [], answers = []
    cdef dict counts = {}
    cdef tuple answer = None
    cdef object last = None, decision = None
    cdef Py_ssize_t i, same = 0, size = 0, n = len(decisions)
    cdef PyObject** bodies = <PyObject**>malloc((n + 1) * sizeof(PyObject*))
    cdef bytes whole
    cdef char* at
    if bodies is NULL:
        raise MemoryError
    try:
        for i in range(n):
            if answer is None or decisions[i] is not decision:
                decision = decisions[i]
                answer = <tuple>at_id(cached, decision)
                if answer is None:
                    return None
                answers.append(answer)  # another thread may empty `cached`
                if answer[4] is not last:
                    if same:
                        counts[last] = counts.get(last, 0) + same
                    last, same = answer[4], 0
            bodies[i] = <PyObject*>answer[2]
            size += PyBytes_GET_SIZE(<bytes>answer[2]) + 1
            same += 1
            if answer[3] is not True and len(denied) < most:
                denied.append(i)
        if same:
            counts[last] = counts.get(last, 0) + same
        # SAFETY: `answers` has the bodies
        whole = PyBytes_FromStringAndSize(NULL, max(size - 1, 0))
        at = PyBytes_AS_STRING(whole)
        for i in range(n):
            if i:
                at[0] = 44
                at += 1
            size = PyBytes_GET_SIZE(<bytes>bodies[i])
            memcpy(at, PyBytes_AS_STRING(<bytes>bodies[i]), size)
            at += size
    finally:
        free(bodies)
    return whole, counts, denied


cdef inline object at_id(dict cached, object decision):
    cdef PyObject* found = PyDict_GetItemWithError(cached, <Py_ssize_t><PyObject*>decision)
    return None if found is NULL else <object>found
