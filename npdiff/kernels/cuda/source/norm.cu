// Group normalization, modulation and SiLU of x (N, S, C) in one launch, and the pullback in one.
//
// A block processes one sample and `width` channels: whole groups of `group_size` channels each. Its
// threads are arranged in rows of `width`: a thread processes one channel at every rows-th position,
// so that neighbors in a warp are neighbors in memory. grid (slices, N), block (width * rows).

struct Position {
    int row, rows, lane, channel, group, groups;
    bool active;
    long long first;  // of x[n, 0, channel]

    __device__ Position(int S, int C, int group_size, int width) {
        rows = blockDim.x / width;
        row = threadIdx.x / width;
        lane = threadIdx.x % width;
        channel = blockIdx.x * width + lane;
        groups = C / group_size;
        group = channel / group_size;
        active = channel < C;
        first = (long long)blockIdx.y * S * C + channel;
    }
};

// The gain and the offset of a channel after modulation: gamma (1 + scale), beta (1 + scale) + offset.
__device__ inline void affine(const REAL* gamma, const REAL* beta, const REAL* scale,
                              const REAL* offset, int n, int C, int c, REAL& gain, REAL& bias) {
    const REAL more = scale ? REAL(1) + scale[(long long)n * C + c] : REAL(1);
    gain = gamma[c] * more;
    bias = beta[c] * more + (offset ? offset[(long long)n * C + c] : REAL(0));
}

// Write y for one channel of a sample, given the statistics.
__device__ inline void apply(const Position& at, const REAL* x, REAL* y, int S, int C, REAL mean,
                             REAL rstd, REAL gain, REAL bias, int silu) {
    for (int s = at.row; s < S; s += at.rows) {
        const long long i = at.first + (long long)s * C;
        const REAL z = (x[i] - mean) * (rstd * gain) + bias;
        y[i] = silu ? silu_of(z) : z;
    }
}

// Statistics by Welford's recurrence in a thread and Chan's formula between threads: only
// differences to the mean are squared, so that a large mean costs no digits.
extern "C" __global__ void norm_silu(const REAL* x, const REAL* gamma, const REAL* beta,
                                     const REAL* scale, const REAL* offset, REAL* y, REAL* mean,
                                     REAL* rstd, int S, int C, int group_size, int width, double eps,
                                     int silu) {
    __shared__ REAL means[THREADS], squares[THREADS];
    __shared__ int counts[THREADS];
    const Position at(S, C, group_size, width);
    const int t = threadIdx.x;
    REAL m = 0, q = 0;
    int count = 0;
    if (at.active)
        for (int s = at.row; s < S; s += at.rows) {
            const REAL v = x[at.first + (long long)s * C], d = v - m;
            m += d / REAL(++count);
            q += d * (v - m);
        }
    means[t] = m, squares[t] = q, counts[t] = count;
    __syncthreads();

    auto merge = [&](int into, int from) {
        const int a = counts[into], b = counts[from];
        if (b == 0) return;
        const REAL d = means[from] - means[into], fraction = REAL(b) / REAL(a + b);
        means[into] += d * fraction;
        squares[into] += squares[from] + d * d * (REAL(a) * fraction);
        counts[into] = a + b;
    };
    for (int left = at.rows; left > 1;) {
        const int half = (left + 1) / 2;
        if (at.row + half < left) merge(t, t + half * width);
        left = half;
        __syncthreads();
    }
    if (at.row == 0 && at.active && at.lane % group_size == 0) {
        for (int k = 1; k < group_size; ++k) merge(t, t + k);
        const long long g = (long long)blockIdx.y * at.groups + at.group;
        mean[g] = means[t];
        rstd[g] = REAL(1) / sqrt(squares[t] / REAL(counts[t]) + REAL(eps));
        squares[t] = rstd[g];
    }
    __syncthreads();
    if (at.active) {
        const int leader = at.lane - at.lane % group_size;
        REAL gain, bias;
        affine(gamma, beta, scale, offset, blockIdx.y, C, at.channel, gain, bias);
        apply(at, x, y, S, C, means[leader], squares[leader], gain, bias, silu);
    }
}

