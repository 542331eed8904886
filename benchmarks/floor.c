/* The floor of `make bench`: the same work as Bursar's in C, one key at a time, same bytes out.
 *
 * Reads one request a line from standard input and answers each with "<nanoseconds> <nanoseconds of processor time>
 * <sha256 of every byte produced>".
 * Curve: Debian's libsecp256k1. SHA-2, RIPEMD-160, HMAC, PBKDF2: OpenSSL. Keccak: keccak.h. BIP-32, 39, 143, 173, 174,
 * 341, 350, 352; EIP-55, EIP-1559 (others: floor_ethereum.h).
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ripemd.h>
#include <openssl/sha.h>
#include <secp256k1.h>
#include <secp256k1_ecdh.h>
#include <secp256k1_extrakeys.h>
#include <secp256k1_recovery.h>
#include <secp256k1_schnorrsig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keccak.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the floor is written for little-endian machines"
#endif

typedef unsigned char u8;

static secp256k1_context *ctx;
static u8 *out;                 /* everything a request produces, hashed after the clock stops */
static size_t used, room;

static void fail(const char *why) {
    fprintf(stderr, "floor: %s\n", why);
    exit(1);
}
static void need(int ok, const char *why) {
    if (!ok) fail(why);
}
static u8 *reserve(size_t size) {
    if (used + size > room) {
        room = 2 * (used + size) + 65536;
        out = realloc(out, room);
        need(out != NULL, "out of memory");
    }
    u8 *at = out + used;
    used += size;
    return at;
}
static void emit(const void *data, size_t size) { memcpy(reserve(size), data, size); }

static long long clock_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}
static long long busy, busy_before; /* processor time at the last call of now() and at the one before it */
static long long now(void) { /* every request calls it twice: around its timed part */
    busy_before = busy;
    busy = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    return clock_of(CLOCK_MONOTONIC);
}

/* ---- hashes ---- */

static void sha256d(u8 digest[32], const u8 *data, size_t size) {
    SHA256(data, size, digest);
    SHA256(digest, 32, digest);
}
static void hash160(u8 digest[20], const u8 *data, size_t size) {
    u8 middle[32];
    SHA256(data, size, middle);
    RIPEMD160(middle, 32, digest);
}
typedef struct {
    SHA512_CTX inner, outer;
} hmac512;
static void hmac512_key(hmac512 *h, const u8 *key, size_t size) {
    u8 pad[128];
    memset(pad, 0x36, 128);
    for (size_t i = 0; i < size; i++) pad[i] ^= key[i];
    SHA512_Init(&h->inner);
    SHA512_Update(&h->inner, pad, 128);
    for (int i = 0; i < 128; i++) pad[i] ^= 0x36 ^ 0x5c;
    SHA512_Init(&h->outer);
    SHA512_Update(&h->outer, pad, 128);
}
static void hmac512_digest(u8 digest[64], const hmac512 *h, const u8 *data, size_t size) {
    SHA512_CTX state = h->inner;
    SHA512_Update(&state, data, size);
    SHA512_Final(digest, &state);
    state = h->outer;
    SHA512_Update(&state, digest, 64);
    SHA512_Final(digest, &state);
}
static void tagged(SHA256_CTX *state, const char *tag) {
    u8 digest[32];
    SHA256((const u8 *)tag, strlen(tag), digest);
    SHA256_Init(state);
    SHA256_Update(state, digest, 32);
    SHA256_Update(state, digest, 32);
}
static SHA256_CTX tap_tweak, tap_sighash, bip352_inputs, bip352_shared;

/* ---- BIP-32 ---- */

typedef struct {
    hmac512 hmac;
    u8 public[33], secret[32];
    secp256k1_pubkey point;
} branch;

