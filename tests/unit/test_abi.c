/* abi: every member of a struct that crosses the plugin border stays where it is.
 * A pin that fails says that plugins built before would read the wrong bytes: append a member instead, raise
 * M3_ABI_MINOR, write a line into the changelog, and pin the new member here. */
#include "m3bsr/backend.h"
#include "m3bsr/builder.h"
#include "m3bsr/collectives.h"

#include <setjmp.h>

#include <cmocka.h>

#if UINTPTR_MAX == UINT64_MAX
#define PIN(type, member, at) _Static_assert(offsetof(type, member) == (at), #type "." #member " has moved")
#else
#define PIN(type, member, at) _Static_assert(true, "offsets are pinned for 64-bit machines")
#endif

PIN(m3_error, code, 0);
PIN(m3_error, line, 4);
PIN(m3_error, file, 8);
PIN(m3_error, subject, 104);
PIN(m3_error, message, 264);

PIN(m3_span, count, 0);
PIN(m3_span, stride, 4);
PIN(m3_span, data, 8);

PIN(m3_shape, rank, 0);
PIN(m3_shape, dim, 8);

PIN(m3_init, kind, 0);
PIN(m3_init, value, 4);
PIN(m3_init, zero_rows, 8);

PIN(m3_tensor, size, 0);
PIN(m3_tensor, id, 4);
PIN(m3_tensor, kind, 8);
PIN(m3_tensor, dtype, 12);
PIN(m3_tensor, shape, 16);
PIN(m3_tensor, name, 72);
PIN(m3_tensor, producer, 80);
PIN(m3_tensor, output, 88);
PIN(m3_tensor, init, 92);
PIN(m3_tensor, data, 104);

PIN(m3_attr, count, 0);
PIN(m3_attr, i, 8);
PIN(m3_attr, f, 56);

PIN(m3_node, size, 0);
PIN(m3_node, id, 4);
PIN(m3_node, op, 8);
PIN(m3_node, scope, 16);
PIN(m3_node, in_count, 24);
PIN(m3_node, out_count, 28);
PIN(m3_node, in, 32);
PIN(m3_node, out, 40);
PIN(m3_node, attr, 48);

PIN(m3_attr_desc, name, 0);
PIN(m3_attr_desc, kind, 8);

PIN(m3_tensor_desc, dtype, 0);
PIN(m3_tensor_desc, shape, 8);

PIN(m3_kernel_desc, size, 0);
PIN(m3_kernel_desc, language, 8);
PIN(m3_kernel_desc, code, 16);
PIN(m3_kernel_desc, code_bytes, 24);
PIN(m3_kernel_desc, entry, 32);
PIN(m3_kernel_desc, local, 40);
PIN(m3_kernel_desc, grid_output, 52);
PIN(m3_kernel_desc, grid_divide, 56);

PIN(m3_op, size, 0);
PIN(m3_op, name, 8);
PIN(m3_op, flags, 16);
PIN(m3_op, min_inputs, 20);
PIN(m3_op, max_inputs, 24);
PIN(m3_op, outputs, 28);
PIN(m3_op, attrs, 32);
PIN(m3_op, attr_count, 40);
PIN(m3_op, infer, 48);
PIN(m3_op, gradient, 56);
PIN(m3_op, decompose, 64);
PIN(m3_op, evaluate, 72);
PIN(m3_op, flops, 80);
PIN(m3_op, count_outputs, 88);
PIN(m3_op, update_of, 96);
PIN(m3_op, kernels, 104);
PIN(m3_op, zero_gradient, 120);
PIN(m3_op, doc, 128);
PIN(m3_op, row_axis, 136);
PIN(m3_op, repeats, 144);
PIN(m3_op, accumulate, 152);
PIN(m3_op, absorb, 160);
PIN(m3_op, bytes, 168);
PIN(m3_op, epilogue, 176);
PIN(m3_op, shared_inputs, 180);
PIN(m3_op, cases, 184);
PIN(m3_op, halves, 200);
PIN(m3_op, join, 208);
PIN(m3_op, side_by_side, 216);

PIN(m3_op_case, size, 0);
PIN(m3_op_case, inputs, 8);
PIN(m3_op_case, attrs, 16);

PIN(m3_op_doc, size, 0);
PIN(m3_op_doc, input_count, 4);
PIN(m3_op_doc, output_count, 8);
PIN(m3_op_doc, inputs, 16);
PIN(m3_op_doc, outputs, 24);
PIN(m3_op_doc, attrs, 32);
PIN(m3_op_doc, summary, 40);
PIN(m3_op_doc, types, 48);
PIN(m3_op_doc, shapes, 56);
PIN(m3_op_doc, formula, 64);
PIN(m3_op_doc, gradient, 72);
PIN(m3_op_doc, special, 80);

