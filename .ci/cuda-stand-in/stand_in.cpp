// A stand-in for a GPU: the parts of the CUDA driver, cuBLAS, cuRAND and cuDNN that this program calls, done by the CPU in
// plain loops, and the program's own kernels compiled as C++. Preloaded by `.ci/cuda-check`, it lets the tests of the GPU
// code run where there is no GPU: what they then find is wrong sizes, orders, pointers and sums, not what a real device,
// its libraries or its timing would do.
//
// Memory is given out full of NaN and ends at a page that cannot be touched; a search for an algorithm spoils the result;
// an algorithm checks and spoils the memory it was given to work in. Work is done as late as a GPU may do it: when somebody
// waits for it. What is read of the host's pinned memory is read then, and freed memory is gone then.
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

namespace {

[[noreturn]] void refuse(const char* what) {
    fprintf(stderr, "stand-in: %s\n", what);
    abort();
}

// ---- blocks of threads -------------------------------------------------------------------------------------------------

struct Index3 { unsigned x, y, z; };
thread_local Index3 blockIdx, threadIdx, blockDim, gridDim;

// The threads of a block take turns: each runs until it waits for the others or ends.
struct Thread {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 16);
    Index3 index;
    bool ended;
};
std::vector<Thread*> threads;
ucontext_t scheduler;
Thread* running;
const std::function<void()>* body;

void enter() {
    (*body)();
    running->ended = true;
    swapcontext(&running->context, &scheduler);
}

void __syncthreads() {
    Thread* self = running;
    if (!self) refuse("a kernel whose threads are thought not to wait for each other does");
    swapcontext(&self->context, &scheduler);
}

void run_block(const std::function<void()>& kernel, bool waits) {
    size_t n = (size_t)blockDim.x * blockDim.y;
    if (n > 1024) refuse("a block of more than 1024 threads");
    if (!waits) {
        for (size_t i = n; i-- > 0;) {
            threadIdx = {(unsigned)(i % blockDim.x), (unsigned)(i / blockDim.x), 0};
            kernel();
        }
        return;
    }
    body = &kernel;
    while (threads.size() < n) threads.push_back(new Thread);
    for (size_t i = 0; i < n; i++) {
        Thread& thread = *threads[i];
        thread.index = {(unsigned)(i % blockDim.x), (unsigned)(i / blockDim.x), 0};
        thread.ended = false;
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = thread.stack.data();
        thread.context.uc_stack.ss_size = thread.stack.size();
        thread.context.uc_link = nullptr;
        makecontext(&thread.context, enter, 0);
    }
    // Last to first in every other round: what depends on the order shows.
    for (size_t round = 0, alive = n; alive > 0; round++) {
        alive = 0;
        for (size_t i = 0; i < n; i++) {
            Thread& thread = *threads[round % 2 ? n - 1 - i : i];
            if (thread.ended) continue;
            running = &thread;
            threadIdx = thread.index;
            swapcontext(&scheduler, &thread.context);
            alive += !thread.ended;
        }
    }
    running = nullptr;
}

float __uint_as_float(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }
unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, 4); return bits; }

}  // namespace

#define __device__
#define __global__
#define __shared__ static
#include KERNELS_CU