static void branch_public(branch *b, const u8 chain_code[32], const u8 public[33]) {
    hmac512_key(&b->hmac, chain_code, 32);
    memcpy(b->public, public, 33);
    need(secp256k1_ec_pubkey_parse(ctx, &b->point, public, 33), "not a public key");
}
static void branch_secret(branch *b, const u8 chain_code[32], const u8 secret[32]) {
    size_t size = 33;
    hmac512_key(&b->hmac, chain_code, 32);
    memcpy(b->secret, secret, 32);
    need(secp256k1_ec_pubkey_create(ctx, &b->point, secret), "not a secret key");
    secp256k1_ec_pubkey_serialize(ctx, b->public, &size, &b->point, SECP256K1_EC_COMPRESSED);
}
static void tweak(u8 digest[64], const branch *b, unsigned index) {
    u8 message[37];
    memcpy(message, b->public, 33);
    message[33] = index >> 24, message[34] = index >> 16, message[35] = index >> 8, message[36] = index;
    hmac512_digest(digest, &b->hmac, message, 37);
}
/* create + combine: quicker than tweak_add */
static void child_public(secp256k1_pubkey *child, const branch *b, unsigned index) {
    u8 digest[64];
    secp256k1_pubkey addend;
    const secp256k1_pubkey *both[2] = {&b->point, &addend};
    tweak(digest, b, index);
    need(secp256k1_ec_pubkey_create(ctx, &addend, digest), "no child");
    need(secp256k1_ec_pubkey_combine(ctx, child, both, 2), "no child");
}
static void child_secret(u8 secret[32], const branch *b, unsigned index) {
    u8 digest[64];
    tweak(digest, b, index);
    memcpy(secret, b->secret, 32);
    need(secp256k1_ec_seckey_tweak_add(ctx, secret, digest), "no child");
}
static void compress(u8 public[33], const secp256k1_pubkey *point) {
    size_t size = 33;
    secp256k1_ec_pubkey_serialize(ctx, public, &size, point, SECP256K1_EC_COMPRESSED);
}

/* ---- addresses ---- */

static const char *charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

static unsigned polymod(unsigned state, u8 value) {
    unsigned top = state >> 25;
    state = (state & 0x1ffffff) << 5 ^ value;
    return state ^ (-(top & 1) & 0x3b6a57b2) ^ (-(top >> 1 & 1) & 0x26508e6d) ^ (-(top >> 2 & 1) & 0x1ea119fa) ^
           (-(top >> 3 & 1) & 0x3d4233dd) ^ (-(top >> 4 & 1) & 0x2a1462b3);
}
static void emit_segwit(int version, const u8 *program, size_t size) {
    static unsigned head; /* the checksum state behind "bc" */
    if (!head) {
        head = 1;
        for (const char *c = "bc"; *c; c++) head = polymod(head, *c >> 5);
        head = polymod(head, 0);
        for (const char *c = "bc"; *c; c++) head = polymod(head, *c & 31);
    }
    size_t symbols = (8 * size + 4) / 5;
    char *text = (char *)reserve(4 + symbols + 7);
    memcpy(text, "bc1", 3);
    text += 3;
    unsigned state = polymod(head, version), bits = 0, window = 0;
    *text++ = charset[version];
    for (size_t i = 0; i < size; i++) {
        window = window << 8 | program[i];
        for (bits += 8; bits >= 5;) {
            u8 symbol = window >> (bits -= 5) & 31;
            state = polymod(state, symbol);
            *text++ = charset[symbol];
        }
    }
    if (bits) {
        u8 symbol = window << (5 - bits) & 31;
        state = polymod(state, symbol);
        *text++ = charset[symbol];
    }
    for (int i = 0; i < 6; i++) state = polymod(state, 0);
    state ^= version ? 0x2bc830a3 : 1;
    for (int i = 0; i < 6; i++) *text++ = charset[state >> (25 - 5 * i) & 31];
    *text = '\n';
}
static void emit_p2wpkh(const secp256k1_pubkey *point) {
    u8 public[33], program[20];
    compress(public, point);
    hash160(program, public, 33);
    emit_segwit(0, program, 20);
}
static void tap_tweak_of(u8 digest[32], const u8 xonly[32]) {
    SHA256_CTX state = tap_tweak;
    SHA256_Update(&state, xonly, 32);
    SHA256_Final(digest, &state);
}
static void emit_p2tr(secp256k1_pubkey *point) {
    u8 public[33], digest[32];
    secp256k1_pubkey addend, sum;
    const secp256k1_pubkey *both[2] = {point, &addend};
    compress(public, point);
    if (public[0] == 3) need(secp256k1_ec_pubkey_negate(ctx, point), "negate");
    tap_tweak_of(digest, public + 1);
    need(secp256k1_ec_pubkey_create(ctx, &addend, digest), "tweak");
    need(secp256k1_ec_pubkey_combine(ctx, &sum, both, 2), "tweak");
    compress(public, &sum);
    emit_segwit(1, public + 1, 32);
}
static void emit_eip55(const secp256k1_pubkey *point) {
    static const char hex[] = "0123456789abcdef";
    u8 public[65], digest[32];
    size_t size = 65;
    secp256k1_ec_pubkey_serialize(ctx, public, &size, point, SECP256K1_EC_UNCOMPRESSED);
    keccak256(digest, public + 1, 64);
    char *text = (char *)reserve(43);
    memcpy(text, "0x", 2);
    text += 2;
    for (int i = 0; i < 20; i++) text[2 * i] = hex[digest[12 + i] >> 4], text[2 * i + 1] = hex[digest[12 + i] & 15];
    keccak256(digest, (u8 *)text, 40);
    for (int i = 0; i < 40; i++)
        if (text[i] >= 'a' && (digest[i / 2] >> (i % 2 ? 0 : 4) & 15) >= 8) text[i] -= 32;
    text[40] = '\n';
}

