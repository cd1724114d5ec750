/* synth: what the parts of m3_data_synth share: a world of items, users who move through it, and their events.
 *   options.c    what is to be planted
 *   items.c      clusters, rings and popularity of items; features
 *   events.c     interests of users, genuine and accidental events
 *   accidents.c  on which items accidental events are, where that depends on the genuine ones or on bursts
 *   files.c      source and truth
 * Every draw is philox(seed; purpose, object, number), so no draw depends on how many others were made. */
#ifndef M3_CORE_DATA_SYNTH_SYNTH_H
#define M3_CORE_DATA_SYNTH_SYNTH_H

#include "m3bsr/data.h"

enum {
    M3_SYNTH_BEHAVIORS = 8,
    M3_SYNTH_MODALITIES = 8,
    M3_SYNTH_RINGS = M3_SYNTH_BEHAVIORS + 1,
    M3_SYNTH_INTERESTS = 3
};

/* Draws. */

/** What a stream of draws is for. The order is part of the format: it decides the bytes. */
typedef enum m3_synth_purpose {
    M3_SYNTH_FOR_PLACES,
    M3_SYNTH_FOR_USERS,
    M3_SYNTH_FOR_CENTERS,
    M3_SYNTH_FOR_DIRECTIONS,
    M3_SYNTH_FOR_ITEMS,
    M3_SYNTH_FOR_RANKS,
    M3_SYNTH_FOR_RINGS,
    M3_SYNTH_FOR_OWN_WALKS,
    M3_SYNTH_FOR_DRIFT,
    M3_SYNTH_FOR_ACCIDENTS
} m3_synth_purpose;

typedef struct m3_synth_draws {
    uint32_t key[2], counter[4], block[4];
    uint32_t left;
} m3_synth_draws;

/* The world. */

/** An order of each cluster's items, on a ring. */
typedef struct m3_synth_ring {
    uint32_t *place;   /**< [items] */
    uint32_t *members; /**< [items] by cluster, then place */
} m3_synth_ring;

typedef enum m3_synth_use { M3_SYNTH_USEFUL, M3_SYNTH_USELESS, M3_SYNTH_ONLY } m3_synth_use;

typedef struct m3_synth_event {
    int64_t time;
    uint32_t user, item, behavior, accidental;
    uint32_t burst; /**< 0: none, else the number of the user's burst */
} m3_synth_event;

typedef struct m3_synth_user {
    uint32_t count, interests[M3_SYNTH_INTERESTS];
    uint32_t later[M3_SYNTH_INTERESTS]; /**< interests in the second half of the steps */
    int64_t since;                      /**< time of the second half's first step */
} m3_synth_user;

typedef struct m3_synth {
    m3_synth_options o; /**< with all members, whatever the caller's size was */
    const char *behaviors[M3_SYNTH_BEHAVIORS];
    struct {
        m3_synth_use use;
        uint32_t behavior; /**< of M3_SYNTH_ONLY */
    } modalities[M3_SYNTH_MODALITIES];
    m3_synth_ring rings[M3_SYNTH_RINGS]; /**< the first is that of all behaviors without one of their own */
    uint32_t ring_count;
    uint32_t ring_of[M3_SYNTH_BEHAVIORS];
    uint32_t *cluster; /**< [items] */
    uint32_t *starts;  /**< [clusters + 1] in the members of a ring */
    uint32_t *rank;    /**< [items] by popularity in its cluster, from 1; NULL: all are equally popular */
    m3_synth_user *users;
    m3_synth_event *events;
    size_t count, capacity;
    float *clean, *noisy; /**< [items, width] of the modality at hand */
    uint8_t *is_noise;    /**< [modalities, items] */
} m3_synth;

m3_synth_draws m3_synth_draws_for(const m3_synth *s, m3_synth_purpose purpose, uint32_t object, uint32_t part);
uint32_t m3_synth_draw(m3_synth_draws *d);
/** In [0, 1). */
double m3_synth_draw_uniform(m3_synth_draws *d);
uint32_t m3_synth_draw_below(m3_synth_draws *d, uint32_t bound);
double m3_synth_draw_normal(m3_synth_draws *d);

/** Check the options and keep them, with names of behaviors and uses of modalities. */
m3_status m3_synth_read_options(m3_synth *s, const m3_synth_options *options, m3_error *err);
const char *m3_synth_modality_name(uint32_t k);

/** Clusters, rings, popularity. */
m3_status m3_synth_place_items(m3_synth *s, m3_error *err);
/** The next item of a walk: one or two places on in a cluster's ring.
 * @param by_rank  Then on until an item is taken, each with a chance that falls with its rank (if there are ranks). */
uint32_t m3_synth_next_item(const m3_synth *s, uint32_t ring, uint32_t cluster, uint32_t *place, bool by_rank,
                            m3_synth_draws *d);
/** Fill s->clean and s->noisy for modality k, and its row of s->is_noise. */
void m3_synth_make_features(m3_synth *s, uint32_t k);

/** A user's interests and events, in order of time. Items of accidental events are drawn from all. */
m3_status m3_synth_add_user_events(m3_synth *s, uint32_t u, m3_error *err);
/** Items of accidental events that are drawn by popularity or in bursts. Events must still lie by user. */
m3_status m3_synth_choose_accidents(m3_synth *s, m3_error *err);

/** Whether both folders are new, empty, or of an earlier m3_synth_write(). */
m3_status m3_synth_check_place(const char *directory, const char *truth, m3_error *err);

/** Features are made here, one modality after the other. @param truth  The folder of the truth. */
m3_status m3_synth_write(m3_synth *s, const char *directory, const char *truth, m3_error *err);

#endif
