/*
 * Scripts for the fuzzed server that get deep: lines of commands with keys, ids, options and
 * numbers that mean something, beside what libFuzzer makes of the bytes. Only fuzz_server.c
 * includes this.
 */
#ifndef SPOOR_FUZZ_SERVER_MUTATE_H
#define SPOOR_FUZZ_SERVER_MUTATE_H

#include <stdio.h>
#include <string.h>

#include "base/prng.h"
#include "server/command.h"

/* libFuzzer's own; not there where the corpus is only replayed. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max) __attribute__((weak));

enum { MUTATE_LINE_MAX = 700 };

/*
 * What stands for a word: K key, W key that may be written, G group, C consumer, I id, N number,
 * T type or channel, J JSON, F fields, A attributes, S any option, D duration, X anything.
 */
static const char *const MUTATE_LINES[] = {
    "SPOOR.AGENT ONLINE C CAPABILITY X CAPACITY N DATA J",
    "SPOOR.AGENT HEARTBEAT C LOAD N",
    "SPOOR.AGENT OFFLINE C REASON X",
    "SPOOR.AGENT GET C",
    "SPOOR.AGENT LIST CAPABILITY X STATUS online FREE AFTER C LIMIT N",
    "SPOOR.APPEND W * agent.online J source C",
    "XADD W * F",
    "XADD W I F",
    "XADD W MAXLEN ~ N * F",
    "XADD W MAXLEN = N I F",
    "XADD W MINID = I * F",
    "XADD W NOMKSTREAM * F",
    "XADD W IDMP C I * F",
    "XADD W IDMPAUTO C * F",
    "XADD W * type T source C payload J correlationid C",
    "XADD W * event_id I type T payload J",
    "XREAD COUNT N STREAMS K I",
    "XREAD BLOCK N STREAMS K $",
    "XREAD BLOCK 0 COUNT N STREAMS K K $ $",
    "XREAD STREAMS K K I I",
    "XRANGE K - + COUNT N",
    "XRANGE K I I",
    "XREVRANGE K + - COUNT N",
    "XREVRANGE K I I",
    "XLEN K",
    "XDEL W I I",
    "XTRIM W MAXLEN N",
    "XTRIM W MAXLEN ~ N LIMIT N",
    "XTRIM W MINID I",
    "XSETID W I ENTRIESADDED N MAXDELETEDID I",
    "XSETID W I",
    "XINFO STREAM K",
    "XINFO STREAM K FULL COUNT N",
    "XINFO GROUPS K",
    "XINFO CONSUMERS K G",
    "XGROUP CREATE K G I MKSTREAM",
    "XGROUP CREATE K G $ MKSTREAM",
    "XGROUP CREATE K G 0 MKSTREAM ENTRIESREAD N",
    "XGROUP SETID K G I",
    "XGROUP DESTROY K G",
    "XGROUP CREATECONSUMER K G C",
    "XGROUP DELCONSUMER K G C",
    "XREADGROUP GROUP G C COUNT N STREAMS K >",
    "XREADGROUP GROUP G C BLOCK N STREAMS K >",
    "XREADGROUP GROUP G C BLOCK 0 STREAMS K K > >",
    "XREADGROUP GROUP G C NOACK STREAMS K >",
    "XREADGROUP GROUP G C COUNT N STREAMS K I",
    "XACK K G I I I",
    "XPENDING K G",
    "XPENDING K G - + N",
    "XPENDING K G IDLE N I I N C",
    "XCLAIM K G C N I I IDLE N",
    "XCLAIM K G C 0 I FORCE JUSTID RETRYCOUNT N",
    "XCLAIM K G C 0 I TIME N LASTID I",
    "XAUTOCLAIM K G C N I COUNT N",
    "XAUTOCLAIM K G C 0 0-0 COUNT N JUSTID",
    "XNACK K G FAIL IDS 1 I",
    "XNACK K G FATAL IDS 2 I I",
    "SPOOR.GROUP CREATE G K FROM I MKSTREAM ack-wait D max-deliveries N backoff D order-by stream",
    "SPOOR.GROUP CREATE G K FROM 0 MKSTREAM ack-wait D max-in-flight N type T",
    "SPOOR.GROUP CREATE G K FROM -1h order-by source filter J on-leave keep",
    "SPOOR.GROUP SET G K ack-wait D",
    "SPOOR.GROUP SET G K backoff D%20x2%20jitter%200.5 max-deliveries N",
    "SPOOR.GROUP SET G K order-by correlation",
    "SPOOR.GROUP SET G K order-by none max-in-flight N",
    "SPOOR.GROUP SET G K type T filter J",
    "SPOOR.GROUP SET G K NONE",
    "SPOOR.GROUP GET G K",
    "SPOOR.GROUP LIST",
    "SPOOR.GROUP LIST K",
    "SPOOR.GROUP DROP G K",
    "SPOOR.GROUP LAG G K",
    "SPOOR.RECEIVE GROUP G C COUNT N KEYS K K",
    "SPOOR.RECEIVE GROUP G C BLOCK N KEYS K",
    "SPOOR.EXTEND K G I I",
    "SPOOR.EXTEND K G I MS N",
    "SPOOR.EVENT I SOURCE C",
    "SPOOR.NACK K G I DELAY N ERROR X",
    "SPOOR.NACK K G I DEAD",
    "SPOOR.DEAD LIST K G COUNT N AFTER N",
    "SPOOR.DEAD LIST K G ALL",
    "SPOOR.DEAD REDRIVE K G COUNT N",
    "SPOOR.DEAD REDRIVE K G I",
    "SPOOR.DEAD REDRIVE K G ALL",
    "SPOOR.DEAD DISCARD K G ALL",
    "SPOOR.DEAD DISCARD K G I I",
    "SPOOR.APPEND W * T J",
    "SPOOR.APPEND W N T J A",
    "SPOOR.APPEND W none T J id I",
    "SPOOR.READ STREAM K LIMIT N",
    "SPOOR.READ TYPE T FROM I UNTIL I REVERSE",
    "SPOOR.READ SOURCE C CORRELATION C FILTER J LIMIT N",
    "SPOOR.TRACE I",
    "SPOOR.SUBSCRIBE TYPE T FROM I",
    "SPOOR.SUBSCRIBE NAME C STREAM K FROM 1 LIMIT N",
    "SPOOR.SUBSCRIBE FILTER J FROM now",
    "SPOOR.UNSUBSCRIBE C",
    "SPOOR.UNSUBSCRIBE",
    "SUBSCRIBE T T",
    "PSUBSCRIBE T *",
    "SSUBSCRIBE T",
    "UNSUBSCRIBE",
    "PUNSUBSCRIBE T",
    "SUNSUBSCRIBE",
    "PUBLISH T X",
    "PUBLISH tmp.x @N",
    "SPUBLISH T @N",
    "PUBSUB CHANNELS T",
    "PUBSUB NUMSUB T T",
    "PUBSUB NUMPAT",
    "PUBSUB SHARDCHANNELS",
    "PUBSUB SHARDNUMSUB T",
    "MULTI",
    "EXEC",
    "DISCARD",
    "WATCH K K",
    "UNWATCH",
    "DEL W W",
    "UNLINK W",
    "RENAME W W",
    "RENAMENX W W",
    "EXPIRE W N",
    "PEXPIRE W N NX",
    "EXPIREAT W N GT",
    "PEXPIREAT W N XX",
    "TTL K",
    "PTTL K",
    "EXPIRETIME K",
    "PEXPIRETIME K",
    "PERSIST W",
    "TYPE K",
    "EXISTS K K",
    "TOUCH K",
    "KEYS *",
    "KEYS X",
    "SCAN N MATCH X COUNT N TYPE stream",
    "SCAN 0 COUNT N",
    "RANDOMKEY",
    "DBSIZE",
    "FLUSHALL",
    "FLUSHDB ASYNC",
    "SELECT N",
    "HELLO 3",
    "HELLO 2",
    "HELLO 3 AUTH default X SETNAME C",
    "AUTH X",
    "AUTH default X",
    "PING",
    "PING X",
    "ECHO X",
    "RESET",
    "QUIT",
    "CLIENT ID",
    "CLIENT INFO",
    "CLIENT LIST",
    "CLIENT LIST TYPE pubsub",
    "CLIENT LIST ID N N",
    "CLIENT GETNAME",
    "CLIENT SETNAME C",
    "CLIENT SETINFO lib-name X",
    "CLIENT NO-EVICT on",
    "CLIENT REPLY OFF",
    "CLIENT REPLY SKIP",
    "CLIENT REPLY ON",
    "CLIENT UNBLOCK N ERROR",
    "CLIENT UNBLOCK N",
    "CLIENT KILL ID N SKIPME no",
    "CLIENT KILL TYPE normal",
    "CLIENT KILL MAXAGE N",
    "CLIENT TRACKING on",
    "INFO",
    "INFO X",
    "COMMAND",
    "COMMAND COUNT",
    "COMMAND DOCS X",
    "COMMAND INFO X",
    "COMMAND LIST",
    "COMMAND GETKEYS XREAD STREAMS K I",
    "COMMAND GETKEYS X X X",
    "CONFIG GET *",
    "CONFIG GET X",
    "CONFIG SET password X",
    "CONFIG SET ephemeral-topics T",
    "CONFIG SET idle-timeout D",
    "CONFIG RESETSTAT",
    "CONFIG REWRITE",
    "MEMORY USAGE K",
    "OBJECT ENCODING K",
    "DEBUG LOG X",
    "TIME",
    "WAIT N N",
    "XGROUP HELP",
    "X X X X",
};

