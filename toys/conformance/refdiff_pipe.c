/* A diffusion implementation in C that answers refdiff's conformance vectors, one JSON line for each (docs/pipe.md).
 *
 *     cc -O2 -o refdiff_pipe toys/conformance/refdiff_pipe.c -lm
 *     refdiff check --pipe ./refdiff_pipe
 *
 * The first half reads and writes JSON, the second holds the equations as plain loops. To put your own code to the test, keep the first.
 * All memory of a request is freed after its answer; an error of any kind leaves the request by longjmp and becomes its answer. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory and errors ---- */
typedef struct Block { struct Block *next; double bytes[]; } Block;
static Block *blocks;
static jmp_buf request_end;
static char message[400];
static const char *verdict; /* what the message is: "error" or "skip" */

static void *take(size_t bytes) {
    Block *block = malloc(sizeof(Block) + bytes + 1);
    if (!block) { fputs("refdiff_pipe: no memory\n", stderr); exit(1); }
    block->next = blocks;
    blocks = block;
    return memset(block->bytes, 0, bytes + 1);
}

static void free_all(void) {
    while (blocks) { Block *next = blocks->next; free(blocks); blocks = next; }
}

static void leave(const char *as, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
    verdict = as;
    longjmp(request_end, 1);
}
#define fail(...) leave("error", __VA_ARGS__)

/* ---- reading JSON ---- */
typedef enum { NOTHING, TRUTH, NUMBER, WORD, LIST, OBJECT } Kind;
typedef struct Value { Kind kind; double number; char *word; size_t count; struct Value *items; char **names; } Value;

static Value parse(const char **at);

static void space(const char **at) { while (**at && strchr(" \t\r\n", **at)) ++*at; }

static void expect(const char **at, const char *text) {
    if (strncmp(*at, text, strlen(text))) fail("JSON: expected %s before '%.20s'", text, *at);
    *at += strlen(text);
}

static char *parse_word(const char **at) {
    const char *end = ++*at;
    while (*end && *end != '"') end += end[0] == '\\' && end[1] ? 2 : 1;
    char *word = take((size_t)(end - *at)), *to = word;
    for (; *at < end; ++*at) {
        if (**at == '\\') ++*at; /* the words of requests hold no other escapes than \" and \\ */
        *to++ = **at;
    }
    expect(at, "\"");
    return word;
}

static Value parse_many(const char **at, int named) {
    Value many = {.kind = named ? OBJECT : LIST};
    size_t room = 0;
    for (++*at, space(at); **at != (named ? '}' : ']'); space(at)) {
        if (many.count) expect(at, ",");
        if (many.count == room) {
            Value *items = take((room = room ? 2 * room : 8) * sizeof *items);
            char **names = take(room * sizeof *names);
            if (many.count) {
                memcpy(items, many.items, many.count * sizeof *items);
                memcpy(names, many.names, many.count * sizeof *names);
            }
            many.items = items, many.names = names;
        }
        space(at);
        if (named) {
            if (**at != '"') fail("JSON: expected a name before '%.20s'", *at);
            many.names[many.count] = parse_word(at);
            space(at), expect(at, ":");
        }
        many.items[many.count++] = parse(at);
    }
    ++*at;
    return many;
}

static Value parse(const char **at) {
    space(at);
    if (**at == '{' || **at == '[') return parse_many(at, **at == '{');
    if (**at == '"') return (Value){.kind = WORD, .word = parse_word(at)};
    if (**at == 'n') return expect(at, "null"), (Value){.kind = NOTHING};
    if (**at == 't') return expect(at, "true"), (Value){.kind = TRUTH, .number = 1};
    if (**at == 'f') return expect(at, "false"), (Value){.kind = TRUTH, .number = 0};
    char *end;
    Value value = {.kind = NUMBER, .number = strtod(*at, &end)};
    if (end == *at) fail("JSON: expected a value before '%.20s'", *at);
    *at = end;
    return value;
}

static const Value *entry(const Value *object, const char *name) { /* NULL: absent or null */
    for (size_t i = 0; object && i < object->count && object->kind == OBJECT; i++)
        if (!strcmp(object->names[i], name)) return object->items[i].kind == NOTHING ? NULL : &object->items[i];
    return NULL;
}

/* ---- arrays ---- */
#define MOST (1 << 26) /* numbers in an array */
typedef struct { size_t rank, shape[8], size; double *at; } Array; /* rank 0: a lone number */

