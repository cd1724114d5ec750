/* ops_fused: what the shape rules of fused ops accept and what they say when they refuse, which input an update
 * replaces, and what is counted as work. Values are test_ops_fused_values, gradients test_ops_fused_gradients. */
#include <ctype.h>

#include "core/ops/common/op.h"
#include "tests/support/trial.h"

/* Inputs and outputs as "f32[2,3] bool[2] -"; attributes in the op's order as "2 0.5 [3,5]". */
static const struct row {
    const char *name, *op, *in, *attrs, *out, *says; /* out NULL: refused, with a message that says */
} rows[] = {
    {"relu keeps the shape", "relu", "f32[2,3]", "", "f32[2,3]", ""},
    {"relu takes a scalar", "relu", "f64[]", "", "f64[]", ""},
    {"relu wants floats", "relu", "i32[2]", "", NULL, "input 0 is i32; give one of f32, f64"},
    {"silu keeps the shape", "silu", "f64[4]", "", "f64[4]", ""},
    {"silu wants floats", "silu", "f16[2]", "", NULL, "input 0 is f16"},
    {"relu_grad wants equal shapes", "relu_grad", "f32[2,3] f32[3]", "", NULL, "dy is f32 [3], but y wants f32 [2, 3]"},
    {"relu_grad wants equal types", "relu_grad", "f32[3] f64[3]", "", NULL, "dy is f64 [3], but y wants f32 [3]"},

    {"a uniform draw has its own shape", "random_uniform", "u32[3]", "[2,5] 7", "f32[2,5]", ""},
    {"a normal draw may be empty", "random_normal", "u32[3]", "[0] 7", "f32[0]", ""},
    {"a draw wants three words", "random_normal", "u32[2]", "[2] 0", NULL, "rng is u32 [2], but a draw"},
    {"a draw wants u32", "random_uniform", "i32[3]", "[2] 0", NULL, "rng is i32 [3]"},
    {"a draw wants a site of 32 bits", "random_uniform", "u32[3]", "[2] 4294967296", NULL, "site is 4294967296"},
    {"a draw refuses a negative site", "random_normal", "u32[3]", "[2] -1", NULL, "site is -1"},
    {"a draw refuses a negative extent", "random_uniform", "u32[3]", "[2,-3] 0", NULL, "shape has -3 at axis 1"},
    {"a draw refuses a count that overflows", "random_uniform", "u32[3]", "[16777216,16777216,16777216] 0", NULL,
     "give smaller extents"},

    {"dropout keeps the shape", "dropout", "f32[4,2] u32[3]", "0.1 3", "f32[4,2]", ""},
    {"dropout drops nothing at 0", "dropout", "f32[4] u32[3]", "0 3", "f32[4]", ""},
    {"dropout cannot drop everything", "dropout", "f32[4] u32[3]", "1 3", NULL, "rate is 1; give at least 0"},
    {"dropout refuses a rate that is no number", "dropout", "f32[4] u32[3]", "nan 3", NULL, "rate is"},
    {"dropout wants a generator", "dropout", "f32[4] f32[3]", "0.1 3", NULL, "rng is f32 [3]"},

    {"a part wants five words", "random_normal_part", "u32[3]", "[8] 7 1", NULL,
     "rng is u32 [3], but a part of a draw"},
    {"a part has its own shape", "random_uniform_part", "u32[5]", "[2,5] 7 1", "f32[2,5]", ""},
    {"a batch stands several times", "random_normal_part", "u32[5]", "[2,3,4] 7 2", "f32[2,3,4]", ""},
    {"a batch stands once or more", "random_normal_part", "u32[5]", "[8] 7 0", NULL, "repeats is 0"},
    {"a batch that is repeated fills blocks", "random_uniform_part", "u32[5]", "[2,3] 7 2", NULL,
     "repeats is 2, but 6 elements are not that many batches of a multiple of 4; give 1"},
    {"dropout of a part keeps the shape", "dropout_part", "f64[3,8] u32[5]", "0.1 3 3", "f64[3,8]", ""},
    {"dropout of a part wants one", "dropout_part", "f32[8] u32[3]", "0.1 3 1", NULL, "rng is u32 [3]"},
    {"dropout of a part wants blocks", "dropout_part", "f32[3,5] u32[5]", "0.1 3 3", NULL, "repeats is 3"},

    {"linear multiplies", "linear", "f32[5,3] f32[3,4]", "0 0 0", "f32[5,4]", ""},
    {"linear transposes both", "linear", "f32[3,5] f32[4,3]", "1 1 0", "f32[5,4]", ""},
    {"linear takes all that rides on its end", "linear", "f32[5,3] f32[3,4] f32[4] f32[5,4] f32[5,4]", "0 0 4",
     "f32[5,4]", ""},
    {"linear skips what is absent", "linear", "f32[5,3] f32[3,4] - - f32[5,4]", "0 0 1", "f32[5,4]", ""},
    {"linear is grouped", "linear", "f64[2,5,3] f64[2,4,3] f64[2,4]", "0 1 2", "f64[2,5,4]", ""},
    {"linear takes zero rows", "linear", "f32[0,3] f32[3,4] f32[4]", "0 0 0", "f32[0,4]", ""},
    {"linear wants equal inner extents", "linear", "f32[5,3] f32[4,3]", "0 0 0", NULL,
     "x [5, 3] has 3 columns and w [4, 3] has 4 rows"},
    {"linear names the transpose", "linear", "f32[5,3] f32[3,4]", "1 0 0", NULL, "x [5, 3] transposed has 5 columns"},
    {"linear wants equal groups", "linear", "f32[2,5,3] f32[3,3,4]", "0 0 0", NULL, "x has 2 groups and w 3"},
    {"linear wants both grouped", "linear", "f32[2,5,3] f32[3,4]", "0 0 0", NULL, "give both 2 axes, or 3"},
    {"linear wants one type", "linear", "f32[5,3] f64[3,4]", "0 0 0", NULL, "w f64 [3, 4]"},
    {"linear wants a bias of N", "linear", "f32[5,3] f32[3,4] f32[3]", "0 0 0", NULL,
     "bias is f32 [3], but the product wants f32 [4]"},
    {"linear wants a grouped bias", "linear", "f32[2,5,3] f32[2,3,4] f32[4]", "0 0 0", NULL, "wants f32 [2, 4]"},
    {"linear wants a residual of y", "linear", "f32[5,3] f32[3,4] - f32[4]", "0 0 0", NULL, "residual is f32 [4]"},
    {"linear wants a gate of y", "linear", "f32[5,3] f32[3,4] - - bool[5,4]", "0 0 0", NULL, "gate is bool [5, 4]"},
    {"linear knows five activations", "linear", "f32[5,3] f32[3,4]", "0 0 5", NULL, "activation is 5; give 0 to 4"},
    {"linear wants flags", "linear", "f32[5,3] f32[3,4]", "2 0 0", NULL, "transpose_a is 2"},
    {"linear refuses vectors", "linear", "f32[3] f32[3,4]", "0 0 0", NULL, "x is f32 [3]; give it at least 2 axes"},

    {"linear_grad_weight gives two", "linear_grad_weight", "f32[5,3] f32[5,4]", "0 0", "f32[3,4] f32[4]", ""},
    {"linear_grad_weight is laid out as w is", "linear_grad_weight", "f32[5,3] f32[5,4]", "0 1", "f32[4,3] f32[4]", ""},
    {"linear_grad_weight transposes x", "linear_grad_weight", "f32[3,5] f32[5,4]", "1 0", "f32[3,4] f32[4]", ""},
    {"linear_grad_weight is grouped", "linear_grad_weight", "f64[2,5,3] f64[2,5,4]", "0 1", "f64[2,4,3] f64[2,4]", ""},
    {"linear_grad_weight takes zero rows", "linear_grad_weight", "f32[0,3] f32[0,4]", "0 0", "f32[3,4] f32[4]", ""},
    {"linear_grad_weight wants equal rows", "linear_grad_weight", "f32[5,3] f32[6,4]", "0 0", NULL,
     "dy is f32 [6, 4], but x wants f32 [5, 4]"},
    {"linear_grad_weight wants both grouped", "linear_grad_weight", "f32[2,5,3] f32[5,4]", "0 0", NULL,
     "give both 2 axes, or 3"},
    {"linear_grad_weight wants one type", "linear_grad_weight", "f32[5,3] f64[5,4]", "0 0", NULL, "dy is f64 [5, 4]"},
    {"linear_grad_weight wants flags", "linear_grad_weight", "f32[5,3] f32[5,4]", "0 2", NULL, "transpose_b is 2"},
    {"layer_norm keeps the shape", "layer_norm", "f32[2,3,8] f32[8] f32[8]", "1e-5", "f32[2,3,8]", ""},
    {"layer_norm is grouped", "layer_norm", "f32[2,3,8] f32[2,8] f32[2,8]", "1e-5", "f32[2,3,8]", ""},
    {"layer_norm wants gamma of the last axis", "layer_norm", "f32[3,128] f32[96] f32[96]", "1e-5", NULL,
     "gamma is f32 [96], but the last axis of x wants f32 [128]"},
    {"layer_norm wants gamma of each group", "layer_norm", "f32[2,3,8] f32[3,8] f32[3,8]", "1e-5", NULL,
     "gamma is f32 [3, 8], but a grouped x"},
    {"layer_norm wants beta like gamma", "layer_norm", "f32[3,8] f32[8] f32[1]", "1e-5", NULL, "beta is f32 [1]"},
    {"layer_norm wants a positive eps", "layer_norm", "f32[3,8] f32[8] f32[8]", "0", NULL, "eps is 0; give a finite"},
    {"layer_norm wants an element", "layer_norm", "f32[3,0] f32[0] f32[0]", "1e-5", NULL, "give its last axis"},
    {"layer_norm_grad gives three", "layer_norm_grad", "f32[3,8] f32[8] f32[3,8]", "1e-5", "f32[3,8] f32[8] f32[8]",
     ""},
    {"layer_norm_grad wants dy like x", "layer_norm_grad", "f32[3,8] f32[8] f32[8]", "1e-5", NULL, "dy is f32 [8]"},

    {"a mask may broadcast over rows", "masked_softmax", "f32[3,5] bool[5]", "", "f32[3,5]", ""},
    {"zero rows are a legal batch", "masked_softmax", "f32[0,5] bool[0,5]", "", "f32[0,5]", ""},
    {"a longer mask is refused", "masked_softmax", "f32[3,5] bool[6]", "", NULL,
     "mask bool [6] does not broadcast to x f32 [3, 5]"},
    {"a mask is bool", "masked_softmax", "f32[3,5] f32[5]", "", NULL, "mask f32 [5]"},

    {"attention keeps the shape of q", "attention", "f32[2,4,6] f32[2,5,6] f32[2,5,6] bool[2,5]", "3", "f32[2,4,6]",
     ""},
    {"attention takes one sequence", "attention", "f32[4,6] f32[5,6] f32[5,6] bool[5]", "1", "f32[4,6]", ""},
    {"attention takes six axes", "attention", "f32[1,2,1,2,4,6] f32[1,2,1,2,5,6] f32[1,2,1,2,5,6] bool[1,2,1,2,5]", "2",
     "f32[1,2,1,2,4,6]", ""},
    {"attention takes no keys", "attention", "f32[4,6] f32[0,6] f32[0,6] bool[0]", "1", "f32[4,6]", ""},
    {"heads must divide the width", "attention", "f32[4,6] f32[5,6] f32[5,6] bool[5]", "4", NULL,
     "heads is 4 and q has width 6"},
    {"heads must be there", "attention", "f32[4,6] f32[5,6] f32[5,6] bool[5]", "0", NULL, "heads is 0"},
    {"keys want the width of queries", "attention", "f32[4,6] f32[5,4] f32[5,4] bool[5]", "1", NULL,
     "k is f32 [5, 4], but q with as many keys wants f32 [5, 6]"},
    {"values want the shape of keys", "attention", "f32[4,6] f32[5,6] f32[4,6] bool[5]", "1", NULL, "v is f32 [4, 6]"},
    {"the mask covers keys", "attention", "f32[4,6] f32[5,6] f32[5,6] bool[4]", "1", NULL, "mask is bool [4]"},
    {"attention_grad gives three", "attention_grad", "f32[4,6] f32[5,6] f32[5,6] bool[5] f32[4,6]", "2",
     "f32[4,6] f32[5,6] f32[5,6]", ""},
    {"attention_grad wants dy like q", "attention_grad", "f32[4,6] f32[5,6] f32[5,6] bool[5] f32[5,6]", "2", NULL,
     "dy is f32 [5, 6]"},

    {"gru_cell keeps the shape of h", "gru_cell", "f32[2,9] f32[2,9] f32[2,3] bool[2]", "", "f32[2,3]", ""},
    {"gru_cell wants three gates", "gru_cell", "f32[2,6] f32[2,9] f32[2,3] bool[2]", "", NULL,
     "xi is f32 [2, 6], but h, three times as wide, wants f32 [2, 9]"},
    {"gru_cell wants a mask of rows", "gru_cell", "f32[2,9] f32[2,9] f32[2,3] bool[2,1]", "", NULL,
     "mask is bool [2, 1]"},
    {"gru_cell_grad gives three", "gru_cell_grad", "f32[9] f32[9] f32[3] bool[] f32[3]", "", "f32[9] f32[9] f32[3]",
     ""},

    {"cross-entropy gives a loss a row", "softmax_cross_entropy", "f32[4,7] i32[4]", "", "f32[4]", ""},
    {"cross-entropy wants rows of logits", "softmax_cross_entropy", "f32[7] i32[4]", "", NULL,
     "logits is f32 [7]; give 2 axes"},
    {"cross-entropy wants a class a row", "softmax_cross_entropy", "f32[4,7] i32[7]", "", NULL, "target is i32 [7]"},
    {"cross-entropy wants whole classes", "softmax_cross_entropy", "f32[4,7] f32[4]", "", NULL, "target is f32 [4]"},
    {"its gradient has the logits' shape", "softmax_cross_entropy_grad", "f32[4,7] i32[4] f32[4]", "", "f32[4,7]", ""},
    {"its gradient wants a loss a row", "softmax_cross_entropy_grad", "f32[4,7] i32[4] f32[]", "", NULL,
     "dloss is f32 []"},

    {"a norm is one number", "global_norm", "f32[4,7] f32[3] f32[]", "", "f32[]", ""},
    {"a norm wants one type", "global_norm", "f32[4,7] f64[3]", "", NULL, "input 0 is f32 and input 1 is f64 [3]"},
    {"a norm wants all its inputs", "global_norm", "f32[4] -", "", NULL, "input 1 of 2 is missing"},

    {"adamw updates many tensors", "adamw",
     "f32[3] f32[] f32[2,3] f32[2,3] f32[2,3] f32[2,3] f32[4] f32[4] f32[4] f32[4]", "0.9 0.999 1e-8 0.01",
     "f32[2,3] f32[2,3] f32[2,3] f32[4] f32[4] f32[4]", ""},
    {"adamw wants four of each tensor", "adamw", "f32[3] f32[] f32[2] f32[2] f32[2] f32[2] f32[2]", "0.9 0.999 1e-8 0",
     NULL, "5 inputs follow step and scale"},
    {"adamw names what does not fit", "adamw", "f32[3] f32[] f32[2] f32[2] f32[2] f32[2] f32[2] f32[3] f32[2] f32[2]",
     "0.9 0.999 1e-8 0", NULL, "m of tensor 1 is f32 [3], but its p wants f32 [2]"},
    {"adamw names what is missing", "adamw", "f32[3] f32[] f32[2] f32[2] f32[2] f32[2] f32[2] f32[2] - f32[2]",
     "0.9 0.999 1e-8 0", NULL, "v of tensor 1 is missing"},
    {"adamw wants step", "adamw", "f32[2] f32[] f32[2] f32[2] f32[2] f32[2]", "0.9 0.999 1e-8 0", NULL,
     "step is f32 [2], but {lr, 1 - beta1^t, 1 - beta2^t} wants f32 [3]"},
    {"adamw wants a scale", "adamw", "f32[3] f32[1] f32[2] f32[2] f32[2] f32[2]", "0.9 0.999 1e-8 0", NULL,
     "scale is f32 [1]"},
    {"adamw wants beta below 1", "adamw", "f32[3] f32[] f32[2] f32[2] f32[2] f32[2]", "0.9 1 1e-8 0", NULL,
     "beta2 is 1"},
    {"adamw wants no negative decay", "adamw", "f32[3] f32[] f32[2] f32[2] f32[2] f32[2]", "0.9 0.9 1e-8 -1", NULL,
     "weight_decay is -1"},
    {"adamw_rows updates a table", "adamw_rows", "f32[3] f32[] f32[9,2] f32[9,2] f32[9,2] i32[4] f32[4,2]",
     "0.9 0.999 1e-8 0", "f32[9,2] f32[9,2] f32[9,2]", ""},
    {"adamw_rows wants a row for each id", "adamw_rows", "f32[3] f32[] f32[9,2] f32[9,2] f32[9,2] i32[4] f32[3,2]",
     "0.9 0.999 1e-8 0", NULL, "rows is f32 [3, 2], but a row of p for each id wants f32 [4, 2]"},
    {"adamw_rows wants i32 ids", "adamw_rows", "f32[3] f32[] f32[9,2] f32[9,2] f32[9,2] u32[4] f32[4,2]",
     "0.9 0.999 1e-8 0", NULL, "ids is u32 [4]"},
};
enum { ROWS = sizeof rows / sizeof rows[0], MOST = 12 };

