/* The kernels of blocks.py, for a C compiler: the same operations on every element in the same
 * order, hence the same bytes. Compiled with -ffp-contract=off: a fused multiply-add would differ.
 * Vector types only say what is independent of what; no sum is reordered for them. */

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* 16: only half precision is treated specially */
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "intermediate results must not be wider than their type"
#endif

#define STRIP 64      /* columns that are sorted at once: they stay in the first-level cache */
#define UNIT 8        /* rows that are sorted in registers */
#define AHEAD 256     /* columns; no processor foresees as many rows as there are updates */
#define LINE 64       /* bytes; scratch starts at one, or every vector would lie across two */
#define SUBBLOCK 2048 /* part of the result, as in blocks.py */
#define SUM_STRIP 1024

typedef double v8 __attribute__((vector_size(64), aligned(8)));
typedef float f8 __attribute__((vector_size(32), aligned(4)));

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* The callers leave room for it. */
static void *align(void *scratch) {
    return (void *)(((uintptr_t)scratch + LINE - 1) / LINE * LINE);
}

/* Inlined, or gcc takes it for a function that does nothing and drops the calls. */
static inline __attribute__((always_inline)) void fetch_strip(const float *row, size_t at,
                                                              size_t len) {
    for (size_t k = at; k < least(at + STRIP, len); k += LINE / sizeof *row)
        __builtin_prefetch(row + k, 0, 2);
}

/* out = sum of c[j] * rows[j], in the order of j; n > 0 */
static void sum_strip(size_t n, const float *const *rows, const double *c, size_t start,
                      size_t len, double *restrict out) {
    const float *restrict x0 = rows[0] + start;
    for (size_t k = 0; k < len; k++) out[k] = c[0] * (double)x0[k];
    size_t j = 1;
    for (; j + 4 <= n; j += 4) {
        const float *restrict a = rows[j] + start, *restrict b = rows[j + 1] + start;
        const float *restrict d = rows[j + 2] + start, *restrict e = rows[j + 3] + start;
        const double ca = c[j], cb = c[j + 1], cd = c[j + 2], ce = c[j + 3];
        for (size_t k = 0; k < len; k++) {
            double s = out[k];
            s = s + ca * (double)a[k];
            s = s + cb * (double)b[k];
            s = s + cd * (double)d[k];
            s = s + ce * (double)e[k];
            out[k] = s;
        }
    }
    for (; j < n; j++) {
        const float *restrict x = rows[j] + start;
        for (size_t k = 0; k < len; k++) out[k] = out[k] + c[j] * (double)x[k];
    }
}

void weighted_sum(size_t n, const float *const *rows, const double *c, size_t len, double *out) {
    for (size_t start = 0; start < len; start += SUM_STRIP)
        sum_strip(n, rows, c, start, least(SUM_STRIP, len - start), out + start);
}

static uint32_t is_odd(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits & 0x7f800000u) == 0x7f800000u; /* NaN or infinite */
}

static uint64_t is_odd_double(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits & 0x7ff0000000000000u) == 0x7ff0000000000000u;
}

/* 1 if every step and every result is finite */
int apply_step(const float *restrict parent, const double *restrict step, double rate, size_t len,
               float *restrict out) {
    uint64_t odd = 0;
    for (size_t k = 0; k < len; k++) {
        const float moved = (float)(step[k] * rate + (double)parent[k]);
        odd |= is_odd_double(step[k]) | is_odd(moved);
        out[k] = moved;
    }
    return !odd;
}

static uint32_t copy_strip(const float *restrict from, size_t len, float *restrict to) {
    uint32_t odd = 0;
    for (size_t k = 0; k < len; k++) {
        odd |= is_odd(from[k]);
        to[k] = from[k] + 0.0f; /* -0 becomes +0 */
    }
    for (size_t k = len; k < STRIP; k++) to[k] = 0.0f;
    return odd;
}

/* What to fetch while the strip before it is sorted, in equal shares: at once it would fill the
 * queue to the memory, and whatever comes next would wait. */
struct ahead {
    const float *const *rows;
    size_t n, at, len; /* rows, first column, end */
    size_t shares, taken, fetched;
};

