// CUDA's blocks and threads on one thread of the host: each thread of a block is a fibre, which
// __syncthreads() leaves for the next one. A block whose threads do not all reach the same number
// of barriers is an error, as on a GPU, where it would hang or worse.
#include <ucontext.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <vector>

using std::cos;
using std::exp;
using std::log;
using std::sin;
using std::sqrt;
using std::tanh;

struct Index {
    int x, y;
};
static Index blockIdx, blockDim, gridDim, threadIdx;

#define __device__
#define __global__
#define __shared__ static

static ucontext_t scheduler;
static std::vector<ucontext_t> fibres;
static std::vector<int> barriers;
static std::vector<char> done;
static std::function<void()> body;
static int current;

static void __syncthreads() {
    ++barriers[current];
    swapcontext(&fibres[current], &scheduler);
}

static void begin() {
    body();
    done[current] = 1;
}

// 0, or 1 where the threads of a block part at a barrier.
static int emulate(int gx, int gy, int threads, std::function<void()> kernel) {
    const size_t size = 1 << 14;
    static std::vector<char> stacks;
    if (stacks.size() < size * threads) stacks.resize(size * threads);
    body = kernel;
    fibres.resize(threads);
    blockDim = {threads, 1};
    gridDim = {gx, gy};
    for (int y = 0; y < gy; ++y)
        for (int x = 0; x < gx; ++x) {
            blockIdx = {x, y};
            barriers.assign(threads, 0);
            done.assign(threads, 0);
            for (int t = 0; t < threads; ++t) {
                getcontext(&fibres[t]);
                fibres[t].uc_stack.ss_sp = &stacks[size * t];
                fibres[t].uc_stack.ss_size = size;
                fibres[t].uc_link = &scheduler;
                makecontext(&fibres[t], begin, 0);
            }
            for (bool more = true; more;) {
                more = false;
                for (int t = 0; t < threads; ++t) {
                    if (done[t]) continue;
                    threadIdx = {current = t, 0};
                    swapcontext(&scheduler, &fibres[t]);
                    more = more || !done[t];
                }
                for (int t = 1; t < threads; ++t)
                    if (barriers[t] != barriers[0]) return 1;
            }
        }
    return 0;
}
