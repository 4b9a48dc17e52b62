// cuRAND, cuBLAS and cuDNN, over the stream and the memory of stand_in.cpp, which includes this.

extern "C" {
int curandCreateGenerator(void** generator, int) { *generator = (void*)6; return 0; }
int curandSetPseudoRandomGeneratorSeed(void*, unsigned long long) { return 0; }
int curandSetStream(void*, void*) { return 0; }
int curandDestroyGenerator(void*) { return 0; }
int cublasCreate_v2(void** handle) { *handle = (void*)7; return 0; }
int cublasDestroy_v2(void*) { return 0; }
int cublasSetStream_v2(void*, void*) { return 0; }
int cublasGemmStridedBatchedEx(void*, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int at, int lda, long long sa, const void* b, int bt, int ldb, long long sb, const void* beta, void* c, int ct, int ldc, long long sc, int batch, int, int) {
    if (*(const float*)alpha != 1 || *(const float*)beta != 0) return 7;
    return later([=] {
    for (int i = 0; i < batch; i++) {
        for (int row = 0; row < m; row++) {
            for (int column = 0; column < n; column++) {
                double sum = 0;
                for (int l = 0; l < k; l++) {
                    size_t from_a = ta ? (size_t)row * lda + l : (size_t)l * lda + row;
                    size_t from_b = tb ? (size_t)l * ldb + column : (size_t)column * ldb + l;
                    sum += (double)get(a, at, i * sa + from_a) * get(b, bt, i * sb + from_b);
                }
                put(c, ct, i * sc + (size_t)column * ldc + row, sum);
            }
        }
    }
    });
}

// ---- cuDNN -------------------------------------------------------------------------------------------------------------

struct Description { int type, n, c, h, w; };
struct Convolution { int ph, pw, sh, sw, math; };
struct Result { int algorithm, status; float time; size_t memory; int determinism, math, reserved[3]; };
enum { NOT_SUPPORTED = 3000, WORKSPACE = 1 << 16 };

int cudnnCreate(void** handle) { *handle = (void*)8; return 0; }
int cudnnDestroy(void*) { return 0; }
int cudnnSetStream(void*, void* stream) { return stream == (void*)2 ? 0 : 2000; }
const char* cudnnGetErrorString(int) { return "the stand-in's error"; }
int cudnnCreateTensorDescriptor(void** d) { *d = new Description(); return 0; }
int cudnnCreateFilterDescriptor(void** d) { *d = new Description(); return 0; }
int cudnnCreateConvolutionDescriptor(void** d) { *d = new Convolution(); return 0; }
int cudnnSetTensor4dDescriptor(Description* d, int format, int type, int n, int c, int h, int w) {
    *d = {type, n, c, h, w};
    return format == 1 && (type == 0 || type == 9) ? 0 : 2000;
}
int cudnnSetFilter4dDescriptor(Description* d, int type, int format, int k, int c, int h, int w) {
    return cudnnSetTensor4dDescriptor(d, format, type, k, c, h, w);
}
int cudnnSetConvolution2dDescriptor(Convolution* d, int ph, int pw, int sh, int sw, int dh, int dw, int mode, int type) {
    *d = {ph, pw, sh, sw, 0};
    return dh == 1 && dw == 1 && mode == 1 && type == 0 ? 0 : 2000;
}
int cudnnSetConvolutionMathType(Convolution* d, int math) { d->math = math; return 0; }

static int check(const Description* x, const Description* w, const Convolution* d, const Description* y) {
    bool fits = x->type == y->type && x->type == w->type && x->n == y->n && x->c == w->c && y->c == w->n &&
                y->h == (x->h + 2 * d->ph - w->h) / d->sh + 1 && y->w == (x->w + 2 * d->pw - w->w) / d->sw + 1;
    return fits ? 0 : 2000;
}

// The first works nowhere, the second not twice alike, the third needs more memory than there is; the fourth is to be taken.
// In bf16 the fourth is missing too where the result has channels that are no multiple of 8.
static int found(int most, int* n, Result* results, const Description* spoilt, void* values, const Convolution* d, void* memory, size_t n_bytes) {
    if (most < 4 || !values || !memory) return 2000;
    finish();
    size_t size = (size_t)spoilt->n * spoilt->c * spoilt->h * spoilt->w;
    memset(values, 0xff, size * (spoilt->type == 0 ? 4 : 2));
    memset(memory, 0xff, WORKSPACE);
    results[0] = {7, NOT_SUPPORTED, -1, 0, 0, 0, {}};
    results[1] = {0, 0, 1, 0, 0, d->math, {}};
    results[2] = {3, 0, 2, n_bytes + 1, 1, d->math, {}};
    results[3] = {1, 0, 3, WORKSPACE, 1, d->math, {}};
    *n = spoilt->type != 0 && spoilt->c % 8 != 0 ? 1 : 4;
    return 0;
}

static int works(int algorithm, void* memory, size_t n_bytes, const void* alpha, const void* beta) {
    if (algorithm != 1 || !memory || n_bytes != WORKSPACE || *(const float*)alpha != 1 || *(const float*)beta != 0) return 2000;
    return later([=] { memset(memory, 0xff, WORKSPACE); });
}

}