PIN(m3_builder_api, size, 0);
PIN(m3_builder_api, emit, 8);
PIN(m3_builder_api, constant, 16);
PIN(m3_builder_api, parameter, 24);
PIN(m3_builder_api, push, 32);
PIN(m3_builder_api, pop, 40);
PIN(m3_builder_api, fail, 48);
PIN(m3_builder_api, status, 56);
PIN(m3_builder_api, dropout, 64);
PIN(m3_builder_api, group, 72);

PIN(m3_builder, api, 0);

PIN(m3_host, size, 0);
PIN(m3_host, abi_major, 4);
PIN(m3_host, abi_minor, 8);
PIN(m3_host, user, 16);
PIN(m3_host, log, 24);
PIN(m3_host, allocate, 32);
PIN(m3_host, release, 40);
PIN(m3_host, parallel, 48);
PIN(m3_host, threads, 56);
PIN(m3_host, cache_path, 64);
PIN(m3_host, progress, 72);

PIN(m3_option, key, 0);
PIN(m3_option, value, 8);

PIN(m3_plugin, size, 0);
PIN(m3_plugin, magic, 4);
PIN(m3_plugin, abi_major, 8);
PIN(m3_plugin, abi_minor, 12);
PIN(m3_plugin, host_minor, 16);
PIN(m3_plugin, kind, 20);
PIN(m3_plugin, name, 24);
PIN(m3_plugin, version, 32);
PIN(m3_plugin, build, 40);
PIN(m3_plugin, table, 48);

PIN(m3_option_desc, size, 0);
PIN(m3_option_desc, key, 8);
PIN(m3_option_desc, type, 16);
PIN(m3_option_desc, fallback, 24);
PIN(m3_option_desc, min, 32);
PIN(m3_option_desc, max, 40);
PIN(m3_option_desc, help, 48);
PIN(m3_option_desc, choices, 56);

PIN(m3_module_args, size, 0);
PIN(m3_module_args, width, 4);
PIN(m3_module_args, options, 8);
PIN(m3_module_args, modality, 24);

PIN(m3_module_api, size, 0);
PIN(m3_module_api, options, 8);
PIN(m3_module_api, ops, 24);
PIN(m3_module_api, build, 40);

PIN(m3_collectives_info, size, 0);
PIN(m3_collectives_info, ranks, 4);
PIN(m3_collectives_info, first, 8);
PIN(m3_collectives_info, here, 12);
PIN(m3_collectives_info, name, 16);

PIN(m3_parcel, send, 0);
PIN(m3_parcel, send_bytes, 8);
PIN(m3_parcel, receive, 16);
PIN(m3_parcel, receive_bytes, 24);

PIN(m3_collectives_api, size, 0);
PIN(m3_collectives_api, options, 8);
PIN(m3_collectives_api, open, 24);
PIN(m3_collectives_api, close, 32);
PIN(m3_collectives_api, info, 40);
PIN(m3_collectives_api, rank, 48);
PIN(m3_collectives_api, exchange, 56);
PIN(m3_collectives_api, wait, 64);
PIN(m3_collectives_api, fail, 72);

PIN(m3_device_info, size, 0);
PIN(m3_device_info, device_class, 4);
PIN(m3_device_info, name, 8);
PIN(m3_device_info, driver, 136);
PIN(m3_device_info, features, 264);

PIN(m3_device_limits, size, 0);
PIN(m3_device_limits, offset_alignment, 4);
PIN(m3_device_limits, largest_buffer, 8);
PIN(m3_device_limits, largest_binding, 16);
PIN(m3_device_limits, memory_total, 24);
PIN(m3_device_limits, memory_free, 32);
PIN(m3_device_limits, map_alignment, 40);
PIN(m3_device_limits, unified, 44);
PIN(m3_device_limits, coherent, 45);
PIN(m3_device_limits, overlaps, 46);

PIN(m3_segment, role, 0);
PIN(m3_segment, bytes, 8);

PIN(m3_place, segment, 0);
PIN(m3_place, offset, 8);

PIN(m3_program, size, 0);
PIN(m3_program, name, 8);
PIN(m3_program, node_count, 16);
PIN(m3_program, nodes, 24);
PIN(m3_program, tensor_count, 32);
PIN(m3_program, places, 40);
PIN(m3_program, segment_count, 48);
PIN(m3_program, segments, 56);

