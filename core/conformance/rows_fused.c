/* rows_fused: the cases of the fused ops. A device that refuses one is checked on its decomposition. */
#include "core/conformance/cases.h"

enum { O = M3_CASE_OPS, OG = M3_CASE_OPS | M3_CASE_GRADIENTS };

static const m3_bound exact = {0, 0, 0, "chooses: every bit counts"};
static const m3_bound function = {1e-6, 3e-6, 0, "an elementary function and a few roundings"};
static const m3_bound draw = {6e-6, 0, 0, "radius up to 6 times a wave whose angle carries one f32 rounding"};
static const m3_bound sum = {4e-6, 0, 5e-6, "f32 sums of at most some hundred terms, in any fixed order"};
static const m3_bound norm = {1e-5, 0, 1e-5,
                              "two means, a root, a division; a small spread magnifies the first mean's error"};
static const m3_bound chain = {5e-6, 0, 2e-5, "two products with a softmax between"};
static const m3_bound step = {1e-7, 1e-6, 0, "a dozen roundings an element"};

#define SHAPES "f32[] | f32[1] | f32[7] | f32[2,0,3] | f32[3,5,17]"
#define PAIRS  "f32[]; f32[] | f32[7]; f32[7] | f32[2,0]; f32[2,0] | f32[3,5,17]; f32[3,5,17]"
#define PLAIN  "0; 0; 0"