static Array array_like(size_t rank, const size_t *shape) {
    Array x = {.rank = rank, .size = 1};
    if (rank > 8) fail("an array of %zu axes; allowed: 8", rank);
    for (size_t i = 0; i < rank; i++) {
        if (shape[i] > MOST || (x.size *= x.shape[i] = shape[i]) > MOST) fail("an array too large; allowed: %zu numbers", (size_t)MOST);
    }
    x.at = take(x.size * sizeof(double));
    return x;
}

static double number_of(const Value *value, const char *name) {
    if (value && value->kind == NUMBER) return value->number;
    if (value && value->kind == WORD && !strcmp(value->word, "nan")) return NAN;
    if (value && value->kind == WORD && !strcmp(value->word, "inf")) return INFINITY;
    if (value && value->kind == WORD && !strcmp(value->word, "-inf")) return -INFINITY;
    fail("%s is not a number", name);
    return 0;
}

static Array array_of(const Value *value, const char *name) {
    const Value *shape = entry(value, "shape"), *data = entry(value, "data");
    size_t sizes[8];
    if (!shape) {
        Array lone = array_like(0, sizes);
        lone.at[0] = number_of(value, name);
        return lone;
    }
    if (shape->count > 8) fail("%s has %zu axes; allowed: 8", name, shape->count);
    for (size_t i = 0; i < shape->count; i++) {
        double size = number_of(&shape->items[i], name);
        if (!(size >= 0 && size <= MOST)) fail("%s has an axis of %g", name, size);
        sizes[i] = (size_t)size;
    }
    Array x = array_like(shape->count, sizes);
    if (!data || data->count != x.size) fail("%s: data does not fill its shape", name);
    for (size_t i = 0; i < x.size; i++) x.at[i] = number_of(&data->items[i], name);
    return x;
}

static const Value *inputs; /* of the request at hand */
static long request;

static Array input(const char *name) {
    if (!entry(inputs, name)) fail("%s is missing", name);
    Array x = array_of(entry(inputs, name), name);
    for (size_t i = 0; i < x.size; i++)
        if (!isfinite(x.at[i])) fail("%s holds NaN or infinity; allowed: finite numbers", name);
    return x;
}

static double scalar(const char *name) {
    Array x = input(name);
    if (x.rank) leave("skip", "%s as an array", name);
    return x.at[0];
}

static const char *word(const char *name) {
    const Value *value = entry(inputs, name);
    if (!value || value->kind != WORD) fail("%s is not a word", name);
    return value->word;
}

static void same_shape(Array x, Array y, const char *name) {
    if (x.rank != y.rank || memcmp(x.shape, y.shape, x.rank * sizeof *x.shape)) fail("%s has another shape", name);
}

/* ---- writing JSON ---- */
static void put_number(double x) {
    if (isfinite(x)) printf("%.17g", x); /* 17 digits are read back exactly */
    else fputs(isnan(x) ? "\"nan\"" : x > 0 ? "\"inf\"" : "\"-inf\"", stdout);
}

static void put(Array x) {
    if (!x.rank) { put_number(x.at[0]); return; }
    fputs("{\"shape\": [", stdout);
    for (size_t i = 0; i < x.rank; i++) printf("%s%zu", i ? ", " : "", x.shape[i]);
    fputs("], \"data\": [", stdout);
    for (size_t i = 0; i < x.size; i++) { if (i) fputs(", ", stdout); put_number(x.at[i]); }
    fputs("]}", stdout);
}

static void put_text(const char *text) {
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') putchar('\\');
        putchar((unsigned char)*text < 32 ? ' ' : *text);
    }
    putchar('"');
}

static void answer(const char *name, Array x) { printf("{\"id\": %ld, \"outputs\": {\"%s\": ", request, name); put(x); puts("}}"); }

static char *read_line(void) {
    static char *line;
    static size_t room;
    return getline(&line, &room, stdin) < 0 ? NULL : line;
}

/* Ask refdiff for model(x, t) while the request is open. */
static Array call(const char *name, Array x, double t) {
    printf("{\"id\": %ld, \"call\": \"%s\", \"x\": ", request, name);
    put(x);
    fputs(", \"t\": ", stdout), put_number(t), puts("}");
    fflush(stdout);
    const char *line = read_line();
    if (!line) exit(0);
    Value reply = parse(&line);
    if (entry(&reply, "error")) fail("%s could not be called", name);
    Array value = array_of(entry(&reply, "value"), name);
    same_shape(value, x, name);
    return value;
}