static m3_dtype dtype_named(const char *text, size_t length)
{
    for (int d = M3_F32; d <= M3_F64; d++) {
        const char *name = m3_dtype_name((m3_dtype)d);
        if (strlen(name) == length && memcmp(name, text, length) == 0) return (m3_dtype)d;
    }
    fail_msg("no type at '%s'", text);
    return M3_F32;
}

/* "[3,5]" at *text into whole numbers; *text is behind it then. */
static uint32_t numbers(const char **text, int64_t out[M3_MAX_RANK])
{
    uint32_t count = 0;
    const char *at = *text + 1;
    while (*at != ']') {
        char *end = NULL;
        out[count++] = strtoll(at, &end, 10);
        at = *end == ',' ? end + 1 : end;
    }
    *text = at + 1;
    return count;
}

static uint32_t parse_tensors(const char *text, bool *there, m3_tensor_desc *out)
{
    uint32_t count = 0;
    while (*text != 0) {
        there[count] = *text != '-';
        if (there[count]) {
            size_t length = strcspn(text, "[");
            int64_t dim[M3_MAX_RANK] = {0};
            out[count].dtype = dtype_named(text, length);
            text += length;
            uint32_t rank = numbers(&text, dim);
            out[count].shape = m3_shape_of(0, NULL);
            out[count].shape.rank = rank;
            for (uint32_t i = 0; i < rank; i++) out[count].shape.dim[i] = (uint64_t)dim[i];
        } else
            text++;
        count++;
        while (isspace((unsigned char)*text)) text++;
    }
    return count;
}

