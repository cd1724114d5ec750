/* dump: a graph as text, one line a node, and as Graphviz. */
#include "core/base/number.h"
#include "core/graph/internal.h"

static void print_number(FILE *to, double value)
{
    char text[32];
    (void)m3_number_write(text, sizeof text, "%g", value);
    (void)fputs(text, to);
}

static void print_tensor(FILE *to, const m3_tensor *x)
{
    if (x == NULL)
        (void)fprintf(to, "-");
    else if (x->kind == M3_CONSTANT && x->shape.rank == 0 && x->dtype == M3_F32)
        print_number(to, (double)*(const float *)x->data);
    else if (x->name[0] != 0)
        (void)fprintf(to, "%s", x->name);
    else
        (void)fprintf(to, "%%%u", x->id);
}

static void print_attrs(FILE *to, const m3_node *node)
{
    for (uint32_t i = 0; i < node->op->attr_count; i++) {
        const m3_attr *a = &node->attr[i];
        (void)fprintf(to, " %s=", node->op->attrs[i].name);
        switch (node->op->attrs[i].kind) {
        case M3_ATTR_INT: (void)fprintf(to, "%lld", (long long)a->i[0]); break;
        case M3_ATTR_FLOAT: print_number(to, a->f); break;
        case M3_ATTR_INTS:
            (void)fprintf(to, "[");
            for (uint32_t k = 0; k < a->count && k < M3_MAX_RANK; k++)
                (void)fprintf(to, "%s%lld", k != 0 ? "," : "", (long long)a->i[k]);
            (void)fprintf(to, "]");
            break;
        }
    }
}

static void print_type(FILE *to, const m3_tensor *x)
{
    (void)fprintf(to, "%s%s", m3_dtype_name(x->dtype), M3_SHAPE_TEXT(&x->shape));
}

void m3_graph_dump_text(const m3_graph *graph, FILE *to)
{
    static const char *const kinds[] = {"input", "constant", "parameter", "state"};
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const m3_tensor *x = graph->tensors[i];
        if (x->kind == M3_TEMPORARY) continue;
        (void)fprintf(to, "%-9s %%%u ", kinds[x->kind], x->id);
        print_type(to, x);
        (void)fprintf(to, " %s\n", x->name);
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const m3_node *node = graph->nodes[i];
        for (uint32_t k = 0; k < node->out_count; k++) {
            (void)fprintf(to, "%s%%%u ", k != 0 ? ", " : "", node->out[k]->id);
            print_type(to, node->out[k]);
        }
        (void)fprintf(to, " = %s(", node->op->name);
        for (uint32_t k = 0; k < node->in_count; k++) {
            if (k != 0) (void)fprintf(to, ", ");
            print_tensor(to, node->in[k]);
        }
        (void)fprintf(to, ")");
        print_attrs(to, node);
        (void)fprintf(to, "%s%s\n", node->scope[0] != 0 ? "  # " : "", node->scope);
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        (void)fprintf(to, "output    %s = ", graph->outputs[i].name);
        print_tensor(to, graph->outputs[i].tensor);
        (void)fprintf(to, "\n");
    }
    for (uint32_t i = 0; i < graph->update_count; i++) {
        (void)fprintf(to, "update    %s <- ", graph->updates[i].state->name);
        print_tensor(to, graph->updates[i].value);
        (void)fprintf(to, "\n");
    }
}

static void print_edge(FILE *to, const m3_tensor *x, const char *target)
{
    if (x->producer != NULL)
        (void)fprintf(to, "  n%u -> %s [label=\"%s\"];\n", x->producer->id, target, M3_SHAPE_TEXT(&x->shape));
    else if (x->kind != M3_CONSTANT)
        (void)fprintf(to, "  t%u -> %s [label=\"%s\"];\n", x->id, target, M3_SHAPE_TEXT(&x->shape));
}

void m3_graph_dump_dot(const m3_graph *graph, FILE *to)
{
    (void)fprintf(to, "digraph m3bsr {\n  node [shape=box, fontname=\"sans-serif\"];\n");
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const m3_tensor *x = graph->tensors[i];
        if (x->kind != M3_TEMPORARY && x->kind != M3_CONSTANT)
            (void)fprintf(to, "  t%u [shape=ellipse, label=\"%s\"];\n", x->id, x->name);
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const m3_node *node = graph->nodes[i];
        (void)fprintf(to, "  n%u [label=\"%s\\n%s\"];\n", i, node->op->name, node->scope);
        char target[32];
        (void)snprintf(target, sizeof target, "n%u", i);
        for (uint32_t k = 0; k < node->in_count; k++)
            if (node->in[k] != NULL) print_edge(to, node->in[k], target);
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        char target[32];
        (void)snprintf(target, sizeof target, "o%u", i);
        (void)fprintf(to, "  o%u [shape=ellipse, style=bold, label=\"%s\"];\n", i, graph->outputs[i].name);
        print_edge(to, graph->outputs[i].tensor, target);
    }
    (void)fprintf(to, "}\n");
}