/* ---- the equations ---- */
typedef struct { long T; double *kept, *noise, *beta; } Schedule; /* alpha_bar and 1 - alpha_bar for t = 0..T, neither by a difference */

static Schedule schedule(void) {
    Array betas = input("betas");
    if (betas.rank != 1 || !betas.size) fail("betas are not a table");
    Schedule q = {(long)betas.size, take((betas.size + 1) * 8), take((betas.size + 1) * 8), betas.at - 1};
    q.kept[0] = 1;
    for (long t = 1; t <= q.T; t++) {
        if (!(q.beta[t] > 0 && (q.beta[t] < 1 || (q.beta[t] == 1 && t == q.T)))) fail("beta_%ld = %g; allowed: inside (0, 1)", t, q.beta[t]);
        q.kept[t] = q.kept[t - 1] * (1 - q.beta[t]);
        q.noise[t] = q.noise[t - 1] + q.kept[t - 1] * q.beta[t];
    }
    return q;
}

static long time_of(Array t, size_t i, long low, long high, const char *name) { /* of example i */
    double value = t.at[t.rank ? i : 0];
    if (value != floor(value) || value < low || value > high) fail("%s = %g; allowed: %ld..%ld", name, value, low, high);
    return (long)value;
}

static size_t per_example(Array t, Array x, const char *name) { /* coordinates of an example */
    if (!x.rank || t.rank > 1 || (t.rank == 1 && t.size != x.shape[0])) fail("%s has a wrong shape", name);
    return x.shape[0] ? x.size / x.shape[0] : 1;
}

static void transition(Schedule q, long t, long s, double *kept, double *noise) {
    *kept = 1, *noise = 0;
    for (long i = s + 1; i <= t; i++) *noise += *kept * q.beta[i], *kept *= 1 - q.beta[i];
}

static double posterior_variance_at(Schedule q, long t, long s) {
    double kept, noise;
    transition(q, t, s, &kept, &noise);
    return q.noise[s] / q.noise[t] * noise;
}

static void weights(const char *kind, double signal, double sigma, double *of_x0, double *of_eps) { /* prediction = of_x0 x0 + of_eps eps */
    if (!strcmp(kind, "x0")) *of_x0 = 1, *of_eps = 0;
    else if (!strcmp(kind, "eps")) *of_x0 = 0, *of_eps = 1;
    else if (!strcmp(kind, "v")) *of_x0 = -sigma, *of_eps = signal;
    else if (!strcmp(kind, "velocity")) *of_x0 = 1, *of_eps = -1;
    else if (!strcmp(kind, "score")) {
        if (sigma == 0) fail("a score where sigma is 0");
        *of_x0 = 0, *of_eps = -1 / sigma;
    } else leave("skip", "kind %s", kind);
}

static void implied(const char *kind, double prediction, double x, double signal, double sigma, double *x0, double *eps) {
    double a, b;
    weights(kind, signal, sigma, &a, &b);
    double determinant = signal * b - sigma * a;
    if (determinant == 0) fail("kind = %s says nothing of the other half where signal = %g and sigma = %g", kind, signal, sigma);
    *x0 = (b * x - sigma * prediction) / determinant;
    *eps = (signal * prediction - a * x) / determinant;
}

static Array ddim(Schedule q, Array prediction, Array x, long t, long s, const double *noise, double eta, const char *kind) {
    const Value *limit = entry(inputs, "clip");
    double most = limit ? number_of(limit, "clip") : INFINITY, x0, eps, signal = sqrt(q.kept[t]), sigma = sqrt(q.noise[t]);
    double variance = eta * eta * posterior_variance_at(q, t, s), rest = sqrt(fmax(q.noise[s] - variance, 0));
    if (!(eta >= 0 && eta <= 1)) fail("eta = %g; allowed: 0..1", eta);
    Array next = array_like(x.rank, x.shape);
    for (size_t i = 0; i < x.size; i++) {
        implied(kind, prediction.at[i], x.at[i], signal, sigma, &x0, &eps);
        if (fabs(x0) > most) {
            x0 = x0 > 0 ? most : -most;
            eps = (x.at[i] - signal * x0) / sigma;
        }
        next.at[i] = sqrt(q.kept[s]) * x0 + rest * eps + sqrt(variance) * noise[i];
    }
    return next;
}