static uint32_t parse_attrs(const m3_op *op, const char *text, m3_attr *out)
{
    for (uint32_t i = 0; i < op->attr_count; i++) {
        while (isspace((unsigned char)*text)) text++;
        memset(&out[i], 0, sizeof out[i]);
        char *end = NULL;
        switch (op->attrs[i].kind) {
        case M3_ATTR_INT: out[i] = m3_attr_int(strtoll(text, &end, 10)); break;
        case M3_ATTR_FLOAT: out[i] = m3_attr_float(strtod(text, &end)); break;
        case M3_ATTR_INTS: out[i].count = numbers(&text, out[i].i); continue;
        }
        text = end;
    }
    return op->attr_count;
}

static void infers(void **state)
{
    const struct row *row = *state;
    const m3_op *op = m3_op_find(row->op);
    assert_non_null(op);
    trial t = trial_begin();
    m3_tensor_desc in[MOST], want[MOST];
    bool there[MOST], wanted[MOST];
    m3_tensor *x[MOST] = {NULL}, *y[MOST] = {NULL};
    m3_attr attr[MOST];
    uint32_t inputs = parse_tensors(row->in, there, in);
    for (uint32_t i = 0; i < inputs; i++)
        if (there[i]) x[i] = trial_leaf(&t, in[i].dtype, in[i].shape, NULL);
    uint32_t attrs = parse_attrs(op, row->attrs, attr);
    uint32_t outputs = row->out != NULL ? parse_tensors(row->out, wanted, want) : 1;
    t.b->api->push(t.b, "here");
    t.b->api->emit(t.b, row->op, x, inputs, attr, attrs, y, outputs);
    m3_error err = {0};
    m3_status st = m3_builder_status(t.b, &err);
    if (row->out == NULL) {
        assert_int_equal(st, M3_ERR_INVALID);
        if (strstr(err.message, row->says) == NULL) fail_msg("says '%s'", err.message);
        assert_non_null(strstr(err.subject, row->op));
        assert_non_null(strstr(err.subject, "'here'"));
    } else {
        trial_check(st, &err);
        assert_int_equal(y[0]->producer->out_count, outputs);
        for (uint32_t j = 0; j < outputs; j++) {
            assert_int_equal(y[j]->dtype, want[j].dtype);
            assert_true(m3_shape_equal(&y[j]->shape, &want[j].shape));
        }
        trial_run(&t); /* its decomposition gives the same types and shapes, for every size */
    }
    trial_end(&t);
}