/* ---- reading requests ---- */

static u8 *hex_bytes(const char *text, size_t *size) {
    static const signed char *value;
    if (!value) {
        signed char *table = malloc(256);
        memset(table, -1, 256);
        for (int i = 0; i < 16; i++) table[(u8) "0123456789abcdef"[i]] = i;
        value = table;
    }
    size_t length = strlen(text);
    u8 *bytes = malloc(length / 2 + 1);
    for (size_t i = 0; i < length / 2; i++) {
        need(value[(u8)text[2 * i]] >= 0 && value[(u8)text[2 * i + 1]] >= 0, "not hex");
        bytes[i] = value[(u8)text[2 * i]] << 4 | value[(u8)text[2 * i + 1]];
    }
    *size = length / 2;
    return bytes;
}
static u8 *argument(size_t size) {
    size_t got;
    char *text = strtok(NULL, " \n");
    need(text != NULL, "missing argument");
    u8 *bytes = hex_bytes(text, &got);
    need(!size || got == size, "argument of the wrong size");
    return bytes;
}
static unsigned number(void) {
    char *text = strtok(NULL, " \n");
    need(text != NULL, "missing number");
    return strtoul(text, NULL, 10);
}
static const char *word(void) {
    char *text = strtok(NULL, " \n");
    need(text != NULL, "missing word");
    return text;
}

/* ---- requests: each returns the nanoseconds of its timed part ---- */

/* public <kind> <count> <chain code> <public key>; private <kind> <count> <chain code> <secret key> */
static long long addresses(int private) {
    const char *kind = word();
    unsigned count = number();
    u8 *chain_code = argument(32);
    u8 *key = argument(private ? 32 : 33);
    branch b;
    reserve(count * 64ul);
    used = 0;
    long long start = now();
    if (private) branch_secret(&b, chain_code, key);
    else branch_public(&b, chain_code, key);
    for (unsigned i = 0; i < count; i++) {
        secp256k1_pubkey point;
        if (private) {
            u8 secret[32];
            child_secret(secret, &b, i);
            need(secp256k1_ec_pubkey_create(ctx, &point, secret), "no key");
        } else {
            child_public(&point, &b, i);
        }
        if (kind[0] == 'w') emit_p2wpkh(&point);
        else if (kind[0] == 't') emit_p2tr(&point);
        else emit_eip55(&point);
    }
    return now() - start;
}

static size_t sign_der(u8 der[72], const u8 digest[32], const u8 secret[32], int low_r) {
    secp256k1_ecdsa_signature signature;
    u8 compact[64], extra[32] = {0};
    size_t size = 72;
    need(secp256k1_ecdsa_sign(ctx, &signature, digest, secret, NULL, NULL), "sign");
    for (unsigned counter = 1; low_r; counter++) {
        secp256k1_ecdsa_signature_serialize_compact(ctx, compact, &signature);
        if (compact[0] < 0x80) break;
        memcpy(extra, &counter, 4);
        need(secp256k1_ecdsa_sign(ctx, &signature, digest, secret, NULL, extra), "sign");
    }
    secp256k1_ecdsa_signature_serialize_der(ctx, der, &size, &signature);
    return size;
}
static void digest_of(u8 digest[32], unsigned i) {
    u8 message[4];
    memcpy(message, &i, 4);
    SHA256(message, 4, digest);
}
/* sign <ecdsa|lowr|schnorr|recoverable> <count> <secret key>: digest i is sha256(i as 4 bytes, little-endian) */
static long long sign(void) {
    const char *kind = word();
    unsigned count = number();
    u8 *secret = argument(32);
    u8 *digests = malloc(32ul * count), zeros[32] = {0};
    for (unsigned i = 0; i < count; i++) digest_of(digests + 32ul * i, i);
    reserve(count * 72ul);
    used = 0;
    long long start = now();
    secp256k1_keypair pair;
    if (kind[0] == 's') need(secp256k1_keypair_create(ctx, &pair, secret), "key pair");
    for (unsigned i = 0; i < count; i++) {
        const u8 *digest = digests + 32ul * i;
        if (kind[0] == 's') {
            need(secp256k1_schnorrsig_sign32(ctx, reserve(64), digest, &pair, zeros), "sign");
        } else if (kind[0] == 'r') {
            secp256k1_ecdsa_recoverable_signature signature;
            int parity;
            need(secp256k1_ecdsa_sign_recoverable(ctx, &signature, digest, secret, NULL, NULL), "sign");
            u8 *at = reserve(65);
            secp256k1_ecdsa_recoverable_signature_serialize_compact(ctx, at, &parity, &signature);
            at[64] = parity;
        } else {
            u8 der[72];
            emit(der, sign_der(der, digest, secret, kind[0] == 'l'));
        }
    }
    long long elapsed = now() - start;
    free(digests);
    return elapsed;
}

