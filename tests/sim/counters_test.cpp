// Counters: the numbers of small kernels, exactly.
#include "tests/sim/sim_test.h"

namespace alma::test {
namespace {

class Counters : public CheckedTest {
 protected:
  unsigned checks() const override { return alma_sim_counters; }
  void SetUp() override {
    CheckedTest::SetUp();
    alma_sim_reset_counters();
  }
};
INSTANTIATE_TEST_SUITE_P(Orders, Counters, testing::ValuesIn(all_orders), order_name);

AlmaSimKernel only_kernel() {
  EXPECT_EQ(alma_sim_counted_kernels(), 1u);
  return alma_sim_counted_kernel(0);
}

/// The access at this place; one of no requests if there is none.
AlmaSimAccess access_at(const AlmaSimKernel& kernel, const std::string& place) {
  for (std::size_t i = 0; i < kernel.accesses; ++i) {
    const std::string file = kernel.access[i].file;
    if (file.substr(file.rfind('/') + 1) + ":" + std::to_string(kernel.access[i].line) == place) return kernel.access[i];
  }
  ADD_FAILURE() << "no access at " << place;
  return {};
}

template <class V>
__global__ void strided_copy(const float* x, float* y, int n, int stride) {
  constexpr int width = sizeof(V) / sizeof(float);
  for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) {
    const V value = load<V>(x + width * stride * i);  // strided load
    store<V>(y + width * i, value);                   // dense store
  }
}

TEST_P(Counters, SectorsOfStridedLoads) {
  struct Case {
    int stride;
    std::uint64_t sectors;  // of a warp's load of 128 bytes
  };
  for (const auto [stride, sectors] : {Case{1, 4}, Case{2, 8}, Case{4, 16}, Case{8, 32}, Case{100, 32}, Case{0, 1}}) {
    alma_sim_reset_counters();
    DeviceArray<float> x(25600), y(256);
    launch(strided_copy<float>, 1, 64, 0, nullptr, x.data(), y.data(), 256, stride);
    const AlmaSimKernel kernel = only_kernel();
    const AlmaSimAccess read = access_at(kernel, place_of("strided load")),
                        write = access_at(kernel, place_of("dense store"));
    EXPECT_STREQ(kernel.name, "strided_copy<float>");
    EXPECT_EQ(read.requests, 8u);
    EXPECT_EQ(read.sectors, 8 * sectors) << "stride " << stride;
    EXPECT_EQ(read.bytes, stride == 0 ? 8u * 4 : 1024u);
    EXPECT_EQ(write.requests, 8u);
    EXPECT_EQ(write.sectors, 32u);
    EXPECT_EQ(write.bytes, 1024u);
    EXPECT_TRUE(write.is_store && !read.is_store && !read.is_shared && !write.is_shared);
    EXPECT_EQ(kernel.bytes_read, read.bytes);
    EXPECT_EQ(kernel.distinct_read, stride == 0 ? 4u : 1024u);
    EXPECT_EQ(kernel.distinct_written, 1024u);
  }
}

TEST_P(Counters, VectorsAndRaggedEnds) {
  DeviceArray<float> x(4 * 77), y(4 * 77);
  launch(strided_copy<float4>, 1, 64, 0, nullptr, x.data(), y.data(), 77, 1);
  const AlmaSimAccess read = access_at(only_kernel(), place_of("strided load"));
  EXPECT_EQ(read.requests, 3u);  // 32 + 32 lanes, then 13
  EXPECT_EQ(read.bytes, 77u * 16);
  EXPECT_EQ(read.sectors, 16u + 16 + 7);  // 208 bytes are 6.5 sectors
}

TEST_P(Counters, MisalignedRowsTouchOneSectorMore) {
  DeviceArray<float> x(64), y(64);
  launch(strided_copy<float>, 1, 32, 0, nullptr, x.data() + 1, y.data(), 32, 1);
  EXPECT_EQ(access_at(only_kernel(), place_of("strided load")).sectors, 5u);
}

// Each thread reads twice what another thread wrote; `pitch` words from row to row.
template <class V>
__global__ void columns_of_tile(float* y, int pitch) {
  ALMA_DYNAMIC_SHARED(float, tile);
  constexpr int width = sizeof(V) / sizeof(float);
  const int i = static_cast<int>(threadIdx.x);
  store<V>(tile + width * pitch * i, V{});  // column store
  __syncthreads();
  const V value = load<V>(tile + width * (31 - i));  // row load
  store<V>(y + width * i, value);
}

template <class V>
std::pair<AlmaSimAccess, AlmaSimAccess> tile_accesses(int pitch) {
  alma_sim_reset_counters();
  DeviceArray<float> y(128);
  launch(columns_of_tile<V>, 1, 32, 32 * sizeof(V) * static_cast<std::size_t>(pitch), nullptr, y.data(), pitch);
  const AlmaSimKernel kernel = only_kernel();
  return {access_at(kernel, place_of("column store")), access_at(kernel, place_of("row load"))};
}

TEST_P(Counters, BankConflicts) {
  struct Case {
    int pitch;
    std::uint64_t wavefronts;
  };
  for (const auto [pitch, wavefronts] : {Case{1, 1}, Case{2, 2}, Case{32, 32}, Case{33, 1}, Case{64, 32}, Case{36, 4}}) {
    const auto [column, row] = tile_accesses<float>(pitch);
    EXPECT_TRUE(column.is_shared && row.is_shared);
    EXPECT_EQ(column.requests, 1u);
    EXPECT_EQ(column.wavefronts, wavefronts) << "pitch " << pitch;
    EXPECT_EQ(column.conflicts, wavefronts - 1) << "pitch " << pitch;
    EXPECT_EQ(row.conflicts, 0u);
  }
}

TEST_P(Counters, VectorsInSharedMemoryAreServedInParts) {
  const auto [pairs, pair_row] = tile_accesses<float2>(1);
  EXPECT_EQ(pairs.wavefronts, 2u);
  EXPECT_EQ(pairs.conflicts, 0u);
  const auto [quads, quad_row] = tile_accesses<float4>(1);
  EXPECT_EQ(quads.wavefronts, 4u);
  EXPECT_EQ(quads.conflicts, 0u);
  const auto [far, far_row] = tile_accesses<float4>(8);  // every lane in the same four banks
  EXPECT_EQ(far.wavefronts, 32u);
  EXPECT_EQ(far.conflicts, 28u);
  EXPECT_EQ(quad_row.conflicts + pair_row.conflicts + far_row.conflicts, 0u);
}

__global__ void broadcast_from_shared(float* y) {
  ALMA_SHARED(float, one, [1]);
  if (threadIdx.x == 0) store<float>(&one[0], 1);
  __syncthreads();
  const float value = load<float>(&one[0]);  // broadcast
  store<float>(y + threadIdx.x, value);
}

TEST_P(Counters, ABroadcastIsOneWavefront) {
  DeviceArray<float> y(64);
  launch(broadcast_from_shared, 1, 64, 0, nullptr, y.data());
  const AlmaSimAccess read = access_at(only_kernel(), place_of("broadcast"));
  EXPECT_EQ(read.requests, 2u);
  EXPECT_EQ(read.wavefronts, 2u);
  EXPECT_EQ(read.bytes, 8u);
}

// Lanes that skip a round must not shift the rounds after the next barrier.
__global__ void skip_first_round(const float* x, float* y) {
  float sum = 0;
  for (int round = 0; round < 3; ++round) {
    if (round > 0 || threadIdx.x % 2 == 0) sum += load<float>(x + 32 * round + threadIdx.x);  // round load
    __syncthreads();
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
  }
  store<float>(y + threadIdx.x, sum);
}

TEST_P(Counters, RoundsStartAnewAtBarriers) {
  DeviceArray<float> x(std::vector<float>(96, 1)), y(32);
  launch(skip_first_round, 1, 32, 0, nullptr, x.data(), y.data());
  launch(skip_first_round, 1, 32, 0, nullptr, x.data(), y.data());
  const AlmaSimKernel kernel = only_kernel();
  const AlmaSimAccess read = access_at(kernel, place_of("round load"));
  EXPECT_EQ(read.requests, 2u * 3);
  EXPECT_EQ(read.bytes, 2u * (64 + 128 + 128));
  EXPECT_EQ(read.sectors, 2u * 12);
  EXPECT_EQ(kernel.launches, 2u);
  EXPECT_EQ(kernel.blocks, 2u);
  EXPECT_EQ(kernel.barriers, 6u);
  EXPECT_EQ(kernel.warp_operations, 6u);
  EXPECT_EQ(kernel.distinct_read, 2u * 320);
  EXPECT_EQ(kernel.bytes_written, 2u * 128);
}

TEST_P(Counters, KernelsInTheOrderOfTheirFirstLaunch) {
  DeviceArray<float> x(std::vector<float>(128, 1)), y(128);
  launch(broadcast_from_shared, 2, 32, 0, nullptr, y.data());
  launch(strided_copy<float>, 1, 32, 0, nullptr, x.data(), y.data(), 32, 1);
  launch(strided_copy<float>, 1, 64, 256, nullptr, x.data(), y.data(), 64, 1);
  launch(strided_copy<float4>, 1, 32, 0, nullptr, x.data(), y.data(), 32, 1);
  launch(broadcast_from_shared, 2, 32, 0, nullptr, y.data());
  ASSERT_EQ(alma_sim_counted_kernels(), 3u);
  EXPECT_STREQ(alma_sim_counted_kernel(0).name, "broadcast_from_shared");
  EXPECT_EQ(alma_sim_counted_kernel(0).blocks, 4u);
  EXPECT_EQ(alma_sim_counted_kernel(0).block_threads, 32u);
  EXPECT_EQ(alma_sim_counted_kernel(0).dynamic_shared, 0u);
  EXPECT_STREQ(alma_sim_counted_kernel(1).name, "strided_copy<float>");
  EXPECT_EQ(alma_sim_counted_kernel(1).block_threads, 64u) << "the larger of two launches";
  EXPECT_EQ(alma_sim_counted_kernel(1).dynamic_shared, 256u);
  EXPECT_EQ(alma_sim_counted_kernel(1).access[0].width, 4u);
  EXPECT_EQ(alma_sim_counted_kernel(2).access[0].width, 16u);
  EXPECT_STREQ(alma_sim_counted_kernel(2).name, "strided_copy<float4>");
  alma_sim_reset_counters();
  EXPECT_EQ(alma_sim_counted_kernels(), 0u);
}

}  // namespace
}  // namespace alma::test
