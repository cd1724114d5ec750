/* build: kernels from the sources of shaders, which are part of this plugin, or from a custom op's text.
 * A program is built once a device for each source with its options, and kept on disk for the next process. */
#include "backends/opencl/build.h"
#include "backends/lowering/clock.h"
#include "backends/lowering/keep.h"
#include "backends/opencl/api.h"
#include "backends/opencl/cache.h"
#include "backends/opencl/device.h"

#include <string.h>

typedef struct embedded {
    const char *name;
    const unsigned char *text;
} embedded;

static const embedded sources[] = {
#include "shaders.inc"
};

static const char *const standard = "-cl-std=CL1.2 ";

enum { MAX_TEXTS = 7, PATH_BYTES = 128 };

/* The text of shaders/FOLDER/NAME, or NULL. */
static const char *find_text(const char *folder, const char *name, const char *ending)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s%s", folder, name, ending);
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++)
        if (strcmp(sources[i].name, path) == 0) return (const char *)sources[i].text;
    return NULL;
}

/* A processor has kernels of its own where those of a GPU do not suit it. */
static const char *find_source(const m3_device_impl *device, const char *name, const char **folder)
{
    *folder = "processor";
    const char *text = device->traits.kind == LOWER_PROCESSOR ? find_text(*folder, name, ".cl") : NULL;
    if (text != NULL) return text;
    *folder = "gpu";
    return find_text(*folder, name, ".cl");
}

static const char *or_nothing(const char *text)
{
    return text != NULL ? text : "";
}

/* The compiler's log, as far as it fits into a message; all of it goes to the log of the host. */
static m3_status build_failed(m3_device_impl *device, cl_program program, const char *name, const char *options,
                              cl_int code, m3_error *err)
{
    enum { CAPACITY = 16384 };
    const m3_host *host = device->host;
    size_t bytes = 0;
    char *log = host->allocate(host->user, CAPACITY, 1);
    if (log != NULL && program != NULL) {
        if (device->cl->GetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, CAPACITY - 1, log, &bytes) !=
            CL_SUCCESS)
            (void)snprintf(log, CAPACITY, "the driver's log is longer than %d bytes", CAPACITY);
        host->log(host->user, M3_LOG_ERROR, log);
    }
    m3_status st = M3_FAIL(err, M3_ERR_INTERNAL, name, "the compiler of %s failed with %s (options %s): %s",
                           device->name, OPENCL_ERROR(code), options, log == NULL ? "" : log);
    host->release(host->user, log);
    return st;
}

/* A program from the cache, or NULL. */
static cl_program from_cache(m3_device_impl *device, opencl_key key)
{
    const opencl_api *cl = device->cl;
    size_t bytes = 0;
    cl_int code = CL_SUCCESS, status = CL_SUCCESS;
    unsigned char *binary = opencl_cache_read(device, key, &bytes);
    if (binary == NULL) return NULL;
    const unsigned char *const given = binary;
    cl_program program = cl->CreateProgramWithBinary(device->context, 1, &device->id, &bytes,
                                                     (const unsigned char **)&given, &status, &code);
    device->host->release(device->host->user, binary);
    if (code == CL_SUCCESS && status == CL_SUCCESS) code = cl->BuildProgram(program, 1, &device->id, "", NULL, NULL);
    if (code == CL_SUCCESS && status == CL_SUCCESS) return program;
    if (program != NULL) (void)cl->ReleaseProgram(program); /* the driver does not take its own binary: build anew */
    return NULL;
}

static void to_cache(m3_device_impl *device, opencl_key key, cl_program program)
{
    const m3_host *host = device->host;
    size_t bytes = 0;
    if (!device->cache || device->files == NULL) return;
    if (device->cl->GetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL) != CL_SUCCESS ||
        bytes == 0)
        return;
    unsigned char *binary = host->allocate(host->user, bytes, 1);
    if (binary == NULL) return;
    if (device->cl->GetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) == CL_SUCCESS)
        opencl_cache_write(device, key, binary, bytes);
    host->release(host->user, binary);
}

static m3_status from_source(m3_device_impl *device, const char *name, const char **texts, cl_uint count,
                             const char *options, cl_program *program, m3_error *err)
{
    const opencl_api *cl = device->cl;
    cl_int code = CL_SUCCESS;
    *program = cl->CreateProgramWithSource(device->context, count, texts, NULL, &code);
    if (code == CL_SUCCESS) code = cl->BuildProgram(*program, 1, &device->id, options, NULL, NULL);
    if (code == CL_SUCCESS) return M3_OK;
    m3_status st = build_failed(device, *program, name, options, code, err);
    if (*program != NULL) (void)cl->ReleaseProgram(*program);
    *program = NULL;
    return st;
}