/* ---- the operations ---- */
static void q_sample(void) {
    Schedule q = schedule();
    Array x0 = input("x0"), noise = input("noise"), t = input("t"), x = array_like(x0.rank, x0.shape);
    size_t each = per_example(t, x0, "t");
    same_shape(x0, noise, "noise");
    for (size_t i = 0; i < x.size; i++) {
        long at = time_of(t, i / each, 0, q.T, "t");
        x.at[i] = sqrt(q.kept[at]) * x0.at[i] + sqrt(q.noise[at]) * noise.at[i];
    }
    answer("x_t", x);
}

static void posterior(void) {
    Schedule q = schedule();
    Array x_t = input("x_t"), x0 = input("x0"), t = input("t"), s = input("s"), mean = array_like(x0.rank, x0.shape);
    size_t each = per_example(t, x_t, "t"), ones[8] = {t.rank ? x_t.shape[0] : 1, 1, 1, 1, 1, 1, 1, 1};
    per_example(s, x_t, "s"), same_shape(x_t, x0, "x0");
    Array variance = array_like(t.rank || s.rank ? x_t.rank : 0, ones);
    for (size_t i = 0; i < x_t.size; i++) {
        long late = time_of(t, i / each, 1, q.T, "t"), early = time_of(s, i / each, 0, late - 1, "s");
        double kept, noise;
        transition(q, late, early, &kept, &noise);
        mean.at[i] = (sqrt(q.kept[early]) * noise * x0.at[i] + sqrt(kept) * q.noise[early] * x_t.at[i]) / q.noise[late];
        variance.at[variance.rank ? i / each : 0] = q.noise[early] / q.noise[late] * noise;
    }
    printf("{\"id\": %ld, \"outputs\": {\"mean\": ", request), put(mean), fputs(", \"variance\": ", stdout), put(variance), puts("}}");
}

static void posterior_variance(void) {
    Schedule q = schedule();
    Array t = input("t"), s = input("s"), variance = array_like(t.rank, t.shape);
    same_shape(t, s, "s");
    for (size_t i = 0; i < t.size; i++) {
        long late = time_of(t, i, 1, q.T, "t");
        variance.at[i] = posterior_variance_at(q, late, time_of(s, i, 0, late - 1, "s"));
    }
    answer("variance", variance);
}

static void alpha_bar(void) {
    Schedule q = schedule();
    answer("alpha_bar", (Array){1, {(size_t)q.T + 1}, (size_t)q.T + 1, q.kept});
}

static void snr(void) {
    Schedule q = schedule();
    for (long t = 1; t <= q.T; t++) q.kept[t] /= q.noise[t];
    answer("snr", (Array){1, {(size_t)q.T}, (size_t)q.T, q.kept + 1});
}

static long long half_up(long long over, long long under) { return (2 * over + under) / (2 * under); }

static void grid(void) {
    const char *kind = word("kind");
    if (!(scalar("S") >= 1 && scalar("S") <= scalar("T") && scalar("T") <= MOST)) fail("S = %g; allowed: 1..T = %g", scalar("S"), scalar("T"));
    long long T = (long long)scalar("T"), S = (long long)scalar("S");
    Array times = array_like(1, &(size_t){(size_t)S + 1});
    for (long long i = S; i >= 1; i--) {
        long long t;
        if (!strcmp(kind, "linspace")) t = S == 1 ? T : 1 + half_up((i - 1) * (T - 1), S - 1);
        else if (!strcmp(kind, "leading")) t = 1 + (i - 1) * (T / S);
        else if (!strcmp(kind, "trailing")) t = half_up(i * T, S);
        else if (!strcmp(kind, "quadratic")) t = half_up(i * i * T, S * S) > i ? half_up(i * i * T, S * S) : i;
        else { fail("kind = %s", kind); return; }
        times.at[S - i] = (double)t;
    }
    answer("grid", times);
}

static void ddim_step(void) {
    Schedule q = schedule();
    Array x = input("x_t"), prediction = input("prediction"), t = {.at = &(double){scalar("t")}}, s = {.at = &(double){scalar("s")}};
    long late = time_of(t, 0, 1, q.T, "t"), early = time_of(s, 0, 0, late - 1, "s");
    Array noise = entry(inputs, "noise") ? input("noise") : array_like(x.rank, x.shape);
    same_shape(x, prediction, "prediction"), same_shape(x, noise, "noise");
    answer("x_s", ddim(q, prediction, x, late, early, noise.at, scalar("eta"), word("kind")));
}

