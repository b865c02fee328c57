#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

class Memory : public KernelTest {};

TEST_P(Memory, IsAlignedAndHoldsWhatWasPutIn) {
  Backend& device = backend();
  for (const std::size_t bytes : {1u, 255u, 256u, 257u, 100003u}) {
    void* memory = device.allocate(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 256, 0u);
    std::vector<std::uint8_t> host(bytes), back(bytes);
    for (std::size_t i = 0; i < bytes; ++i) host[i] = static_cast<std::uint8_t>(i * 7);
    device.upload(host.data(), memory, bytes);
    std::fill(host.begin(), host.end(), std::uint8_t{0});  // may be reused at once
    device.download(memory, back.data(), bytes);
    for (std::size_t i = 0; i < bytes; ++i) ASSERT_EQ(back[i], static_cast<std::uint8_t>(i * 7)) << i;
    device.deallocate(memory);
  }
  device.deallocate(nullptr);
  device.upload(nullptr, nullptr, 0);
  device.synchronize();
}

TEST_P(Memory, ThatIsNotThereIsAnError) {
  EXPECT_NE(error_of([&] { backend().allocate(std::size_t{1} << 60); }).find("allocate"), std::string::npos);
}

TEST_P(Memory, CopiesWithPitches) {
  const std::vector<Values> outputs = run([&](Device& device) {
    Values x(30);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i);
    const In source = device.in(DType::f32, {5, 6}, x);
    const Out target = device.in_out(DType::f32, {5, 4}, Values(20, -1)), plain = device.out(DType::f32, {30});
    device->copy(source.as<float>() + 2, 6 * 4, target.as<float>() + 1, 4 * 4, 2 * 4, 5);
    device->copy(source.data, 0, plain.data, 0, 30 * 4, 1);
    device->copy(source.data, 24, target.data, 16, 0, 5);
    device->copy(source.data, 24, target.data, 16, 8, 0);
  });
  Values expected;
  for (int row = 0; row < 5; ++row)
    for (double value : {-1.0, row * 6 + 2.0, row * 6 + 3.0, -1.0}) expected.push_back(value);
  expect_equal(outputs[0], expected);
  EXPECT_EQ(outputs[1][29], 29);
}

TEST_P(Memory, Fill) {
  std::vector<DType> types = float_types();
  types.push_back(DType::i32);
  for (DType dtype : types) {
    for (const std::int64_t n : ragged_sizes) {
      const std::vector<Values> outputs = run([&](Device& device) {
        device->fill(device.out(dtype, {n}), 3);
        device->fill(device.out(dtype, {n}), 0);
      });
      expect_equal(outputs[0], Values(static_cast<std::size_t>(n), 3));
      expect_equal(outputs[1], Values(static_cast<std::size_t>(n), 0));
    }
  }
}

TEST_P(Memory, InfoNamesTheDevice) {
  const BackendInfo info = backend().info();
  if (is_cpu()) {
    EXPECT_EQ("cpu:" + info.level, GetParam());
  } else {
    EXPECT_EQ(info.device, GetParam());
  }
  EXPECT_FALSE(info.hardware.empty());
}

INSTANTIATE_TEST_SUITE_P(On, Memory, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