namespace {

// A kernel with its arguments as they are now.
template <class... A, size_t... I>
std::function<void()> hold(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    return [kernel, values = std::tuple<A...>(*(A*)arguments[I]...)] { std::apply(kernel, values); };
}

template <class... A> std::function<std::function<void()>(void**)> wrap(void (*kernel)(A...)) {
    return [kernel](void** arguments) { return hold(kernel, arguments, std::index_sequence_for<A...>()); };
}

struct Kernel {
    std::function<std::function<void()>(void**)> bind;
    bool waits;
};

// Kernels whose threads do not wait for each other need no turns, which take time.
bool waits(const std::string& name) {
    for (const char* not_waiting : {"normalise", "activate", "accumulate", "cast", "scale_pixels", "max_pool", "adam", "blend", "multiply", "join", "front"}) {
        if (name.rfind(not_waiting, 0) == 0) return false;
    }
    return true;
}

#define KERNEL(name) {#name, {wrap(name), waits(#name)}},
std::map<std::string, Kernel> kernels = {
#include KERNEL_NAMES
};

// ---- the one stream ----------------------------------------------------------------------------------------------------

std::recursive_mutex guard;
typedef std::lock_guard<std::recursive_mutex> Locked;
std::deque<std::function<void()>> queue;
uint64_t n_done, n_queued;
struct Event { uint64_t after; };

int later(std::function<void()> work) {
    Locked locked(guard);
    queue.push_back(std::move(work));
    n_queued++;
    return 0;
}

// Does the first `n` of all that was ever queued.
int finish(uint64_t n) {
    Locked locked(guard);
    for (; n_done < n; n_done++) {
        auto work = std::move(queue.front());
        queue.pop_front();
        work();
    }
    return 0;
}

int finish() { Locked locked(guard); return finish(n_queued); }

// ---- memory ------------------------------------------------------------------------------------------------------------

struct Block { char* pages; size_t length, size; };
std::map<uint64_t, Block> blocks;
std::map<uint64_t, size_t> pinned;

bool is_pinned(uint64_t pointer, size_t size) {
    auto after = pinned.upper_bound(pointer);
    return after != pinned.begin() && pointer + size <= std::prev(after)->first + std::prev(after)->second;
}


uint64_t allocate(size_t size) {
    if (size == 0) return 0;
    const size_t page = 4096;
    // Whole multiples of 16 bytes, so that the end is at the page that cannot be touched and the start aligned.
    size_t room = (std::max<size_t>(size, 1) + 15) / 16 * 16, length = (room + page - 1) / page * page + page;
    char* pages = (char*)mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) return 0;
    mprotect(pages + length - page, page, PROT_NONE);
    char* start = pages + length - page - room;
    if (size < (64 << 20)) memset(start, 0xff, room);
    blocks[(uint64_t)start] = {pages, length, size};
    return (uint64_t)start;
}

void release(uint64_t pointer) {
    auto block = blocks.find(pointer);
    if (block == blocks.end()) refuse("memory freed that was not given out");
    munmap(block->second.pages, block->second.length);
    blocks.erase(block);
}

typedef unsigned short half16;
float get(const void* values, int type, size_t i) { return type == 0 ? ((const float*)values)[i] : value(((const half16*)values)[i]); }
void put(void* values, int type, size_t i, double x) {
    if (type == 0) ((float*)values)[i] = (float)x;
    else ((half16*)values)[i] = rounded<half16>((float)x);
}

}  // namespace

// ---- the driver --------------------------------------------------------------------------------------------------------