static inline __attribute__((always_inline)) void fetch_share(struct ahead *it) {
    it->taken++;
    for (; it->fetched * it->shares < it->n * it->taken; it->fetched++)
        fetch_strip(it->rows[it->fetched], it->at, it->len);
}

/* Rows are sorted in units of eight: the eight of two units stay in registers while they are
 * compared, instead of being loaded and stored for every comparison, which takes twice as long.
 * Both networks are Batcher's; comparisons whose results are not stored the compiler leaves out. */
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define LOAD_A(i) __typeof__(*a) x##i = a[i * STRIP + k];
#define LOAD_B(i) __typeof__(*b) y##i = b[i * STRIP + k];
#define STORE_A(i) a[i * STRIP + k] = x##i;
#define STORE_B(i) b[i * STRIP + k] = y##i;
#define ORDER(p, q)                               \
    {                                             \
        const __typeof__(p) low = p < q ? p : q;  \
        q = p > q ? p : q;                        \
        p = low;                                  \
    }
#define ORDER_AB(i) ORDER(x##i, y##i)

#define DEFINE_SORT(NAME, T)                                                                      \
    static void NAME##_unit(T *a) {                                                               \
        for (size_t k = 0; k < STRIP; k++) {                                                      \
            EACH_ROW(LOAD_A)                                                                      \
            ORDER(x0, x4) ORDER(x1, x5) ORDER(x2, x6) ORDER(x3, x7)                               \
            ORDER(x0, x2) ORDER(x1, x3) ORDER(x4, x6) ORDER(x5, x7)                               \
            ORDER(x2, x4) ORDER(x3, x5)                                                           \
            ORDER(x0, x1) ORDER(x2, x3) ORDER(x4, x5) ORDER(x6, x7)                               \
            ORDER(x1, x4) ORDER(x3, x6)                                                           \
            ORDER(x1, x2) ORDER(x3, x4) ORDER(x5, x6)                                             \
            EACH_ROW(STORE_A)                                                                     \
        }                                                                                         \
    }                                                                                             \
                                                                                                  \
    /* Two sorted units: the least eight to a, the others to b, both sorted, as far as kept. */   \
    static inline __attribute__((always_inline)) void NAME##_merge(T *restrict a, T *restrict b,  \
                                                                   int32_t keep) {                \
        for (size_t k = 0; k < STRIP; k++) {                                                      \
            EACH_ROW(LOAD_A)                                                                      \
            EACH_ROW(LOAD_B)                                                                      \
            EACH_ROW(ORDER_AB)                                                                    \
            ORDER(x4, y0) ORDER(x5, y1) ORDER(x6, y2) ORDER(x7, y3)                               \
            ORDER(x2, x4) ORDER(x3, x5) ORDER(x6, y0) ORDER(x7, y1) ORDER(y2, y4) ORDER(y3, y5)   \
            ORDER(x1, x2) ORDER(x3, x4) ORDER(x5, x6) ORDER(x7, y0)                               \
            ORDER(y1, y2) ORDER(y3, y4) ORDER(y5, y6)                                             \
            if (keep & 1) { EACH_ROW(STORE_A) }                                                   \
            if (keep & 2) { EACH_ROW(STORE_B) }                                                   \
        }                                                                                         \
    }                                                                                             \
                                                                                                  \
    /* n rows; what follows them up to a whole unit is overwritten. 'pairs' are of units. */      \
    static void NAME(T *rows, size_t n, const int32_t *pairs, size_t n_pairs,                     \
                     struct ahead next) {                                                         \
        const size_t units = (n + UNIT - 1) / UNIT;                                               \
        next.shares = units + n_pairs;                                                            \
        for (size_t k = n * STRIP; k < units * UNIT * STRIP; k++) rows[k] = (T)__builtin_inf();   \
        for (size_t u = 0; u < units; u++) {                                                      \
            NAME##_unit(rows + u * UNIT * STRIP);                                                 \
            fetch_share(&next);                                                                   \
        }                                                                                         \
        for (size_t p = 0; p < n_pairs; p++) {                                                    \
            T *a = rows + (size_t)pairs[3 * p] * UNIT * STRIP;                                    \
            T *b = rows + (size_t)pairs[3 * p + 1] * UNIT * STRIP;                                \
            if (pairs[3 * p + 2] == 3)                                                            \
                NAME##_merge(a, b, 3);                                                            \
            else if (pairs[3 * p + 2] == 1)                                                       \
                NAME##_merge(a, b, 1);                                                            \
            else                                                                                  \
                NAME##_merge(a, b, 2);                                                            \
            fetch_share(&next);                                                                   \
        }                                                                                         \
    }