// The same value, recomputed from the saved statistics, without synchronization.
extern "C" __global__ void norm_silu_recompute(const REAL* x, const REAL* gamma, const REAL* beta,
                                           const REAL* scale, const REAL* offset, REAL* y,
                                           const REAL* mean, const REAL* rstd, int S, int C,
                                           int group_size, int width, int silu) {
    const Position at(S, C, group_size, width);
    if (!at.active) return;
    const long long g = (long long)blockIdx.y * at.groups + at.group;
    REAL gain, bias;
    affine(gamma, beta, scale, offset, blockIdx.y, C, at.channel, gain, bias);
    apply(at, x, y, S, C, mean[g], rstd[g], gain, bias, silu);
}

// From the cotangent dy of y to dx, and to the sums over space, sum_dz and sum_dz_x (N, C), of dz
// and of dz x_hat, where z is the argument of SiLU. The cotangents of gamma, beta, scale and offset
// are small sums of these two.
extern "C" __global__ void norm_silu_pullback(const REAL* x, const REAL* dy, const REAL* gamma,
                                              const REAL* beta, const REAL* scale,
                                              const REAL* offset, const REAL* mean,
                                              const REAL* rstd, REAL* dx, REAL* sum_dz,
                                              REAL* sum_dz_x, int S, int C, int group_size, int width,
                                              int silu) {
    __shared__ REAL sums[THREADS], sums_x[THREADS];
    const Position at(S, C, group_size, width);
    const int t = threadIdx.x;
    REAL gain = 0, bias = 0, mu = 0, r = 0, sum = 0, sum_x = 0;
    if (at.active) {
        const long long g = (long long)blockIdx.y * at.groups + at.group;
        mu = mean[g], r = rstd[g];
        affine(gamma, beta, scale, offset, blockIdx.y, C, at.channel, gain, bias);
        for (int s = at.row; s < S; s += at.rows) {
            const long long i = at.first + (long long)s * C;
            const REAL x_hat = (x[i] - mu) * r;
            const REAL dz = silu ? dy[i] * silu_slope(x_hat * gain + bias) : dy[i];
            sum += dz;
            sum_x += dz * x_hat;
        }
    }
    sums[t] = sum, sums_x[t] = sum_x;
    __syncthreads();
    for (int left = at.rows; left > 1;) {
        const int half = (left + 1) / 2;
        if (at.row + half < left) {
            sums[t] += sums[t + half * width];
            sums_x[t] += sums_x[t + half * width];
        }
        left = half;
        __syncthreads();
    }
    if (at.row == 0 && at.active) {
        const long long c = (long long)blockIdx.y * C + at.channel;
        sum_dz[c] = sums[t];
        sum_dz_x[c] = sums_x[t];
        sums[t] *= gain;
        sums_x[t] *= gain;
    }
    __syncthreads();
    REAL along = 0, along_x = 0;  // the means over the group of gain dz and of gain dz x_hat
    if (at.active) {
        const int leader = at.lane - at.lane % group_size;
        for (int k = 0; k < group_size; ++k) {
            along += sums[leader + k];
            along_x += sums_x[leader + k];
        }
        const REAL inverse_count = REAL(1) / (REAL(S) * REAL(group_size));
        along *= inverse_count;
        along_x *= inverse_count;
        for (int s = at.row; s < S; s += at.rows) {
            const long long i = at.first + (long long)s * C;
            const REAL x_hat = (x[i] - mu) * r;
            const REAL dz = silu ? dy[i] * silu_slope(x_hat * gain + bias) : dy[i];
            dx[i] = r * (gain * dz - along - x_hat * along_x);
        }
    }
}
