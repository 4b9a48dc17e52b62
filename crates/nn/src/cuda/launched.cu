// The kernels of kernels.cu under the names that they are launched by: kernel_type, or kernel_type_V.
#define EACH_WIDTH(X, T) X(T, 1) X(T, 4)
#define EACH(X) EACH_WIDTH(X, float) EACH_WIDTH(X, bf16)

#define KERNELS(T, V)                                                                                                      \
    extern "C" __global__ void moments_##T##_##V(const T* x, float* partial, int rows, int c, int rows_per_block) {         \
        moments<T, V>(x, partial, rows, c, rows_per_block);                                                                \
    }                                                                                                                      \
    extern "C" __global__ void normalise_##T##_##V(const T* x, T* y, const float* statistics, const float* gain, const float* bias, int rows, int c, int rows_per_block, float slope) { \
        normalise<T, V>(x, y, statistics, gain, bias, rows, c, rows_per_block, slope);                                     \
    }                                                                                                                      \
    extern "C" __global__ void gradient_sums_##T##_##V(const T* x, const T* dy, const float* statistics, const float* gain, const float* bias, float* partial, int rows, int c, int rows_per_block, float slope) { \
        gradient_sums<T, V>(x, dy, statistics, gain, bias, partial, rows, c, rows_per_block, slope);                       \
    }                                                                                                                      \
    extern "C" __global__ void normalise_backward_##T##_##V(const T* x, T* dy, const float* statistics, const float* gain, const float* bias, const float* terms, int rows, int c, int rows_per_block, float slope) { \
        normalise_backward<T, V>(x, dy, statistics, gain, bias, terms, rows, c, rows_per_block, slope);                    \
    }                                                                                                                      \
    extern "C" __global__ void activate_##T##_##V(T* x, Index n, float slope, int curve) { activate<T, V>(x, n, slope, curve); } \
    extern "C" __global__ void activate_backward_##T##_##V(const T* y, T* dy, Index n, float slope, int curve) {           \
        activate_backward<T, V>(y, dy, n, slope, curve);                                                                   \
    }                                                                                                                      \
    extern "C" __global__ void accumulate_##T##_##V(float* sum, const T* term, Index n, int adds) { accumulate<T, V>(sum, term, n, adds); } \
    extern "C" __global__ void cast_##T##_##V(const float* in, T* out, Index n) { cast<T, V>(in, out, n); }
EACH(KERNELS)

#define SCALAR_KERNELS(T)                                                                                                  \
    extern "C" __global__ void statistics_##T(const T* x, const float* partial, float* out, int n, int rows, int c, float eps) { \
        statistics<T>(x, partial, out, n, rows, c, eps);                                                                   \
    }                                                                                                                      \
    extern "C" __global__ void kernel_in_##T(const float* in, T* out, int rows, int columns) { transpose<float, T>(in, out, rows, columns, 0); } \
    extern "C" __global__ void gradient_out_##T(const T* in, float* out, int rows, int columns, int adds) {                 \
        transpose<T, float>(in, out, rows, columns, adds);                                                                 \
    }                                                                                                                      \
    extern "C" __global__ void scale_pixels_##T(const unsigned char* pixels, T* out, Index n, int c, int plane) {            \
        scale_pixels<T>(pixels, out, n, c, plane);                                                                         \
    }                                                                                                                      \
    extern "C" __global__ void max_pool_##T(const T* maps, float* out, Index n, int h, int w, int c, int grid, Index row_len, Index offset) { \
        max_pool<T>(maps, out, n, h, w, c, grid, row_len, offset);                                                         \
    }                                                                                                                      \
    extern "C" __global__ void bce_##T(const T* logits, T* gradient, float* out, int n, float target) { bce<T>(logits, gradient, out, n, target); } \
    extern "C" __global__ void blend_##T(T* to, const T* x, Index n, float factor, float weight) { blend<T>(to, x, n, factor, weight); } \
    extern "C" __global__ void multiply_##T(const T* x, const T* by, T* out, Index n, Index period) { multiply<T>(x, by, out, n, period); } \
    extern "C" __global__ void join_##T(const T* x, const T* labels, T* out, Index n, int c, int k, int positions) {         \
        join<T>(x, labels, out, n, c, k, positions);                                                                       \
    }                                                                                                                      \
    extern "C" __global__ void front_##T(const T* in, T* out, Index n, Index from, Index to) { front<T>(in, out, n, from, to); }
SCALAR_KERNELS(float)
SCALAR_KERNELS(bf16)

#define ADAM(V)                                                                                                            \
    extern "C" __global__ void adam_##V(float* p, const float* g, float* m, float* v, Index n, float rate, float beta1, float beta2, float square_scale, float eps, float l2) { \
        adam<V>(p, g, m, v, n, rate, beta1, beta2, square_scale, eps, l2);                                                 \
    }
ADAM(1)
ADAM(4)
