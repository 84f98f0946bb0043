// For a training step on flat arrays: clipping, AdamW and the moving average in one pass; and the
// noise.
//
// `scalars` are on the device, so that one captured graph is valid for every step: learning rate,
// 1 - beta_1^n, 1 - beta_2^n, decay of the average; `clip_factor` is the factor of the gradient.
// New arrays may be the old ones, and m_new may be the gradient.

extern "C" __global__ void adamw(const REAL* theta, const REAL* m, const REAL* v,
                                 const REAL* average, const REAL* gradient, REAL* theta_new,
                                 REAL* m_new, REAL* v_new, REAL* average_new,
                                 const double* scalars, const double* clip_factor, long long size,
                                 long long decayed, double beta_1, double beta_2, double eps,
                                 double weight_decay) {
    const long long i = thread_index();
    if (i >= size) return;
    const double rate = scalars[0], decay = scalars[3];
    const REAL kept = i < decayed ? REAL(1.0 - rate * weight_decay) : REAL(1);
    const REAL g = gradient[i] * REAL(*clip_factor);
    const REAL first = m[i] * REAL(beta_1) + g * REAL(1.0 - beta_1);
    const REAL second = v[i] * REAL(beta_2) + g * g * REAL(1.0 - beta_2);
    const REAL scale = sqrt(second / REAL(scalars[2])) + REAL(eps);
    const REAL moved = theta[i] * kept - first / scale * REAL(rate / scalars[1]);
    m_new[i] = first, v_new[i] = second, theta_new[i] = moved;
    average_new[i] = average[i] * REAL(decay) + moved * REAL(1.0 - decay);
}

// Four words of Philox 4x32-10, equal to those of npdiff.random.
__device__ inline void philox(unsigned int c[4], unsigned int k0, unsigned int k1) {
    for (int round = 0; round < 10; ++round) {
        const unsigned long long p0 = (unsigned long long)c[0] * 0xD2511F53u;
        const unsigned long long p1 = (unsigned long long)c[2] * 0xCD9E8D57u;
        const unsigned int c0 = (unsigned int)(p1 >> 32) ^ c[1] ^ k0;
        const unsigned int c2 = (unsigned int)(p0 >> 32) ^ c[3] ^ k1;
        c[1] = (unsigned int)p1, c[3] = (unsigned int)p0, c[0] = c0, c[2] = c2;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
}

// Element `element` of the uniform draws of one sample, in (0, 1), in double precision.
__device__ inline double keyed_uniform(unsigned int element, unsigned int sample, unsigned int step,
                                       unsigned int stream, unsigned long long seed) {
    unsigned int c[4] = {element / 4, sample, step, stream};
    philox(c, (unsigned int)seed, (unsigned int)(seed >> 32));
    return ((double)c[element % 4] + 0.5) * (1.0 / 4294967296.0);
}

// z (N, count) = Key(seed, samples, step, stream).normal((count,)), with step on the device.
extern "C" __global__ void keyed_normal(REAL* z, const unsigned long long* samples,
                                        const unsigned int* step, int N, int count,
                                        unsigned int stream, unsigned long long seed) {
    const long long i = thread_index();
    const int half = (count + 1) / 2;
    if (i >= (long long)N * half) return;
    const long long n = i / half;
    const int j = i % half;
    const unsigned int sample = (unsigned int)samples[n];
    const double u = keyed_uniform(j, sample, *step, stream, seed);
    const double v = keyed_uniform(half + j, sample, *step, stream, seed);
    const double radius = sqrt(-2.0 * log(u)), angle = 6.283185307179586 * v;
    z[n * count + j] = REAL(radius * cos(angle));
    if (half + j < count) z[n * count + half + j] = REAL(radius * sin(angle));
}