static const char *const MUTATE_KEYS[] = {"s",         "t",          "s2",        "$all",
                                          "$type:a.*", "$type:#",    "$source:c", "$correlation:c",
                                          "$stream:s", "$group:s:g", "$dead:s:g", "%e",
                                          "db1:s",     "$type:",     "$source:",  "$subscribers"};
static const char *const MUTATE_IDS[] = {"0",
                                         "0-0",
                                         "0-1",
                                         "1-1",
                                         "2-1",
                                         "2-2",
                                         "5-*",
                                         "1700000000000-0",
                                         "1700000000000-1",
                                         "1700000000001",
                                         "18446744073709551615-18446744073709551615",
                                         "18446744073709551615",
                                         "18446744073709551614-18446744073709551615",
                                         "9223372036854775807-1",
                                         "-",
                                         "+",
                                         "$",
                                         ">",
                                         "(1-1",
                                         "(0",
                                         "(18446744073709551615-18446744073709551615",
                                         "1-",
                                         "1-1-1",
                                         "x",
                                         "*",
                                         "1",
                                         "2",
                                         "3",
                                         "7",
                                         "now",
                                         "-1h",
                                         "1700000000002-0"};
static const char *const MUTATE_NUMBERS[] = {"0",
                                             "1",
                                             "2",
                                             "3",
                                             "10",
                                             "100",
                                             "250",
                                             "1000",
                                             "5000",
                                             "-1",
                                             "-9223372036854775808",
                                             "9223372036854775807",
                                             "18446744073709551615",
                                             "2147483648",
                                             "4294967295",
                                             "4294967296",
                                             "2147483647",
                                             "1e3",
                                             "01",
                                             "%e",
                                             "none",
                                             "1700000000500",
                                             "18446744073709552"};