static void ddim_sample(void) {
    Schedule q = schedule();
    Array times = input("grid"), x = input("x"), noise = input("noise");
    size_t shape[8] = {times.size};
    if (times.rank != 1 || x.rank > 7 || noise.size != (times.size - 1) * x.size) fail("grid, x and noise do not fit");
    memcpy(shape + 1, x.shape, x.rank * sizeof *shape);
    Array states = array_like(x.rank + 1, shape);
    memcpy(states.at, x.at, x.size * sizeof(double));
    for (size_t i = 0; i + 1 < times.size; i++) {
        long t = time_of(times, i, 1, q.T, "grid"), s = time_of(times, i + 1, 0, t - 1, "grid");
        x = ddim(q, call("model", x, (double)t), x, t, s, noise.at + i * x.size, scalar("eta"), word("kind"));
        memcpy(states.at + (i + 1) * x.size, x.at, x.size * sizeof(double));
    }
    answer("states", states);
}

static void euler_step(void) {
    Array x = input("x"), next = array_like(x.rank, x.shape);
    double t = scalar("t"), s = scalar("s");
    Array slope = call("f", x, t);
    for (size_t i = 0; i < x.size; i++) next.at[i] = x.at[i] + (s - t) * slope.at[i];
    answer("x_s", next);
}

static void classifier_free(void) {
    Array without = input("unconditional"), with = input("conditional"), gamma = input("gamma"), guided = array_like(with.rank, with.shape);
    size_t each = per_example(gamma, with, "gamma");
    same_shape(with, without, "unconditional");
    for (size_t i = 0; i < with.size; i++) {
        double g = gamma.at[gamma.rank ? i / each : 0];
        guided.at[i] = (1 - g) * without.at[i] + g * with.at[i];
    }
    answer("prediction", guided);
}

static void convert(void) {
    Schedule q = schedule();
    Array old = input("prediction"), x = input("x_t"), t = input("t"), new = array_like(x.rank, x.shape);
    size_t each = per_example(t, x, "t");
    same_shape(x, old, "prediction");
    for (size_t i = 0; i < x.size; i++) {
        long at = time_of(t, i / each, 0, q.T, "t");
        double x0, eps, a, b, signal = sqrt(q.kept[at]), sigma = sqrt(q.noise[at]);
        implied(word("source"), old.at[i], x.at[i], signal, sigma, &x0, &eps);
        weights(word("to"), signal, sigma, &a, &b);
        new.at[i] = a * x0 + b * eps;
    }
    answer("prediction", new);
}

static const struct { const char *name; void (*run)(void); } OPERATIONS[] = {
    {"q_sample", q_sample}, {"posterior", posterior}, {"posterior_variance", posterior_variance}, {"alpha_bar", alpha_bar}, {"snr", snr},
    {"grid", grid}, {"ddim_step", ddim_step}, {"ddim_sample", ddim_sample}, {"euler_step", euler_step},
    {"classifier_free", classifier_free}, {"convert", convert}};
static const size_t COUNT = sizeof OPERATIONS / sizeof *OPERATIONS;

static void hello(void) {
    fputs("{\"name\": \"refdiff_pipe.c\", \"version\": \"1\", \"precision\": \"float64\", \"operations\": [", stdout);
    for (size_t i = 0; i < COUNT; i++) printf("%s\"%s\"", i ? ", " : "", OPERATIONS[i].name);
    puts("]}");
}

static void respond(const char *line) {
    Value asked = parse(&line);
    if (entry(&asked, "hello")) { hello(); return; }
    request = (long)number_of(entry(&asked, "id"), "id");
    inputs = entry(&asked, "inputs");
    const Value *operation = entry(&asked, "operation");
    for (size_t i = 0; operation && operation->kind == WORD && i < COUNT; i++)
        if (!strcmp(operation->word, OPERATIONS[i].name)) { OPERATIONS[i].run(); return; }
    leave("skip", "no such operation");
}

int main(void) {
    for (const char *line; (line = read_line()); fflush(stdout), free_all()) {
        if (setjmp(request_end)) { /* the only way out of a request besides its answer, which is written in one go at the end */
            printf("{\"id\": %ld, \"%s\": ", request, verdict), put_text(message), puts("}");
        } else respond(line);
    }
    return 0;
}
