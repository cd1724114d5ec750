/* core ops: shape rules with their messages, and meanings against values worked out by hand.
 * Labels: errors */
#include "core/base/alloc.h"
#include "core/base/philox.h"
#include "core/conformance/notation.h"
#include "core/ops/common/op.h"
#include "m3bsr/graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { INPUTS = 3, OUTPUTS = 2, VALUES = 32 };

/* in and want: TYPE[EXTENTS] VALUES; a refused row has no values, and says what the message must contain. */
typedef struct row {
    const char *name, *op, *attrs, *in, *want, *says;
} row;

static const row movement[] = {
    {"reshape keeps the order", "reshape", "6", "f32[2,3] 1 2 3 4 5 6", "f32[6] 1 2 3 4 5 6", NULL},
    {"reshape of nothing has any empty shape", "reshape", "5,0,7", "i32[0,3]", "i32[5,0,7]", NULL},
    {"reshape to another count is refused", "reshape", "5", "f32[2,3]", NULL,
     "x is [2, 3] and the shape is [5]; give a shape of 6 elements"},
    {"reshape to a negative extent is refused", "reshape", "-1,-1", "f32[1]", NULL, "shape has -1 at axis 0"},
    {"a shape beyond 2^48 elements is refused", "reshape", "2147483647,2147483647,2147483647", "f32[1]", NULL,
     "2^48 elements or more"},
    {"transpose moves the first axis last", "transpose", "2,1,0", "f32[2,1,3] 1 2 3 4 5 6", "f32[3,1,2] 1 4 2 5 3 6",
     NULL},
    {"transpose of a scalar does nothing", "transpose", "", "bool[] 1", "bool[] 1", NULL},
    {"transpose names an axis once", "transpose", "1,1", "f32[2,3]", NULL, "perm[1] is 1; give each axis"},
    {"transpose wants an entry for each axis", "transpose", "0", "f32[2,3]", NULL,
     "perm has 1 entries and x is [2, 3]"},
    {"broadcast repeats extents 1 and missing axes", "broadcast", "2,2,2", "f32[2,1] 1 2", "f32[2,2,2] 1 1 2 2 1 1 2 2",
     NULL},
    {"broadcast to nothing is empty", "broadcast", "0", "f32[1] 7", "f32[0]", NULL},
    {"broadcast does not shrink", "broadcast", "1", "f32[2]", NULL, "x [2] does not broadcast to [1]"},
    {"slice cuts a block", "slice", "1,0; 2,2", "f32[3,3] 1 2 3 4 5 6 7 8 9", "f32[2,2] 4 5 7 8", NULL},
    {"slice may be empty at the end", "slice", "3; 0", "f32[3] 1 2 3", "f32[0]", NULL},
    {"slice beyond the end is refused", "slice", "2; 2", "f32[3]", NULL,
     "axis 0: 2 elements from 2 do not lie within x [3]"},
    {"pad surrounds with zeros", "pad", "1,0; 3,3", "f32[1,2] nan 2", "f32[3,3] 0 0 0 nan 2 0 0 0 0", NULL},
    {"pad makes room for all of x", "pad", "2; 4", "f32[3]", NULL, "x [3] after 2 does not fit into a total of 4"},
    {"flip turns an axis around", "flip", "1", "f32[2,3] 1 2 3 4 5 6", "f32[2,3] 3 2 1 6 5 4", NULL},
    {"flip of the first axis keeps rows", "flip", "0", "u8[2,2] 1 2 3 4", "u8[2,2] 3 4 1 2", NULL},
    {"flip wants an axis that is there", "flip", "1", "f32[2]", NULL, "axis is 1; give 0 to 0"},
    {"scan carries what was before", "scan", "1; 0", "f32[1,3] 9 2 3; f32[1,3] 1 10 100", "f32[1,3] 1 12 136", NULL},
    {"scan of a middle axis keeps columns apart", "scan", "0; 0", "f32[2,2] 0 0 2 3; f32[2,2] 1 2 3 4",
     "f32[2,2] 1 2 5 10", NULL},
    {"scan in reverse begins at the end", "scan", "0; 1", "f32[3] 3 2 9; f32[3] 100 10 1", "f32[3] 136 12 1", NULL},
    {"scan does not look at the first a", "scan", "0; 0", "f32[2] inf 1; f32[2] 1 1", "f32[2] 1 2", NULL},
    {"scan of nothing is empty", "scan", "0; 1", "f32[0,2]; f32[0,2]", "f32[0,2]", NULL},
    {"scan wants one shape", "scan", "0; 0", "f32[3]; f32[2]", NULL, "a is f32 [3] and b is f32 [2]"},
    {"scan goes forwards or in reverse", "scan", "0; 2", "f32[2]; f32[2]", NULL, "reverse is 2; give 0 to 1"},
    {"concat joins along a middle axis", "concat", "1", "f32[2,1] 1 2; f32[2,0]; f32[2,2] 3 4 5 6",
     "f32[2,3] 1 3 4 2 5 6", NULL},
    {"concat wants other extents equal", "concat", "1", "f32[2,1]; f32[3,1]", NULL,
     "input 1 is [3, 1] and input 0 is [2, 1]; they may differ at axis 1 alone"},
    {"concat wants equal types", "concat", "0", "f32[2]; i32[2]", NULL, "input 1 is i32 and input 0 is f32"},
    {"concat wants an axis that is there", "concat", "1", "f32[2]; f32[2]", NULL, "axis is 1; give 0 to 0"},
    {"cast to i32 truncates and ends at the range", "cast", "1", "f32[7] 1.9 -1.9 3000000000 -3000000000 nan inf -0",
     "i32[7] 1 -1 2147483647 -2147483648 0 2147483647 0", NULL},
    {"cast to u8 ends at the range", "cast", "3", "f32[3] -1 255.5 1000", "u8[3] 0 255 255", NULL},
    {"cast between integers keeps the low bits", "cast", "2", "i32[2] -1 5", "u32[2] 4294967295 5", NULL},
    {"cast to bool asks for other than 0", "cast", "4", "f32[4] 0.5 0 -0 nan", "bool[4] 1 0 0 1", NULL},
    {"cast of bool gives 0 and 1", "cast", "0", "bool[2] 1 0", "f32[2] 1 0", NULL},
    {"cast to an unknown type is refused", "cast", "8", "f32[]", NULL, "dtype is 8; give 0 to 7"},
};

