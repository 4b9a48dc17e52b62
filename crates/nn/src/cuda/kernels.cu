// The kernels of training that no library has. NVRTC compiles them on the machine they run on, so they include nothing.
//
// Maps are rows of c channels; T is float or bf16, V how many neighbouring values a thread takes at once (4, or 1 where a
// row's length or an address is no multiple of 4). Sums and statistics are float, the last of them over a whole batch double.

typedef unsigned short bf16;
typedef long long Index;

__device__ inline float value(float x) { return x; }
__device__ inline float value(bf16 x) { return __uint_as_float((unsigned)x << 16); }

template <class T> __device__ inline T rounded(float x);
template <> __device__ inline float rounded<float>(float x) { return x; }
// To the nearest, ties to even; what is no number stays none.
template <> __device__ inline bf16 rounded<bf16>(float x) {
    unsigned bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (bf16)((bits >> 16) | 0x40u);
    return (bf16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// V neighbouring values, read and written in one go.
template <class T, int V> struct alignas(sizeof(T) * V) Values { T at[V]; };

template <class T, int V> __device__ inline void load(float* out, const T* in) {
    Values<T, V> values = *(const Values<T, V>*)in;
    for (int v = 0; v < V; v++) out[v] = value(values.at[v]);
}

template <class T, int V> __device__ inline void store(T* out, const float* in) {
    Values<T, V> values;
    for (int v = 0; v < V; v++) values.at[v] = rounded<T>(in[v]);
    *(Values<T, V>*)out = values;
}

__device__ inline Index thread_index() { return (Index)blockIdx.x * blockDim.x + threadIdx.x; }

// A block of columns: this thread's first channel, and the rows it goes through.
struct Columns {
    int channel, first, last;
};

template <int V> __device__ inline Columns columns(int rows, int rows_per_block) {
    Columns here;
    here.channel = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    here.first = blockIdx.y * rows_per_block + threadIdx.y;
    int last = (blockIdx.y + 1) * rows_per_block;
    here.last = last < rows ? last : rows;
    return here;
}

// Adds up a block's sums over its rows of threads, a power of two of them; the first row then has the total.
template <int V> __device__ inline void add_rows(float* sums) {
    __shared__ float shared[256 * V];
    int thread = threadIdx.y * blockDim.x + threadIdx.x;
    for (int v = 0; v < V; v++) shared[v * 256 + thread] = sums[v];
    for (int rows = blockDim.y / 2; rows > 0; rows /= 2) {
        __syncthreads();
        if (threadIdx.y < rows) {
            for (int v = 0; v < V; v++) shared[v * 256 + thread] += shared[v * 256 + thread + rows * blockDim.x];
        }
    }
    __syncthreads();
    for (int v = 0; v < V; v++) sums[v] = shared[v * 256 + thread];
    __syncthreads();
}

// Writes a block's two sums a channel to partial (blocks of rows, 2, c).
template <int V>
__device__ inline void store_partial(float* first, float* second, float* partial, Columns here, int c) {
    add_rows<V>(first);
    add_rows<V>(second);
    if (threadIdx.y == 0 && here.channel < c) {
        float* out = partial + (Index)blockIdx.y * 2 * c + here.channel;
        store<float, V>(out, first);
        store<float, V>(out + c, second);
    }
}

// The sums of one channel over all blocks of rows: blocks of 32 channels by 8 threads. True for the thread that has them.
__device__ inline bool add_partial(const float* partial, int n, int c, double* first, double* second) {
    __shared__ double shared[2][8][32];
    int channel = blockIdx.x * 32 + threadIdx.x;
    double a = 0, b = 0;
    if (channel < c) {
        for (int i = threadIdx.y; i < n; i += 8) {
            a += partial[(Index)i * 2 * c + channel];
            b += partial[(Index)i * 2 * c + c + channel];
        }
    }
    shared[0][threadIdx.y][threadIdx.x] = a;
    shared[1][threadIdx.y][threadIdx.x] = b;
    __syncthreads();
    if (threadIdx.y != 0 || channel >= c) return false;
    *first = *second = 0;
    for (int i = 0; i < 8; i++) {
        *first += shared[0][i][threadIdx.x];
        *second += shared[1][i][threadIdx.x];
    }
    return true;
}

// Sum and sum of squares of x - (first row of x).
template <class T, int V>
__device__ inline void moments(const T* x, float* partial, int rows, int c, int rows_per_block) {
    Columns here = columns<V>(rows, rows_per_block);
    float sum[V] = {}, square[V] = {}, shift[V], values[V];
    if (here.channel < c) {
        load<T, V>(shift, x + here.channel);
        for (int row = here.first; row < here.last; row += blockDim.y) {
            load<T, V>(values, x + (Index)row * c + here.channel);
            for (int v = 0; v < V; v++) {
                float d = values[v] - shift[v];
                sum[v] += d;
                square[v] += d * d;
            }
        }
    }
    store_partial<V>(sum, square, partial, here, c);
}

// statistics (2, c): the mean, and 1/sqrt(biased variance + eps).
template <class T>
__device__ inline void statistics(const T* x, const float* partial, float* statistics, int n, int rows, int c, float eps) {
    double sum, square;
    if (!add_partial(partial, n, c, &sum, &square)) return;
    int channel = blockIdx.x * 32 + threadIdx.x;
    double mean = sum / rows, variance = square / rows - mean * mean;
    statistics[channel] = (float)(mean + value(x[channel]));
    statistics[c + channel] = (float)(1.0 / sqrt((variance > 0 ? variance : 0) + (double)eps));
}

// What turns x into u, the value before the activation: scale * (x - mean) + bias. One expression for both passes, so that
// the backward pass finds the sign the forward pass saw.
template <int V> struct Norm {
    float mean[V], inverse[V], scale[V], bias[V];

    __device__ inline void load_channels(const float* statistics, const float* gain, const float* bias_, int channel, int c) {
        load<float, V>(mean, statistics + channel);
        load<float, V>(inverse, statistics + c + channel);
        load<float, V>(scale, gain + channel);
        load<float, V>(bias, bias_ + channel);
        for (int v = 0; v < V; v++) scale[v] *= inverse[v];
    }

    __device__ inline float before_activation(float x, int v) const { return fmaf(scale[v], x - mean[v], bias[v]); }
};

// y = a(scale * (x - mean) + bias); y may be x.
template <class T, int V>
__device__ inline void normalise(const T* x, T* y, const float* statistics, const float* gain, const float* bias, int rows, int c, int rows_per_block, float slope) {
    Columns here = columns<V>(rows, rows_per_block);
    if (here.channel >= c) return;
    Norm<V> norm;
    norm.load_channels(statistics, gain, bias, here.channel, c);
    float values[V];
    for (int row = here.first; row < here.last; row += blockDim.y) {
        Index at = (Index)row * c + here.channel;
        load<T, V>(values, x + at);
        for (int v = 0; v < V; v++) {
            float u = norm.before_activation(values[v], v);
            values[v] = u > 0 ? u : slope * u;
        }
        store<T, V>(y + at, values);
    }
}

// Sums of du = dy * a'(u) and of du * (x - mean).
template <class T, int V>
__device__ inline void gradient_sums(const T* x, const T* dy, const float* statistics, const float* gain, const float* bias, float* partial, int rows, int c, int rows_per_block, float slope) {
    Columns here = columns<V>(rows, rows_per_block);
    float first[V] = {}, second[V] = {}, xs[V], dys[V];
    if (here.channel < c) {
        Norm<V> norm;
        norm.load_channels(statistics, gain, bias, here.channel, c);
        for (int row = here.first; row < here.last; row += blockDim.y) {
            Index at = (Index)row * c + here.channel;
            load<T, V>(xs, x + at);
            load<T, V>(dys, dy + at);
            for (int v = 0; v < V; v++) {
                float du = norm.before_activation(xs[v], v) > 0 ? dys[v] : slope * dys[v];
                first[v] += du;
                second[v] += du * (xs[v] - norm.mean[v]);
            }
        }
    }
    store_partial<V>(first, second, partial, here, c);
}

// Gradients of gain and bias, written (mode 1), added (2) or left out (0), and terms (2, c) of the input's:
// dx = scale * (du - terms[0] - (x - mean) * terms[1]).
extern "C" __global__ void gradient_terms(const float* partial, const float* statistics, float* dgain, float* dbias, float* terms, int n, int rows, int c, int mode) {
    double du, dux;
    if (!add_partial(partial, n, c, &du, &dux)) return;
    int channel = blockIdx.x * 32 + threadIdx.x;
    double inverse = statistics[c + channel];
    if (mode != 0) {
        dbias[channel] = (mode == 2 ? dbias[channel] : 0.0f) + (float)du;
        dgain[channel] = (mode == 2 ? dgain[channel] : 0.0f) + (float)(dux * inverse);
    }
    terms[channel] = (float)(du / rows);
    terms[c + channel] = (float)(dux * inverse * inverse / rows);
}

// Turns dy into dx in place.
template <class T, int V>
__device__ inline void normalise_backward(const T* x, T* dy, const float* statistics, const float* gain, const float* bias, const float* terms, int rows, int c, int rows_per_block, float slope) {
    Columns here = columns<V>(rows, rows_per_block);
    if (here.channel >= c) return;
    Norm<V> norm;
    norm.load_channels(statistics, gain, bias, here.channel, c);
    float first[V], second[V], xs[V], dys[V];
    load<float, V>(first, terms + here.channel);
    load<float, V>(second, terms + c + here.channel);
    for (int row = here.first; row < here.last; row += blockDim.y) {
        Index at = (Index)row * c + here.channel;
        load<T, V>(xs, x + at);
        load<T, V>(dys, dy + at);
        for (int v = 0; v < V; v++) {
            float du = norm.before_activation(xs[v], v) > 0 ? dys[v] : slope * dys[v];
            dys[v] = norm.scale[v] * (du - first[v] - (xs[v] - norm.mean[v]) * second[v]);
        }
        store<T, V>(dy + at, dys);
    }
}

// The activations alone, in place: max(x, slope * x); tanh where `curve` is 1, the sigmoid where it is 2.
template <class T, int V> __device__ inline void activate(T* x, Index n, float slope, int curve) {
    Index at = thread_index() * V;
    if (at >= n) return;
    float values[V];
    load<T, V>(values, x + at);
    for (int v = 0; v < V; v++) {
        float u = values[v];
        values[v] = curve == 1 ? tanhf(u) : curve == 2 ? 0.5f + 0.5f * tanhf(0.5f * u) : u > 0 ? u : slope * u;
    }
    store<T, V>(x + at, values);
}

// Turns dy into dx in place, from the activation's output y.
template <class T, int V> __device__ inline void activate_backward(const T* y, T* dy, Index n, float slope, int curve) {
    Index at = thread_index() * V;
    if (at >= n) return;
    float ys[V], dys[V];
    load<T, V>(ys, y + at);
    load<T, V>(dys, dy + at);
    for (int v = 0; v < V; v++) {
        float y = ys[v];
        dys[v] *= curve == 1 ? 1 - y * y : curve == 2 ? y * (1 - y) : y > 0 ? 1 : slope;
    }
    store<T, V>(dy + at, dys);
}

// sum = term, or sum += term.
template <class T, int V> __device__ inline void accumulate(float* sum, const T* term, Index n, int adds) {
    Index at = thread_index() * V;
    if (at >= n) return;
    float sums[V] = {}, terms[V];
    if (adds) load<float, V>(sums, sum + at);
    load<T, V>(terms, term + at);
    for (int v = 0; v < V; v++) sums[v] += terms[v];
    store<float, V>(sum + at, sums);
}

template <class T, int V> __device__ inline void cast(const float* in, T* out, Index n) {
    Index at = thread_index() * V;
    if (at >= n) return;
    float values[V];
    load<float, V>(values, in + at);
    store<T, V>(out + at, values);
}

// in (rows, columns) -> out (columns, rows), added to it where `adds`: blocks of 32 by 8 threads, a tile of 32 by 32 each.
template <class From, class To> __device__ inline void transpose(const From* in, To* out, int rows, int columns, int adds) {
    __shared__ float tile[32][33];
    int column = blockIdx.y * 32 + threadIdx.x;
    for (int i = threadIdx.y; i < 32; i += 8) {
        int row = blockIdx.x * 32 + i;
        if (row < rows && column < columns) tile[i][threadIdx.x] = value(in[(Index)row * columns + column]);
    }
    __syncthreads();
    int row = blockIdx.x * 32 + threadIdx.x;
    for (int i = threadIdx.y; i < 32; i += 8) {
        int column = blockIdx.y * 32 + i;
        if (row < rows && column < columns) {
            To* at = out + (Index)column * rows + row;
            *at = rounded<To>(tile[threadIdx.x][i] + (adds ? value(*at) : 0.0f));
        }
    }
}

// uint8 pixels (n, c, plane) -> activations (n, plane, c), x / 127.5 - 1.
template <class T> __device__ inline void scale_pixels(const unsigned char* pixels, T* out, Index n, int c, int plane) {
    Index at = thread_index();
    if (at >= n) return;
    Index image = at / ((Index)c * plane);
    int position = (int)(at / c % plane), channel = (int)(at % c);
    out[at] = rounded<T>(pixels[(image * c + channel) * plane + position] / 127.5f - 1.0f);
}

// Maps (n, h, w, c) -> the largest value of each of grid * grid cells, written to row i of out from `offset` on as
// (c, grid, grid); a row of out has `row_len` values.
template <class T>
__device__ inline void max_pool(const T* maps, float* out, Index n, int h, int w, int c, int grid, Index row_len, Index offset) {
    Index at = thread_index();
    if (at >= n) return;
    int channel = (int)(at % c), cell = (int)(at / c % (grid * grid));
    Index image = at / c / (grid * grid);
    int height = h / grid, width = w / grid;
    const T* first = maps + ((image * h + cell / grid * height) * w + cell % grid * width) * c + channel;
    float most = value(*first);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) most = fmaxf(most, value(first[((Index)y * w + x) * c]));
    }
    out[image * row_len + offset + (Index)channel * grid * grid + cell] = most;
}