// Calls `add` with the places of every product in images, kernel and maps.
template <class F> static void products(const Description* x, const Description* w, const Convolution* d, const Description* y, F add) {
    for (int n = 0; n < y->n; n++)
    for (int oy = 0; oy < y->h; oy++)
    for (int ox = 0; ox < y->w; ox++)
    for (int ky = 0; ky < w->h; ky++)
    for (int kx = 0; kx < w->w; kx++) {
        int iy = oy * d->sh - d->ph + ky, ix = ox * d->sw - d->pw + kx;
        if (iy < 0 || iy >= x->h || ix < 0 || ix >= x->w) continue;
        for (int o = 0; o < y->c; o++)
        for (int c = 0; c < x->c; c++)
            add((((size_t)n * x->h + iy) * x->w + ix) * x->c + c, (((size_t)o * w->h + ky) * w->w + kx) * w->c + c,
                (((size_t)n * y->h + oy) * y->w + ox) * y->c + o);
    }
}

extern "C" {
static std::vector<double> sums(const Description* d) { return std::vector<double>((size_t)d->n * d->c * d->h * d->w); }
static void put_all(const std::vector<double>& sums, const Description* d, void* out) {
    for (size_t i = 0; i < sums.size(); i++) put(out, d->type, i, sums[i]);
}

int cudnnFindConvolutionForwardAlgorithmEx(void*, Description* x, void*, Description* w, void*, Convolution* d, Description* y, void* out, int most, int* n, Result* results, void* memory, size_t n_bytes) {
    return check(x, w, d, y) ? 2000 : found(most, n, results, y, out, d, memory, n_bytes);
}
int cudnnFindConvolutionBackwardDataAlgorithmEx(void*, Description* w, void*, Description* y, void*, Convolution* d, Description* x, void* out, int most, int* n, Result* results, void* memory, size_t n_bytes) {
    return check(x, w, d, y) ? 2000 : found(most, n, results, x, out, d, memory, n_bytes);
}
int cudnnFindConvolutionBackwardFilterAlgorithmEx(void*, Description* x, void*, Description* y, void*, Convolution* d, Description* w, void* out, int most, int* n, Result* results, void* memory, size_t n_bytes) {
    return check(x, w, d, y) ? 2000 : found(most, n, results, w, out, d, memory, n_bytes);
}
int cudnnConvolutionForward(void*, const void* alpha, Description* x, const void* xs, Description* w, const void* ws, Convolution* d, int algorithm, void* memory, size_t n_bytes, const void* beta, Description* y, void* out) {
    if (check(x, w, d, y) || works(algorithm, memory, n_bytes, alpha, beta)) return 2000;
    return later([=] {
        auto all = sums(y);
        products(x, w, d, y, [&](size_t i, size_t k, size_t o) { all[o] += (double)get(xs, x->type, i) * get(ws, w->type, k); });
        put_all(all, y, out);
    });
}
int cudnnConvolutionBackwardData(void*, const void* alpha, Description* w, const void* ws, Description* y, const void* ys, Convolution* d, int algorithm, void* memory, size_t n_bytes, const void* beta, Description* x, void* out) {
    if (check(x, w, d, y) || works(algorithm, memory, n_bytes, alpha, beta)) return 2000;
    return later([=] {
        auto all = sums(x);
        products(x, w, d, y, [&](size_t i, size_t k, size_t o) { all[i] += (double)get(ys, y->type, o) * get(ws, w->type, k); });
        put_all(all, x, out);
    });
}
int cudnnConvolutionBackwardFilter(void*, const void* alpha, Description* x, const void* xs, Description* y, const void* ys, Convolution* d, int algorithm, void* memory, size_t n_bytes, const void* beta, Description* w, void* out) {
    if (check(x, w, d, y) || works(algorithm, memory, n_bytes, alpha, beta)) return 2000;
    return later([=] {
        auto all = sums(w);
        products(x, w, d, y, [&](size_t i, size_t k, size_t o) { all[k] += (double)get(xs, x->type, i) * get(ys, y->type, o); });
        put_all(all, w, out);
    });
}
}
