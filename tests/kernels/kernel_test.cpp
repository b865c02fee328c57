#include "tests/kernels/kernel_test.h"

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>

namespace alma::test {
namespace {

constexpr std::size_t kGuard = 512;
constexpr std::uint8_t kGuardByte = 0xA5;
constexpr std::int32_t kUnwritten = -77777777;

// Of two roundings on the way from double to bf16 the first is exact where it matters: values are floats.
template <class T>
T element(double value) {
  if constexpr (std::is_same_v<T, Bf16>) {
    return Bf16(static_cast<float>(value));
  } else {
    return static_cast<T>(value);
  }
}

template <class T>
std::vector<std::uint8_t> to_bytes(const Values& values) {
  std::vector<std::uint8_t> bytes(values.size() * sizeof(T));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const T value = element<T>(values[i]);
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
  return bytes;
}

template <class T>
Values from_bytes(const std::vector<std::uint8_t>& bytes) {
  Values values(bytes.size() / sizeof(T));
  for (std::size_t i = 0; i < values.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    if constexpr (std::is_same_v<T, Bf16>) {
      values[i] = static_cast<float>(value);
    } else {
      values[i] = static_cast<double>(value);
    }
  }
  return values;
}

std::vector<std::uint8_t> to_bytes(DType dtype, const Values& values) {
  switch (dtype) {
    case DType::f32: return to_bytes<float>(values);
    case DType::f64: return to_bytes<double>(values);
    case DType::bf16: return to_bytes<Bf16>(values);
    case DType::i32: return to_bytes<std::int32_t>(values);
    case DType::u8: return to_bytes<std::uint8_t>(values);
  }
  return {};
}

Values from_bytes(DType dtype, const std::vector<std::uint8_t>& bytes) {
  switch (dtype) {
    case DType::f32: return from_bytes<float>(bytes);
    case DType::f64: return from_bytes<double>(bytes);
    case DType::bf16: return from_bytes<Bf16>(bytes);
    case DType::i32: return from_bytes<std::int32_t>(bytes);
    case DType::u8: return from_bytes<std::uint8_t>(bytes);
  }
  return {};
}

/// Which devices are tested is said aloud, and written into the report of the tests.
TEST(Devices, ThatRunHere) {
  std::string run;
  for (const std::string& device : devices()) run += (run.empty() ? "" : " ") + device;
  RecordProperty("devices", run);
  std::cout << "kernel tests run on: " << run << "\n";
  for (const DeviceStatus& status : list_devices())
    if (!status.usable) std::cout << "left out: " << status.device << ": " << status.why << "\n";
  EXPECT_NE(run.find("cpu:generic"), std::string::npos);
}

}  // namespace

std::vector<std::string> devices() {
  static const std::vector<std::string> usable = [] {
    std::vector<std::string> names;
    for (const DeviceStatus& status : list_devices())
      if (status.usable && status.device != "cpu") names.push_back(status.device);
    return names;
  }();
  return usable;
}

namespace {

std::vector<std::string> devices_where(bool cpu) {
  std::vector<std::string> chosen;
  for (const std::string& device : devices())
    if (device.starts_with("cpu") == cpu) chosen.push_back(device);
  return chosen;
}

}  // namespace

std::vector<std::string> cpu_devices() { return devices_where(true); }
std::vector<std::string> cuda_devices() { return devices_where(false); }

std::string device_test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

double rounded(double value, DType dtype) {
  if (dtype == DType::bf16) return static_cast<float>(Bf16(static_cast<float>(value)));
  return dtype == DType::f32 ? static_cast<float>(value) : value;
}

Values uniform(std::string_view purpose, std::int64_t count, DType dtype, double low, double high) {
  RandomStream random(1, purpose, static_cast<std::uint64_t>(count));
  Values values(static_cast<std::size_t>(count));
  for (double& value : values) value = rounded(random.uniform(low, high), dtype);
  return values;
}

Device::~Device() {
  for (const Block& block : blocks_) backend_.deallocate(block.memory);
}

In Device::in(DType dtype, const Shape& shape, const Values& values) { return place(dtype, shape, values, false); }

Out Device::out(DType dtype, const Shape& shape) {
  const double poison = dtype == DType::i32 ? kUnwritten : std::numeric_limits<double>::quiet_NaN();
  return place(dtype, shape, Values(static_cast<std::size_t>(shape.count()), poison), true);
}

Out Device::in_out(DType dtype, const Shape& shape, const Values& values) { return place(dtype, shape, values, true); }

const StepState* Device::step_state(const StepState& state) {
  auto* memory = static_cast<std::uint8_t*>(backend_.allocate(sizeof state));
  backend_.upload(&state, memory, sizeof state);
  blocks_.push_back({memory, 0, 0, 0, false});
  return reinterpret_cast<const StepState*>(memory);
}

Out Device::place(DType dtype, const Shape& shape, const Values& values, bool is_output) {
  EXPECT_EQ(static_cast<std::int64_t>(values.size()), shape.count());
  const std::vector<std::uint8_t> bytes = to_bytes(dtype, values);
  const std::size_t begin = kGuard + static_cast<std::size_t>(offset_) * size_of(dtype);
  std::vector<std::uint8_t> image(begin + bytes.size() + kGuard, kGuardByte);
  std::copy(bytes.begin(), bytes.end(), image.begin() + static_cast<std::ptrdiff_t>(begin));
  auto* memory = static_cast<std::uint8_t*>(backend_.allocate(image.size()));
  backend_.upload(image.data(), memory, image.size());
  blocks_.push_back({memory, begin, bytes.size(), image.size(), is_output});
  if (is_output) output_types_.push_back(dtype);
  return {memory + begin, dtype, shape};
}

std::vector<std::vector<std::uint8_t>> Device::outputs() {
  std::vector<std::vector<std::uint8_t>> results;
  for (const Block& block : blocks_) {
    std::vector<std::uint8_t> image(block.total);
    if (block.total > 0) backend_.download(block.memory, image.data(), block.total);
    const auto begin = image.begin() + static_cast<std::ptrdiff_t>(block.begin);
    const auto end = begin + static_cast<std::ptrdiff_t>(block.bytes);
    const auto is_guard = [](std::uint8_t byte) { return byte == kGuardByte; };
    EXPECT_TRUE(std::all_of(image.begin(), begin, is_guard)) << "written before array " << &block - blocks_.data();
    EXPECT_TRUE(std::all_of(end, image.end(), is_guard)) << "written behind array " << &block - blocks_.data();
    if (block.is_output) results.emplace_back(begin, end);
  }
  return results;
}

std::vector<Values> Device::output_values() {
  const std::vector<std::vector<std::uint8_t>> bytes = outputs();
  std::vector<Values> values;
  for (std::size_t i = 0; i < bytes.size(); ++i) values.push_back(from_bytes(output_types_[i], bytes[i]));
  return values;
}

Backend& KernelTest::backend(int threads) {
  struct Opened {
    std::unique_ptr<ThreadPool> pool;
    std::unique_ptr<Backend> backend;
  };
  static std::map<std::pair<std::string, int>, Opened> opened;
  Opened& entry = opened[{GetParam(), threads}];
  if (!entry.backend) {
    if (threads > 0) entry.pool = make_thread_pool(threads);
    entry.backend = open_backend(GetParam(), {entry.pool.get()});
  }
  return *entry.backend;
}

void KernelTest::expect_error(const char* primitive, const char* found, const std::function<void(Device&)>& body) {
  Device device(backend(), 0);
  const std::string message = error_of([&] { body(device); });
  EXPECT_TRUE(message.starts_with(std::string("[") + primitive + "]")) << message;
  EXPECT_NE(message.find(found), std::string::npos) << message;
}

std::vector<Values> KernelTest::run(const std::function<void(Device&)>& body) {
  struct Variant {
    const char* name;
    int threads, offset;
  };
  // The simulator's checks need one OS thread, where the variants with pools would be the first one again.
  const bool checked_simulator = GetParam() == "cuda-sim" && std::getenv("ALMA_SIM_CHECK") != nullptr;
  std::vector<std::vector<std::uint8_t>> first;
  std::vector<Values> values;
  for (const Variant& variant : {Variant{"no pool", 0, 0}, Variant{"again", 0, 0}, Variant{"1 thread", 1, 0},
                                 Variant{"2 threads", 2, 0}, Variant{"3 threads", 3, 0}, Variant{"unaligned", 0, 1}}) {
    if (checked_simulator && variant.offset == 0 && !values.empty()) continue;
    Device device(backend(variant.threads), variant.offset);
    body(device);
    const std::vector<std::vector<std::uint8_t>> outputs = device.outputs();
    if (values.empty()) {
      first = outputs;
      values = device.output_values();
    } else {
      EXPECT_TRUE(outputs == first) << "other bits than the first run: " << variant.name;
    }
  }
  return values;
}

void compare(const Values& actual, DType dtype, const Expected& truth, const Expected& plain) {
  ASSERT_EQ(actual.size(), truth.values.size());
  ASSERT_EQ(actual.size(), plain.values.size());
  long double plain_error = 0;
  for (std::size_t i = 0; i < actual.size(); ++i)
    if (std::isfinite(truth.values[i]) && std::isfinite(plain.values[i]))
      plain_error = std::max({plain_error, std::fabs(plain.values[i] - truth.values[i]), plain.typical_errors[i]});
  long double worst = 1;
  std::string failure;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const long double expected = truth.values[i], got = actual[i];
    const long double allowed = allowed_error(dtype, plain_error, truth.largest[i]);
    long double excess;  // in tolerances
    if (!std::isfinite(expected)) {
      const bool same = std::isnan(expected) ? std::isnan(got) : got == expected;
      excess = same ? 0 : std::numeric_limits<long double>::infinity();
    } else {
      excess = std::isfinite(got) ? std::fabs(got - expected) / allowed : std::numeric_limits<long double>::infinity();
    }
    if (excess > worst) {
      worst = excess;
      std::ostringstream text;
      text << name_of(dtype) << " element " << i << " of " << actual.size() << ": got " << got << ", expected " << expected
           << ", allowed error " << allowed;
      failure = text.str();
    }
  }
  EXPECT_TRUE(failure.empty()) << failure << " (worst, " << worst << " tolerances)";
}

void expect_equal(const Values& actual, const Values& expected) { EXPECT_EQ(actual, expected); }

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return {};
}

}  // namespace alma::test
