// NCCL between processes, or threads of one: memory that they share, in which every part lays its values; each sums them in the parts' order.
// (Work on a GPU goes on while the CPU waits for another process; here nobody would do it, so what comes before is done first, and then the sum.)
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>

namespace {
const size_t SLOT = 1 << 16;
const int MOST_PARTS = 8;

struct Shared {
    std::atomic<int> joined, arrived, rounds;
    float values[MOST_PARTS][SLOT];
};

struct Communicator {
    Shared* shared;
    int count, number;
    std::atomic<bool> aborted;
};

// False where somebody gave up.
bool meet(Communicator* c) {
    int round = c->shared->rounds;
    if (++c->shared->arrived == c->count) {
        c->shared->arrived = 0;
        c->shared->rounds++;
        return true;
    }
    while (c->shared->rounds == round) {
        if (c->aborted) return false;
        usleep(50);
    }
    return true;
}
}  // namespace

extern "C" {
struct ncclUniqueId { char name[128]; };

int ncclGetUniqueId(ncclUniqueId* id) {
    static std::atomic<int> n;
    snprintf(id->name, sizeof id->name, "/dcgan-stand-in-%d-%d", (int)getpid(), n++);
    int file = shm_open(id->name, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (file < 0 || ftruncate(file, sizeof(Shared))) return 2;
    close(file);
    return 0;
}

int ncclCommInitRank(void** comm, int count, ncclUniqueId id, int number) {
    if (count > MOST_PARTS || number >= count) return 4;
    int file = shm_open(id.name, O_RDWR, 0600);
    if (file < 0) return 2;
    auto shared = (Shared*)mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared == MAP_FAILED) return 2;
    auto c = new Communicator{shared, count, number, {false}};
    shared->joined++;
    while (shared->joined < count) usleep(50);
    if (!meet(c)) return 6;
    if (number == 0) shm_unlink(id.name);
    *comm = c;
    return 0;
}

int ncclAllReduce(const float* from, float* to, size_t n, int type, int operation, Communicator* c, void* stream) {
    if (type != 7 || operation != 4 || stream != (void*)2) return 4;
    if (finish()) return 1;
    for (size_t first = 0; first < n; first += SLOT) {
        size_t size = std::min(SLOT, n - first);
        memcpy(c->shared->values[c->number], from + first, 4 * size);
        if (!meet(c)) return 6;
        std::vector<float> sum(c->shared->values[0], c->shared->values[0] + size);
        for (int part = 1; part < c->count; part++)
            for (size_t i = 0; i < size; i++) sum[i] += c->shared->values[part][i];
        if (!meet(c)) return 6;
        for (size_t i = 0; i < size; i++) to[first + i] = sum[i] / c->count;
    }
    return 0;
}

int ncclGroupStart() { return 0; }
int ncclGroupEnd() { return 0; }
int ncclCommAbort(Communicator* c) { c->aborted = true; return 0; }
const char* ncclGetErrorString(int error) { return error == 6 ? "remote process exited" : "the stand-in's error"; }
}
