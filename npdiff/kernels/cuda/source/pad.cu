// The way to and from the padded grid of a convolution by shifted products: x (N, H, W, C) in the
// rows of (N, PH, PW, C), zero elsewhere. STORE is what the products read: REAL, or half.

// To the grid, behind `lead` rows of zeros; x[n, 0, 0] comes to (top, left).
extern "C" __global__ void pad(const REAL* x, STORE* grid, int N, int H, int W, int C, int PH,
                               int PW, int top, int left, int lead) {
    const long long i = thread_index();
    if (i >= (lead + (long long)N * PH * PW) * C) return;
    const int c = i % C;
    const long long place = i / C - lead;
    REAL v = 0;
    if (place >= 0) {
        const int w = place % PW - left, h = place / PW % PH - top;
        const long long n = place / PW / PH;
        if (h >= 0 && h < H && w >= 0 && w < W) v = x[((n * H + h) * W + w) * C + c];
    }
    grid[i] = stored(v);
}

// And back: y[n, h, w] = grid[n, h + top, w + left] + bias + shift[n] + residual[n, h, w], each of
// the three where there is one.
extern "C" __global__ void crop(const REAL* grid, const REAL* bias, const REAL* shift,
                                const REAL* residual, REAL* y, int N, int H, int W, int C, int PH,
                                int PW, int top, int left) {
    const long long i = thread_index();
    if (i >= (long long)N * H * W * C) return;
    const int c = i % C;
    const long long place = i / C;
    const int w = place % W, h = place / W % H;
    const long long n = place / W / H;
    REAL v = grid[((n * PH + h + top) * PW + w + left) * C + c];
    if (bias) v += bias[c];
    if (shift) v += shift[n * C + c];
    if (residual) v += residual[i];
    y[i] = v;
}