static const row elementwise[] = {
    {"neg turns the sign", "neg", "", "f32[4] 1 -2 inf nan", "f32[4] -1 2 -inf nan", NULL},
    {"neg does not take bool", "neg", "", "bool[1]", NULL, "input 0 is bool; give one of f32, i32, f64"},
    {"abs takes the sign away", "abs", "", "i32[2] -3 4", "i32[2] 3 4", NULL},
    {"exp of its ends", "exp", "", "f32[4] 0 -inf inf nan", "f32[4] 1 0 inf nan", NULL},
    {"exp of half precision is refused", "exp", "", "bf16[]", NULL,
     "input 0 is bf16; give one of f32, f64, or cast it"},
    {"log of its ends", "log", "", "f32[4] 1 0 -1 inf", "f32[4] 0 -inf nan inf", NULL},
    {"sqrt of its ends", "sqrt", "", "f64[4] 9 0 -1 inf", "f64[4] 3 0 nan inf", NULL},
    {"sin in radians", "sin", "", "f32[2] 0 1.5707963267948966", "f32[2] 0 1", NULL},
    {"cos in radians", "cos", "", "f32[2] 0 3.141592653589793", "f32[2] 1 -1", NULL},
    {"tanh saturates", "tanh", "", "f32[3] 0 1000 -inf", "f32[3] 0 1 -1", NULL},
    {"sigmoid saturates", "sigmoid", "", "f32[4] 0 2000 -2000 nan", "f32[4] 0.5 1 0 nan", NULL},
    {"log1p is exact near 0", "log1p", "", "f64[5] 1e-20 0 -1 inf -2", "f64[5] 1e-20 0 -inf inf nan", NULL},
    {"expm1 is exact near 0", "expm1", "", "f64[4] 1e-20 0 -inf inf", "f64[4] 1e-20 0 -1 inf", NULL},
    {"erf of its ends", "erf", "", "f64[5] 0 1 -1 inf -inf", "f64[5] 0 0.84270079294971489 -0.84270079294971489 1 -1",
     NULL},
    {"pow of whole powers", "pow", "", "f32[4] 2 -2 -2 4; f32[4] 3 3 2 -0.5", "f32[4] 8 -8 4 0.5", NULL},
    {"pow is 1 where base or power says so", "pow", "", "f32[3] nan 1 -1; f32[3] 0 nan inf", "f32[3] 1 1 1", NULL},
    {"pow of a negative base wants a whole power", "pow", "", "f32[3] -2 -inf 0; f32[3] 0.5 0.5 -1",
     "f32[3] nan inf inf", NULL},
    {"floor goes down", "floor", "", "f32[4] 1.5 -1.5 -0 inf", "f32[4] 1 -2 0 inf", NULL},
    {"not of nothing", "not", "", "bool[3,0]", "bool[3,0]", NULL},
    {"not inverts", "not", "", "bool[2] 1 0", "bool[2] 0 1", NULL},
    {"add broadcasts a row and a column", "add", "", "f32[2,1] 10 20; f32[3] 1 2 3", "f32[2,3] 11 12 13 21 22 23",
     NULL},
    {"add broadcasts over middle axes", "add", "", "f32[2,1,2] 1 2 3 4; f32[1,2,1] 10 20",
     "f32[2,2,2] 11 12 21 22 13 14 23 24", NULL},
    {"add of a scalar and nothing", "add", "", "f32[] 1; f32[0,4]", "f32[0,4]", NULL},
    {"add refuses extents that differ", "add", "", "f32[2,3]; f32[2]", NULL, "[2, 3] and [2] do not broadcast"},
    {"add refuses types that differ", "add", "", "f32[2]; f64[2]", NULL,
     "input 1 is f64 and input 0 is f32; give equal types"},
    {"add wraps", "add", "", "i32[2] 2147483647 -2147483648; i32[2] 1 -1", "i32[2] -2147483648 2147483647", NULL},
    {"sub of unsigned wraps", "sub", "", "u32[1] 1; u32[1] 2", "u32[1] 4294967295", NULL},
    {"mul of 0 and infinity is NaN", "mul", "", "f32[2] 0 3; f32[2] inf 4", "f32[2] nan 12", NULL},
    {"mul of unsigned keeps the low bits", "mul", "", "u32[] 4294967295; u32[] 4294967295", "u32[] 1", NULL},
    {"div by zero", "div", "", "f32[3] 1 -1 0; f32[] 0", "f32[3] inf -inf nan", NULL},
    {"div of integers truncates, by 0 gives 0", "div", "", "i32[4] 7 -7 5 -2147483648; i32[4] 2 2 0 -1",
     "i32[4] 3 -3 0 -2147483648", NULL},
    {"max keeps NaN", "max", "", "f32[4] 1 nan 3 -inf; f32[4] 2 1 nan 5", "f32[4] 2 nan nan 5", NULL},
    {"min keeps NaN", "min", "", "f32[3] 1 nan inf; f32[3] 2 1 5", "f32[3] 1 nan 5", NULL},
    {"equal knows no NaN", "equal", "", "f32[3] nan 0 2; f32[3] nan -0 3", "bool[3] 0 1 0", NULL},
    {"less is strict", "less", "", "i32[3] 1 2 3; i32[] 2", "bool[3] 1 0 0", NULL},
    {"less_equal is not", "less_equal", "", "f32[3] 1 2 nan; f32[] 2", "bool[3] 1 1 0", NULL},
    {"and of all four", "and", "", "bool[2,1] 0 1; bool[2] 0 1", "bool[2,2] 0 0 0 1", NULL},
    {"or of all four", "or", "", "bool[2,1] 0 1; bool[2] 0 1", "bool[2,2] 0 1 1 1", NULL},
    {"where leaves out a NaN and broadcasts all three", "where", "", "bool[2,1] 1 0; f32[2] 1 2; f32[2,2] nan nan 7 8",
     "f32[2,2] 1 2 7 8", NULL},
    {"where chooses by a bool", "where", "", "f32[]; f32[]; f32[]", NULL, "input 0 is f32; give one of bool"},
    {"where chooses from one type", "where", "", "bool[]; f32[]; i32[]", NULL, "the choices are f32 and i32"},
};