/* ---- PSBT (BIP-174, BIP-371): parse, sign, finalise, extract ---- */

typedef struct {
    const u8 *at, *end;
} reader;
static const u8 *take(reader *r, size_t size) {
    need((size_t)(r->end - r->at) >= size, "truncated");
    const u8 *at = r->at;
    r->at += size;
    return at;
}
static size_t compact_size(reader *r) {
    u8 first = *take(r, 1);
    unsigned long value = 0;
    if (first < 253) return first;
    size_t size = first == 253 ? 2 : first == 254 ? 4 : 8;
    memcpy(&value, take(r, size), size);
    return value;
}
static void emit_compact_size(size_t value) {
    u8 head = value < 253 ? value : value < 65536 ? 253 : 254;
    emit(&head, 1);
    if (value >= 253) emit(&value, value < 65536 ? 2 : 4);
}
typedef struct {
    const u8 *outpoint, *sequence, *amount, *script, *internal, *previous;
    size_t script_size, previous_size;
    unsigned index;
} input;

static void txid_of(u8 digest[32], const u8 *raw, size_t size) { /* previous transactions here have no witness */
    sha256d(digest, raw, size);
}
/* amount and script of the output that is spent, out of the transaction that made it */
static void spent_output(input *in) {
    reader r = {in->previous, in->previous + in->previous_size};
    unsigned wanted;
    memcpy(&wanted, in->outpoint + 32, 4);
    take(&r, 4);
    for (size_t left = compact_size(&r); left; left--) {
        take(&r, 36);
        take(&r, compact_size(&r));
        take(&r, 4);
    }
    size_t count = compact_size(&r);
    need(wanted < count, "no such output");
    for (size_t i = 0; i < count; i++) {
        const u8 *amount = take(&r, 8);
        size_t size = compact_size(&r);
        const u8 *script = take(&r, size);
        if (i == wanted) in->amount = amount, in->script = script, in->script_size = size;
    }
    take(&r, 4);
    need(r.at == r.end, "bytes behind the previous transaction");
}
static void psbt_once(const branch *b, int kind, int low_r, const u8 *psbt, size_t size, const u8 aux[32]) {
    int taproot = kind == 't', legacy = kind == 'p';
    reader r = {psbt, psbt + size};
    need(!memcmp(take(&r, 5), "psbt\xff", 5), "magic");
    const u8 *tx = NULL, *version, *outputs, *locktime;
    size_t tx_size = 0, key_size, value_size;
    while ((key_size = compact_size(&r))) {
        const u8 *key = take(&r, key_size);
        value_size = compact_size(&r);
        const u8 *value = take(&r, value_size);
        if (key[0] == 0) tx = value, tx_size = value_size;
    }
    need(tx != NULL, "no transaction");
    reader t = {tx, tx + tx_size};
    version = take(&t, 4);
    size_t inputs = compact_size(&t);
    input *in = malloc(inputs * sizeof *in);
    u8 *joined = malloc(inputs * 36 + inputs * 4 + inputs * 8 + inputs * 35);
    u8 *prevouts = joined, *sequences = prevouts + 36 * inputs, *amounts = sequences + 4 * inputs;
    u8 *scripts = amounts + 8 * inputs;
    size_t scripts_size = 0;
    for (size_t i = 0; i < inputs; i++) {
        memset(&in[i], 0, sizeof in[i]);
        in[i].outpoint = take(&t, 36);
        need(*take(&t, 1) == 0, "script signature in an unsigned transaction");
        in[i].sequence = take(&t, 4);
        memcpy(prevouts + 36 * i, in[i].outpoint, 36);
        memcpy(sequences + 4 * i, in[i].sequence, 4);
    }
    const u8 *counted_outputs = t.at;
    size_t count = compact_size(&t);
    outputs = t.at;
    for (size_t i = 0; i < count; i++) {
        take(&t, 8);
        take(&t, compact_size(&t));
    }
    size_t outputs_size = t.at - outputs;
    locktime = take(&t, 4);
    for (size_t i = 0; i < inputs; i++) {
        while ((key_size = compact_size(&r))) {
            const u8 *key = take(&r, key_size);
            value_size = compact_size(&r);
            const u8 *value = take(&r, value_size);
            if (key[0] == 0x00) {
                in[i].previous = value, in[i].previous_size = value_size;
            } else if (key[0] == 0x01) {
                in[i].amount = value, in[i].script_size = value[8], in[i].script = value + 9;
            } else if ((key[0] == 0x06 && !taproot) || (key[0] == 0x16 && taproot)) {
                memcpy(&in[i].index, value + value_size - 4, 4);
            } else if (key[0] == 0x17) {
                in[i].internal = value;
            }
        }
        if (in[i].previous) {
            u8 digest[32];
            txid_of(digest, in[i].previous, in[i].previous_size);
            need(!memcmp(digest, in[i].outpoint, 32), "previous transaction does not match");
            if (!in[i].script) spent_output(&in[i]);
        }
        need(in[i].script != NULL, "no spent output");
        memcpy(amounts + 8 * i, in[i].amount, 8);
        scripts[scripts_size] = in[i].script_size;
        memcpy(scripts + scripts_size + 1, in[i].script, in[i].script_size);
        scripts_size += 1 + in[i].script_size;
    }
    for (size_t i = 0; i < count; i++)
        while ((key_size = compact_size(&r))) {
            take(&r, key_size);
            take(&r, compact_size(&r));
        }
    need(r.at == r.end, "bytes behind the end");

    u8 h_prevouts[32], h_sequences[32], h_outputs[32], h_amounts[32], h_scripts[32];
    SHA256(prevouts, 36 * inputs, h_prevouts);
    SHA256(sequences, 4 * inputs, h_sequences);
    SHA256(outputs, outputs_size, h_outputs);
    SHA256_CTX middle;
    if (taproot) {
        u8 head[2] = {0, 0};
        SHA256(amounts, 8 * inputs, h_amounts);
        SHA256(scripts, scripts_size, h_scripts);
        middle = tap_sighash;
        SHA256_Update(&middle, head, 2);
        SHA256_Update(&middle, version, 4);
        SHA256_Update(&middle, locktime, 4);
        SHA256_Update(&middle, h_prevouts, 32);
        SHA256_Update(&middle, h_amounts, 32);
        SHA256_Update(&middle, h_scripts, 32);
        SHA256_Update(&middle, h_sequences, 32);
        SHA256_Update(&middle, h_outputs, 32);
    } else if (legacy) { /* what stands before the input to be signed grows by one blank input at a time */
        u8 head[9] = {253, inputs, inputs >> 8};
        SHA256_Init(&middle);
        SHA256_Update(&middle, version, 4);
        if (inputs < 253) SHA256_Update(&middle, head + 1, 1);
        else SHA256_Update(&middle, head, 3);
    } else {
        SHA256(h_prevouts, 32, h_prevouts);
        SHA256(h_sequences, 32, h_sequences);
        SHA256(h_outputs, 32, h_outputs);
        SHA256_Init(&middle);
        SHA256_Update(&middle, version, 4);
        SHA256_Update(&middle, h_prevouts, 32);
        SHA256_Update(&middle, h_sequences, 32);
    }
    u8 *blank = NULL;
    emit(version, 4);
    if (!legacy) emit("\0\1", 2);
    emit_compact_size(inputs);
    if (legacy) {
        need(inputs < 65536, "too many inputs");
        blank = malloc(41 * inputs);
        for (size_t i = 0; i < inputs; i++) {
            memcpy(blank + 41 * i, in[i].outpoint, 36);
            blank[41 * i + 36] = 0;
            memcpy(blank + 41 * i + 37, in[i].sequence, 4);
        }
    } else {
        for (size_t i = 0; i < inputs; i++) {
            emit(in[i].outpoint, 36);
            emit("\0", 1);
            emit(in[i].sequence, 4);
        }
        emit(counted_outputs, outputs - counted_outputs + outputs_size);
    }
    for (size_t i = 0; i < inputs; i++) {
        u8 secret[32], public[33], digest[32];
        secp256k1_pubkey point;
        SHA256_CTX state = middle;
        child_secret(secret, b, in[i].index);
        need(secp256k1_ec_pubkey_create(ctx, &point, secret), "key");
        compress(public, &point);
        if (taproot) {
            u8 tweak32[32], spend[5] = {0};
            unsigned at = i;
            secp256k1_keypair pair;
            need(in[i].internal && !memcmp(public + 1, in[i].internal, 32), "not our key");
            if (public[0] == 3) need(secp256k1_ec_seckey_negate(ctx, secret), "negate");
            tap_tweak_of(tweak32, public + 1);
            need(secp256k1_ec_seckey_tweak_add(ctx, secret, tweak32), "tweak");
            need(secp256k1_keypair_create(ctx, &pair, secret), "key pair");
            secp256k1_pubkey output;
            need(secp256k1_keypair_pub(ctx, &output, &pair), "key pair");
            compress(public, &output);
            need(!memcmp(public + 1, in[i].script + 2, 32), "not our output");
            memcpy(spend + 1, &at, 4);
            SHA256_Update(&state, spend, 5);
            SHA256_Final(digest, &state);
            emit("\1\100", 2);
            need(secp256k1_schnorrsig_sign32(ctx, reserve(64), digest, &pair, aux), "sign");
        } else if (legacy) {
            u8 der[73], program[20];
            hash160(program, public, 33);
            need(in[i].script_size == 25 && !memcmp(program, in[i].script + 3, 20), "not our output");
            SHA256_Update(&state, in[i].outpoint, 36);
            SHA256_Update(&state, "\31", 1);
            SHA256_Update(&state, in[i].script, 25);
            SHA256_Update(&state, in[i].sequence, 4);
            SHA256_Update(&state, blank + 41 * (i + 1), 41 * (inputs - i - 1));
            SHA256_Update(&state, counted_outputs, outputs - counted_outputs + outputs_size);
            SHA256_Update(&state, locktime, 4);
            SHA256_Update(&state, "\1\0\0\0", 4);
            SHA256_Final(digest, &state);
            SHA256(digest, 32, digest);
            SHA256_Update(&middle, blank + 41 * i, 41);
            size_t length = sign_der(der, digest, secret, low_r);
            der[length++] = 1;
            u8 head[2] = {length + 35, length};
            emit(in[i].outpoint, 36);
            emit(head, 2);
            emit(der, length);
            emit("\41", 1);
            emit(public, 33);
            emit(in[i].sequence, 4);
        } else {
            u8 der[73], program[20], code[26] = {0x19, 0x76, 0xa9, 0x14};
            hash160(program, public, 33);
            need(!memcmp(program, in[i].script + 2, 20), "not our output");
            memcpy(code + 4, program, 20);
            code[24] = 0x88, code[25] = 0xac;
            SHA256_Update(&state, in[i].outpoint, 36);
            SHA256_Update(&state, code, 26);
            SHA256_Update(&state, in[i].amount, 8);
            SHA256_Update(&state, in[i].sequence, 4);
            SHA256_Update(&state, h_outputs, 32);
            SHA256_Update(&state, locktime, 4);
            SHA256_Update(&state, "\1\0\0\0", 4);
            SHA256_Final(digest, &state);
            SHA256(digest, 32, digest);
            size_t length = sign_der(der, digest, secret, low_r);
            der[length++] = 1;
            u8 head[2] = {2, length};
            emit(head, 2);
            emit(der, length);
            emit("\41", 1);
            emit(public, 33);
        }
    }
    if (legacy) emit(counted_outputs, outputs - counted_outputs + outputs_size);
    emit(locktime, 4);
    free(blank);
    free(joined);
    free(in);
}
/* psbt <wpkh|tr|pkh> <times> <low r: 0|1> <chain code> <secret key> <psbt>: the branch key above the inputs' last index */
static long long psbt(void) {
    int kind = word()[0];
    unsigned times = number(), low_r = number();
    u8 *chain_code = argument(32), *secret = argument(32), aux[32] = {0};
    size_t size;
    u8 *data = hex_bytes(word(), &size);
    branch b;
    branch_secret(&b, chain_code, secret);
    reserve(2 * size + 200);
    long long start = now();
    for (unsigned i = 0; i < times; i++) {
        used = 0;
        psbt_once(&b, kind, low_r, data, size, aux);
    }
    return now() - start;
}

