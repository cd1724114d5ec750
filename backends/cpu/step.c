/* step: what the files of ops/ share: a step's arguments, and loops over threads. */
#include "backends/cpu/step.h"

#include "backends/host/program.h"

void *cpu_step_args(const cpu_node *at, cpu_step *step, cpu_run_fn run, size_t bytes, m3_error *err)
{
    step->run = run;
    step->args = host_exec_allocate(at->device, at->exec, at->node->op->name, bytes, 1, err);
    return step->args;
}

typedef struct loop {
    cpu_range_fn fn;
    const void *args;
    size_t count, tasks;
} loop;

static void run_range(void *arg, uint32_t task, uint32_t worker)
{
    const loop *l = arg;
    size_t begin = l->count * task / l->tasks, end = l->count * (task + 1) / l->tasks;
    l->fn(l->args, begin, end, worker);
}

void cpu_for(const cpu_run *cpu, size_t count, size_t cost, cpu_range_fn fn, const void *args)
{
    /* Waking a thread takes some microseconds, as long as MIN_WORK element operations. A few ranges for each thread
     * balance the load when some take longer. */
    enum { MIN_WORK = 16384, RANGES = 4 };
    size_t threads = cpu_pool_threads(cpu->pool), work = cost == 0 ? count : count * cost;
    if (count == 0) return;
    size_t tasks = work / (MIN_WORK / 2);
    if (tasks > threads * RANGES) tasks = threads * RANGES;
    if (tasks > count) tasks = count;
    if (threads == 1 || work < MIN_WORK || tasks < 2) {
        fn(args, 0, count, 0);
        return;
    }
    loop l = {fn, args, count, tasks};
    cpu_pool_run(cpu->pool, (uint32_t)tasks, run_range, &l);
}