static opencl_program *find_program(m3_device_impl *device, const char *name, const char *options)
{
    const size_t length = strlen(name);
    pthread_mutex_lock(&device->programs_lock);
    opencl_program *p = device->programs;
    while (p != NULL &&
           (strncmp(p->key, name, length) != 0 || p->key[length] != ' ' || strcmp(p->key + length + 1, options) != 0))
        p = p->next;
    pthread_mutex_unlock(&device->programs_lock);
    return p;
}

/* Keep a program under its key, and own it. */
static opencl_program *keep_program(m3_device_impl *device, const char *name, const char *options, cl_program program,
                                    m3_error *err)
{
    const m3_host *host = device->host;
    const size_t bytes = strlen(name) + strlen(options) + 2;
    opencl_program *p = host->allocate(host->user, 1, sizeof *p);
    char *key = host->allocate(host->user, bytes, 1);
    if (p == NULL || key == NULL) {
        host->release(host->user, p);
        host->release(host->user, key);
        (void)device->cl->ReleaseProgram(program);
        (void)M3_FAIL_MEMORY(err, name, bytes + sizeof *p);
        return NULL;
    }
    (void)snprintf(key, bytes, "%s %s", name, options);
    pthread_mutex_lock(&device->programs_lock);
    *p = (opencl_program){device->programs, key, program, false};
    device->programs = p;
    pthread_mutex_unlock(&device->programs_lock);
    return p;
}

static void log_build(m3_device_impl *device, const char *name, const char *options, const char *how, uint64_t start)
{
    char line[1280];
    (void)snprintf(line, sizeof line, "opencl: %s %s in %.1f ms (%s)", name, how, 1e3 * lower_seconds_since(start),
                   options);
    device->host->log(device->host->user, M3_LOG_DEBUG, line);
}

/* What a program is made of. */
typedef struct source {
    const char *name, *options;
    const char *texts[MAX_TEXTS];
    cl_uint count;
    char line[96], all[1024]; /* memory of a text and of the options */
} source;

static opencl_key key_of(m3_device_impl *device, const source *s)
{
    const char *about[MAX_TEXTS + 1];
    for (cl_uint i = 0; i < s->count; i++) about[i] = s->texts[i];
    about[s->count] = s->options;
    return opencl_cache_key(device, about, s->count + 1);
}

/* Option keep: NAME.cl, and NAME.txt with its options. */
static m3_status keep(m3_device_impl *device, opencl_key key, const source *s, m3_error *err)
{
    const m3_host *host = device->host;
    size_t bytes = 1, at = 0;
    if (device->keep == NULL) return M3_OK;
    for (cl_uint i = 0; i < s->count; i++) bytes += strlen(s->texts[i]);
    char *all = host->allocate(host->user, bytes, 1);
    if (all == NULL) return M3_FAIL_MEMORY(err, s->name, bytes);
    for (cl_uint i = 0; i < s->count; i++) at += (size_t)snprintf(all + at, bytes - at, "%s", s->texts[i]);
    m3_status st = lower_keep_write(device->keep, s->name, key.hash[0], "cl", all, at, err);
    if (st == M3_OK)
        st = lower_keep_write(device->keep, s->name, key.hash[0], "txt", s->options, strlen(s->options), err);
    host->release(host->user, all);
    return st;
}

static m3_status build(m3_device_impl *device, opencl_key key, source *s, cl_program *program, m3_error *err)
{
    const uint64_t start = lower_now_ns();
    m3_status st = from_source(device, s->name, s->texts, s->count, s->options, program, err);
    if (st != M3_OK) return st;
    log_build(device, s->name, s->options, "built", start);
    to_cache(device, key, *program);
    return M3_OK;
}

static m3_status program_of(m3_device_impl *device, source *s, opencl_program **found, m3_error *err)
{
    *found = find_program(device, s->name, s->options);
    if (*found != NULL) return M3_OK;
    const opencl_key key = key_of(device, s);
    const uint64_t start = lower_now_ns();
    m3_status st = keep(device, key, s, err);
    if (st != M3_OK) return st;
    cl_program program = from_cache(device, key);
    const bool kept = program != NULL;
    if (kept)
        log_build(device, s->name, s->options, "taken from the cache", start);
    else if ((st = build(device, key, s, &program, err)) != M3_OK)
        return st;
    *found = keep_program(device, s->name, s->options, program, err);
    if (*found == NULL) return M3_ERR_MEMORY;
    (*found)->kept = kept;
    return M3_OK;
}

