// The transforms of Winograd's convolution F(OUT, 3) in two dimensions, before and after one matrix
// product for each of IN x IN points, IN = OUT + 2. The matrices BT (IN, IN), AT (OUT, IN) and
// G (IN, 3) are defined above as macros BT_ROWS, AT_ROWS and G_ROWS: local constants in unrolled
// loops, so that the compiler removes multiplications by 0 and 1.
//
// One thread per tile and channel; neighbors in a warp are neighboring channels.

struct Tile {
    long long index, tiles;  // index of the tile, number of tiles
    int n, h, w, c;          // sample, first row and column of its outputs, channel
    bool active;

    __device__ Tile(int N, int down, int across, int C) {
        const long long i = thread_index();
        tiles = (long long)N * down * across;
        index = i / C;
        c = i % C;
        w = index % across * OUT;
        h = index / across % down * OUT;
        n = index / across / down;
        active = index < tiles;
    }
};

// V (IN * IN, tiles, C): BT d B of the tile of x (N, H, W, C), padded by zeros.
extern "C" __global__ void winograd_input(const REAL* x, REAL* V, int N, int H, int W, int C,
                                          int down, int across, int top, int left) {
    const Tile at(N, down, across, C);
    if (!at.active) return;
    const REAL BT[IN][IN] = BT_ROWS;
    REAL rows[IN][IN];  // BT d
#pragma unroll
    for (int j = 0; j < IN; ++j) {
        REAL d[IN];
        const int w = at.w + j - left;
#pragma unroll
        for (int i = 0; i < IN; ++i) {
            const int h = at.h + i - top;
            const bool inside = h >= 0 && h < H && w >= 0 && w < W;
            d[i] = inside ? x[(((long long)at.n * H + h) * W + w) * C + at.c] : REAL(0);
        }
#pragma unroll
        for (int p = 0; p < IN; ++p) {
            REAL sum = 0;
#pragma unroll
            for (int i = 0; i < IN; ++i) sum += BT[p][i] * d[i];
            rows[p][j] = sum;
        }
    }
#pragma unroll
    for (int p = 0; p < IN; ++p)
#pragma unroll
        for (int q = 0; q < IN; ++q) {
            REAL sum = 0;
#pragma unroll
            for (int j = 0; j < IN; ++j) sum += BT[q][j] * rows[p][j];
            V[((p * IN + q) * at.tiles + at.index) * C + at.c] = sum;
        }
}

// y (N, H, W, C): AT m A of the products (IN * IN, tiles, C), plus bias, shift[n] and residual.
// Each of the last three may be a null pointer.
extern "C" __global__ void winograd_output(const REAL* products, const REAL* bias,
                                           const REAL* shift, const REAL* residual, REAL* y, int N,
                                           int H, int W, int C, int down, int across) {
    const Tile at(N, down, across, C);
    if (!at.active) return;
    const REAL AT[OUT][IN] = AT_ROWS;
    REAL rows[OUT][IN];  // AT m
#pragma unroll
    for (int q = 0; q < IN; ++q) {
        REAL m[IN];
#pragma unroll
        for (int p = 0; p < IN; ++p)
            m[p] = products[((p * IN + q) * at.tiles + at.index) * C + at.c];
#pragma unroll
        for (int k = 0; k < OUT; ++k) {
            REAL sum = 0;
#pragma unroll
            for (int p = 0; p < IN; ++p) sum += AT[k][p] * m[p];
            rows[k][q] = sum;
        }
    }
    REAL more = 0;
    if (bias) more += bias[at.c];
    if (shift) more += shift[(long long)at.n * C + at.c];
#pragma unroll
    for (int k = 0; k < OUT; ++k)
#pragma unroll
        for (int l = 0; l < OUT; ++l) {
            if (at.h + k >= H || at.w + l >= W) continue;
            REAL sum = more;
#pragma unroll
            for (int q = 0; q < IN; ++q) sum += AT[l][q] * rows[k][q];
            const long long i = (((long long)at.n * H + at.h + k) * W + at.w + l) * C + at.c;
            y[i] = residual ? sum + residual[i] : sum;
        }
}