// Adds up one number of each of a block's 256 threads; the first thread then has the total.
__device__ inline double add_threads(double mine) {
    __shared__ double shared[256];
    shared[threadIdx.x] = mine;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    }
    return shared[0];
}

// One block: the mean of max(x, 0) - x * t + ln(1 + e^-|x|) over n logits x goes to out, and its gradient.
template <class T> __device__ inline void bce(const T* logits, T* gradient, float* out, int n, float target) {
    double loss = 0;
    for (int i = threadIdx.x; i < n; i += 256) {
        float x = value(logits[i]), e = expf(-fabsf(x));
        float sigmoid = x >= 0 ? 1 / (1 + e) : e / (1 + e);
        loss += (double)(fmaxf(x, 0.0f) - x * target + log1pf(e));
        gradient[i] = rounded<T>((sigmoid - target) / n);
    }
    loss = add_threads(loss);
    if (threadIdx.x == 0) *out = (float)(loss / n);
}

// Each value times a factor, and a term: of x, or the same for all.
template <class T>
__device__ inline void blend(T* to, const T* x, Index n, float factor, float weight) {
    Index i = thread_index();
    if (i < n) to[i] = rounded<T>(factor * value(to[i]) + (x ? weight * value(x[i]) : weight));
}

template <class T>
__device__ inline void multiply(const T* x, const T* by, T* out, Index n, Index period) {
    Index i = thread_index();
    if (i < n) out[i] = rounded<T>(value(x[i]) * value(by[i % period]));
}