/* A driver may take a binary and find no kernel in it: it gets the source. Kernels that came from the binary hold it.
 */
static m3_status kernel_of(m3_device_impl *device, source *s, opencl_program *program, const char *entry,
                           cl_kernel *kernel, m3_error *err)
{
    cl_int code = CL_SUCCESS;
    *kernel = device->cl->CreateKernel(program->program, entry, &code);
    if (code != CL_SUCCESS && code != CL_OUT_OF_HOST_MEMORY && program->kept) {
        cl_program built = NULL;
        const m3_status st = build(device, key_of(device, s), s, &built, err);
        if (st != M3_OK) return st;
        (void)device->cl->ReleaseProgram(program->program);
        program->program = built;
        program->kept = false;
        *kernel = device->cl->CreateKernel(built, entry, &code);
    }
    if (code == CL_SUCCESS) return M3_OK;
    return M3_FAIL(err, code == CL_OUT_OF_HOST_MEMORY ? M3_ERR_MEMORY : M3_ERR_INTERNAL, entry,
                   "there is no such kernel in %s: %s", program->key, OPENCL_ERROR(code));
}

static m3_status source_of(const m3_device_impl *device, const char *name, const char *tape, const char *options,
                           source *s, m3_error *err)
{
    const char *folder = NULL, *text = find_source(device, name, &folder);
    if (text == NULL) return M3_FAIL(err, M3_ERR_INTERNAL, name, "there is no such source in shaders");
    const char *const texts[MAX_TEXTS] = {find_text("contract", "types", ".h"),
                                          find_text("common", "common", ".cl"),
                                          or_nothing(find_text("contract", name, ".h")),
                                          tape,
                                          or_nothing(find_text("common", name, ".cl")),
                                          s->line,
                                          text};
    memcpy(s->texts, texts, sizeof texts);
    s->count = MAX_TEXTS;
    (void)snprintf(s->line, sizeof s->line, "\n#line 1 \"%s/%s.cl\"\n", folder, name);
    if (snprintf(s->all, sizeof s->all, "%s%s", standard, options) >= (int)sizeof s->all)
        return M3_FAIL(err, M3_ERR_INTERNAL, name, "too many constants: %s", options);
    return M3_OK;
}

m3_status opencl_program_build(m3_device_impl *device, const char *name, const char *tape, const char *options,
                               opencl_program **program, m3_error *err)
{
    source s = {.name = name, .options = s.all};
    const m3_status st = source_of(device, name, tape, options, &s, err);
    return st == M3_OK ? program_of(device, &s, program, err) : st;
}

m3_status opencl_kernel_create(m3_device_impl *device, const char *name, const char *entry, const char *tape,
                               const char *options, cl_kernel *kernel, m3_error *err)
{
    source s = {.name = name, .options = s.all};
    opencl_program *program = NULL;
    m3_status st = source_of(device, name, tape, options, &s, err);
    if (st == M3_OK) st = program_of(device, &s, &program, err);
    return st == M3_OK && program != NULL ? kernel_of(device, &s, program, entry, kernel, err) : st;
}

m3_status opencl_kernel_create_from_text(m3_device_impl *device, const char *name, const char *text, const char *entry,
                                         cl_kernel *kernel, m3_error *err)
{
    source s = {.name = name, .options = s.all, .texts = {text}, .count = 1};
    opencl_program *program = NULL;
    const opencl_key key = opencl_cache_key(device, &text, 1); /* distinguishes two ops of one name by their texts */
    (void)snprintf(s.all, sizeof s.all, "%s-DTEXT_%016llx ", standard, (unsigned long long)key.hash[0]);
    const m3_status st = program_of(device, &s, &program, err);
    return st == M3_OK && program != NULL ? kernel_of(device, &s, program, entry, kernel, err) : st;
}

void opencl_programs_free(m3_device_impl *device)
{
    while (device->programs != NULL) {
        opencl_program *p = device->programs;
        device->programs = p->next;
        (void)device->cl->ReleaseProgram(p->program);
        device->host->release(device->host->user, p->key);
        device->host->release(device->host->user, p);
    }
}
