/* settings: every key of a training as text, checked when it is set. The model's keys come first (core/model/keys.c),
 * then training's, which stand here; a key that is neither is kept, as an encoder or expert may declare it. */
#include "core/settings/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/option.h"
#include "core/base/outfile.h"
#include "core/data/text.h"
#include "core/settings/yaml.h"

typedef struct training_key {
    m3_option_desc desc;
    size_t offset;                                    /* of its value in m3_training */
    m3_status (*check)(const char *text, m3_error *); /* what the description does not say; NULL: nothing */
} training_key;

#define KEY(member, ...)                                                                                               \
    {                                                                                                                  \
        __VA_ARGS__, offsetof(m3_training, member), NULL                                                               \
    }
#define CHECKED(member, check, ...)                                                                                    \
    {                                                                                                                  \
        __VA_ARGS__, offsetof(m3_training, member), check                                                              \
    }
#define INT(member, min, max, fallback, line)   KEY(member, M3_DESCRIBE_INT(#member, min, max, fallback, line))
#define FLOAT(member, min, max, fallback, line) KEY(member, M3_DESCRIBE_FLOAT(#member, min, max, fallback, line))
#define TEXT(member, fallback, line)            KEY(member, M3_DESCRIBE_TEXT(#member, fallback, line))
#define CHOICE(member, choices, fallback, line) KEY(member, M3_DESCRIBE_CHOICE(#member, choices, fallback, line))
#define TEXTS(member, words, fallback, line)                                                                           \
    KEY(member, M3_DESCRIBE(#member, M3_OPTION_TEXTS, fallback, 0, 0, words, line))

#define EXACT 9007199254740992.0 /* 2^53: whole numbers up to here are exact in double */

static m3_status check_ks(const char *text, m3_error *err);

static const training_key keys[] = {
    TEXT(data, "", "data set file; a relative path is taken from the settings file's folder"),
    TEXT(from, "", "folder of a run to start from: its parameters, rows of items by their ids"),
    CHOICE(train_on, "all|new", "all", "training samples; new: those that the run in from was not trained on"),
    CHOICE(new_items, "features|neighbors|random", "features",
           "rows of items that the run in from does not know; what cannot be had falls to the next"),
    TEXTS(features, "all", "all", "modalities to use, such as [image, text]; all, or [] for none"),
    TEXT(target, "", "behavior to predict; empty: the one that the set proposes"),
    INT(epochs, 1, 1000000, "100", "passes over the training samples, at most"),
    INT(patience, 0, 1000000, "10", "end after so many epochs without a better metric; 0: never"),
    CHECKED(metric, m3_metric_key_check,
            M3_DESCRIBE_TEXT("metric", "ndcg@10",
                             "validation metric that chooses the best epoch: hr, recall, precision, ndcg, mrr or map, "
                             "at any cut-off, such as recall@50")),
    CHECKED(ks, check_ks,
            M3_DESCRIBE("ks", M3_OPTION_INTS, "[5, 10, 20]", 1, M3_MOST_CUT, NULL,
                        "cut-offs k of the metrics that validation logs and evaluate prints, rising")),
    CHOICE(schedule, "constant|linear|cosine", "constant", "learning rate after the warm-up"),
    INT(warmup_steps, 0, EXACT, "0", "steps over which the learning rate rises to lr"),
    FLOAT(lr_end, 0, 1e3, "0", "learning rate of the last step, for linear and cosine"),
    INT(accumulate, 1, 65536, "1", "batches whose gradients make one step"),
    INT(eval_batch, 1, 1 << 20, "256", "users ranked at once"),
    INT(checkpoint_steps, 0, EXACT, "0", "save last.safetensors after so many steps too; 0: after epochs alone"),
    CHOICE(checkpoint_parts, "auto|on|off", "auto",
           "several ranks each write their rows of the item table into a file of their own; auto: where they have no "
           "others"),
    INT(seed, 0, EXACT, "1", "of initial weights, order, negatives, noise and dropout"),
    CHOICE(empty_histories, "skip|keep", "skip", "what to do with training samples that have no history"),
    INT(instruments, 0, 1 << 20, "256",
        "validation samples on which each epoch looks for parts of the model that died; 0: does not look"),
    CHOICE(shard, "none|rows", "none",
           "where several ranks keep the item table: whole in each, or its rows shared out among them"),
};
enum { KEYS = sizeof keys / sizeof keys[0] };
#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_."

m3_span m3_settings_keys(void)
{
    return (m3_span){.count = KEYS, .stride = sizeof keys[0], .data = keys};
}

static const training_key *find_training_key(const char *name)
{
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(keys[i].desc.key, name) == 0) return &keys[i];
    return NULL;
}

static const m3_option_desc *find_key(const char *name)
{
    const training_key *key = find_training_key(name);
    return key != NULL ? &key->desc : NULL;
}

static m3_cuts cuts_of(const m3_option_value *value)
{
    m3_cuts cuts = {.count = (uint32_t)value->whole};
    for (uint32_t i = 0; i < cuts.count; i++) cuts.at[i] = (uint32_t)value->entries[i];
    return cuts;
}

static m3_status check_ks(const char *text, m3_error *err)
{
    m3_option_value value;
    m3_status st = m3_option_parse(find_key("ks"), text, &value, err);
    if (st != M3_OK) return st;
    const m3_cuts cuts = cuts_of(&value);
    return m3_cuts_check(cuts.at, cuts.count, "ks", err);
}

void m3_settings_training(const m3_settings *settings, m3_training *training)
{
    for (size_t i = 0; i < KEYS; i++) {
        const m3_option_desc *desc = &keys[i].desc;
        const char *text = m3_settings_get(settings, desc->key);
        void *member = (char *)training + keys[i].offset;
        m3_option_value value;
        (void)m3_option_parse(desc, text, &value, NULL); /* it was checked when it was set */
        switch (desc->type) {
        case M3_OPTION_INT: *(uint64_t *)member = (uint64_t)value.whole; break;
        case M3_OPTION_FLOAT: *(double *)member = value.number; break;
        case M3_OPTION_CHOICE: *(int32_t *)member = (int32_t)value.whole; break; /* an enum is as wide */
        case M3_OPTION_BOOL: *(bool *)member = value.whole != 0; break;
        case M3_OPTION_TEXT:
        case M3_OPTION_TEXTS: *(const char **)member = text; break;
        case M3_OPTION_INTS: *(m3_cuts *)member = cuts_of(&value); break;
        }
    }
}

/* The value of one of the model's keys in canonical text; config has it too. */
static m3_status model_text(m3_model_config *config, const char *name, const char *value, char **out, m3_error *err)
{
    m3_status st;
    char text[M3_OPTION_BYTES];
    if ((st = m3_model_set(config, name, value, err)) != M3_OK) return st;
    if ((st = m3_model_get(config, name, text, sizeof text, err)) != M3_OK) return st;
    *out = m3_strdup(text);
    return *out != NULL ? M3_OK : M3_FAIL_MEMORY(err, name, strlen(text) + 1);
}

/* Settings. */

m3_setting *m3_setting_find(const m3_settings *settings, const char *name)
{
    for (uint32_t i = 0; i < settings->count; i++)
        if (strcmp(settings->all[i].name, name) == 0) return &settings->all[i];
    return NULL;
}

static m3_status add(m3_settings *settings, const char *name, const char *text, m3_error *err)
{
    m3_setting *more = m3_realloc(settings->all, settings->count + 1, sizeof *more);
    if (more == NULL) return M3_FAIL_MEMORY(err, name, (settings->count + 1) * sizeof *more);
    settings->all = more;
    m3_setting *at = &settings->all[settings->count];
    *at = (m3_setting){.name = m3_strdup(name), .text = m3_strdup(text)};
    settings->count++; /* from here on it is freed with the rest */
    return at->name != NULL && at->text != NULL ? M3_OK : M3_FAIL_MEMORY(err, name, strlen(name) + strlen(text) + 2);
}

/* @param saved  For a file of a run: the model's keys have the values that files from before them stand for. */
static m3_status create(bool saved, m3_settings **out, m3_error *err)
{
    m3_status st = M3_OK;
    char text[M3_OPTION_BYTES];
    *out = NULL;
    m3_settings *settings = m3_calloc(1, sizeof *settings);
    if (settings == NULL) return M3_FAIL_MEMORY(err, "settings", sizeof *settings);
    const m3_span spans[2] = {m3_model_keys(), m3_settings_keys()};
    m3_model_defaults(&settings->config);
    if (saved) m3_model_before(&settings->config);
    for (int s = 0; s < 2; s++)
        for (uint32_t i = 0; i < spans[s].count; i++) {
            const m3_option_desc *desc = m3_span_at(spans[s], i);
            const bool before = saved && m3_model_get(&settings->config, desc->key, text, sizeof text, NULL) == M3_OK;
            if ((st = add(settings, desc->key, before ? text : desc->fallback, err)) != M3_OK) goto done;
        }
    settings->known = settings->count;
    *out = settings;
    settings = NULL; /* the caller owns it now */
done:
    m3_settings_free(settings);
    return st;
}

m3_status m3_settings_create(m3_settings **out, m3_error *err)
{
    return create(false, out, err);
}

void m3_settings_free(m3_settings *settings)
{
    if (settings == NULL) return;
    for (uint32_t i = 0; i < settings->count; i++) {
        m3_free(settings->all[i].name);
        m3_free(settings->all[i].text);
        m3_free(settings->all[i].file);
    }
    m3_free(settings->all);
    m3_free(settings);
}

m3_status m3_settings_copy(const m3_settings *settings, m3_settings **out, m3_error *err)
{
    m3_status st = M3_OK;
    *out = NULL;
    m3_settings *copy = m3_calloc(1, sizeof *copy);
    if (copy == NULL) return M3_FAIL_MEMORY(err, "settings", sizeof *copy);
    copy->config = settings->config;
    copy->known = settings->known;
    for (uint32_t i = 0; st == M3_OK && i < settings->count; i++) {
        const m3_setting *from = &settings->all[i];
        if ((st = add(copy, from->name, from->text, err)) != M3_OK) break;
        m3_setting *to = &copy->all[i];
        to->given = from->given;
        to->line = from->line;
        if (from->file != NULL && (to->file = m3_strdup(from->file)) == NULL)
            st = M3_FAIL_MEMORY(err, from->file, strlen(from->file) + 1);
    }
    if (st == M3_OK)
        *out = copy;
    else
        m3_settings_free(copy);
    return st;
}

static m3_status set_option(m3_settings *settings, const char *name, const char *value, m3_error *err)
{
    m3_status st;
    if (name[0] == 0) return M3_FAIL(err, M3_ERR_INVALID, "key", "is empty; give key=value");
    if ((st = m3_model_set_option(&settings->config, name, value, err)) != M3_OK) return st;
    m3_setting *old = m3_setting_find(settings, name);
    if (old == NULL) return add(settings, name, value, err);
    char *text = m3_strdup(value);
    if (text == NULL) return M3_FAIL_MEMORY(err, name, strlen(value) + 1);
    m3_free(old->text);
    old->text = text;
    return M3_OK;
}

static m3_status set_value(m3_settings *settings, const char *name, const char *value, m3_error *err)
{
    m3_status st;
    char *text = NULL;
    const m3_option_desc *desc = find_key(name);
    if (!m3_field_is_utf8((m3_field){name, strlen(name)}) || !m3_field_is_utf8((m3_field){value, strlen(value)}))
        return M3_FAIL(err, M3_ERR_INVALID, name,
                       "is set to '%s', which is not UTF-8; a settings file could not hold it", value);
    if (desc != NULL) {
        const training_key *key = find_training_key(name);
        st = m3_option_canonical(desc, value, &text, err);
        if (st == M3_OK && key->check != NULL) st = key->check(text, err);
    } else if (m3_model_find_key(name) != NULL) {
        st = model_text(&settings->config, name, value, &text, err);
    } else {
        st = set_option(settings, name, value, err);
    }
    if (st != M3_OK) {
        m3_free(text);
        return st;
    }
    m3_setting *at = m3_setting_find(settings, name);
    if (text != NULL) {
        m3_free(at->text);
        at->text = text;
    }
    at->given = true;
    m3_free(at->file); /* the place belongs to the older value */
    at->file = NULL;
    at->line = 0;
    return M3_OK;
}

/* folder/path, from the working directory when the folder is relative too: the value must mean the same wherever it is
 * written to. */
static m3_status set_path(m3_settings *settings, const char *name, const char *folder, const char *path, m3_error *err)
{
    m3_status st;
    char *joined = NULL, *here = NULL;
    if (path[0] == '/' || path[0] == 0) return set_value(settings, name, path, err);
    bool rooted = folder != NULL && folder[0] == '/';
    if (!rooted && (here = getcwd(NULL, 0)) == NULL)
        return M3_FAIL(err, M3_ERR_IO, name, "'%s' is relative to a folder that cannot be found: %s", path,
                       strerror(errno));
    joined = m3_strfmt("%s%s%s%s%s", rooted ? "" : here, rooted ? "" : "/", folder != NULL ? folder : "",
                       folder != NULL ? "/" : "", path);
    st = joined != NULL ? set_value(settings, name, joined, err) : M3_FAIL_MEMORY(err, name, strlen(path));
    m3_free(joined);
    free(here); /* getcwd's */
    return st;
}

static bool is_path(const char *name)
{
    return strcmp(name, "data") == 0 || strcmp(name, "from") == 0;
}

m3_status m3_settings_set(m3_settings *settings, const char *assignment, m3_error *err)
{
    m3_status st;
    const char *equals = strchr(assignment, '=');
    if (equals == NULL || equals == assignment)
        return M3_FAIL(err, M3_ERR_INVALID, assignment, "is no assignment; give key=value, such as lr=0.01");
    char *name = m3_strfmt("%.*s", (int)(equals - assignment), assignment);
    if (name == NULL) return M3_FAIL_MEMORY(err, assignment, strlen(assignment));
    st = is_path(name) ? set_path(settings, name, NULL, equals + 1, err) : set_value(settings, name, equals + 1, err);
    m3_free(name);
    return st;
}

const char *m3_settings_get(const m3_settings *settings, const char *key)
{
    const m3_setting *at = m3_setting_find(settings, key);
    return at != NULL ? at->text : NULL;
}

/* A file. */

typedef struct loading {
    m3_settings *settings;
    const char *path;
    char *folder;
} loading;

void m3_setting_locate(const m3_setting *setting, m3_error *err)
{
    if (err == NULL || setting == NULL || setting->file == NULL) return;
    (void)snprintf(err->file, sizeof err->file, "%s", setting->file);
    err->line = (int32_t)setting->line;
}

/* An option of a plugin may be a list too: which plugin, and which type, is not known yet. */
static bool takes_list(const m3_option_desc *desc)
{
    return desc == NULL || desc->type == M3_OPTION_INTS || desc->type == M3_OPTION_TEXTS;
}

static const m3_option_desc *describe(const char *name)
{
    const m3_option_desc *desc = m3_model_find_key(name);
    return desc != NULL ? desc : find_key(name);
}

static m3_status load_pair(void *user, const char *name, const char *value, bool list, uint32_t line, m3_error *err)
{
    m3_status st;
    loading *l = user;
    if (list && !takes_list(describe(name)))
        return m3_error_set(err, M3_ERR_INVALID, l->path, (int)line, name, "is the list %s; give a single value",
                            value);
    st = is_path(name) ? set_path(l->settings, name, l->folder, value, err) : set_value(l->settings, name, value, err);
    if (st == M3_OK) {
        m3_setting *at = m3_setting_find(l->settings, name);
        at->line = line;
        if ((at->file = m3_strdup(l->path)) == NULL) st = M3_FAIL_MEMORY(err, l->path, strlen(l->path) + 1);
    } else if (err != NULL) {
        (void)snprintf(err->file, sizeof err->file, "%s", l->path);
        err->line = (int32_t)line;
    }
    return st;
}

static m3_status load(const char *path, bool saved, m3_settings **settings, m3_error *err)
{
    m3_status st;
    loading l = {.path = path};
    const char *slash = strrchr(path, '/');
    *settings = NULL;
    if ((st = create(saved, &l.settings, err)) != M3_OK) goto done;
    l.folder = slash == NULL ? m3_strdup(".") : m3_strfmt("%.*s", slash == path ? 1 : (int)(slash - path), path);
    if (l.folder == NULL) {
        st = M3_FAIL_MEMORY(err, path, strlen(path) + 1);
        goto done;
    }
    if ((st = m3_yaml_read(path, load_pair, &l, err)) != M3_OK) goto done;
    *settings = l.settings;
    l.settings = NULL; /* the caller owns it now */
done:
    m3_settings_free(l.settings);
    m3_free(l.folder);
    return st;
}

m3_status m3_settings_load(const char *path, m3_settings **settings, m3_error *err)
{
    return load(path, false, settings, err);
}

m3_status m3_settings_load_saved(const char *path, m3_settings **settings, m3_error *err)
{
    return load(path, true, settings, err);
}

static m3_status take_back(m3_settings *settings, const char *key, m3_error *err)
{
    const m3_status st = set_value(settings, key, describe(key)->fallback, err);
    if (st == M3_OK) m3_setting_find(settings, key)->given = false;
    return st;
}

m3_status m3_settings_from_run(const char *run, m3_settings **settings, m3_error *err)
{
    static const char *const left_open[] = {"behaviors", "modalities", "items", "train_on", "new_items"};
    char *path = m3_strfmt("%s/settings.yaml", run);
    m3_settings *of_run = NULL;
    *settings = NULL;
    if (path == NULL) return M3_FAIL_MEMORY(err, run, strlen(run) + 16);
    m3_status st = m3_settings_load_saved(path, &of_run, err);
    for (size_t i = 0; of_run != NULL && st == M3_OK && i < sizeof left_open / sizeof left_open[0]; i++)
        st = take_back(of_run, left_open[i], err);
    if (of_run != NULL && st == M3_OK) st = set_path(of_run, "from", NULL, run, err);
    if (st == M3_OK) {
        *settings = of_run;
        of_run = NULL; /* the caller owns it now */
    }
    m3_settings_free(of_run);
    m3_free(path);
    return st;
}

m3_status m3_settings_take_from_run(m3_settings *settings, const char *run, m3_error *err)
{
    m3_error why = {0};
    m3_status st = M3_OK;
    m3_settings *saved = NULL;
    char *path = m3_strfmt("%s/settings.yaml", run);
    if (path == NULL) return M3_FAIL_MEMORY(err, run, strlen(run) + 16);
    if ((st = m3_settings_load_saved(path, &saved, &why)) == M3_ERR_MEMORY && err != NULL) *err = why;
    if (st != M3_OK || saved == NULL) {
        if (st != M3_ERR_MEMORY) st = M3_OK; /* its own errors come when it is needed */
        goto done;
    }
    for (uint32_t i = 0; i < m3_model_keys().count && st == M3_OK; i++) { /* they are the first ones */
        m3_setting *s = &settings->all[i];
        if (s->given || strcmp(s->text, saved->all[i].text) == 0) continue;
        char *text = m3_strdup(saved->all[i].text);
        if (text == NULL)
            st = M3_FAIL_MEMORY(err, s->name, strlen(saved->all[i].text) + 1);
        else
            st = m3_model_set(&settings->config, s->name, text, err);
        if (st == M3_OK) {
            m3_free(s->text);
            s->text = text;
        } else {
            m3_free(text);
        }
    }
done:
    m3_settings_free(saved);
    m3_free(path);
    return st;
}

const char *m3_setting_text(const m3_setting *setting, const m3_model_config *config, char text[M3_OPTION_BYTES])
{
    if (config == NULL || m3_model_find_key(setting->name) == NULL) return setting->text;
    (void)m3_model_get(config, setting->name, text, M3_OPTION_BYTES, NULL); /* the name is a key of the model */
    return text;
}

/* "[image, text]" with entries that need no quotes: the same as a list or as a text. */
static bool is_plain_list(const char *text)
{
    size_t length = strlen(text);
    if (text[0] != '[' || strcspn(text, "]") != length - 1) return false;
    for (const char *at = text + 1; *at != ']'; at += at[0] == ',' ? 2 : 0) {
        size_t entry = strcspn(at, ",]");
        bool null = entry == 4 && strncasecmp(at, "null", 4) == 0;
        if (entry == 0 || null || strspn(at, PLAIN) < entry) return false;
        at += entry;
        if (at[0] == ',' && (at[1] != ' ' || at[2] == ']')) return false;
    }
    return true;
}

static void write_pair(FILE *to, const char *name, const char *text)
{
    const m3_option_desc *desc = describe(name);
    const bool plain = desc != NULL && desc->type != M3_OPTION_TEXT && desc->type != M3_OPTION_TEXTS;
    m3_yaml_write(to, name);
    (void)fputs(": ", to);
    if (plain && desc->type != M3_OPTION_CHOICE)
        (void)fputs(text, to);
    else if (takes_list(desc) && is_plain_list(text))
        (void)fputs(text, to);
    else
        m3_yaml_write(to, text);
    if (desc != NULL) (void)fprintf(to, "  # %s", desc->help);
    (void)fputc('\n', to);
}

static void write_settings(FILE *to, const m3_settings *settings, const m3_model_config *config, uint32_t from,
                           uint32_t end)
{
    char text[M3_OPTION_BYTES];
    for (uint32_t i = from; i < end; i++)
        write_pair(to, settings->all[i].name, m3_setting_text(&settings->all[i], config, text));
}

m3_status m3_settings_write(const m3_settings *settings, const m3_model_config *config, const char *path, m3_error *err)
{
    m3_outfile out;
    m3_status st = m3_outfile_open(&out, path, err);
    if (st != M3_OK) return st;
    const uint32_t model = m3_model_keys().count;
    const uint32_t options = config != NULL ? (uint32_t)config->option_count : settings->count - settings->known;
    (void)fputs("# Training:\n", out.stream);
    write_settings(out.stream, settings, config, model, settings->known);
    (void)fputs("\n# The model:\n", out.stream);
    write_settings(out.stream, settings, config, 0, model);
    if (options > 0) (void)fputs("\n# Options of its encoder and expert:\n", out.stream);
    for (uint32_t i = 0; i < options && config != NULL; i++)
        write_pair(out.stream, config->options[i].key, config->options[i].value);
    if (config == NULL) write_settings(out.stream, settings, NULL, settings->known, settings->count);
    return m3_outfile_commit(&out, err);
}

m3_status m3_settings_save(const m3_settings *settings, const char *path, m3_error *err)
{
    return m3_settings_write(settings, NULL, path, err);
}