static const row sums[] = {
    {"reduce_sum over a middle axis drops it", "reduce_sum", "1; 0", "f32[2,2,2] 1 2 3 4 5 6 7 8", "f32[2,2] 4 6 12 14",
     NULL},
    {"reduce_sum over an empty axis is 0", "reduce_sum", "1; 1", "f32[2,0]", "f32[2,1] 0 0", NULL},
    {"reduce_sum of integers wraps", "reduce_sum", "0; 0", "i32[2] 2147483647 1", "i32[] -2147483648", NULL},
    {"reduce_sum wants an axis that is there", "reduce_sum", "1; 0", "f32[2]", NULL, "axis is 1; give 0 to 0"},
    {"reduce_sum of a scalar is refused", "reduce_sum", "0; 0", "f32[]", NULL,
     "input 0 is [] of rank 0; give rank 1 to 6"},
    {"reduce_max keeps NaN", "reduce_max", "0; 1", "f32[3,2] 1 5 nan 2 3 -inf", "f32[1,2] nan 5", NULL},
    {"reduce_max over an empty axis is -infinity", "reduce_max", "0; 0", "f32[0]", "f32[] -inf", NULL},
    {"reduce_max of no integers is the least", "reduce_max", "0; 0", "i32[0]", "i32[] -2147483648", NULL},
    {"matmul multiplies", "matmul", "0; 0", "f32[2,2] 1 2 3 4; f32[2,1] 5 6", "f32[2,1] 17 39", NULL},
    {"matmul transposes a", "matmul", "1; 0", "f32[2,2] 1 2 3 4; f32[2,1] 5 6", "f32[2,1] 23 34", NULL},
    {"matmul transposes b", "matmul", "0; 1", "f32[1,2] 1 2; f32[3,2] 1 0 0 1 1 1", "f32[1,3] 1 2 3", NULL},
    {"matmul broadcasts leading axes", "matmul", "0; 0", "f32[2,1,2] 1 2 3 4; f32[2,1,2,1] 1 1 1 -1",
     "f32[2,2,1,1] 3 7 -1 -1", NULL},
    {"matmul over nothing is 0", "matmul", "0; 0", "f32[2,0]; f32[0,2]", "f32[2,2] 0 0 0 0", NULL},
    {"matmul wants sums of one length", "matmul", "0; 0", "f32[2,3]; f32[2,3]", NULL,
     "a [2, 3] sums over 3 elements, b [2, 3] over 2"},
    {"matmul wants flags of 0 or 1", "matmul", "0; 2", "f32[2,2]; f32[2,2]", NULL, "transpose_b is 2; give 0 to 1"},
    {"matmul wants leading axes that fit", "matmul", "0; 0", "f32[2,1,1]; f32[3,1,1]", NULL,
     "the leading axes of a [2, 1, 1] and b [3, 1, 1] do not broadcast"},
};