static m3_tensor *f32(trial *t, m3_shape shape)
{
    return trial_leaf(t, M3_F32, shape, NULL);
}

static void a_product_counts_two_operations_a_term_and_one_for_each_thing_on_its_end(void **state)
{
    (void)state;
    trial t = trial_begin();
    m3_tensor *in[5] = {f32(&t, M3_SHAPE(3, 5, 7)), f32(&t, M3_SHAPE(3, 7, 4)), f32(&t, M3_SHAPE(3, 4)), NULL, NULL};
    m3_tensor *y = m3_linear_node(t.b, in, false, false, M3_ACT_RELU);
    assert_int_equal(m3_node_flops(y->producer), 3 * 5 * 4 * (2 * 7 + 2));
    trial_end(&t);
}

static void traffic_counts_tensors_once_and_of_tables_the_rows_that_are_touched(void **state)
{
    (void)state;
    uint64_t written = 0;
    trial t = trial_begin();
    m3_tensor *table = f32(&t, M3_SHAPE(1000, 8)), *ids = trial_leaf(&t, M3_I32, M3_SHAPE(5), NULL);
    m3_tensor *taken = m3_gather(t.b, table, ids, 0);
    assert_int_equal(m3_node_traffic(taken->producer, &written), (5 * 8 + 5 * 8 + 5) * 4);
    assert_int_equal(written, 5 * 8 * 4);
    m3_tensor *y = m3_add(t.b, taken, f32(&t, M3_SHAPE(8)));
    assert_int_equal(m3_node_traffic(y->producer, &written), (5 * 8 + 8 + 5 * 8) * 4);
    assert_int_equal(written, 5 * 8 * 4);
    m3_tensor *alias = m3_reshape(t.b, y, M3_SHAPE(40));
    assert_int_equal(m3_node_traffic(alias->producer, &written), 0);
    assert_int_equal(written, 0);
    trial_end(&t);
}

