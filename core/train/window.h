/* window: the rows of the item table that a step touches, in the place of the table (m3_build_options): the different
 * items of its batches, rising, behind the padding. So a step that adds gradients up costs what it touches, however
 * large the table is, and updates these rows alone (key lazy). Where the table is whole, the window is that of all
 * ranks' batches, the same on every rank; where it is in shards (shards.h), that of this rank's. A window
 * that can have all rows of a whole table is the table itself, and no rows are moved. */
#ifndef M3_CORE_TRAIN_WINDOW_H
#define M3_CORE_TRAIN_WINDOW_H

#include "core/train/trainer.h"

/** A trainer's, NULL in one whose steps see all of the table. */
struct m3_window {
    uint64_t total;          /**< N + 1 */
    uint32_t rows, used;     /**< that there can be; that there are, the padding too */
    bool is_table;           /**< places are items */
    int32_t *ids;            /**< [rows] their items */
    uint64_t step_items;     /**< places of the step: all its targets, where a batch wants those of the others */
    uint64_t batch_items;    /**< places of a batch: histories, targets, negatives */
    uint64_t first;          /**< the batch that places of batches begin with */
    uint64_t items;          /**< places that there can be: those of the step, then those of batches */
    int32_t *places;         /**< [items] items, then their places in the window */
    uint64_t *order, *other; /**< what is sorted */
    int32_t *all;            /**< [ranks][each] how many items a rank has, then the items; NULL: alone, or in shards */
    uint64_t each;
};

/** Whether the trainer has one, and how large it is. The loader is there; shards come after. */
m3_status m3_window_create(m3_trainer *trainer, m3_error *err);
void m3_window_free(m3_window *window); /**< takes NULL */

/** Items and places of the `count` batches of the epoch from `first` on, which are of the step, nothing else: of a
 * window that is not open, from another thread, too. Returns how many places there are. */
uint64_t m3_window_name(const m3_trainer *trainer, m3_window *window, const m3_step_samples *step, uint64_t first,
                        uint32_t count);
/** Make it that of the `count` batches from `first` on, which are this rank's of the step. */
m3_status m3_window_open(m3_trainer *trainer, uint64_t first, uint32_t count, m3_error *err);
/** The step's inputs that the loader still has to fill: places come for the others. Negatives are among them while
 * something else depends on which items they are. */
m3_batch m3_window_rest(const m3_trainer *trainer);
/** Put places into inputs, where the rest of batch `index` of the epoch has been filled in. A NULL is left out. */
void m3_window_place(const m3_trainer *trainer, uint64_t index, const m3_batch *batch);
/** Tell the other half of the step which rows these are. */
void m3_window_leave(const m3_trainer *trainer);

/** ids and used of some items, which become places; 0 is padding, and so is what is no item.
 * @param items  [count], as many as places has at most. */
void m3_window_find(m3_window *window, int32_t *items, uint64_t count);

#endif
