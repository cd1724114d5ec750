/* rows_core: the cases of the core ops. Extents: 1, odd, zero, around and beyond tiles of 8, 16, 64, broadcasts.
 * A line that checks gradients too keeps away from kinks and ends, where a difference quotient means nothing. */
#include "core/conformance/cases.h"

enum { O = M3_CASE_OPS, G = M3_CASE_GRADIENTS, OG = M3_CASE_OPS | M3_CASE_GRADIENTS };

#define SHAPES "f32[] | f32[1] | f32[7] | f32[2,0,3] | f32[3,5,17] | f32[1025] wide"

const m3_case_row m3_case_rows_core[] = {
    {OG, "reshape", "6 | 3,2 | 1,6,1", "f32[2,3] | f32[6]"},
    {O, "reshape", "0,7", "f32[3,0] | bool[0] | i32[7,0,2]"},
    {O, "reshape", "5,13", "f32[65] special | i32[13,5] | u32[65] | u8[65] | bool[65] | f16[65] | bf16[65]"},
    {OG, "copy", "", "f32[] | f32[7] | f32[3,5]"},
    {O, "copy", "", "f32[0,3] | f32[257] special | i32[33] bits | u32[33] | u8[5] | bool[5,7] | f16[65] | bf16[65]"},
    {O, "detach", "",
     "f32[] | f32[3,5] | f32[0,3] | f32[257] special | i32[33] bits | u32[33] | u8[5] | bool[5,7] | f16[65] | "
     "bf16[65]"},
    {OG, "transpose", "1,0", "f32[1,1] | f32[3,5] | f32[17,33]"},
    {O, "transpose", "1,0", "f32[0,4] | f32[64,64] special | i32[3,5] | bool[9,7] | u8[5,6]"},
    {OG, "transpose", "0,2,1,3 | 3,2,1,0 | 2,0,3,1", "f32[2,3,4,5]"},
    {O, "transpose", "5,4,3,2,1,0", "f32[1,2,3,1,3,2]"},
    {O, "transpose", "", "f32[]"},
    {OG, "broadcast", "3,4", "f32[] | f32[1] | f32[4] | f32[3,1] | f32[1,4]"},
    {O, "broadcast", "5,3,1,17", "f32[] special | f32[17] | f32[3,1,1] | i32[17] | bool[5,1,1,1] | u32[1]"},
    {O, "broadcast", "2,0", "f32[] | f32[2,1] | f32[0]"},
    {OG, "slice", "0,0; 1,1 | 1,2; 2,3 | 2,0; 1,5", "f32[3,5]"},
    {O, "slice", "3,1,0; 5,1,33 | 0,0,7; 9,3,1 | 4,2,20; 0,1,5", "f32[9,3,33] special | i32[9,3,33] | u8[9,3,33]"},
    {OG, "pad", "0,0; 3,5 | 1,2; 4,7 | 3,0; 6,5", "f32[3,5]"},
    {O, "pad", "2,0; 5,3", "f32[0,3] | f32[3,0] | f32[1,1] special | i32[3,2] | bool[1,3]"},
    {OG, "flip", "0 | 1 | 2", "f32[2,3,5] | f32[4,1,2]"},
    {O, "flip", "0 | 1", "f32[0,3] | f32[3,0] | f32[33,65] special | i32[5,9] bits | u8[9,7] | bool[5,33] | f16[3,5]"},
    {OG, "scan", "0; 0 | 0; 1 | 1; 0 | 1; 1 | 2; 0 | 2; 1", "f32[2,3,5]; f32[2,3,5] | f32[1,1,1]; f32[1,1,1]"},
    {O, "scan", "0; 0 | 1; 1",
     "f32[0,3]; f32[0,3] | f32[3,0]; f32[3,0] | f32[65,33] value 0.75; f32[65,33] | "
     "f32[9,7] nonfinite; f32[9,7] nonfinite | f32[130,257] value 0.75; f32[130,257]"},
    {OG, "concat", "0", "f32[2,3]; f32[1,3]; f32[4,3] | f32[5]; f32[7]"},
    {OG, "concat", "1", "f32[2,3,2]; f32[2,1,2]"},
    {O, "concat", "1",
     "f32[3,0]; f32[3,5] special; f32[3,1] | i32[2,3]; i32[2,17] | bool[65,1]; bool[65,2] | u32[1,4]"},

    {OG, "neg | abs", "", SHAPES},
    {O, "neg | abs", "", "f32[257] special | i32[17]"},
    {OG, "exp | tanh | sigmoid", "", SHAPES},
    {O, "exp | tanh | sigmoid", "", "f32[257] special"},
    {OG, "expm1 | erf", "", SHAPES},
    {O, "expm1 | erf", "", "f32[257] special | f32[33] value 1e-6"},
    {OG, "log1p", "", "f32[] positive | f32[7] positive | f32[3,5,17] positive | f32[2,0]"},
    {O, "log1p", "", "f32[257] nonfinite | f32[33] value 1e-6 | f32[33] value 1e30 | f32[257] special"},
    {OG, "log | sqrt", "", "f32[] positive | f32[7] positive | f32[3,5,17] positive | f32[2,0]"},
    {O, "log | sqrt", "", "f32[257] nonfinite | f32[33] value 1e30 | f32[33] value 1e-30"},
    {OG, "sin | cos", "", SHAPES},
    {O, "sin | cos", "", "f32[257] nonfinite | f32[9] value 1000"},
    {O, "floor", "", SHAPES " | f32[257] nonfinite | f32[33] ties"},
    {O, "not", "", "bool[] | bool[1] | bool[0,3] | bool[5,33]"},
    {O, "cast", "0", "i32[] | i32[129] bits | u32[129] | u8[33] | bool[33] | f16[65] | bf16[65] | f32[3,0]"},
    {O, "cast", "1", "f32[257] wide | f32[65] nonfinite | f32[9] value 3e9 | u32[65] | u8[33] | bool[5,3]"},
    {O, "cast", "2", "f32[257] positive | f32[65] nonfinite | f32[9] value -3 | i32[65] | u8[33] | bool[5,3]"},
    {O, "cast", "3", "f32[257] wide | i32[65] bits | u32[65] | bool[33]"},
    {O, "cast", "4", "f32[129] nonfinite | i32[33] | u32[33] | u8[33] ids 1"},
    {O, "cast", "5 | 6", "f32[257] | f32[257] wide | f32[65] nonfinite | f32[33] value 1e6 | f32[33] value 3e-6"},
    {G, "cast", "7", "f32[5] | f32[2,0] | f32[]"},

    {OG, "add | sub | mul", "",
     "f32[]; f32[] | f32[1]; f32[7] | f32[3,5]; f32[3,5] | f32[3,5]; f32[5] | f32[3,1]; f32[1,5] | f32[2,1,3,1]; "
     "f32[4,1,7]"},
    {O, "add | sub | mul", "",
     "f32[0,3]; f32[3] | f32[1025]; f32[1025] wide | f32[65,33]; f32[] | f32[257] nonfinite; f32[257] nonfinite | "
     "i32[65]; i32[65] | i32[3,1]; i32[4] | u32[65]; u32[65] | i32[33] bits; i32[33] bits"},
    {OG, "div", "",
     "f32[]; f32[] positive | f32[3,5]; f32[3,5] positive | f32[3,1]; f32[5] positive | f32[1025]; f32[] positive"},
    {O, "div", "",
     "f32[257] nonfinite; f32[257] nonfinite | f32[0]; f32[1] | i32[257]; i32[257] | i32[65] bits; i32[65] ids 5 | "
     "u32[65]; u32[65] value 7 | i32[9] value -2147483648; i32[9] value -1"},
    {OG, "pow", "",
     "f32[] positive; f32[] | f32[3,5] positive; f32[3,5] | f32[3,1] positive; f32[5] | f32[1025] positive; f32[]"},
    {O, "pow", "",
     "f32[1025] nonfinite; f32[1025] nonfinite | f32[257] ties; f32[257] ties | f32[0]; f32[1] | f32[65]; f32[] value "
     "2 | "
     "f32[65] nonfinite; f32[65] ties | f32[1025] positive; f32[1025] wide"},
    {OG, "max | min", "", "f32[]; f32[] | f32[3,5]; f32[3,5] | f32[3,1]; f32[5] | f32[65,33]; f32[33]"},
    {O, "max | min", "",
     "f32[257] nonfinite; f32[257] nonfinite | f32[65] ties; f32[65] ties | f32[0]; f32[] | i32[65]; i32[65] | "
     "u32[65]; u32[65]"},
    {O, "equal | less | less_equal", "",
     "f32[]; f32[] | f32[257] nonfinite; f32[257] nonfinite | f32[9,7] ties; f32[7] ties | f32[0]; f32[] | "
     "i32[65]; i32[65] | u32[65]; u32[65] | i32[5,1]; i32[3] value 2"},
    {O, "equal", "", "bool[33]; bool[33] | u8[33] ids 3; u8[33] ids 3"},
    {O, "and | or", "", "bool[]; bool[] | bool[65,3]; bool[65,3] | bool[5,1]; bool[7] | bool[0]; bool[1]"},
    {OG, "where", "",
     "bool[3,5]; f32[3,5]; f32[3,5] | bool[3,1]; f32[5]; f32[] | bool[]; f32[7]; f32[7] | bool[2,5,7]; f32[7]; "
     "f32[5,1]"},
    {O, "where", "",
     "bool[257]; f32[257] special; f32[] | bool[0]; f32[]; f32[1] | bool[33]; i32[33]; i32[] | bool[33]; bool[33]; "
     "bool[33] "
     "| bool[5,1]; u32[33]; u32[5,33]"},

    {OG, "reduce_sum", "0; 0 | 0; 1 | 1; 0 | 2; 1", "f32[1,1,1] | f32[3,5,7] | f32[2,33,65]"},
    {O, "reduce_sum", "0; 0 | 1; 1", "f32[0,3] | f32[3,0] | f32[129,257] | f32[9,7] nonfinite | i32[9,33]"},
    {O, "reduce_sum", "0; 0", "f32[1] | f32[4097] | i32[9] bits"},
    {OG, "reduce_max", "0; 0 | 0; 1 | 1; 0 | 2; 1", "f32[1,1,1] | f32[3,5,7] | f32[2,33,65]"},
    {O, "reduce_max", "0; 0 | 1; 1",
     "f32[0,3] | f32[3,0] | f32[129,257] ties | f32[9,7] nonfinite | i32[9,33] | i32[0,3]"},

    {OG, "matmul", "0; 0", "f32[1,1]; f32[1,1] | f32[7,5]; f32[5,3] | f32[2,3,5]; f32[2,5,4] | f32[3,2,4]; f32[4,5]"},
    {OG, "matmul", "0; 1", "f32[7,5]; f32[3,5] | f32[2,1,3,5]; f32[3,4,5] | f32[4,5]; f32[2,3,5]"},
    {OG, "matmul", "1; 0", "f32[5,7]; f32[5,3] | f32[2,5,3]; f32[5,4]"},
    {OG, "matmul", "1; 1", "f32[5,7]; f32[3,5] | f32[2,5,3]; f32[2,4,5]"},
    {O, "matmul", "0; 0",
     "f32[0,5]; f32[5,3] | f32[3,0]; f32[0,3] | f32[3,5]; f32[5,0] | f32[0,2,3]; f32[3,2] | f32[17,33]; f32[33,65] | "
     "f32[129,67]; f32[67,131] | f32[64,64]; f32[64,64] | f32[1,257]; f32[257,1] | f32[5,16,16]; f32[5,16,8]"},
    {O, "matmul", "0; 1", "f32[65,127]; f32[129,127] | f32[1,64]; f32[1000,64] | f32[3,7,33]; f32[3,7,33]"},
    {O, "matmul", "1; 0", "f32[127,65]; f32[127,33] | f32[640,17]; f32[640,16] | f32[2,20,20]; f32[2,20,8]"},
    {O, "matmul", "1; 1", "f32[127,65]; f32[33,127] | f32[3,5,17]; f32[3,9,5]"},

    {OG, "gather", "-1 | 0", "f32[5,3]; i32[7] ids 5 | f32[5]; i32[2,3] ids 5 | f32[4,2,3]; i32[] ids 4"},
    {O, "gather", "-1 | 0",
     "f32[1,1]; i32[1] ids 1 | f32[0,3]; i32[4] ids 0 | f32[3,0]; i32[4] ids 3 | f32[9,33] special; i32[5,7] ids 9 | "
     "f32[257,128]; i32[129] ids 257 | i32[9,2]; i32[17] ids 9 | bool[9]; i32[17] ids 9 | f32[3,2]; i32[0]"},
    {OG, "scatter_add", "5; -1 | 5; 0", "i32[7] ids 5; f32[7,3] | i32[33] ids 5; f32[33] | i32[9] ids 5; f32[9,2,3]"},
    {O, "scatter_add", "17; -1 | 17; 0",
     "i32[0]; f32[0,3] | i32[1] ids 17; f32[1,1] | i32[640] ids 17; f32[640,33] | i32[65] value 3; f32[65,8] | "
     "i32[300] ids 900; f32[300,5] | i32[33] ids 17; i32[33,2] | i32[4]; f32[4,0]"},
    {O, "scatter_add", "0; -1", "i32[3] ids 3; f32[3,2]"},
    {OG, "scatter_rows", "", "f32[7,3]; i32[5] distinct 7; f32[5,3] | f32[9]; i32[3] distinct 9; f32[3]"},
    {O, "scatter_rows", "",
     "f32[129,33] special; i32[65] distinct 129; f32[65,33] | f32[5,2]; i32[0]; f32[0,2] | f32[0,2]; i32[3] value -1; "
     "f32[3,2] | i32[9,3]; i32[7] distinct 9; i32[7,3] | f32[4,2,3]; i32[4] distinct 4; f32[4,2,3]"},
    {O, "group_rows", "-1 | 0",
     "i32[7] ids 5; f32[7,3] | i32[1] ids 2; f32[1,1] | i32[0]; f32[0,3] | i32[640] ids 40; f32[640,33] | i32[65] "
     "value "
     "3; f32[65,8] | i32[33] value -1; f32[33,2] | i32[257] ids 100000; f32[257,4]"},
    {O, "sort", "",
     "f32[1] | f32[7] | f32[0] | f32[3,0] | f32[3,65] ties | f32[5,33] nonfinite | f32[1025] | i32[257] | i32[2,129] "
     "bits "
     "| u32[65]"},
    {OG, "top_k", "1 | 3", "f32[5] | f32[3,7] | f32[2,3,33]"},
    {O, "top_k", "0 | 5", "f32[5] ties | f32[9,65] nonfinite | f32[3,1000] ties | f32[0,9] | f32[2,1025]"},
    {O, "iota", "1; 0 | 7; 0 | 3,5; 0 | 3,5; 1 | 0,4; 1 | 3,1,65; 2 | 2,65,3; 1", ""},
    {O, "philox", "1; 0 | 7; 1 | 0; 3 | 3,5,17; 4294967295 | 1027; 12", "u32[3]"},
    {O, "philox_part", "1; 0; 1 | 7; 1; 1 | 0; 3; 1 | 3,5,12; 4294967295; 15 | 1027; 12; 1", "u32[5]"},
};
const uint32_t m3_case_rows_core_count = sizeof m3_case_rows_core / sizeof m3_case_rows_core[0];