static void attention_counts_its_two_products(void **state)
{
    (void)state;
    trial t = trial_begin();
    m3_tensor *q = f32(&t, M3_SHAPE(2, 4, 6)), *k = f32(&t, M3_SHAPE(2, 5, 6));
    m3_tensor *y = m3_attention(t.b, q, k, k, trial_leaf(&t, M3_BOOL, M3_SHAPE(2, 5), NULL), 3);
    uint64_t products = 2 * 2 * (2 * 4 * 5 * 6), scores = 2 * 3 * 4 * 5;
    assert_in_range(m3_node_flops(y->producer), products + scores, products + 10 * scores);
    trial_end(&t);
}

static void an_update_says_which_input_it_replaces(void **state)
{
    (void)state;
    m3_tensor *in[10] = {NULL};
    m3_node node = {.in = in, .in_count = 10};
    const m3_op *many = m3_op_find("adamw"), *rows_of = m3_op_find("adamw_rows");
    assert_true((many->flags & M3_OP_UPDATES) != 0 && (rows_of->flags & M3_OP_UPDATES) != 0);
    assert_int_equal(many->count_outputs(&node), 6);
    const int32_t want[7] = {2, 3, 4, 6, 7, 8, -1};
    for (uint32_t j = 0; j < 7; j++) assert_int_equal(many->update_of(&node, j), want[j]);
    const int32_t want_rows[4] = {2, 3, 4, -1};
    for (uint32_t j = 0; j < 4; j++) assert_int_equal(rows_of->update_of(&node, j), want_rows[j]);
}

