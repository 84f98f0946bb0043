// Functions for all kernels. REAL is the type of array elements, float or double; THREADS is the
// size of the largest block. Kernels use only blocks, threads, shared memory and __syncthreads(),
// which every thread of a block reaches: so the same source also compiles as plain C++ for tests.

// SiLU of z, computed as in ops.silu: v (1 + tanh v), v = z / 2.
__device__ inline REAL silu_of(REAL z) {
    const REAL v = z * REAL(0.5);
    return v * (REAL(1) + tanh(v));
}

// The derivative of SiLU: (1 + tanh v) (1 + v (1 - tanh v)) / 2.
__device__ inline REAL silu_slope(REAL z) {
    const REAL v = z * REAL(0.5), t = tanh(v);
    return REAL(0.5) * (REAL(1) + t) * (REAL(1) + v * (REAL(1) - t));
}

// The index of a thread among all threads of the launch.
__device__ inline long long thread_index() {
    return (long long)blockIdx.x * blockDim.x + threadIdx.x;
}
