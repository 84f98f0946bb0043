// To and from the padded layout of a convolution by shifted products: x (N, H, W, C) within
// (N, PH, PW, C), zero elsewhere. STORE is the type that the products read: REAL, or half.

// To the padded layout, after `lead` rows of zeros; x[n, 0, 0] is at (top, left).
extern "C" __global__ void pad(const REAL* x, STORE* padded, int N, int H, int W, int C, int PH,
                               int PW, int top, int left, int lead) {
    const long long i = thread_index();
    if (i >= (lead + (long long)N * PH * PW) * C) return;
    const int c = i % C;
    const long long pixel = i / C - lead;
    REAL v = 0;
    if (pixel >= 0) {
        const int w = pixel % PW - left, h = pixel / PW % PH - top;
        const long long n = pixel / PW / PH;
        if (h >= 0 && h < H && w >= 0 && w < W) v = x[((n * H + h) * W + w) * C + c];
    }
    padded[i] = stored(v);
}

// And back: y[n, h, w] = padded[n, h + top, w + left] + bias + shift[n] + residual[n, h, w]. Each of
// the last three may be a null pointer.
extern "C" __global__ void crop(const REAL* padded, const REAL* bias, const REAL* shift,
                                const REAL* residual, REAL* y, int N, int H, int W, int C, int PH,
                                int PW, int top, int left) {
    const long long i = thread_index();
    if (i >= (long long)N * H * W * C) return;
    const int c = i % C;
    const long long pixel = i / C;
    const int w = pixel % W, h = pixel / W % H;
    const long long n = pixel / W / H;
    REAL v = padded[((n * PH + h + top) * PW + w + left) * C + c];
    if (bias) v += bias[c];
    if (shift) v += shift[n * C + c];
    if (residual) v += residual[i];
    y[i] = v;
}