// The labels of a row behind each of its c channels.
template <class T>
__device__ inline void join(const T* x, const T* labels, T* out, Index n, int c, int k, int positions) {
    Index i = thread_index();
    if (i >= n) return;
    Index place = i / (c + k);
    int channel = (int)(i % (c + k));
    out[i] = channel < c ? x[place * c + channel] : labels[place / positions * k + channel - c];
}

// The first values of every row.
template <class T>
__device__ inline void front(const T* in, T* out, Index n, Index from, Index to) {
    Index i = thread_index();
    if (i < n) out[i] = in[i / to * from + i % to];
}

// A sum of squares for each block.
extern "C" __global__ void squares(const float* x, double* out, Index n) {
    double sum = 0;
    for (Index i = thread_index(); i < n; i += (Index)gridDim.x * blockDim.x) sum += (double)x[i] * x[i];
    sum = add_threads(sum);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

// g += l2 * p; m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g * g; p -= rate * m / (sqrt(v * square_scale) + eps).
template <int V>
__device__ inline void adam(float* p, const float* g, float* m, float* v, Index n, float rate, float beta1, float beta2, float square_scale, float eps, float l2) {
    Index at = thread_index() * V;
    if (at >= n) return;
    float ps[V], gs[V], ms[V], vs[V];
    load<float, V>(ps, p + at);
    load<float, V>(gs, g + at);
    load<float, V>(ms, m + at);
    load<float, V>(vs, v + at);
    for (int i = 0; i < V; i++) {
        float gradient = gs[i] + l2 * ps[i];
        ms[i] = beta1 * ms[i] + (1 - beta1) * gradient;
        vs[i] = beta2 * vs[i] + (1 - beta2) * gradient * gradient;
        ps[i] -= rate * ms[i] / (sqrtf(vs[i] * square_scale) + eps);
    }
    store<float, V>(p + at, ps);
    store<float, V>(m + at, ms);
    store<float, V>(v + at, vs);
}