const m3_case_row m3_case_rows_fused[] = {
    {OG, "relu", "", SHAPES, &exact},
    {O, "relu", "", "f32[257] nonfinite | f32[1025] wide", &exact},
    {OG, "silu | softplus | gelu", "", SHAPES, &function},
    {O, "silu | softplus | gelu", "", "f32[1025] wide", &function},
    {O, "softplus", "", "f32[257] special", &function},
    {OG, "cumsum", "0; 0 | 0; 1 | 1; 0 | 2; 1", "f32[2,3,5] | f32[1,1,1] | f32[3,7,33]", &sum},
    {O, "cumsum", "0; 0 | 1; 1", "f32[0,3] | f32[3,0] | f32[65,33] | f32[9,7] nonfinite | f32[130,257]", &sum},
    {OG, "causal_conv", "0 | 1",
     "f32[4,3]; f32[3,1] | f32[2,7,5]; f32[5,4] | f32[2,2,3,17]; f32[17,3] | f32[2,3]; f32[3,5] | f32[2,3,4,5]; "
     "f32[2,5,3] | f32[3,4,2]; f32[3,2,2]",
     &sum},
    {O, "causal_conv", "0 | 1",
     "f32[0,3]; f32[3,2] | f32[5,0]; f32[0,2] | f32[0,5,3]; f32[3,2] | f32[3,50,64]; f32[64,4] | f32[9,7] nonfinite; "
     "f32[7,3] | f32[9,7]; f32[7,3] nonfinite | f32[2,33,65]; f32[65,16]",
     &sum},
    {OG, "relu_grad", "", PAIRS, &exact},
    {O, "relu_grad", "", "f32[257] nonfinite; f32[257] special | f32[65] ties; f32[65]", &exact},
    {O, "random_uniform", "1; 0 | 7; 5 | 0; 1 | 3,5,17; 4294967295 | 1027; 9", "u32[3]", &exact},
    {O, "random_normal", "1; 0 | 7; 5 | 0; 1 | 3,5,17; 4294967295 | 1027; 9", "u32[3]", &draw},
    {OG, "dropout", "0.1; 3 | 0; 1 | 0.75; 0",
     "f32[7]; u32[3] | f32[3,5,17]; u32[3] | f32[2,0]; u32[3] | f32[]; u32[3]", &function},
    {O, "dropout", "0.1; 3", "f32[1027]; u32[3]", &function},

    {OG, "linear", PLAIN,
     "f32[7,5]; f32[5,3] | f32[1,1]; f32[1,1]; f32[1] | f32[7,5]; f32[5,3]; f32[3]; -; - | "
     "f32[4,3]; f32[3,5]; -; f32[4,5]; - | f32[4,3]; f32[3,5]; f32[5]; f32[4,5]; f32[4,5] | f32[2,3,5]; f32[2,5,4]; "
     "f32[2,4]",
     &sum},
    {OG, "linear", "0; 1; 0 | 0; 1; 1 | 0; 1; 2 | 0; 1; 3 | 0; 1; 4",
     "f32[7,5]; f32[3,5]; f32[3] | f32[2,3,5]; f32[2,4,5]; f32[2,4]; f32[2,3,4]; f32[2,3,4]", &sum},
    {OG, "linear", "1; 0; 0 | 1; 0; 2", "f32[5,7]; f32[5,3]; f32[3] | f32[2,5,3]; f32[2,5,4]; -; f32[2,3,4]", &sum},
    {OG, "linear", "1; 1; 0 | 1; 1; 4", "f32[5,7]; f32[3,5]; f32[3] | f32[2,5,3]; f32[2,4,5]; -; -; f32[2,3,4]", &sum},
    {O, "linear", PLAIN,
     "f32[0,5]; f32[5,3]; f32[3] | f32[3,0]; f32[0,5]; f32[5] | f32[3,5]; f32[5,0] | f32[129,67]; f32[67,131]; "
     "f32[131] | "
     "f32[3,17,33]; f32[3,33,65]; f32[3,65]; f32[3,17,65]; -",
     &sum},
    {O, "linear", "0; 1; 1 | 0; 1; 2",
     "f32[64,64]; f32[64,64]; f32[64] | f32[65,127]; f32[129,127]; f32[129]; f32[65,129] | f32[33,512]; f32[16,512] | "
     "f32[1,16]; f32[257,16]; -; -; f32[1,257] | f32[4,21,16]; f32[4,48,16]; f32[4,48]",
     &sum},
    {O, "linear", "1; 0; 0", "f32[640,33]; f32[640,17] | f32[3,129,16]; f32[3,129,48]", &sum},
    {O, "linear", "1; 1; 3", "f32[127,65]; f32[33,127]; f32[33]", &sum},

    {OG, "layer_norm", "1e-5 | 0.1",
     "f32[7]; f32[7]; f32[7] | f32[3,5]; f32[5]; f32[5] | f32[2,3,8]; f32[2,8]; f32[2,8] | f32[2,2,3,5]; f32[5]; "
     "f32[5]",
     &norm},
    {O, "layer_norm", "1e-5",
     "f32[3,1]; f32[1]; f32[1] | f32[0,5]; f32[5]; f32[5] | f32[640,128]; f32[128]; f32[128] | f32[65,33] value 1e4; "
     "f32[33]; f32[33] | f32[4,2,5,65]; f32[4,65]; f32[4,65] | f32[9,1000] wide; f32[1000]; f32[1000]",
     &norm},
    {O, "layer_norm_grad", "1e-5",
     "f32[7]; f32[7]; f32[7] | f32[3,5]; f32[5]; f32[3,5] | f32[2,3,8]; f32[2,8]; f32[2,3,8] | f32[0,5]; f32[5]; "
     "f32[0,5] "
     "| f32[129,65]; f32[65]; f32[129,65] | f32[4,2,5,33]; f32[4,33]; f32[4,2,5,33] | f32[2,201,130]; f32[2,130]; "
     "f32[2,201,130]",
     &norm},

    {OG, "masked_softmax", "",
     "f32[5]; bool[5] | f32[3,7]; bool[3,7] | f32[3,7]; bool[7] mask | f32[2,3,4]; bool[2,1,4] mask | f32[4,3]; bool[] "
     "true",
     &function},
    {O, "masked_softmax", "",
     "f32[3,5]; bool[3,5] false | f32[9,33] wide; bool[9,33] mask | f32[0,3]; bool[3] | f32[3,0]; bool[3,0] | "
     "f32[65,129]; bool[65,129] | f32[5,1]; bool[5,1] | f32[2,4,20,20]; bool[2,1,1,20] mask",
     &function},
    {OG, "attention", "1 | 2",
     "f32[3,4]; f32[5,4]; f32[5,4]; bool[5] mask | f32[2,3,4]; f32[2,5,4]; f32[2,5,4]; bool[2,5] | "
     "f32[2,2,1,6]; f32[2,2,3,6]; f32[2,2,3,6]; bool[2,2,3] mask",
     &chain},
    {O, "attention", "1 | 4",
     "f32[2,20,32]; f32[2,20,32]; f32[2,20,32]; bool[2,20] mask | f32[3,1,16]; f32[3,33,16]; f32[3,33,16]; bool[3,33] "
     "mask "
     "| f32[2,5,8]; f32[2,7,8]; f32[2,7,8]; bool[2,7] false | f32[0,5,8]; f32[0,7,8]; f32[0,7,8]; bool[0,7] | "
     "f32[2,5,8]; f32[2,0,8]; f32[2,0,8]; bool[2,0] | f32[1,65,12] wide; f32[1,65,12]; f32[1,65,12]; bool[1,65] | "
     "f32[2,0,8]; f32[2,7,8]; f32[2,7,8]; bool[2,7] | f32[1,35,256]; f32[1,9,256]; f32[1,9,256]; bool[1,9] mask | "
     "f32[2,5,8]; f32[2,7,8] nonfinite; f32[2,7,8] nonfinite; bool[2,7] false",
     &chain},
    {O, "attention_grad", "1 | 2",
     "f32[3,4]; f32[5,4]; f32[5,4]; bool[5] mask; f32[3,4] | "
     "f32[2,20,32]; f32[2,20,32]; f32[2,20,32]; bool[2,20] mask; f32[2,20,32] | "
     "f32[3,1,16]; f32[3,33,16]; f32[3,33,16]; bool[3,33] mask; f32[3,1,16] | "
     "f32[2,5,8]; f32[2,7,8]; f32[2,7,8]; bool[2,7] false; f32[2,5,8] | "
     "f32[2,2,3,6]; f32[2,2,5,6]; f32[2,2,5,6]; bool[2,2,5]; f32[2,2,3,6] | "
     "f32[2,65,12]; f32[2,40,12]; f32[2,40,12]; bool[2,40] mask; f32[2,65,12] | "
     "f32[1,35,160]; f32[1,9,160]; f32[1,9,160]; bool[1,9]; f32[1,35,160] | "
     "f32[2,0,8]; f32[2,7,8]; f32[2,7,8]; bool[2,7]; f32[2,0,8] | "
     "f32[2,5,8]; f32[2,0,8]; f32[2,0,8]; bool[2,0]; f32[2,5,8] | "
     "f32[2,5,8]; f32[2,7,8] nonfinite; f32[2,7,8] nonfinite; bool[2,7] false; f32[2,5,8]",
     &chain},
    {OG, "gru_cell", "",
     "f32[3]; f32[3]; f32[1]; bool[] | f32[3,15]; f32[3,15]; f32[3,5]; bool[3] | f32[2,3,12]; f32[2,3,12]; f32[2,3,4]; "
     "bool[2,3]",
     &function},
    {O, "gru_cell", "",
     "f32[0,15]; f32[0,15]; f32[0,5]; bool[0] | f32[65,99] wide; f32[65,99]; f32[65,33]; bool[65] | f32[4,48]; "
     "f32[4,48]; "
     "f32[4,16]; bool[4] false",
     &function},
    {O, "gru_cell_grad", "",
     "f32[3]; f32[3]; f32[1]; bool[]; f32[1] | f32[3,15]; f32[3,15]; f32[3,5]; bool[3]; f32[3,5] | "
     "f32[65,99]; f32[65,99]; f32[65,33]; bool[65]; f32[65,33] | f32[4,48]; f32[4,48]; f32[4,16]; bool[4] false; "
     "f32[4,16]",
     &function},
    {OG, "softmax_cross_entropy", "", "f32[1,1]; i32[1] value 0 | f32[3,5]; i32[3] ids 5 | f32[7,33]; i32[7] ids 33",
     &sum},
    {O, "softmax_cross_entropy", "",
     "f32[0,5]; i32[0] | f32[65,1000]; i32[65] ids 1000 | f32[9,129] wide; i32[9] ids 129 | f32[5,7]; i32[5] value -1 "
     "| f32[2,20741]; i32[2] ids 20741",
     &sum},
    {O, "softmax_cross_entropy_grad", "",
     "f32[3,5]; i32[3] ids 5; f32[3] | f32[0,5]; i32[0]; f32[0] | f32[65,1000]; i32[65] ids 1000; f32[65] | "
     "f32[9,129] wide; i32[9] ids 129; f32[9] | f32[5,7]; i32[5] value -1; f32[5]",
     &function},

    {OG, "global_norm", "", "f32[] | f32[7] | f32[3,5]; f32[9]; f32[] | f32[2,0]; f32[3]", &sum},
    {O, "global_norm", "",
     "f32[0] | f32[640,33] | f32[65] wide; f32[129,17]; f32[1]; f32[33] | f32[9] nonfinite | "
     "f32[129,129]; f32[0]; f32[8192]; f32[3]",
     &sum},
    {O, "adamw", "0.9; 0.999; 1e-8; 0.01 | 0.9; 0.999; 1e-3; 0 | 0; 0.5; 1e-8; 0.1",
     "f32[3] step; f32[] scale; f32[7]; f32[7]; f32[7] positive; f32[7] | "
     "f32[3] step; f32[] scale; f32[3,5]; f32[3,5]; f32[3,5] positive; f32[3,5]; f32[]; f32[]; f32[] positive; f32[]; "
     "f32[0,2]; f32[0,2]; f32[0,2]; f32[0,2] | "
     "f32[3] step; f32[] scale; f32[65,33]; f32[65,33]; f32[65,33] positive; f32[65,33]; f32[1025]; f32[1025]; "
     "f32[1025] "
     "positive; f32[1025]",
     &step},
    {O, "adamw_rows", "0.9; 0.999; 1e-8; 0.01 | 0.9; 0.999; 1e-3; 0",
     "f32[3] step; f32[] scale; f32[7,3]; f32[7,3]; f32[7,3] positive; i32[5] distinct 7; f32[5,3] | "
     "f32[3] step; f32[] scale; f32[129,33]; f32[129,33]; f32[129,33] positive; i32[65] distinct 129; f32[65,33] | "
     "f32[3] step; f32[] scale; f32[5,2]; f32[5,2]; f32[5,2] positive; i32[3] value -1; f32[3,2] | "
     "f32[3] step; f32[] scale; f32[5]; f32[5]; f32[5] positive; i32[0]; f32[0]",
     &step},
};
const uint32_t m3_case_rows_fused_count = sizeof m3_case_rows_fused / sizeof m3_case_rows_fused[0];