/* ---- EIP-1559 ---- */

static u8 *rlp_integer(u8 *at, unsigned long long value) {
    u8 bytes[8];
    int size = 0;
    for (unsigned long long rest = value; rest; rest >>= 8) size++;
    for (int i = 0; i < size; i++) bytes[i] = value >> 8 * (size - 1 - i);
    if (size == 1 && bytes[0] < 0x80) {
        *at++ = bytes[0];
        return at;
    }
    *at++ = 0x80 + size;
    memcpy(at, bytes, size);
    return at + size;
}
static u8 *rlp_scalar(u8 *at, const u8 *bytes) { /* 32 bytes, big-endian, leading zeros dropped */
    int skip = 0;
    while (skip < 32 && !bytes[skip]) skip++;
    if (skip == 31 && bytes[31] < 0x80) {
        *at++ = bytes[31];
        return at;
    }
    *at++ = 0x80 + 32 - skip;
    memcpy(at, bytes + skip, 32 - skip);
    return at + 32 - skip;
}
static size_t typed(u8 *to, const u8 *body, size_t size) { /* 0x02, list head, body */
    u8 *at = to;
    *at++ = 2;
    if (size < 56) {
        *at++ = 0xc0 + size;
    } else if (size < 256) {
        *at++ = 0xf8, *at++ = size;
    } else {
        *at++ = 0xf9, *at++ = size >> 8, *at++ = size;
    }
    memcpy(at, body, size);
    return at - to + size;
}
/* eip1559 <count> <chain id> <tip> <max fee> <gas> <value> <secret key> <to>: nonce i, no data, no access list */
static long long eip1559(void) {
    unsigned count = number();
    unsigned long long chain = strtoull(word(), NULL, 10), tip = strtoull(word(), NULL, 10);
    unsigned long long max = strtoull(word(), NULL, 10), gas = strtoull(word(), NULL, 10);
    unsigned long long value = strtoull(word(), NULL, 10);
    u8 *secret = argument(32), *to = argument(20);
    reserve(count * 160ul);
    used = 0;
    long long start = now();
    for (unsigned i = 0; i < count; i++) {
        u8 body[256], message[256], digest[32], compact[64];
        u8 *at = body;
        int parity;
        secp256k1_ecdsa_recoverable_signature signature;
        at = rlp_integer(at, chain);
        at = rlp_integer(at, i);
        at = rlp_integer(at, tip);
        at = rlp_integer(at, max);
        at = rlp_integer(at, gas);
        *at++ = 0x94;
        memcpy(at, to, 20);
        at = rlp_integer(at + 20, value);
        *at++ = 0x80;
        *at++ = 0xc0;
        keccak256(digest, message, typed(message, body, at - body));
        need(secp256k1_ecdsa_sign_recoverable(ctx, &signature, digest, secret, NULL, NULL), "sign");
        secp256k1_ecdsa_recoverable_signature_serialize_compact(ctx, compact, &parity, &signature);
        at = rlp_integer(at, parity);
        at = rlp_scalar(at, compact);
        at = rlp_scalar(at, compact + 32);
        emit(message, typed(message, body, at - body));
    }
    return now() - start;
}