static const row picking[] = {
    {"gather gives zeros for ids outside and for skip", "gather", "0", "f32[3,2] 1 2 3 4 5 6; i32[1,5] 2 0 -1 3 1",
     "f32[1,5,2] 5 6 0 0 0 0 0 0 3 4", NULL},
    {"gather from an empty table gives zeros", "gather", "-1", "f32[0,2]; i32[1] 0", "f32[1,2] 0 0", NULL},
    {"gather wants i32 ids", "gather", "-1", "f32[3,2]; u32[1]", NULL, "input 1 is u32; give one of i32"},
    {"gather keeps within six axes", "gather", "-1", "f32[2,2,2]; i32[1,1,1,1,1]", NULL, "have more than 6 axes"},
    {"scatter_add adds up and leaves out", "scatter_add", "3; 0", "i32[5] 1 3 1 -1 0; f32[5,1] 1 10 2 20 30",
     "f32[3,1] 0 3 0", NULL},
    {"scatter_add of nothing is zeros", "scatter_add", "2; -1", "i32[0]; f32[0]", "f32[2] 0 0", NULL},
    {"scatter_add wants a row for each id", "scatter_add", "3; -1", "i32[2]; f32[3,1]", NULL,
     "ids are [2] and rows are [3, 1]"},
    {"scatter_add wants a count", "scatter_add", "-1; -1", "i32[2]; f32[2,1]", NULL,
     "count is -1; give 0 to 2147483647"},
    {"scatter_rows replaces and leaves out", "scatter_rows", "",
     "f32[3,2] 1 2 3 4 5 6; i32[3] 2 -1 3; f32[3,2] 7 8 0 0 9 9", "f32[3,2] 1 2 3 4 7 8", NULL},
    {"scatter_rows wants rows of the table", "scatter_rows", "", "f32[3,2]; i32[1]; f32[1,3]", NULL,
     "rows are [1, 3] and table is [3, 2]"},
    {"group_rows adds up in order", "group_rows", "0", "i32[6] 7 2 0 7 -5 2; f32[6,1] 1 10 100 2 1000 20",
     "i32[6] 2 7 -1 -1 -1 -1; f32[6,1] 30 3 0 0 0 0", NULL},
    {"group_rows of nothing", "group_rows", "-1", "i32[0]; f32[0,2]", "i32[0]; f32[0,2]", NULL},
    {"sort is stable and puts NaN last", "sort", "", "f32[2,4] 2 nan 1 2 0 -0 -inf inf",
     "f32[2,4] 1 2 2 nan -inf 0 0 inf; i32[2,4] 2 0 3 1 2 0 1 3", NULL},
    {"sort of empty rows", "sort", "", "i32[2,0]", "i32[2,0]; i32[2,0]", NULL},
    {"sort does not order bool", "sort", "", "bool[2]", NULL, "input 0 is bool"},
    {"top_k takes equal values by index and NaN last", "top_k", "3", "f32[2,4] 1 3 nan 3 nan -inf 5 4",
     "f32[2,3] 3 3 1 5 4 -inf; i32[2,3] 1 3 0 2 3 0", NULL},
    {"top_k of none", "top_k", "0", "f32[3] 1 2 3", "f32[0]; i32[0]", NULL},
    {"top_k does not give more than there are", "top_k", "4", "f32[3]", NULL, "k is 4; give 0 to 3"},
    {"iota counts along its axis", "iota", "2,2,2; 1", "", "i32[2,2,2] 0 0 1 1 0 0 1 1", NULL},
    {"iota needs an axis", "iota", "; 0", "", NULL, "the shape is []"},
    {"philox gives the published words", "philox", "3; 0", "u32[3] 0 0 0", "u32[3] 1713891541 3781805453 3159862348",
     NULL},
    {"philox wants its three words", "philox", "3; 0", "u32[2]", NULL, "rng is [2]; give [3]"},
    {"philox wants a site of 32 bits", "philox", "3; -1", "u32[3]", NULL, "site is -1; give 0 to 4294967295"},
};

