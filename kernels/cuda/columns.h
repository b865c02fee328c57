#pragma once
// Sums of columns within a block of kColumnBlock threads. Included after launch.h.

namespace alma {

inline constexpr int kColumnBlock = 256;
// Columns of a block and the threads that share a column: a warp reads 128 neighbouring bytes of a row.
inline constexpr int kColumns = 32;
inline constexpr int kRowThreads = kColumnBlock / kColumns;

// Adds up what the threads of a column found; the threads of the first row get the sums. Fixed order.
__device__ __forceinline__ float add_rows_of_block(float sum) {
  ALMA_SHARED(float, partial, [kRowThreads][kColumns]);
  const int column = threadIdx.x % kColumns, row = threadIdx.x / kColumns;
  store<float>(&partial[row][column], sum);
  __syncthreads();
  if (row > 0) return 0;
  ALMA_UNROLL
  for (int r = 1; r < kRowThreads; ++r) sum += load<float>(&partial[r][column]);
  return sum;
}

}  // namespace alma