PIN(m3_backend_api, size, 0);
PIN(m3_backend_api, open, 8);
PIN(m3_backend_api, close, 16);
PIN(m3_backend_api, list, 24);
PIN(m3_backend_api, device_open, 32);
PIN(m3_backend_api, device_close, 40);
PIN(m3_backend_api, limits, 48);
PIN(m3_backend_api, buffer_create, 56);
PIN(m3_backend_api, buffer_free, 64);
PIN(m3_backend_api, buffer_map, 72);
PIN(m3_backend_api, buffer_unmap, 80);
PIN(m3_backend_api, upload, 88);
PIN(m3_backend_api, download, 96);
PIN(m3_backend_api, supports, 104);
PIN(m3_backend_api, compile, 112);
PIN(m3_backend_api, exec_free, 120);
PIN(m3_backend_api, submit, 128);
PIN(m3_backend_api, wait, 136);
PIN(m3_backend_api, profile, 144);
PIN(m3_backend_api, node_times, 152);
PIN(m3_backend_api, memory_used, 160);
PIN(m3_backend_api, measure_peak, 168);
PIN(m3_backend_api, describe, 176);
PIN(m3_backend_api, tuning, 184);
PIN(m3_backend_api, options, 192);
PIN(m3_backend_api, kernels, 208);
PIN(m3_backend_api, submit_until, 216);

PIN(m3_kernel_info, size, 0);
PIN(m3_kernel_info, name, 8);
PIN(m3_kernel_info, dispatches, 16);
PIN(m3_kernel_info, nodes, 24);
PIN(m3_kernel_info, figures, 32);
PIN(m3_kernel_info, lacks, 48);

PIN(m3_kernel_figure, name, 0);
PIN(m3_kernel_figure, value, 8);

PIN(m3_tuning, size, 0);
PIN(m3_tuning, classes, 4);
PIN(m3_tuning, measured, 8);
PIN(m3_tuning, path, 12);

/* Structs without a size lie in arrays and in other structs, so they never grow. */
#if UINTPTR_MAX == UINT64_MAX
#define PIN_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " has another size")
#else
#define PIN_SIZE(type, bytes) _Static_assert(true, "sizes are pinned for 64-bit machines")
#endif
PIN_SIZE(m3_error, 1288);
PIN_SIZE(m3_span, 16);
PIN_SIZE(m3_shape, 56);
PIN_SIZE(m3_init, 12);
PIN_SIZE(m3_attr, 64);
PIN_SIZE(m3_attr_desc, 16);
PIN_SIZE(m3_tensor_desc, 64);
PIN_SIZE(m3_option, 16);
PIN_SIZE(m3_segment, 16);
PIN_SIZE(m3_place, 16);
PIN_SIZE(m3_kernel_figure, 16);
PIN_SIZE(m3_builder, 8);