/* A builder that keeps an error hands out NULL tensors; formulas must go through with them. */
static void after_an_error_a_formula_does_nothing(void **state)
{
    (void)state;
    for (size_t r = 0; r < ROWS; r++) {
        const struct row *row = &rows[r];
        if (row->out == NULL) continue;
        const m3_op *op = m3_op_find(row->op);
        trial t = trial_begin();
        m3_tensor_desc in[MOST];
        bool there[MOST];
        m3_tensor *x[MOST] = {NULL}, *y[MOST] = {NULL}, *dx[MOST] = {NULL};
        m3_attr attr[MOST];
        uint32_t inputs = parse_tensors(row->in, there, in);
        for (uint32_t i = 0; i < inputs; i++)
            if (there[i]) x[i] = trial_leaf(&t, in[i].dtype, in[i].shape, NULL);
        uint32_t attrs = parse_attrs(op, row->attrs, attr);
        t.b->api->emit(t.b, row->op, x, inputs, attr, attrs, y, 1);
        const m3_node *node = y[0]->producer;
        (t.b->api->fail)(t.b, M3_ERR_MEMORY, "full"); /* in brackets: cmocka has a macro of this name */
        uint32_t nodes = m3_graph_node_count(t.graph);
        op->decompose(t.b, node, y);
        m3_tensor *dy[MOST] = {NULL};
        for (uint32_t i = 0; i < node->out_count; i++) dy[i] = node->out[i];
        if (op->gradient != NULL) op->gradient(t.b, node, dy, dx);
        assert_int_equal(m3_graph_node_count(t.graph), nodes);
        assert_int_equal(m3_builder_status(t.b, NULL), M3_ERR_MEMORY);
        trial_end(&t);
    }
}

int main(void)
{
    static const struct CMUnitTest fixed[] = {
        cmocka_unit_test(a_product_counts_two_operations_a_term_and_one_for_each_thing_on_its_end),
        cmocka_unit_test(traffic_counts_tensors_once_and_of_tables_the_rows_that_are_touched),
        cmocka_unit_test(attention_counts_its_two_products),
        cmocka_unit_test(an_update_says_which_input_it_replaces),
        cmocka_unit_test(after_an_error_a_formula_does_nothing),
    };
    enum { FIXED = sizeof fixed / sizeof fixed[0] };
    struct CMUnitTest tests[ROWS + FIXED];
    for (size_t i = 0; i < ROWS; i++) {
        union {
            const struct row *row;
            void *state;
        } at = {&rows[i]};
        tests[i] = (struct CMUnitTest){rows[i].name, infers, NULL, NULL, at.state};
    }
    memcpy(tests + ROWS, fixed, sizeof fixed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
