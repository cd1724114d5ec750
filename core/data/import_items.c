/* import_items: candidates are the items with events, and with keep_all those of the items file too. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/data/import.h"
#include "core/data/table.h"

static const uint32_t NO_COLUMN = UINT32_MAX;

struct reader {
    m3_import_items *items;
    m3_rows *rows;
    m3_table *table;
    m3_drops *drops;
    uint32_t item, title, category;
    bool keep_all;
    const bool *has_events; /* [known] */
    uint32_t known;
    uint32_t of_set;    /* items up to it stay anyway, */
    bool drop_gone;     /* or only when the items file has them or they have a new event */
    m3_names strangers; /* ids of the file that are left out, to find duplicates among them */
};

static m3_status make_room(m3_import_items *items, uint32_t wanted, m3_error *err)
{
    if (wanted <= items->capacity) return M3_OK;
    uint32_t capacity = wanted + wanted / 2;
    m3_item_text *of = m3_realloc(items->of, capacity, sizeof *of);
    if (of == NULL) return M3_FAIL_MEMORY(err, "items", capacity * sizeof *of);
    memset(of + items->capacity, 0, (capacity - items->capacity) * sizeof *of);
    items->of = of;
    items->capacity = capacity;
    return M3_OK;
}

/* A line of a table or of a terminal holds a text, so control characters become spaces. */
static m3_status take_text(struct reader *r, m3_field field, uint32_t *number, m3_error *err)
{
    if (field.size == 0) return M3_OK;
    char *copy = NULL;
    if (m3_field_has_control(field)) {
        if ((copy = m3_calloc(field.size, 1)) == NULL) return M3_FAIL_MEMORY(err, "items", field.size);
        for (size_t i = 0; i < field.size; i++) {
            unsigned char c = (unsigned char)field.text[i];
            copy[i] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
        }
        field.text = copy;
    }
    m3_status st = m3_names_add(&r->items->texts, field.text, field.size, number, NULL, err);
    if (st == M3_OK) (*number)++;
    m3_free(copy);
    return st;
}

static m3_status place_item(struct reader *r, m3_field id, const m3_row *row, m3_item_text **place, m3_error *err)
{
    m3_status st;
    uint32_t number;
    bool fresh = false;
    *place = NULL;
    bool known = m3_names_find(&r->rows->items, id.text, id.size, &number) &&
                 (r->keep_all || number < r->of_set || (number < r->known && r->has_events[number]));
    if (!known && !r->keep_all) {
        if ((st = m3_names_add(&r->strangers, id.text, id.size, &number, &fresh, err)) != M3_OK) return st;
        if (fresh) {
            m3_drops_count(r->drops, M3_DROP_UNUSED_ITEM);
            return M3_OK;
        }
    } else {
        if ((st = m3_names_add(&r->rows->items, id.text, id.size, &number, NULL, err)) != M3_OK) return st;
        if ((st = make_room(r->items, number + 1, err)) != M3_OK) return st;
        *place = &r->items->of[number];
        fresh = !(*place)->listed;
    }
    if (fresh) return M3_OK;
    *place = NULL;
    return m3_drops_add(r->drops, M3_DROP_DUPLICATE_ITEM, m3_table_path(r->table), row->line, err,
                        "item '%.*s' has a row already, which stays", M3_FIELD_ARGS(id));
}

static m3_status take_row(struct reader *r, const m3_row *row, m3_error *err)
{
    m3_status st;
    const char *path = m3_table_path(r->table);
    if (row->kind != M3_ROW_GOOD) return m3_drops_add_row(r->drops, r->table, row, err);
    m3_field id = row->fields[r->item], none = {"", 0};
    m3_field title = r->title == NO_COLUMN ? none : row->fields[r->title];
    m3_field category = r->category == NO_COLUMN ? none : row->fields[r->category];
    if (id.size == 0 || id.size > M3_ID_BYTES || m3_field_has_control(id))
        return m3_drops_add(r->drops, M3_DROP_ID, path, row->line, err,
                            "the item's id is empty, too long or has control characters");
    if (!m3_field_is_utf8(id) || !m3_field_is_utf8(title) || !m3_field_is_utf8(category))
        return m3_drops_add(r->drops, M3_DROP_ENCODING, path, row->line, err, "id, title or category is not UTF-8");
    m3_item_text *place;
    if ((st = place_item(r, id, row, &place, err)) != M3_OK || place == NULL) return st;
    place->listed = true;
    if ((st = take_text(r, title, &place->title, err)) != M3_OK) return st;
    return take_text(r, category, &place->category, err);
}