#include "floor_ethereum.h"

/* bip39 <count> <mnemonic, hex>: the passphrase is the number in decimal */
static long long bip39(void) {
    unsigned count = number();
    size_t size;
    u8 *mnemonic = hex_bytes(word(), &size);
    long long start = now();
    for (unsigned i = 0; i < count; i++) {
        char salt[32];
        int length = snprintf(salt, sizeof salt, "mnemonic%u", i);
        need(PKCS5_PBKDF2_HMAC((char *)mnemonic, size, (u8 *)salt, length, 2048, EVP_sha512(), 64, reserve(64)), "pbkdf2");
    }
    return now() - start;
}

/* ---- silent payments (BIP-352): the receiver's share of each transaction, spend key and change label ---- */

static int whole_point(u8 *output, const u8 *x, const u8 *y, void *data) {
    (void)data;
    output[0] = 2 | (y[31] & 1);
    memcpy(output + 1, x, 32);
    return 1;
}
/* whether either key of number k is among the outputs; emits what was found */
static int silent_match(const u8 shared[33], unsigned k, const secp256k1_pubkey *spend, const secp256k1_pubkey *label,
                        const u8 *outputs, size_t count) {
    u8 tweak[32], number[4] = {k >> 24, k >> 16, k >> 8, k}, raw[2][33];
    SHA256_CTX state = bip352_shared;
    SHA256_Update(&state, shared, 33);
    SHA256_Update(&state, number, 4);
    SHA256_Final(tweak, &state);
    secp256k1_pubkey addend, plain, labelled;
    need(secp256k1_ec_pubkey_create(ctx, &addend, tweak), "tweak");
    const secp256k1_pubkey *pair[2] = {spend, &addend}, *other[2] = {&plain, label};
    size_t size = 33;
    need(secp256k1_ec_pubkey_combine(ctx, &plain, pair, 2), "sum");
    need(secp256k1_ec_pubkey_combine(ctx, &labelled, other, 2), "sum");
    secp256k1_ec_pubkey_serialize(ctx, raw[0], &size, &plain, SECP256K1_EC_COMPRESSED);
    secp256k1_ec_pubkey_serialize(ctx, raw[1], &size, &labelled, SECP256K1_EC_COMPRESSED);
    for (size_t i = 0; i < count; i++)
        for (int j = 0; j < 2; j++)
            if (!memcmp(outputs + 32 * i, raw[j] + 1, 32)) {
                emit(raw[j] + 1, 32);
                return 1;
            }
    return 0;
}
/* silent <tweak|inputs> <count> <scan secret> <spend key> <label key> <items>: an item is the tweak data, or the
 * smallest outpoint and two input keys, and then two output keys */