#define DEFINE_MEAN(NAME, T)                                                                    \
    static void NAME(const T *rows, size_t first, size_t last, size_t len, double *out) {       \
        double sum[STRIP];                                                                      \
        for (size_t k = 0; k < STRIP; k++) sum[k] = (double)rows[first * STRIP + k];            \
        for (size_t r = first + 1; r < last; r++)                                               \
            for (size_t k = 0; k < STRIP; k++) sum[k] = sum[k] + (double)rows[r * STRIP + k];   \
        const size_t many = last - first;                                                       \
        const double count = (double)many;                                                      \
        if ((many & (many - 1)) == 0) /* a power of two: multiplying gives the same, sooner */  \
            for (size_t k = 0; k < STRIP; k++) sum[k] = sum[k] * (1.0 / count);                 \
        else                                                                                    \
            for (size_t k = 0; k < STRIP; k++) sum[k] = sum[k] / count;                         \
        memcpy(out, sum, len * sizeof *out);                                                    \
    }

DEFINE_SORT(sort_float, float)
DEFINE_SORT(sort_double, double)
DEFINE_MEAN(mean_float, float)
DEFINE_MEAN(mean_double, double)

/* Rows as they are: float32 sorts like float64.
 * scratch: n rows, up to a whole unit, of STRIP floats, and a line. */
int sorted_mean(size_t n, const float *const *rows, const int32_t *pairs, size_t n_pairs,
                size_t cut, size_t len, float *scratch, double *out) {
    uint32_t odd = 0;
    float *strip = align(scratch);
    for (size_t at = 0; at < len; at += STRIP) {
        size_t many = least(STRIP, len - at);
        for (size_t j = 0; j < n; j++)
            odd |= copy_strip(rows[j] + at, many, strip + j * STRIP);
        sort_float(strip, n, pairs, n_pairs, (struct ahead){rows, n, at + AHEAD, len, 0, 0, 0});
        mean_float(strip, cut, n - cut, many, out + at);
    }
    return !odd;
}

static void mix_strip(const float *const *rows, size_t terms, const double *c, size_t at,
                          size_t many, double *to) {
    sum_strip(terms, rows, c, at, many, to);
    for (size_t k = 0; k < many; k++) to[k] = to[k] + 0.0;
    for (size_t k = many; k < STRIP; k++) to[k] = 0.0;
}

/* Row k is a mixture: terms begin[k] .. begin[k + 1] - 1 of (index, c). scratch: m rows,
 * up to a whole unit, of STRIP doubles, and a line. 'picked' has room for a pointer per term. */
int mixed_sorted_mean(size_t n, const float *const *rows, size_t m, const size_t *begin,
                      const size_t *index, const double *c, const int32_t *pairs, size_t n_pairs,
                      size_t cut, size_t len, double *scratch, const float **picked, double *out) {
    uint32_t odd = 0;
    double *strip = align(scratch);
    for (size_t t = 0; t < begin[m]; t++) picked[t] = rows[index[t]];
    for (size_t at = 0; at < len; at += STRIP) {
        size_t many = least(STRIP, len - at);
        for (size_t j = 0; j < n; j++)
            for (size_t k = at; k < at + many; k++) odd |= is_odd(rows[j][k]);
        for (size_t r = 0; r < m; r++)
            mix_strip(picked + begin[r], begin[r + 1] - begin[r], c + begin[r], at, many,
                      strip + r * STRIP);
        sort_double(strip, m, pairs, n_pairs, (struct ahead){rows, n, at + AHEAD, len, 0, 0, 0});
        mean_double(strip, cut, m - cut, many, out + at);
    }
    return !odd;
}