/* Codes, bits and limits that plugins were compiled with. */
#define PIN_VALUE(name, value) _Static_assert((name) == (value), #name " has changed")
PIN_VALUE(M3_OK, 0);
PIN_VALUE(M3_ERR_INVALID, 1);
PIN_VALUE(M3_ERR_UNSUPPORTED, 2);
PIN_VALUE(M3_ERR_MEMORY, 3);
PIN_VALUE(M3_ERR_DEVICE_LOST, 4);
PIN_VALUE(M3_ERR_TIMEOUT, 5);
PIN_VALUE(M3_ERR_RANGE, 6);
PIN_VALUE(M3_ERR_ABI, 7);
PIN_VALUE(M3_ERR_IO, 8);
PIN_VALUE(M3_ERR_INTERNAL, 9);
PIN_VALUE(M3_ERR_INTERRUPTED, 10);
PIN_VALUE(M3_LOG_ERROR, 0);
PIN_VALUE(M3_LOG_WARN, 1);
PIN_VALUE(M3_LOG_INFO, 2);
PIN_VALUE(M3_LOG_DEBUG, 3);
PIN_VALUE(M3_F32, 0);
PIN_VALUE(M3_I32, 1);
PIN_VALUE(M3_U32, 2);
PIN_VALUE(M3_U8, 3);
PIN_VALUE(M3_BOOL, 4);
PIN_VALUE(M3_F16, 5);
PIN_VALUE(M3_BF16, 6);
PIN_VALUE(M3_F64, 7);
PIN_VALUE(M3_MAX_RANK, 6);
PIN_VALUE(M3_INPUT, 0);
PIN_VALUE(M3_CONSTANT, 1);
PIN_VALUE(M3_PARAMETER, 2);
PIN_VALUE(M3_STATE, 3);
PIN_VALUE(M3_TEMPORARY, 4);
PIN_VALUE(M3_INIT_CONSTANT, 0);
PIN_VALUE(M3_INIT_NORMAL, 1);
PIN_VALUE(M3_ATTR_INT, 0);
PIN_VALUE(M3_ATTR_INTS, 1);
PIN_VALUE(M3_ATTR_FLOAT, 2);
PIN_VALUE(M3_OP_ALIAS, 1);
PIN_VALUE(M3_OP_INPLACE, 2);
PIN_VALUE(M3_OP_UPDATES, 4);
PIN_VALUE(M3_OP_DRAWS, 8);
PIN_VALUE(M3_OP_ELEMENTWISE, 16);
PIN_VALUE(M3_OP_SLICE, 32);
PIN_VALUE(M3_OP_ROW_SUM, 64);
PIN_VALUE(M3_OP_MULTI_TENSOR, 128);
PIN_VALUE(M3_EPILOGUE_NONE, 0);
PIN_VALUE(M3_EPILOGUE_RELU, 1);
PIN_VALUE(M3_EPILOGUE_SILU, 2);
PIN_VALUE(M3_EPILOGUE_SIGMOID, 3);
PIN_VALUE(M3_EPILOGUE_TANH, 4);
PIN_VALUE(M3_EPILOGUE_RESIDUAL, 16);
PIN_VALUE(M3_EPILOGUE_GATE, 17);
PIN_VALUE(M3_ROWS_ALL, -1);
PIN_VALUE(M3_ROWS_MIXED, -2);
PIN_VALUE(M3_ACT_NONE, 0);
PIN_VALUE(M3_ACT_RELU, 1);
PIN_VALUE(M3_ACT_SILU, 2);
PIN_VALUE(M3_ACT_SIGMOID, 3);
PIN_VALUE(M3_ACT_TANH, 4);
PIN_VALUE(M3_PLUGIN_MAGIC, 0x5033424du);
PIN_VALUE(M3_PLUGIN_BACKEND, 1);
PIN_VALUE(M3_PLUGIN_ENCODER, 2);
PIN_VALUE(M3_PLUGIN_EXPERT, 3);
PIN_VALUE(M3_PLUGIN_COLLECTIVES, 4);
PIN_VALUE(M3_OPTION_INT, 0);
PIN_VALUE(M3_OPTION_FLOAT, 1);
PIN_VALUE(M3_OPTION_BOOL, 2);
PIN_VALUE(M3_OPTION_TEXT, 3);
PIN_VALUE(M3_OPTION_CHOICE, 4);
PIN_VALUE(M3_OPTION_INTS, 5);
PIN_VALUE(M3_OPTION_TEXTS, 6);
PIN_VALUE(M3_DEVICE_DISCRETE, 0);
PIN_VALUE(M3_DEVICE_INTEGRATED, 1);
PIN_VALUE(M3_DEVICE_CPU, 2);
PIN_VALUE(M3_DEVICE_SOFTWARE, 3);
PIN_VALUE(M3_DEVICE_REFERENCE, 4);
PIN_VALUE(M3_BUFFER_DEVICE, 1);
PIN_VALUE(M3_BUFFER_UPLOAD, 2);
PIN_VALUE(M3_BUFFER_DOWNLOAD, 4);
PIN_VALUE(M3_BUFFER_MAPPABLE, 8);
PIN_VALUE(M3_MAP_READ, 1);
PIN_VALUE(M3_MAP_WRITE, 2);
PIN_VALUE(M3_SEGMENT_INPUT, 0);
PIN_VALUE(M3_SEGMENT_OUTPUT, 1);
PIN_VALUE(M3_SEGMENT_CONSTANT, 2);
PIN_VALUE(M3_SEGMENT_STORE, 3);
PIN_VALUE(M3_SEGMENT_SCRATCH, 4);
PIN_VALUE(M3_NO_SEGMENT, 0xffffffffu);

static void a_size_counts_to_the_end_of_its_last_member(void **state)
{
    (void)state;
    m3_device_limits limits = {.size = M3_STRUCT_SIZE(m3_device_limits, unified)};
    assert_true(limits.size < sizeof limits);
    assert_true(M3_HAS(&limits, m3_device_limits, unified));
    assert_false(M3_HAS(&limits, m3_device_limits, coherent));
    assert_false(M3_HAS((const m3_device_limits *)NULL, m3_device_limits, unified));
}

static void a_span_is_walked_by_its_stride(void **state)
{
    (void)state;
    static const struct wide {
        m3_option known;
        const char *later;
    } wide[2] = {{{"a", "1"}, "x"}, {{"b", "2"}, "y"}};
    const m3_span span = {2, sizeof wide[0], wide};
    assert_string_equal(((const m3_option *)m3_span_at(span, 1))->key, "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_size_counts_to_the_end_of_its_last_member),
        cmocka_unit_test(a_span_is_walked_by_its_stride),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