static const char *const MUTATE_TYPES[] = {
    "a.b", "a.c", "a.*",     "#",          "*",    "a.#.b", "tmp.x",         "redis.entry",
    "$x",  "%e",  "group.*", "delivery.#", "a..b", "@300",  "stream.trimmed"};
static const char *const MUTATE_JSON[] = {
    "{}",
    "{\"x\":1}",
    "{\"type\":\"a.b\"}",
    "{\"data.x\":1}",
    "[1,2]",
    "\"t\"",
    "nul",
    "{\"x\":",
    "{\"data\":{\"x\":[1]}}",
    "{\"$or\":[{\"source\":\"c\"},{\"data.x\":{\"$gte\":1}}]}",
    "%00%ff",
    "@3000",
    "%e"};
static const char *const MUTATE_FIELDS[] = {"f v",
                                            "f v g w",
                                            "type a.b",
                                            "payload {}",
                                            "f @3000",
                                            "%00 %ff",
                                            "event_id e1 source c",
                                            "f %e",
                                            "%e %e",
                                            "correlationid c causationid e1",
                                            "time x",
                                            "f",
                                            "data x payload y",
                                            "f @15000",
                                            "specversion 1"};
static const char *const MUTATE_DURATIONS[] = {
    "1s",      "50ms", "0",         "1h",  "30s..10s",
    "1ms..5s", "100y", "94608000s", "-1s", "99999999999999999999",
    "1s..60s"};
