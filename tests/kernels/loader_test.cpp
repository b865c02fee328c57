#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

ErrorKind kind_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "no Error was thrown";
  return ErrorKind::failed;
}

TEST(Loader, UnknownDeviceNamesTheKnownOnes) {
  for (const char* device :
       {"", "gpu", "cpu:", "cpu:avx2", "CPU", "cuda:", "cuda:-1", "cuda:1x", "cuda:99999", "cuda-sim:a"}) {
    EXPECT_EQ(kind_of([&] { open_backend(device, {}); }), ErrorKind::usage) << device;
    const std::string message = error_of([&] { open_backend(device, {}); });
    EXPECT_NE(message.find("cpu:x86-64-v3"), std::string::npos) << message;
    EXPECT_NE(message.find("cuda-sim"), std::string::npos) << message;
    EXPECT_NE(message.find("cuda:N"), std::string::npos) << message;
  }
}

// Whether the number is too large or the device lacks altogether: the message is about the device that was asked for.
TEST(Loader, AGpuThatIsNotThereIsRefusedByItsNumber) {
  for (const char* device : {"cuda:1234", "cuda-sim:7"}) {
    EXPECT_EQ(kind_of([&] { open_backend(device, {}); }), ErrorKind::usage) << device;
    const std::string message = error_of([&] { open_backend(device, {}); });
    EXPECT_EQ(message.find("unknown device"), std::string::npos) << message;
    // A processor on which the simulator cannot run is refused before the number is read.
    if (message.find("this processor lacks") == std::string::npos) {
      EXPECT_NE(message.find(device), std::string::npos) << message;
    }
  }
}

TEST(Loader, NumberZeroIsTheFirstGpu) {
  const std::vector<std::string> usable = devices();
  int tried = 0;
  for (const std::string device : {"cuda", "cuda-sim"}) {
    if (std::find(usable.begin(), usable.end(), device) == usable.end()) continue;
    EXPECT_EQ(open_backend(device + ":0", {})->info().device, device);
    ++tried;
  }
  if (tried == 0) GTEST_SKIP() << "neither cuda nor cuda-sim is usable here";
}

TEST(Loader, CpuIsTheBestLevelOfThisProcessor) {
  std::string best;
  for (const std::string& device : devices())
    if (device.starts_with("cpu:")) best = device.substr(4);  // listed from the lowest up
  EXPECT_EQ(open_backend("cpu", {})->info().level, best);
}

TEST(Loader, AForcedLevelIsTakenOrRefused) {
  EXPECT_EQ(open_backend("cpu:generic", {})->info().level, "generic");
  for (const char* level : {"x86-64-v3", "x86-64-v4"}) {
    const std::string device = std::string("cpu:") + level;
    const std::vector<std::string> usable = devices();
    if (std::find(usable.begin(), usable.end(), device) != usable.end()) {
      EXPECT_EQ(open_backend(device, {})->info().level, level);
    } else {
      EXPECT_EQ(kind_of([&] { open_backend(device, {}); }), ErrorKind::usage);
      EXPECT_NE(error_of([&] { open_backend(device, {}); }).find(level), std::string::npos);
    }
  }
}

TEST(Loader, AutoAlwaysFindsADeviceAndSaysWhyItIsNotCuda) {
  const BackendInfo info = open_backend("auto", {})->info();
  EXPECT_FALSE(info.device.empty());
  EXPECT_EQ(info.why.empty(), info.device == "cuda") << info.why;
  EXPECT_EQ(open_backend("cpu", {})->info().why, "") << "asked for";
}

TEST(Loader, EveryDeviceIsListedWithAReason) {
  std::vector<std::string> names;
  for (const DeviceStatus& status : list_devices()) {
    names.push_back(status.device);
    EXPECT_FALSE(status.why.empty()) << status.device;
    if (status.usable) {
      EXPECT_NO_THROW(open_backend(status.device, {})) << status.device;
    } else {
      EXPECT_EQ(kind_of([&] { open_backend(status.device, {}); }), ErrorKind::usage) << status.device;
      // The folders that were searched are of no use in a list.
      const bool missing = error_of([&] { open_backend(status.device, {}); }).find("was not found in") != std::string::npos;
      EXPECT_EQ(missing, status.why.starts_with("not built: ")) << status.why;
      EXPECT_TRUE(!missing || status.why.find('/') == std::string::npos) << status.why;
    }
  }
  EXPECT_EQ(names, (std::vector<std::string>{"cpu", "cpu:generic", "cpu:x86-64-v3", "cpu:x86-64-v4", "cuda", "cuda-sim"}));
}

TEST(Loader, KernelsOfOnesOwnThatAreNotThereAreNamed) {
  const std::unique_ptr<Backend> backend = open_backend("cpu", {});
  const auto open = [&] { open_kernels(*backend, "no-such", "make"); };
  EXPECT_EQ(kind_of(open), ErrorKind::usage);
  for (const char* part : {"[open_kernels] device cpu: libno_such_cpu.so was not found in ", "alma_kernels()"})
    EXPECT_NE(error_of(open).find(part), std::string::npos) << error_of(open);
}

/// The levels keep apart in one process: none falls back on the code of another.
TEST(Loader, LevelsLiveSideBySide) {
  std::vector<std::unique_ptr<Backend>> open;
  for (const std::string& device : devices()) open.push_back(open_backend(device, {}));
  for (std::size_t i = 0; i < open.size(); ++i) {
    const BackendInfo info = open[i]->info();
    if (info.device == "cpu") {
      EXPECT_EQ("cpu:" + info.level, devices()[i]);
    } else {
      EXPECT_EQ(info.device, devices()[i]);
    }
  }
}

}  // namespace
}  // namespace alma::test