// The adjoint of the transform of the outputs: A dy AT, (IN * IN, tiles, C).
extern "C" __global__ void winograd_output_adjoint(const REAL* dy, REAL* products, int N, int H,
                                                   int W, int C, int down, int across) {
    const Tile at(N, down, across, C);
    if (!at.active) return;
    const REAL AT[OUT][IN] = AT_ROWS;
    REAL rows[IN][OUT];  // A dy
#pragma unroll
    for (int l = 0; l < OUT; ++l) {
        REAL d[OUT];
#pragma unroll
        for (int k = 0; k < OUT; ++k) {
            const int h = at.h + k, w = at.w + l;
            d[k] = h < H && w < W ? dy[(((long long)at.n * H + h) * W + w) * C + at.c] : REAL(0);
        }
#pragma unroll
        for (int p = 0; p < IN; ++p) {
            REAL sum = 0;
#pragma unroll
            for (int k = 0; k < OUT; ++k) sum += AT[k][p] * d[k];
            rows[p][l] = sum;
        }
    }
#pragma unroll
    for (int p = 0; p < IN; ++p)
#pragma unroll
        for (int q = 0; q < IN; ++q) {
            REAL sum = 0;
#pragma unroll
            for (int l = 0; l < OUT; ++l) sum += AT[l][q] * rows[p][l];
            products[((p * IN + q) * at.tiles + at.index) * C + at.c] = sum;
        }
}

// U (IN * IN, C, F): G g GT of the taps w (3, 3, C, F); with `reverse`, (IN * IN, F, C) of the taps
// in reverse order along both axes, from F channels to C.
extern "C" __global__ void winograd_weights(const REAL* w, REAL* U, int C, int F, int reverse) {
    const long long size = (long long)C * F, i = thread_index();
    if (i >= size) return;
    const REAL G[IN][3] = G_ROWS;
    const long long from = reverse ? i % C * F + i / C : i;
    REAL rows[IN][3];  // G g
#pragma unroll
    for (int b = 0; b < 3; ++b) {
        REAL g[3];
#pragma unroll
        for (int a = 0; a < 3; ++a) g[a] = w[(reverse ? 8 - 3 * a - b : 3 * a + b) * size + from];
#pragma unroll
        for (int p = 0; p < IN; ++p) rows[p][b] = G[p][0] * g[0] + G[p][1] * g[1] + G[p][2] * g[2];
    }
#pragma unroll
    for (int p = 0; p < IN; ++p)
#pragma unroll
        for (int q = 0; q < IN; ++q)
            U[(p * IN + q) * size + i] =
                G[q][0] * rows[p][0] + G[q][1] * rows[p][1] + G[q][2] * rows[p][2];
}

// The adjoint of winograd_weights: dw (3, 3, C, F) = GT dU G.
extern "C" __global__ void winograd_weights_adjoint(const REAL* dU, REAL* dw, int C, int F) {
    const long long size = (long long)C * F, i = thread_index();
    if (i >= size) return;
    const REAL G[IN][3] = G_ROWS;
    REAL rows[3][IN] = {};  // GT dU
#pragma unroll
    for (int p = 0; p < IN; ++p)
#pragma unroll
        for (int q = 0; q < IN; ++q) {
            const REAL u = dU[(p * IN + q) * size + i];
#pragma unroll
            for (int a = 0; a < 3; ++a) rows[a][q] += G[p][a] * u;
        }
#pragma unroll
    for (int a = 0; a < 3; ++a)
#pragma unroll
        for (int b = 0; b < 3; ++b) {
            REAL sum = 0;
#pragma unroll
            for (int q = 0; q < IN; ++q) sum += G[q][b] * rows[a][q];
            dw[(3 * a + b) * size + i] = sum;
        }
}