static const char *const MUTATE_ANY[] = {
    "x",   "%e",   "%0d%0a", "a*b[^c-a]?", "%00",   "%ff%fe", "@100",     "default", "server",
    "%27", "save", "port",   "@8000",      "XADD",  "xread",  "lib-name", "CLIENT",  "STREAMS",
    "[",   "%5c",  "COUNT",  "GROUP",      "BLOCK", "$all",   "s"};
static const char *const MUTATE_EVENTS[] = {
    "q",  "q",  "q",  "t",      "t3",      "s10", "s1000", "s60000", "s3600000", "R",
    "R",  "Cl", "Ca", "Ck",     "F",       "d0",  "d1",    "h0",     "h2",       "o0",
    "O0", "o1", "O1", "j-5000", "j100000", "x3",  "x10",   "x60",    "s1"};

#define MUTATE_PICK(prng, pool) (pool)[sp_prng_next(prng) % (sizeof(pool) / sizeof(*(pool)))]

static const char *mutate_word(struct sp_prng *prng, char what) {
    static char name[2];
    switch (what) {
    case 'K':
        return sp_prng_next(prng) % 3 > 0 ? MUTATE_KEYS[sp_prng_next(prng) % 3]
                                          : MUTATE_PICK(prng, MUTATE_KEYS);
    case 'W':
        return sp_prng_next(prng) % 20 > 0 ? MUTATE_KEYS[sp_prng_next(prng) % 3]
                                           : MUTATE_PICK(prng, MUTATE_KEYS);
    case 'G':
    case 'C':
        name[0] = (char)((what == 'G' ? 'g' : 'c') + (char)(sp_prng_next(prng) % 2));
        return name;
    case 'I':
        return MUTATE_PICK(prng, MUTATE_IDS);
    case 'N':
        return MUTATE_PICK(prng, MUTATE_NUMBERS);
    case 'T':
        return MUTATE_PICK(prng, MUTATE_TYPES);
    case 'J':
        return MUTATE_PICK(prng, MUTATE_JSON);
    case 'F':
        return MUTATE_PICK(prng, MUTATE_FIELDS);
    case 'A':
        return "source c id e2";
    case 'D':
        return MUTATE_PICK(prng, MUTATE_DURATIONS);
    default:
        return MUTATE_PICK(prng, MUTATE_ANY);
    }
}

