/* ops: the reference of the built-in ops, printed from what each says of itself.
 *   m3bsr ops [NAME] [--markdown] [--json] */
#include <string.h>

#include "m3bsr/op_list.h"
#include "tools/m3bsr/cli.h"

static const char *kind_of(const m3_op *op)
{
    return op->evaluate != NULL ? "core" : "fused";
}

static bool takes_any_number(const m3_op *op)
{
    return op->max_inputs == UINT32_MAX;
}

static bool is_optional(const m3_op *op, uint32_t input)
{
    return input >= op->min_inputs && !takes_any_number(op);
}

static const char *attr_type(m3_attr_kind kind)
{
    switch (kind) {
    case M3_ATTR_INT: return "integer";
    case M3_ATTR_INTS: return "integers";
    case M3_ATTR_FLOAT: return "number";
    }
    return "unknown";
}

/* JSON. */

static void json_member(const char *name, const char *text)
{
    (void)printf(", \"%s\": ", name);
    cli_json_text(text);
}

static void print_json(const m3_op *op, bool first)
{
    const m3_op_doc *doc = op->doc;
    (void)printf("%s{\"name\": ", first ? "" : ", ");
    cli_json_text(op->name);
    json_member("kind", kind_of(op));
    json_member("summary", doc->summary);
    (void)printf(", \"any_number\": %s, \"inputs\": [", takes_any_number(op) ? "true" : "false");
    for (uint32_t i = 0; i < doc->input_count; i++) {
        (void)printf("%s{\"name\": ", i == 0 ? "" : ", ");
        cli_json_text(doc->inputs[i]);
        (void)printf(", \"optional\": %s}", is_optional(op, i) ? "true" : "false");
    }
    (void)printf("], \"outputs\": [");
    for (uint32_t i = 0; i < doc->output_count; i++) {
        (void)printf("%s{\"name\": ", i == 0 ? "" : ", ");
        cli_json_text(doc->outputs[i]);
        (void)printf("}");
    }
    (void)printf("], \"attributes\": [");
    for (uint32_t i = 0; i < op->attr_count; i++) {
        (void)printf("%s{\"name\": ", i == 0 ? "" : ", ");
        cli_json_text(op->attrs[i].name);
        json_member("type", attr_type(op->attrs[i].kind));
        json_member("meaning", doc->attrs[i]);
        (void)printf("}");
    }
    (void)printf("]");
    json_member("types", doc->types);
    json_member("shapes", doc->shapes);
    json_member("formula", doc->formula);
    json_member("gradient", doc->gradient);
    json_member("special", doc->special);
    (void)printf("}");
}

/* Text and Markdown. */

/* Names, then "(optional)" or "..." where that holds. */
static void print_inputs(const m3_op *op)
{
    const m3_op_doc *doc = op->doc;
    for (uint32_t i = 0; i < doc->input_count; i++)
        (void)printf("%s%s%s", i == 0 ? "" : ", ", doc->inputs[i], is_optional(op, i) ? " (optional)" : "");
    (void)printf("%s", doc->input_count == 0 ? "none" : takes_any_number(op) ? ", ..." : "");
}

static void print_outputs(const m3_op *op)
{
    const m3_op_doc *doc = op->doc;
    for (uint32_t i = 0; i < doc->output_count; i++) (void)printf("%s%s", i == 0 ? "" : ", ", doc->outputs[i]);
    (void)printf("%s", op->count_outputs != NULL ? ", ..." : "");
}

/* Each line of a text behind `margin`; the first one stands behind it already. */
static void print_lines(const char *text, const char *margin)
{
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1)
        (void)printf("%.*s\n%s", (int)(end - text), text, margin);
    (void)printf("%s\n", text);
}