static m3_status read_table(struct reader *r, const char *path, const m3_reading *reading, m3_error *err)
{
    m3_status st;
    const m3_table_how how = {reading->separator, reading->items_columns, reading->items_column_count,
                              "--items-columns"};
    if ((st = m3_table_open(path, &how, &r->table, err)) != M3_OK) return st;
    m3_drops_say_separator(r->drops, r->table);
    if ((st = m3_table_need(r->table, reading->item_column, "--item-column", &r->item, err)) != M3_OK) return st;
    r->title = r->category = NO_COLUMN;
    bool titled = false, sorted = false;
    if ((st = m3_table_seek(r->table, reading->title_column, &r->title, &titled, err)) != M3_OK) return st;
    if ((st = m3_table_seek(r->table, reading->category_column, &r->category, &sorted, err)) != M3_OK) return st;
    char list[512];
    m3_table_list(r->table, (uint32_t[]){r->item, r->title, r->category}, 3, list, sizeof list);
    if (list[0] != '\0') m3_drops_say(r->drops, M3_LOG_INFO, "%s: columns not used: %s", path, list);
    if (!titled || !sorted)
        m3_drops_say(r->drops, M3_LOG_INFO, "%s: no column '%s'", path,
                     titled ? reading->category_column : reading->title_column);
    for (uint64_t rows = 1;; rows++) {
        m3_row row;
        if ((st = m3_table_next(r->table, &row, err)) != M3_OK || row.kind == M3_ROW_END) return st;
        if ((st = take_row(r, &row, err)) != M3_OK) return st;
        if ((st = m3_watch_row(&r->drops->watch, r->table, rows, err)) != M3_OK) return st;
    }
}

/* The texts of the set's items, until the items file has others. */
static m3_status take_old_texts(struct reader *r, const m3_dataset *set, m3_error *err)
{
    m3_status st = make_room(r->items, r->of_set, err);
    for (uint32_t i = 0; st == M3_OK && i < r->of_set; i++) {
        const char *title = m3_dataset_item_title(set, i + 1), *category = m3_dataset_item_category(set, i + 1);
        st = take_text(r, (m3_field){title, strlen(title)}, &r->items->of[i].title, err);
        if (st == M3_OK) st = take_text(r, (m3_field){category, strlen(category)}, &r->items->of[i].category, err);
    }
    return st;
}

static m3_status number_items(struct reader *r, bool have_file, m3_error *err)
{
    m3_import_items *items = r->items;
    uint32_t count = r->rows->items.count;
    m3_status st = make_room(items, count, err);
    if (st != M3_OK) return st;
    items->keep = m3_calloc(count, sizeof *items->keep);
    items->number = m3_calloc(count, sizeof *items->number);
    if (items->keep == NULL || items->number == NULL)
        return M3_FAIL_MEMORY(err, "items", count * sizeof *items->number);
    for (uint32_t i = 0; i < count; i++) {
        bool has_events = i < r->known && r->has_events[i], old = i < r->of_set;
        items->keep[i] = has_events || (items->of[i].listed && (r->keep_all || old)) || (old && !r->drop_gone);
        r->drops->report->items_without_text += have_file && has_events && !old && !items->of[i].listed;
    }
    st = m3_names_sort(&r->rows->items, items->keep, &items->order, &items->count, err);
    if (st != M3_OK) return st;
    for (uint32_t n = 0; n < items->count; n++) items->number[items->order[n]] = n + 1;
    return M3_OK;
}

m3_status m3_import_items_read(m3_import_items *items, m3_rows *rows, const m3_import_tally *tally, const char *path,
                               const m3_reading *reading, bool keep_all, const m3_import_onto *onto, m3_drops *drops,
                               m3_error *err)
{
    m3_status st = M3_OK;
    struct reader r = {.items = items, .rows = rows, .drops = drops, .keep_all = keep_all, .known = rows->items.count};
    if (onto != NULL) {
        r.of_set = m3_dataset_item_count(onto->set);
        r.drop_gone = onto->drop_gone;
        if ((st = take_old_texts(&r, onto->set, err)) != M3_OK) goto done;
    }
    r.has_events = tally->new_of_item;
    if (path != NULL && (st = read_table(&r, path, reading, err)) != M3_OK) goto done;
    if ((st = number_items(&r, path != NULL, err)) != M3_OK) goto done;
    if (drops->report->items_without_text > 0)
        m3_drops_say(drops, M3_LOG_WARN, "%s: %llu items with events have no row", path,
                     (unsigned long long)drops->report->items_without_text);
done:
    m3_table_close(r.table);
    m3_names_fini(&r.strangers);
    return st;
}

void m3_import_items_fini(m3_import_items *items)
{
    m3_names_fini(&items->texts);
    m3_free(items->of);
    m3_free(items->keep);
    m3_free(items->order);
    m3_free(items->number);
    *items = (m3_import_items){0};
}