/* Writes a line of a script. Returns its bytes, the end included. */
static size_t mutate_make_line(struct sp_prng *prng, char *to) {
    size_t len = 0;
    if (sp_prng_next(prng) % 5 == 0) {
        return (size_t)snprintf(to, MUTATE_LINE_MAX, "%s\n", MUTATE_PICK(prng, MUTATE_EVENTS));
    }
    const char *form = MUTATE_PICK(prng, MUTATE_LINES);
    unsigned who = (unsigned)(sp_prng_next(prng) % 8) % 4;
    bool pieces = sp_prng_next(prng) % 40 == 0;
    len = (size_t)snprintf(to, MUTATE_LINE_MAX, pieces ? "p%u 1 " : "%u ", who);
    while (*form != '\0') {
        size_t word = strcspn(form, " ");
        bool stands = word == 1 && strchr("KWGCINTJFASDX", *form) != NULL;
        uint64_t odd = sp_prng_next(prng) % 60;
        const char *text = odd == 0   ? MUTATE_PICK(prng, MUTATE_ANY)
                           : odd == 1 ? MUTATE_PICK(prng, MUTATE_NUMBERS)
                           : stands   ? mutate_word(prng, *form)
                                      : form;
        size_t bytes = text == form ? word : strlen(text);
        if (len + bytes + 2 > MUTATE_LINE_MAX) {
            break;
        }
        memcpy(to + len, text, bytes);
        len += bytes;
        to[len++] = ' ';
        form += word;
        form += *form == ' ';
    }
    to[len - 1] = '\n';
    return len;
}

/* Where the line begins that holds this byte. */
static size_t mutate_line_start(const uint8_t *data, size_t at) {
    while (at > 0 && data[at - 1] != '\n') {
        at--;
    }
    return at;
}

static size_t mutate_line_end(const uint8_t *data, size_t size, size_t at) {
    const uint8_t *end = at < size ? memchr(data + at, '\n', size - at) : NULL;
    return end != NULL ? (size_t)(end - data) + 1 : size;
}

static size_t mutate_insert(uint8_t *data, size_t size, size_t size_max, size_t at,
                            const void *bytes, size_t len) {
    if (size + len > size_max) {
        return size;
    }
    memmove(data + at + len, data + at, size - at);
    memcpy(data + at, bytes, len);
    return size + len;
}

static size_t mutate_once(uint8_t *data, size_t size, size_t size_max, struct sp_prng *prng) {
    char line[MUTATE_LINE_MAX];
    size_t at = size > 0 ? mutate_line_start(data, sp_prng_next(prng) % size) : 0;
    size_t end = mutate_line_end(data, size, at);
    switch (sp_prng_next(prng) % 10) {
    case 0: /* a line less */
        memmove(data + at, data + end, size - end);
        return size - (end - at);
    case 1: /* a line twice, or elsewhere */
        if (end - at <= sizeof(line)) {
            memcpy(line, data + at, end - at);
            size_t to = size > 0 ? mutate_line_start(data, sp_prng_next(prng) % size) : 0;
            return mutate_insert(data, size, size_max, to, line, end - at);
        }
        return size;
    case 2: /* somebody else says it */
        if (at < size && data[at] >= '0' && data[at] <= '5') {
            data[at] = (uint8_t)('0' + sp_prng_next(prng) % 4);
        }
        return size;
    case 3:
        return LLVMFuzzerMutate != NULL ? LLVMFuzzerMutate(data, size, size_max) : size;
    case 4: /* at the end */
        return mutate_insert(data, size, size_max, size, line, mutate_make_line(prng, line));
    default:
        return mutate_insert(data, size, size_max, at, line, mutate_make_line(prng, line));
    }
}

static size_t mutate_script(uint8_t *data, size_t size, size_t size_max, unsigned seed) {
    struct sp_prng prng = sp_prng_seed(seed);
    uint64_t times = 1 + sp_prng_next(&prng) % 6;
    for (uint64_t i = 0; i < times; i++) {
        size = mutate_once(data, size, size_max, &prng);
    }
    return size;
}

#endif