extern "C" {
int cuInit(unsigned) { return getenv("STAND_IN_NO_GPU") ? 100 : 0; }
// Asked by NVRTC, which looks for a driver by itself.
int cuGetExportTable(const void** table, const void*) { *table = nullptr; return 500; }
int cuDriverGetVersion(int* version) { *version = 13000; return 0; }
int cuDeviceGet(int* device, int ordinal) { *device = ordinal; return ordinal < 4 ? 0 : 101; }
int cuDeviceGetCount(int* n) { *n = 4; return 0; }
int cuDeviceGetName(char* name, int n, int) { snprintf(name, n, "CPU, standing in for a GPU"); return 0; }
int cuDeviceGetAttribute(int* value, int attribute, int) { *value = attribute == 75 ? 9 : attribute == 76 ? 0 : 1; return 0; }
int cuDevicePrimaryCtxRetain(void** context, int) { *context = (void*)1; return 0; }
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxSetCurrent(void*) { return 0; }
int cuCtxGetCurrent(void** context) { *context = (void*)1; return 0; }
int cuCtxSynchronize() { return finish(); }
int cuStreamCreate(void** stream, unsigned) { *stream = (void*)2; return 0; }
int cuStreamDestroy_v2(void*) { return finish(); }
int cuStreamSynchronize(void*) { return finish(); }
int cuStreamWaitEvent(void*, void*, unsigned) { return 0; }
int cuStreamIsCapturing(void*, int* status) { *status = 0; return 0; }
int cuEventCreate(Event** event, unsigned) { *event = new Event(); return 0; }
int cuEventRecord(Event* event, void* stream) { Locked locked(guard); event->after = n_queued; return stream == (void*)2 ? 0 : 400; }
int cuEventSynchronize(Event* event) { Locked locked(guard); return finish(event->after); }
int cuEventDestroy_v2(Event* event) { delete event; return 0; }
int cuDeviceGetDefaultMemPool(void** pool, int) { *pool = (void*)4; return 0; }
int cuMemPoolSetAttribute(void*, int attribute, void* value) { return attribute == 4 && *(uint64_t*)value == UINT64_MAX ? 0 : 1; }
int cuMemAllocAsync(uint64_t* pointer, size_t size, void*) {
    Locked locked(guard);
    return (*pointer = allocate(size)) ? 0 : 2;
}
int cuMemFreeAsync(uint64_t pointer, void*) { return later([=] { release(pointer); }); }
int cuMemAlloc_v2(uint64_t* pointer, size_t size) { return cuMemAllocAsync(pointer, size, nullptr); }
int cuMemFree_v2(uint64_t pointer) { return cuMemFreeAsync(pointer, nullptr); }
int cuMemHostAlloc(void** pointer, size_t size, unsigned) {
    Locked locked(guard);
    *pointer = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    pinned[(uint64_t)*pointer] = size;
    return 0;
}
int cuMemFreeHost(void* pointer) { Locked locked(guard); pinned.erase((uint64_t)pointer); free(pointer); return 0; }
int cuMemsetD8Async(uint64_t pointer, unsigned char value, size_t n, void*) { return later([=] { memset((void*)pointer, value, n); }); }
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t n, void*) {
    Locked locked(guard);
    if (!is_pinned((uint64_t)from, n)) {
        return later([to, bytes = std::string((const char*)from, n)] { memcpy((void*)to, bytes.data(), bytes.size()); });
    }
    return later([=] {
        if (!is_pinned((uint64_t)from, n)) refuse("a copy from memory that was freed before it was done");
        memcpy((void*)to, from, n);
    });
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t n, void*) { Locked locked(guard); finish(); memcpy(to, (void*)from, n); return 0; }
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t n, void*) { return later([=] { memcpy((void*)to, (void*)from, n); }); }
int cuModuleLoadData(void** module, const void*) { *module = (void*)5; return 0; }
int cuModuleLoad(void** module, const char*) { *module = (void*)5; return 0; }
int cuModuleUnload(void*) { return 0; }
int cuModuleGetFunction(void** function, void*, const char* name) {
    auto kernel = kernels.find(name);
    if (kernel == kernels.end()) {
        fprintf(stderr, "stand-in: no kernel `%s`\n", name);
        return 500;
    }
    *function = &kernel->second;
    return 0;
}
int cuGetErrorName(int error, const char** name) { *name = error == 100 ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR"; return 0; }
int cuGetErrorString(int error, const char** text) { *text = error == 100 ? "no CUDA-capable device is detected" : "the stand-in's error"; return 0; }
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void* stream, void** arguments, void**) {
    if (gx == 0 || gy == 0 || gx > INT32_MAX || gy > 65535 || gz != 1 || bz != 1 || shared != 0) return 1;
    if (stream != (void*)2) return 400;
    auto& kernel = *(Kernel*)function;
    return later([=, waits = kernel.waits, body = kernel.bind(arguments)] {
        blockDim = {bx, by, 1};
        gridDim = {gx, gy, 1};
        for (unsigned y = 0; y < gy; y++) {
            for (unsigned x = 0; x < gx; x++) {
                blockIdx = {x, y, 0};
                run_block(body, waits);
            }
        }
    });
}
}

#include "libraries.cpp"
#include "nccl.cpp"