static double halve(v8 low, v8 high) {
    v8 a = low + high;
    double b0 = a[0] + a[4], b1 = a[1] + a[5], b2 = a[2] + a[6], b3 = a[3] + a[7];
    double c0 = b0 + b2, c1 = b1 + b3;
    return c0 + c1;
}

/* Sums of products of rows i, i+1 with rows j, j+1, each of SUBBLOCK doubles. */
static void tile(const double *restrict i0, const double *restrict i1, const double *restrict j0,
                 const double *restrict j1, double sums[4]) {
    v8 a0 = {0}, a1 = {0}, b0 = {0}, b1 = {0}, c0 = {0}, c1 = {0}, d0 = {0}, d1 = {0};
    for (size_t k = 0; k < SUBBLOCK; k += 16) {
        v8 x0 = *(const v8 *)(i0 + k), x1 = *(const v8 *)(i0 + k + 8);
        v8 y0 = *(const v8 *)(i1 + k), y1 = *(const v8 *)(i1 + k + 8);
        v8 u0 = *(const v8 *)(j0 + k), u1 = *(const v8 *)(j0 + k + 8);
        v8 w0 = *(const v8 *)(j1 + k), w1 = *(const v8 *)(j1 + k + 8);
        a0 = a0 + x0 * u0;
        a1 = a1 + x1 * u1;
        b0 = b0 + x0 * w0;
        b1 = b1 + x1 * w1;
        c0 = c0 + y0 * u0;
        c1 = c1 + y1 * u1;
        d0 = d0 + y0 * w0;
        d1 = d1 + y1 * w1;
    }
    sums[0] = halve(a0, a1);
    sums[1] = halve(b0, b1);
    sums[2] = halve(c0, c1);
    sums[3] = halve(d0, d1);
}

/* Inner products into the lower triangle of out (n * n, zero on entry).
 * scratch: (n + 1) * SUBBLOCK doubles and a line. */
void gram(size_t n, const float *const *rows, size_t len, double *scratch, double *out) {
    scratch = align(scratch);
    memset(scratch + n * SUBBLOCK, 0, SUBBLOCK * sizeof *scratch);
    for (size_t start = 0; start < len; start += SUBBLOCK) {
        size_t many = least(SUBBLOCK, len - start);
        for (size_t j = 0; j < n; j++) {
            double *to = scratch + j * SUBBLOCK;
            for (size_t k = 0; k < many; k++) to[k] = (double)rows[j][start + k];
            memset(to + many, 0, (SUBBLOCK - many) * sizeof *to);
        }
        for (size_t i = 0; i < n; i += 2)
            for (size_t j = 0; j <= i; j += 2) {
                double sums[4];
                const double *a = scratch + i * SUBBLOCK, *b = scratch + j * SUBBLOCK;
                tile(a, a + SUBBLOCK, b, b + SUBBLOCK, sums);
                out[i * n + j] += sums[0];
                if (i + 1 < n) out[(i + 1) * n + j] += sums[2];
                if (j + 1 < n && j + 1 <= i) out[i * n + j + 1] += sums[1];
                if (i + 1 < n && j + 1 < n) out[(i + 1) * n + j + 1] += sums[3];
            }
    }
}

/* gram of one row */
double squares(const float *row, size_t len) {
    double total = 0.0;
    for (size_t start = 0; start < len; start += SUBBLOCK) {
        size_t many = least(SUBBLOCK, len - start), k = 0;
        v8 low = {0}, high = {0};
        for (; k + 16 <= many; k += 16) {
            v8 x = __builtin_convertvector(*(const f8 *)(row + start + k), v8);
            v8 y = __builtin_convertvector(*(const f8 *)(row + start + k + 8), v8);
            low = low + x * x;
            high = high + y * y;
        }
        if (k < many) {
            double rest[16] = {0};
            for (size_t l = 0; k + l < many; l++) rest[l] = (double)row[start + k + l];
            v8 x = *(const v8 *)rest, y = *(const v8 *)(rest + 8);
            low = low + x * x;
            high = high + y * y;
        }
        total = total + halve(low, high);
    }
    return total;
}