static long long silent(void) {
    int inputs = word()[0] == 'i';
    unsigned count = number();
    u8 *scan = argument(32), *spend_raw = argument(33), *label_raw = argument(33);
    size_t size, item = (inputs ? 36 + 66 : 33) + 64;
    u8 *items = hex_bytes(word(), &size);
    need(size >= item, "items");
    reserve(count * 64ul);
    used = 0;
    secp256k1_pubkey spend, label;
    long long start = now();
    need(secp256k1_ec_pubkey_parse(ctx, &spend, spend_raw, 33), "spend key");
    need(secp256k1_ec_pubkey_parse(ctx, &label, label_raw, 33), "label key");
    for (unsigned i = 0; i < count; i++) {
        const u8 *at = items + item * (i % (size / item)), *outputs = at + item - 64;
        secp256k1_pubkey point;
        u8 secret[32], shared[33];
        memcpy(secret, scan, 32);
        if (inputs) {
            secp256k1_pubkey keys[2];
            const secp256k1_pubkey *both[2] = {&keys[0], &keys[1]};
            u8 sum[33], digest[32];
            size_t sum_size = 33;
            for (int j = 0; j < 2; j++) need(secp256k1_ec_pubkey_parse(ctx, &keys[j], at + 36 + 33 * j, 33), "input key");
            need(secp256k1_ec_pubkey_combine(ctx, &point, both, 2), "sum");
            secp256k1_ec_pubkey_serialize(ctx, sum, &sum_size, &point, SECP256K1_EC_COMPRESSED);
            SHA256_CTX state = bip352_inputs;
            SHA256_Update(&state, at, 36);
            SHA256_Update(&state, sum, 33);
            SHA256_Final(digest, &state);
            need(secp256k1_ec_seckey_tweak_mul(ctx, secret, digest), "input hash");
        } else {
            need(secp256k1_ec_pubkey_parse(ctx, &point, at, 33), "tweak data");
        }
        need(secp256k1_ecdh(ctx, shared, &point, secret, whole_point, NULL), "shared secret");
        for (unsigned k = 0; silent_match(shared, k, &spend, &label, outputs, 2); k++) continue;
    }
    return now() - start;
}