/* The node of a row, or NULL when the builder keeps an error, and the values of its inputs. */
typedef struct made {
    m3_graph *graph;
    const m3_node *node;
    double in[INPUTS][VALUES], out[OUTPUTS][VALUES];
} made;

static void read_values(const m3_notation *array, double *value)
{
    const char *at = array->words;
    for (uint64_t i = 0; i < m3_shape_count(&array->shape) && *at != 0; i++) {
        char *end;
        assert_true(i < VALUES);
        value[i] = strtod(at, &end);
        assert_true(end != at);
        at = end;
    }
}

static made make(const row *r)
{
    made m = {0};
    m3_notation array[M3_NOTATION_ARRAYS];
    m3_attr attr[M3_NOTATION_ATTRS];
    m3_tensor *in[INPUTS] = {NULL}, *out = NULL;
    uint32_t count;
    const m3_op *op = m3_op_find(r->op);
    assert_int_equal(m3_graph_create(NULL, &m.graph, NULL), M3_OK);
    assert_int_equal(m3_notation_arrays(r->in, array, &count, NULL), M3_OK);
    assert_int_equal(m3_notation_attrs(r->attrs, op, attr, NULL), M3_OK);
    m3_builder *b = m3_graph_builder(m.graph);
    for (uint32_t i = 0; i < count; i++) {
        in[i] = m3_graph_input(b, (const char *const[]){"x", "y", "z"}[i], array[i].dtype, array[i].shape);
        if (r->says == NULL) read_values(&array[i], m.in[i]);
    }
    b->api->emit(b, r->op, in, count, attr, op->attr_count, &out, 1);
    m.node = out == NULL ? NULL : out->producer;
    return m;
}

static m3_status evaluate(made *m, m3_error *err)
{
    const double *in[INPUTS] = {m->in[0], m->in[1], m->in[2]};
    double *out[OUTPUTS] = {m->out[0], m->out[1]};
    return m->node->op->evaluate(m->node, in, out, err);
}

static void compare(const made *m, const char *text)
{
    m3_notation array[M3_NOTATION_ARRAYS];
    uint32_t count;
    assert_int_equal(m3_notation_arrays(text, array, &count, NULL), M3_OK);
    assert_int_equal(m->node->out_count, count);
    for (uint32_t k = 0; k < count; k++) {
        double want[VALUES] = {0};
        read_values(&array[k], want);
        assert_int_equal(m->node->out[k]->dtype, array[k].dtype);
        assert_true(m3_shape_equal(&m->node->out[k]->shape, &array[k].shape));
        for (uint64_t i = 0; i < m3_shape_count(&array[k].shape); i++) {
            double have = m->out[k][i];
            bool same = isnan(want[i]) ? isnan(have) : have == want[i] || fabs(have - want[i]) < 1e-12;
            if (!same) fail_msg("output %u, element %u: %.17g, not %.17g", k, (unsigned)i, have, want[i]);
        }
    }
}