static void print_text(const m3_op *op)
{
    static const char margin[] = "              ";
    const m3_op_doc *doc = op->doc;
    (void)printf("%s (%s): %s\n", op->name, kind_of(op), doc->summary);
    (void)printf("  inputs      ");
    print_inputs(op);
    (void)printf("\n  outputs     ");
    print_outputs(op);
    (void)printf("\n");
    for (uint32_t i = 0; i < op->attr_count; i++)
        (void)printf("  %-11s %s (%s): %s\n", i == 0 ? "attributes" : "", op->attrs[i].name,
                     attr_type(op->attrs[i].kind), doc->attrs[i]);
    const struct {
        const char *title, *text;
    } parts[] = {{"types", doc->types},
                 {"shapes", doc->shapes},
                 {"formula", doc->formula},
                 {"gradient", doc->gradient},
                 {"NaN, inf", doc->special}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        (void)printf("  %-11s ", parts[i].title);
        print_lines(parts[i].text, margin);
    }
}

static void print_block(const char *title, const char *text)
{
    (void)printf("\n%s:\n\n    ", title);
    print_lines(text, "    ");
}

static void print_markdown(const m3_op *op)
{
    const m3_op_doc *doc = op->doc;
    (void)printf("\n## %s\n\n%s. A %s op.\n\n- Inputs: ", op->name, doc->summary, kind_of(op));
    print_inputs(op);
    (void)printf("\n- Outputs: ");
    print_outputs(op);
    (void)printf("\n");
    for (uint32_t i = 0; i < op->attr_count; i++)
        (void)printf("- Attribute `%s` (%s): %s\n", op->attrs[i].name, attr_type(op->attrs[i].kind), doc->attrs[i]);
    (void)printf("- Types: %s\n", doc->types);
    print_block("Shapes", doc->shapes);
    print_block("Formula", doc->formula);
    print_block("Gradient", doc->gradient);
    (void)printf("\nNaN and infinity: %s\n", doc->special);
}

static void print_markdown_head(void)
{
    (void)printf(
        "# Operations\n\n"
        "What a graph is made of. Every backend has the core ops; a fused op that a device does not run is built\n"
        "from core ops. This page is printed by `m3bsr ops --markdown` from what the ops say of themselves.\n\n"
        "- Shapes are row-major; `...` stands for any leading axes, `[(G,) ...]` for an optional group axis.\n"
        "- Formulas hold for the values; a float result is rounded to its type, within the bounds that\n"
        "  `m3bsr conformance` states. A device may flush denormal numbers to zero.\n"
        "- An input marked optional may be left out. `...` behind inputs or outputs: any number follows.\n"
        "- Gradients are graphs of ops too; `dx` is the gradient of the loss by `x`.\n");
}

static const m3_op *find(const char *name)
{
    for (uint32_t i = 0; i < m3_op_count(); i++)
        if (strcmp(m3_op_at(i)->name, name) == 0) return m3_op_at(i);
    cli_show(stderr, "error: there is no built-in op '%s'; 'm3bsr ops' lists them\n", name);
    return NULL;
}

int cmd_ops(int argc, char **argv)
{
    cli c = {0};
    bool markdown = false;
    const cli_option options[] = {{"markdown", CLI_FLAG, &markdown, NULL, "as a page in Markdown"}};
    const cli_command command = {.usage = "ops [NAME] [options]",
                                 .about = "Describe the built-in operations: operands, attributes, shapes, formulas.",
                                 .options = options,
                                 .option_count = 1,
                                 .max_words = 1};
    int status = cli_parse(&c, &command, argc, argv);
    if (status != CLI_GO_ON) return status;
    const m3_op *one = c.count > 0 ? find(c.words[0]) : NULL;
    if (c.count > 0 && one == NULL) return CLI_BAD_INPUT;
    if (c.json) (void)printf("{\"ops\": [");
    if (markdown && !c.json && one == NULL) print_markdown_head();
    for (uint32_t i = 0; i < m3_op_count(); i++) {
        const m3_op *op = m3_op_at(i);
        if (one != NULL && op != one) continue;
        if (c.json)
            print_json(op, one != NULL || i == 0);
        else if (markdown)
            print_markdown(op);
        else if (one != NULL)
            print_text(op);
        else
            (void)printf("%-28s %-6s %s\n", op->name, kind_of(op), op->doc->summary);
    }
    if (c.json) (void)printf("]}\n");
    cli_close(&c);
    return CLI_DONE;
}
