/* What one thread of this machine can do at most: the floors beside which the figures of the engine stand (bench_limits.py).
   And the marks around what the instruction counts count (gates.py). Built on demand, outside of the package. */
#include <stdint.h>
#include <string.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define HAS_MARKS 1
#else
#define HAS_MARKS 0
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_DUMP_STATS_AT(name) (void)(name)
#define CALLGRIND_ZERO_STATS
#endif

#define SIDE_BY_SIDE 16

typedef struct { uint32_t hash, id; } Slot; /* hash 0: free */

int has_marks(void) { return HAS_MARKS; }
void count_start(void) { CALLGRIND_START_INSTRUMENTATION; CALLGRIND_ZERO_STATS; }
void count_stop(const char* name) { CALLGRIND_DUMP_STATS_AT(name); CALLGRIND_STOP_INSTRUMENTATION; }

/* 64 bytes a row from one place to another. */
void copy_rows(const char* from, char* to, int64_t n) {
    for (int64_t i = 0; i < n; i++) memcpy(to + 64 * i, from + 64 * i, 64);
}

static inline uint64_t mixed(uint64_t a, uint64_t b) {
    __uint128_t both = (__uint128_t)a * b;
    return (uint64_t)both ^ (uint64_t)(both >> 64);
}

static inline uint64_t word(const char* at) {
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

/* Sixteen bytes at a step, folded by a wide multiplication; the last eight may be read twice. Never 0. */
static inline uint32_t hash_text(const char* text, int64_t size) {
    uint64_t state = 0x9E3779B97F4A7C15ull ^ (uint64_t)size, last = 0;
    const char* end = text + size;
    if (size < 8) {
        for (; text < end; text++) last = last << 8 | (uint8_t)*text;
        return (uint32_t)mixed(state ^ last, 0x8EBC6AF09C88C6E3ull) | 1;
    }
    for (; end - text > 16; text += 16) state = mixed(state ^ word(text), word(text + 8) ^ 0xA0761D6478BD642Full);
    if (end - text > 8) state = mixed(state ^ word(text), 0xE7037ED1A0B428DBull);
    return (uint32_t)mixed(state ^ word(end - 8), 0x8EBC6AF09C88C6E3ull) | 1;
}

uint64_t hash_rows(const char* texts, const int32_t* ends, int64_t n) {
    uint64_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += hash_text(texts + ends[i], ends[i + 1] - ends[i]);
    return sum;
}

/* Fills a table of `mask + 1` free slots with different texts. */
void fill_table(const char* texts, const int32_t* ends, int64_t n, Slot* slots, uint32_t mask) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t hash = hash_text(texts + ends[i], ends[i + 1] - ends[i]), at = (hash >> 1) & mask;
        while (slots[at].hash) at = (at + 1) & mask;
        slots[at] = (Slot){hash, (uint32_t)i};
    }
}

/* The ids of `n` texts, all of them in the table, each compared byte by byte; -1 for one that is not there. */
void look_up(const char* asked, const int32_t* ends, int64_t n, const char* texts, const int32_t* starts, const Slot* slots,
             uint32_t mask, int32_t* ids) {
    uint32_t hashes[SIDE_BY_SIDE];
    for (int64_t first = 0; first < n; first += SIDE_BY_SIDE) {
        int m = n - first < SIDE_BY_SIDE ? (int)(n - first) : SIDE_BY_SIDE;
        for (int k = 0; k < m; k++) {
            const int32_t* end = ends + first + k;
            hashes[k] = hash_text(asked + end[0], end[1] - end[0]);
            __builtin_prefetch(&slots[(hashes[k] >> 1) & mask]);
        }
        for (int k = 0; k < m; k++) __builtin_prefetch(&starts[slots[(hashes[k] >> 1) & mask].id]);
        for (int k = 0; k < m; k++) {
            const char* text = texts + starts[slots[(hashes[k] >> 1) & mask].id];
            __builtin_prefetch(text);
            __builtin_prefetch(text + 63);
        }
        for (int k = 0; k < m; k++) {
            const int32_t* end = ends + first + k;
            int32_t size = end[1] - end[0];
            ids[first + k] = -1;
            for (uint32_t at = (hashes[k] >> 1) & mask; slots[at].hash; at = (at + 1) & mask) {
                uint32_t id = slots[at].id;
                if (slots[at].hash != hashes[k] || starts[id + 1] - starts[id] != size) continue;
                if (memcmp(texts + starts[id], asked + end[0], (size_t)size)) continue;
                ids[first + k] = (int32_t)id;
                break;
            }
        }
    }
}