int main(void) {
    char *line = NULL;
    size_t capacity = 0;
    u8 blind[32];
    ctx = secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
    need(RAND_bytes(blind, 32) == 1 && secp256k1_context_randomize(ctx, blind), "blinding");
    tagged(&tap_tweak, "TapTweak");
    tagged(&tap_sighash, "TapSighash");
    tagged(&bip352_inputs, "BIP0352/Inputs");
    tagged(&bip352_shared, "BIP0352/SharedSecret");
    printf("%s\n", OpenSSL_version(OPENSSL_VERSION));
    fflush(stdout);
    while (getline(&line, &capacity, stdin) > 0) {
        const char *name = strtok(line, " \n");
        long long elapsed;
        u8 digest[32];
        used = 0;
        if (!name) continue;
        if (!strcmp(name, "public")) elapsed = addresses(0);
        else if (!strcmp(name, "private")) elapsed = addresses(1);
        else if (!strcmp(name, "sign")) elapsed = sign();
        else if (!strcmp(name, "psbt")) elapsed = psbt();
        else if (!strcmp(name, "eip1559")) elapsed = eip1559();
        else if (!strcmp(name, "transaction")) elapsed = transaction();
        else if (!strcmp(name, "permit")) elapsed = permit();
        else if (!strcmp(name, "bip39")) elapsed = bip39();
        else if (!strcmp(name, "silent")) elapsed = silent();
        else fail("unknown request");
        SHA256(out, used, digest);
        printf("%lld %lld ", elapsed, busy - busy_before);
        for (int i = 0; i < 32; i++) printf("%02x", digest[i]);
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