static void holds(void **state)
{
    const row *r = *state;
    m3_error err = {0};
    made m = make(r);
    m3_status st = m3_builder_status(m3_graph_builder(m.graph), &err);
    if (r->says != NULL) {
        assert_int_equal(st, M3_ERR_INVALID);
        if (strstr(err.message, r->says) == NULL) fail_msg("'%s' does not say '%s'", err.message, r->says);
        assert_non_null(strstr(err.subject, r->op));
    } else {
        if (st != M3_OK) fail_msg("%s", err.message);
        assert_int_equal(evaluate(&m, &err), M3_OK);
        compare(&m, r->want);
    }
    m3_graph_free(m.graph);
}

/* Every op of the list carries what its kind needs, under a name that finds it again. */
static void list_is_complete(void **state)
{
    (void)state;
    assert_true(m3_op_count() > 40);
    for (uint32_t i = 0; i < m3_op_count(); i++) {
        const m3_op *op = m3_op_at(i);
        assert_ptr_equal(m3_op_find(op->name), op);
        assert_true(M3_HAS(op, m3_op, zero_gradient));
        assert_non_null(op->infer);
        assert_true((op->evaluate != NULL) != (op->decompose != NULL));
        assert_true(op->outputs > 0 || op->count_outputs != NULL);
        assert_false(op->zero_gradient && op->gradient != NULL);
    }
    assert_null(m3_op_at(m3_op_count()));
    assert_null(m3_op_find("no such op"));
}

/* The sites and steps of a draw tell it apart, and element e is word e mod 4 of block e / 4. */
static void philox_counts_blocks_sites_and_steps(void **state)
{
    (void)state;
    made m = make(&(const row){"", "philox", "2,5; 9", "u32[3] 5 6 7", NULL, NULL});
    assert_int_equal(evaluate(&m, NULL), M3_OK);
    for (uint32_t e = 0; e < 10; e++) {
        uint32_t words[4] = {e / 4, 9, 7, 0};
        m3_philox4x32_10(words, (const uint32_t[2]){5, 6}, words);
        assert_true(m.out[0][e] == words[e % 4]);
    }
    m3_graph_free(m.graph);
}

static bool refuse(void *user, size_t bytes)
{
    (void)user, (void)bytes;
    return false;
}

static void evaluation_without_memory_says_so(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof picking / sizeof picking[0]; i++) {
        if (picking[i].says != NULL) continue;
        m3_error err = {0};
        made m = make(&picking[i]);
        if (m.node->out_count == 2) { /* the ops that sort need room */
            m3_alloc_set_gate(refuse, NULL);
            m3_status st = evaluate(&m, &err);
            m3_alloc_set_gate(NULL, NULL);
            assert_int_equal(st, M3_ERR_MEMORY);
            assert_non_null(strstr(err.message, "could not allocate"));
        }
        m3_graph_free(m.graph);
    }
}

enum { TESTS = 256 };

static size_t add_rows(struct CMUnitTest *tests, size_t at, const row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++, at++) {
        union {
            const row *row;
            void *state;
        } link = {&rows[i]};
        assert_true(at < TESTS);
        tests[at] = (struct CMUnitTest){rows[i].name, holds, NULL, NULL, link.state};
    }
    return at;
}

int main(void)
{
    struct CMUnitTest tests[TESTS] = {cmocka_unit_test(list_is_complete),
                                      cmocka_unit_test(philox_counts_blocks_sites_and_steps),
                                      cmocka_unit_test(evaluation_without_memory_says_so)};
    size_t count = 3;
    count = add_rows(tests, count, movement, sizeof movement / sizeof movement[0]);
    count = add_rows(tests, count, elementwise, sizeof elementwise / sizeof elementwise[0]);
    count = add_rows(tests, count, sums, sizeof sums / sizeof sums[0]);
    count = add_rows(tests, count, picking, sizeof picking / sizeof picking[0]);
    return _cmocka_run_group_tests("core ops", tests, count, NULL, NULL);
}
