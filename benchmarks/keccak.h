/* Keccak-256 as Ethereum uses it (padding 0x01), unrolled by lanes; FIPS 202 gives the permutation. */
#ifndef BURSAR_KECCAK_H
#define BURSAR_KECCAK_H
#include <stdint.h>
#include <string.h>

#define ROL64(x, n) (((x) << (n)) | ((x) >> (64 - (n))))

static const uint64_t keccak_round_constants[24] = {
    0x0000000000000001ull, 0x0000000000008082ull, 0x800000000000808aull, 0x8000000080008000ull,
    0x000000000000808bull, 0x0000000080000001ull, 0x8000000080008081ull, 0x8000000000008009ull,
    0x000000000000008aull, 0x0000000000000088ull, 0x0000000080008009ull, 0x000000008000000aull,
    0x000000008000808bull, 0x800000000000008bull, 0x8000000000008089ull, 0x8000000000008003ull,
    0x8000000000008002ull, 0x8000000000000080ull, 0x000000000000800aull, 0x800000008000000aull,
    0x8000000080008081ull, 0x8000000000008080ull, 0x0000000080000001ull, 0x8000000080008008ull};

static void keccak_f(uint64_t a[25]) {
    static const int rotation[25] = {0,  1,  62, 28, 27, 36, 44, 6,  55, 20, 3,  10, 43,
                                     25, 39, 41, 45, 15, 21, 8,  18, 2,  61, 56, 14};
    uint64_t b[25], c[5], d[5];
    for (int round = 0; round < 24; round++) {
#pragma GCC unroll 5
        for (int x = 0; x < 5; x++) c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
#pragma GCC unroll 5
        for (int x = 0; x < 5; x++) d[x] = c[(x + 4) % 5] ^ ROL64(c[(x + 1) % 5], 1);
        b[0] = a[0] ^ d[0];
#pragma GCC unroll 5
        for (int y = 0; y < 5; y++)
#pragma GCC unroll 5
            for (int x = 0; x < 5; x++)
                if (x || y) b[y + 5 * ((2 * x + 3 * y) % 5)] = ROL64(a[x + 5 * y] ^ d[x], rotation[x + 5 * y]);
#pragma GCC unroll 5
        for (int y = 0; y < 5; y++)
#pragma GCC unroll 5
            for (int x = 0; x < 5; x++) a[x + 5 * y] = b[x + 5 * y] ^ (~b[(x + 1) % 5 + 5 * y] & b[(x + 2) % 5 + 5 * y]);
        a[0] ^= keccak_round_constants[round];
    }
}

static void keccak256(unsigned char out[32], const unsigned char *data, size_t size) {
    uint64_t state[25] = {0};
    unsigned char block[136];
    for (; size >= 136; data += 136, size -= 136) {
        memcpy(block, data, 136);
        for (int i = 0; i < 17; i++) {
            uint64_t lane;
            memcpy(&lane, block + 8 * i, 8); /* little-endian machines only: the build refuses others */
            state[i] ^= lane;
        }
        keccak_f(state);
    }
    memset(block, 0, sizeof block);
    memcpy(block, data, size);
    block[size] ^= 0x01;
    block[135] ^= 0x80;
    for (int i = 0; i < 17; i++) {
        uint64_t lane;
        memcpy(&lane, block + 8 * i, 8);
        state[i] ^= lane;
    }
    keccak_f(state);
    memcpy(out, state, 32);
}
#endif
