// What a program is told where there is no GPU for it: the simulator passes for such machines.
#include "tests/sim/sim_test.h"

#include <thread>

#include "kernels/cuda/checked.h"
#include "kernels/open_backend.h"
#include "kernels/sim/opened.h"

namespace alma::test {
namespace {

// Of the device's library, which has a simulator of its own.
class DeviceErrors : public testing::Test {
 protected:
  DeviceErrors()
      : open_(open_backend("cuda-sim", {})),
        set_device_(simulator_function<void(AlmaSimDevice)>("alma_sim_set_device")),
        usual_(simulator_function<AlmaSimDevice()>("alma_sim_device")()) {}
  ~DeviceErrors() override { set_device_(usual_); }

  // The device is not opened, and the message has all of these parts.
  void expect_refused(const AlmaSimDevice& device, const std::vector<std::string>& parts) {
    expect_refused("cuda-sim", device, parts);
  }
  void expect_refused(const char* name, const AlmaSimDevice& device, const std::vector<std::string>& parts) {
    set_device_(device);
    try {
      open_backend(name, {});
      ADD_FAILURE() << "it opens: " << parts.front();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
      for (const std::string& part : parts) expect_has(error.what(), part);
    }
  }

  std::unique_ptr<Backend> open_;
  void (*set_device_)(AlmaSimDevice);
  AlmaSimDevice usual_;
};

std::string version_text(int version) {
  return "CUDA " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

TEST_F(DeviceErrors, EachSaysWhatIsWrongAndWhatToDo) {
  AlmaSimDevice device = usual_;
  device.driver = 0;
  expect_refused(device, {"[cuda-sim] there is no NVIDIA driver on this machine; install one for " +
                          version_text(CUDART_VERSION) + " or use --device cpu"});
  device.driver = 11040;
  expect_refused(device, {"[cuda-sim] the NVIDIA driver supports CUDA 11.4, this build needs ", "update the driver"});
  device = usual_;
  device.devices = 0;
  expect_refused(device, {"[cuda-sim] no GPU found", "CUDA_VISIBLE_DEVICES", "use --device cpu"});
  device = usual_;
  device.major = 7;
  device.minor = 5;
  expect_refused(device, {"[cuda-sim] the GPU simulated GPU is sm_75, this build needs sm_80", "use --device cpu"});
  // Newer than needed is well.
  device = usual_;
  device.driver += 1010;
  device.major = 12;
  set_device_(device);
  EXPECT_EQ(open_backend("cuda-sim", {})->info().level, "sm_120");
}

TEST_F(DeviceErrors, AGpuNumberOutOfRangeSaysHowManyThereAre) {
  AlmaSimDevice device = usual_;
  expect_refused("cuda-sim:1", device,
                 {"[cuda-sim:1] this machine has 1 GPU, numbered from 0, so there is no number 1", "nvidia-smi",
                  "CUDA_VISIBLE_DEVICES"});
  device.devices = 3;
  expect_refused("cuda-sim:3", device, {"[cuda-sim:3] this machine has 3 GPUs, numbered from 0, so there is no number 3"});
  EXPECT_EQ(open_backend("cuda-sim:2", {})->info().device, "cuda-sim:2");
}

// The simulator refuses a launch while the calling thread works with another GPU than the stream's, as CUDA does.
TEST_F(DeviceErrors, BackendsOfTwoGpusWorkOnEveryThread) {
  AlmaSimDevice device = usual_;
  device.devices = 2;
  set_device_(device);
  const std::unique_ptr<Backend> backends[] = {open_backend("cuda-sim", {}), open_backend("cuda-sim:1", {})};
  const auto ten_in_each = [&] {
    for (int turn = 0; turn < 2; ++turn)
      for (const std::unique_ptr<Backend>& backend : backends) {
        const std::vector<float> values = {1, 2, 3};
        void* memory = backend->allocate(12);
        const Out y{memory, DType::f32, {3}};
        backend->upload(values.data(), memory, 12);
        const auto times_ten = [&] { backend->affine(y, 10, 0, y); };
        times_ten();
        backend->capture(times_ten)->replay();
        std::vector<float> result(3);
        backend->download(memory, result.data(), 12);
        backend->deallocate(memory);
        EXPECT_EQ(result, (std::vector<float>{100, 200, 300})) << backend->info().device;
      }
  };
  ten_in_each();
  std::thread(ten_in_each).join();
}

TEST_F(DeviceErrors, AFullMemorySaysHowMuchThereIs) {
  AlmaSimDevice device = usual_;
  device.memory = std::size_t{3} << 20;
  set_device_(device);
  const std::unique_ptr<Backend> backend = open_backend("cuda-sim", {});
  void* memory = backend->allocate(std::size_t{1} << 20);
  expect_report([&] { backend->allocate((std::size_t{2} << 20) + 1); },
                {"[allocate] no memory left on cuda-sim (simulated GPU, ", " of 3 MiB free) for 2097153 bytes",
                 "use a smaller batch or model"});
  backend->deallocate(memory);
  backend->deallocate(backend->allocate(std::size_t{2} << 20));
}

TEST_F(DeviceErrors, TheListOfDevicesShowsMemoryAndVersions) {
  AlmaSimDevice device = usual_;
  device.memory = std::size_t{5} << 30;
  device.driver += 10;
  set_device_(device);
  for (const DeviceStatus& status : list_devices()) {
    if (status.device != "cuda-sim") continue;
    EXPECT_TRUE(status.usable);
    const std::string start = "sm_80, simulated GPU, 5120 MiB, " + version_text(CUDART_VERSION) + " (driver " +
                              version_text(device.driver).substr(5) + "), cuBLASLt ";
    EXPECT_TRUE(status.why.starts_with(start)) << status.why << "\n" << start;
    return;
  }
  ADD_FAILURE() << "cuda-sim is not listed";
}

TEST(CheckedCalls, SayTheCallThePlaceAndWhatToDo) {
  void* memory = nullptr;
  expect_report([&] { ALMA_CHECKED(cudaMalloc(&memory, std::size_t{1} << 50)); },  // a checked call
                {"[cuda] cudaMalloc(&memory, std::size_t{1} << 50) at ", place_of("a checked call"),
                 ": out of memory; use a smaller batch or model"});
  const std::string plain = error_of([] { ALMA_CHECKED(cudaSetDevice(3)); });
  EXPECT_TRUE(plain.ends_with(": invalid device ordinal")) << plain;
  expect_has(error_of([] { check_status(cudaErrorIllegalAddress, "launch"); }), "ALMA_SIM_CHECK=memcheck");
  expect_has(error_of([] { check_status(cudaErrorNoKernelImageForDevice, "launch"); }), "ALMA_CUDA_ARCHITECTURES");
}

}  // namespace
}  // namespace alma::test
