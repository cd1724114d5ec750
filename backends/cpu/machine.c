/* machine: the instruction sets of the processor, its caches, and its peak of multiply-adds. */
#include "backends/cpu/machine.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const isa_names[] = {"portable", "avx2", "avx512", "avx512bf16"};

const char *cpu_isa_name(cpu_isa isa)
{
    return isa_names[isa];
}

/* The build defines CPU_HAVE_… for the instruction sets whose kernels it compiled. */
static bool isa_present(cpu_isa isa)
{
    switch (isa) {
#if defined(CPU_HAVE_AVX2)
    case CPU_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); /* and so f16c */
#endif
#if defined(CPU_HAVE_AVX512)
    case CPU_AVX512:
        return isa_present(CPU_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
    case CPU_AVX512BF16: return isa_present(CPU_AVX512) && __builtin_cpu_supports("avx512bf16");
#endif
    default: return isa == CPU_PORTABLE;
    }
}

static m3_status isa_choose(cpu_isa *isa, const char *name, m3_error *err)
{
    if (name == NULL || name[0] == '\0' || strcmp(name, "auto") == 0) {
        *isa = CPU_AVX512BF16;
        while (!isa_present(*isa)) (*isa)--;
        return M3_OK;
    }
    for (cpu_isa i = CPU_PORTABLE; i <= CPU_AVX512BF16; i++) {
        if (strcmp(name, isa_names[i]) != 0) continue;
        *isa = i;
        if (isa_present(i)) return M3_OK;
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, "isa",
                       "this processor or build lacks the instructions of '%s'; give 'auto' or 'portable'", name);
    }
    return M3_FAIL(err, M3_ERR_INVALID, "isa",
                   "there is no '%s'; give 'auto', 'portable', 'avx2', 'avx512' or 'avx512bf16'", name);
}

static size_t cache_bytes(int name, size_t unknown, size_t min, size_t max)
{
    long bytes = sysconf(name); /* 0 or -1 where the system does not know */
    size_t size = bytes > 0 ? (size_t)bytes : unknown;
    return size < min ? min : size > max ? max : size;
}

m3_status cpu_machine_init(cpu_machine *machine, const char *isa, m3_error *err)
{
    *machine = (cpu_machine){0};
    m3_status st = isa_choose(&machine->isa, isa, err);
    if (st != M3_OK) return st;
    cpu_gemm_kernels_portable(&machine->gemm);
#if defined(CPU_HAVE_AVX2)
    if (machine->isa >= CPU_AVX2) cpu_gemm_kernels_avx2(&machine->gemm);
#endif
#if defined(CPU_HAVE_AVX512)
    if (machine->isa >= CPU_AVX512) cpu_gemm_kernels_avx512(&machine->gemm);
    if (machine->isa >= CPU_AVX512BF16) cpu_gemm_kernels_avx512bf16(&machine->gemm);
#endif
    machine->l1_bytes = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, 32u << 10, 16u << 10, 64u << 10);
    machine->l2_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE, 512u << 10, 256u << 10, 4u << 20);
    size_t depth = machine->l1_bytes / 3 / (machine->gemm.mr * sizeof(float)) / 32 * 32;
    machine->depth = depth > 256 ? 256 : depth;
    return M3_OK;
}

typedef struct spin_args {
    const cpu_gemm_kernels *kernels;
    uint64_t rounds;
} spin_args;

static void spin_task(void *arg, uint32_t task, uint32_t worker)
{
    const spin_args *spin = arg;
    (void)task;
    (void)worker;
    volatile float result = spin->kernels->spin(spin->rounds); /* volatile: else a compiler may drop the work */
    (void)result;
}

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double cpu_measure_peak(const cpu_machine *machine, const cpu_pool *pool)
{
    enum { RUNS = 12 };
    const double wanted_s = 0.01;
    const uint32_t threads = cpu_pool_threads(pool);
    spin_args spin = {&machine->gemm, 20000};
    double best = 0;
    for (int run = 0; run < RUNS; run++) {
        double start = now_s();
        cpu_pool_run(pool, threads, spin_task, &spin);
        double took = now_s() - start;
        if (took < wanted_s / 4) { /* still too short to time well */
            spin.rounds *= 4;
            run = -1;
            continue;
        }
        double rate = (double)spin.rounds * machine->gemm.spin_flops * threads / took * 1e-9;
        if (rate > best) best = rate;
    }
    return best;
}
