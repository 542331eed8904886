/* The floor of Ethereum's other transactions (EIP-155, 2930, 7702) and of the permit of EIP-2612, hashed by EIP-712.
 * Part of floor.c, which includes it behind its RLP.
 */

static u8 *list_head(u8 *at, size_t size) {
    if (size < 56) {
        *at++ = 0xc0 + size;
    } else if (size < 256) {
        *at++ = 0xf8, *at++ = size;
    } else {
        *at++ = 0xf9, *at++ = size >> 8, *at++ = size;
    }
    return at;
}
static size_t enveloped(u8 *to, int type, const u8 *body, size_t size) { /* type byte unless 0, list head, body */
    u8 *at = to;
    if (type) *at++ = type;
    at = list_head(at, size);
    memcpy(at, body, size);
    return at - to + size;
}
static u8 *rlp_list(u8 *at, const u8 *body, size_t size) {
    at = list_head(at, size);
    memcpy(at, body, size);
    return at + size;
}
static u8 *rlp_fixed(u8 *at, const u8 *bytes, unsigned size) { /* 20 or 32 bytes */
    *at++ = 0x80 + size;
    memcpy(at, bytes, size);
    return at + size;
}
static void signed_recoverably(u8 compact[64], int *parity, const u8 digest[32], const u8 *secret) {
    secp256k1_ecdsa_recoverable_signature signature;
    need(secp256k1_ecdsa_sign_recoverable(ctx, &signature, digest, secret, NULL, NULL), "sign");
    secp256k1_ecdsa_recoverable_signature_serialize_compact(ctx, compact, parity, &signature);
}

/* transaction <type: 0|1|4> <count> <chain id> <tip> <price> <gas> <value> <secret key> <to> <list>: nonce i, no data;
 * the list is, for type 1, an address and two storage keys; for type 4 a delegate, the r and s of its authorization
 * and its parity, for the same chain and nonce 5 */
static long long transaction(void) {
    unsigned type = number(), count = number();
    unsigned long long chain = strtoull(word(), NULL, 10), tip = strtoull(word(), NULL, 10);
    unsigned long long price = strtoull(word(), NULL, 10), gas = strtoull(word(), NULL, 10);
    unsigned long long value = strtoull(word(), NULL, 10);
    u8 *secret = argument(32), *to = argument(20);
    size_t size;
    u8 *list = hex_bytes(word(), &size);
    need(size >= 84, "list");
    reserve(count * 420ul);
    used = 0;
    long long start = now();
    for (unsigned i = 0; i < count; i++) {
        u8 body[512], message[512], inner[256], entry[256], digest[32], compact[64];
        u8 *at = body, *in, *last;
        int parity;
        if (type) at = rlp_integer(at, chain);
        at = rlp_integer(at, i);
        if (type == 4) at = rlp_integer(at, tip);
        at = rlp_integer(at, price);
        at = rlp_integer(at, gas);
        at = rlp_fixed(at, to, 20);
        at = rlp_integer(at, value);
        *at++ = 0x80;
        if (type == 1) { /* [[address, [key, key]]] */
            last = rlp_fixed(rlp_fixed(entry, list + 20, 32), list + 52, 32);
            in = rlp_list(rlp_fixed(inner, list, 20), entry, last - entry);
            last = rlp_list(entry, inner, in - inner);
            at = rlp_list(at, entry, last - entry);
        } else if (type == 4) { /* [], [[chain id, delegate, nonce, parity, r, s]] */
            *at++ = 0xc0;
            in = rlp_integer(rlp_fixed(rlp_integer(inner, chain), list, 20), 5);
            in = rlp_scalar(rlp_scalar(rlp_integer(in, list[84]), list + 20), list + 52);
            last = rlp_list(entry, inner, in - inner);
            at = rlp_list(at, entry, last - entry);
        }
        u8 *end = at;
        if (!type) {
            end = rlp_integer(at, chain);
            *end++ = 0x80, *end++ = 0x80;
        }
        keccak256(digest, message, enveloped(message, type, body, end - body));
        signed_recoverably(compact, &parity, digest, secret);
        at = rlp_integer(at, type ? (unsigned long long)parity : 35 + 2 * chain + parity);
        at = rlp_scalar(rlp_scalar(at, compact), compact + 32);
        emit(message, enveloped(message, type, body, at - body));
    }
    return now() - start;
}

static void word_of(u8 at[32], unsigned long long value) {
    memset(at, 0, 24);
    for (int i = 0; i < 8; i++) at[24 + i] = value >> 8 * (7 - i);
}
static void word_of_address(u8 at[32], const u8 *address) {
    memset(at, 0, 12);
    memcpy(at + 12, address, 20);
}
/* permit <count> <secret key> <domain type hash> <permit type hash> <name, hex> <version, hex> <chain id> <token>
 * <owner> <spender> <value> <deadline>: nonce i; r, s and the parity */
static long long permit(void) {
    unsigned count = number();
    u8 *secret = argument(32), *domain_type = argument(32), *permit_type = argument(32);
    size_t name_size, version_size;
    u8 *name = hex_bytes(word(), &name_size), *version = hex_bytes(word(), &version_size);
    unsigned long long chain = strtoull(word(), NULL, 10);
    u8 *token = argument(20), *owner = argument(20), *spender = argument(20);
    unsigned long long value = strtoull(word(), NULL, 10), deadline = strtoull(word(), NULL, 10);
    reserve(count * 65ul);
    used = 0;
    long long start = now();
    for (unsigned i = 0; i < count; i++) {
        u8 domain[160], message[192], whole[66] = {0x19, 0x01}, digest[32], compact[65];
        int parity;
        memcpy(domain, domain_type, 32);
        keccak256(domain + 32, name, name_size);
        keccak256(domain + 64, version, version_size);
        word_of(domain + 96, chain);
        word_of_address(domain + 128, token);
        memcpy(message, permit_type, 32);
        word_of_address(message + 32, owner);
        word_of_address(message + 64, spender);
        word_of(message + 96, value);
        word_of(message + 128, i);
        word_of(message + 160, deadline);
        keccak256(whole + 2, domain, sizeof domain);
        keccak256(whole + 34, message, sizeof message);
        keccak256(digest, whole, sizeof whole);
        signed_recoverably(compact, &parity, digest, secret);
        compact[64] = parity;
        emit(compact, 65);
    }
    return now() - start;
}
