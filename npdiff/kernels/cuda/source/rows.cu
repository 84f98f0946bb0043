// SiLU of every element, and softmax of every row of (count, L), with their pullbacks.
//
// Softmax: a block processes as many rows as fit, with `lanes` threads per row, a power of two.

extern "C" __global__ void silu(const REAL* x, REAL* y, long long size) {
    const long long i = thread_index();
    if (i < size) y[i] = silu_of(x[i]);
}

extern "C" __global__ void silu_pullback(const REAL* x, const REAL* dy, REAL* dx, long long size) {
    const long long i = thread_index();
    if (i < size) dx[i] = dy[i] * silu_slope(x[i]);
}

// Returns to every thread of a row the sum, or the maximum, of v over the threads of the row.
__device__ inline REAL over_row(REAL v, int lanes, bool largest) {
    __shared__ REAL parts[THREADS];
    const int t = threadIdx.x, lane = t % lanes;
    __syncthreads();  // all threads have read the previous result
    parts[t] = v;
    __syncthreads();
    for (int half = lanes / 2; half > 0; half /= 2) {
        if (lane < half) {
            const REAL other = parts[t + half];
            parts[t] = largest ? (other > parts[t] ? other : parts[t]) : parts[t] + other;
        }
        __syncthreads();
    }
    return parts[t - lane];
}

extern "C" __global__ void softmax(const REAL* x, REAL* p, long long count, int L, int lanes) {
    const int lane = threadIdx.x % lanes;
    const long long row = (long long)blockIdx.x * (blockDim.x / lanes) + threadIdx.x / lanes;
    const int end = row < count ? L : 0;  // threads beyond the last row only synchronize
    const long long first = row * L;
    REAL top = row < count ? x[first] : REAL(0), total = 0;
    for (int i = lane; i < end; i += lanes) top = x[first + i] > top ? x[first + i] : top;
    top = over_row(top, lanes, true);
    for (int i = lane; i < end; i += lanes) total += p[first + i] = exp(x[first + i] - top);
    total = over_row(total, lanes, false);
    for (int i = lane; i < end; i += lanes) p[first + i] /= total;
}

extern "C" __global__ void softmax_pullback(const REAL* p, const REAL* dp, REAL* dx,
                                            long long count, int L, int lanes) {
    const int lane = threadIdx.x % lanes;
    const long long row = (long long)blockIdx.x * (blockDim.x / lanes) + threadIdx.x / lanes;
    const int end = row < count ? L : 0;
    const long long first = row * L;
    REAL along = 0;
    for (int i = lane; i < end; i += lanes) along += p[first + i] * dp[first + i];
    along = over_row(along, lanes, false);
    for (int i = lane; i < end; i += lanes) dx[first + i] = p[first + i] * (dp[first + i] - along);
}
