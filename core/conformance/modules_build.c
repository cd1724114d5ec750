/* modules_build: what is seen of an encoder or expert without running it: its result's type and shape, its scopes, and
 * the names and shapes of its parameters from build to build. */
#include "core/conformance/modules.h"

#include <string.h>

enum { GROUPS = 3, MOST_PARAMETERS = 2000000 };
static const double most_flops = 3e8; /* of one run that is tried; the reference has one thread and no vectors */

static void check_result(const m3_trial *trial, m3_finding *finding)
{
    m3_shape want = m3_trial_wants(&trial->form);
    const m3_tensor *y = trial->y;
    const char *for_input = M3_SHAPE_TEXT(&trial->x->shape);
    if (y == NULL)
        m3_finding_fail(finding, "wanted f32 %s for x %s, came nothing (NULL) and no error; return the result",
                        M3_SHAPE_TEXT(&want), for_input);
    else if (y->dtype != trial->x->dtype || !m3_shape_equal(&y->shape, &want))
        m3_finding_fail(finding, "wanted f32 %s for x %s%s, came %s %s", M3_SHAPE_TEXT(&want), for_input,
                        trial->form.group > 0 ? " (grouped)" : "", m3_dtype_name(y->dtype), M3_SHAPE_TEXT(&y->shape));
}

static void check_scope(const m3_trial *trial, m3_finding *finding)
{
    if (trial->lowest < 0)
        m3_finding_fail(finding,
                        "wanted a pop for each push, came %d more pops than pushes: it left the scope that it "
                        "was given; remove one m3_pop",
                        -trial->lowest);
    else if (trial->open != 0)
        m3_finding_fail(finding,
                        "wanted a pop for each push, came %d scope%s still open after build; end each m3_push "
                        "with one m3_pop",
                        trial->open, trial->open == 1 ? "" : "s");
}

/* The parameter's shape without the group's axis; false when it has none. */
static bool ungrouped(const m3_trial *trial, const m3_tensor *p, m3_shape *shape)
{
    *shape = p->shape;
    if (trial->form.group == 0) return true;
    if (shape->rank == 0 || shape->dim[0] != trial->form.group) return false;
    shape->rank--;
    for (uint32_t i = 0; i < shape->rank; i++) shape->dim[i] = shape->dim[i + 1];
    return true;
}

static void check_names(const m3_trial *first, const m3_trial *other, const char *what, m3_finding *finding)
{
    for (uint32_t i = 0; i < first->count || i < other->count; i++) {
        m3_shape have = {0};
        const m3_tensor *a = i < first->count ? first->parameter[i] : NULL;
        const m3_tensor *b = i < other->count ? other->parameter[i] : NULL;
        if (a == NULL || b == NULL || strcmp(a->name, b->name) != 0) {
            m3_finding_fail(finding,
                            "wanted the same parameters in every build, came '%s' at first and '%s' %s "
                            "(parameter %u); a trained model is found by these names",
                            a != NULL ? a->name : "none", b != NULL ? b->name : "none", what, i);
            return;
        }
        if (!ungrouped(other, b, &have) || !m3_shape_equal(&a->shape, &have))
            m3_finding_fail(finding, "wanted '%s' %s in every build, came %s %s", a->name, M3_SHAPE_TEXT(&a->shape),
                            M3_SHAPE_TEXT(&b->shape), what);
    }
}

/* Build in another form and compare with the first build. */
static void check_again(const m3_trial *first, const m3_trial_form *form, const char *what, m3_finding *result,
                        m3_finding *scope, m3_finding *names)
{
    m3_trial other = {0};
    m3_error err = {0};
    if (m3_trial_build(&other, form, &err) != M3_OK) {
        m3_finding_fail(result, "built %s it fails: %.400s [%.100s]", what, err.message, err.subject);
        return;
    }
    check_result(&other, result);
    check_scope(&other, scope);
    check_names(first, &other, what, names);
    m3_trial_free(&other);
}

static void check_used(const m3_trial *trial, m3_finding *finding)
{
    for (uint32_t i = 0; i < trial->count; i++) {
        bool uses = false;
        m3_error err = {0};
        if (m3_trial_uses(trial, i, &uses, &err) != M3_OK) {
            m3_finding_error(finding, "looking for uses", &err);
            return;
        }
        if (!uses)
            m3_finding_fail(finding,
                            "wanted every parameter on a path to the result, came '%s' %s without one; use it "
                            "or do not declare it",
                            trial->parameter[i]->name, M3_SHAPE_TEXT(&trial->parameter[i]->shape));
    }
}

/* Some ends of ranges are too large to run here. */
static bool is_small(const m3_trial *trial, m3_finding *finding)
{
    double flops = 0.0, elements = 0.0;
    for (uint32_t i = 0; i < m3_graph_node_count(trial->graph); i++)
        flops += (double)m3_node_flops(m3_graph_node(trial->graph, i));
    for (uint32_t i = 0; i < trial->count; i++) elements += (double)m3_tensor_count(trial->parameter[i]);
    if (flops <= most_flops && elements <= MOST_PARAMETERS) return true;
    m3_finding_skip(finding,
                    "not tried: a run has %.0f operations, and there are %.0f parameters; at most %.0f and %d "
                    "are run here, so nothing is known of its values and gradients",
                    flops, elements, most_flops, MOST_PARAMETERS);
    return false;
}

bool m3_subject_check_build(m3_subject *s)
{
    m3_trial first = {0};
    m3_error err = {0};
    m3_finding result = {0}, scope = {0}, names = {0}, used = {0}, values = {0};
    m3_trial_form form = s->form;
    m3_subject_begin(s, "result");
    if (m3_trial_build(&first, &form, &err) != M3_OK) {
        m3_finding_error(&result, "the second build fails", &err);
        (void)m3_subject_tell(s, "result", &result);
        return false;
    }
    check_result(&first, &result);
    check_scope(&first, &scope);
    check_again(&first, &form, "in the next build", &result, &scope, &names);
    form.dropout = true;
    check_again(&first, &form, "with dropout, as in training", &result, &scope, &names);
    form = s->form;
    form.lead = 0;
    form.n = 1;
    check_again(&first, &form, "for a single sequence", &result, &scope, &names);
    if (s->kind == M3_PLUGIN_EXPERT) {
        form = s->form;
        form.group = (uint32_t)(form.lead = GROUPS);
        check_again(&first, &form, "grouped", &result, &scope, &names);
        form.lead = 0;
        form.index = 1;
        check_again(&first, &form, "as one of a group", &result, &scope, &(m3_finding){0});
    }
    bool fine = m3_subject_tell(s, "result", &result);
    (void)m3_subject_tell(s, "scope", &scope);
    fine = m3_subject_tell(s, "names", &names) && fine;
    if (fine) {
        check_used(&first, &used);
        (void)m3_subject_tell(s, "used", &used);
        fine = is_small(&first, &values);
        if (!fine) (void)m3_subject_tell(s, "values", &values);
    }
    m3_trial_free(&first);
    return fine;
}
