/* measure: chains of fused multiply-adds that depend on nothing but themselves: 2 * CHAINS * VECTOR a round and item. */
#define CHAINS 16
#define EACH(do)                                                                                                       \
    do(0) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11) do(12) do(13) do(14) do(15)
#define START(i) real sum##i = (real)(seed + i);
#define STEP(i)  sum##i = sum##i * factor + term;
#define TOTAL(i) all += sum##i;

KERNEL(measure)
{
    OPEN_BUFFERS(measure)
    const float seed = (float)(ITEM & 15u) * 1e-3f;
    const real factor = (real)(0.999f), term = (real)(seed);
    real all = (real)(0.0f);
    EACH(START)
    for (uint round = 0; round < rounds; round++) {
        EACH(STEP)
    }
    EACH(TOTAL)
    y[ITEM] = sum_of(all);
}
