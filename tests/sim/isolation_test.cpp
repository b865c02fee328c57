// cuda and cuda-sim in one process: both libraries define or call cudaMalloc, and no call of one lands in the other.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "kernels/open_backend.h"

namespace alma::test {
namespace {

using Launches = std::uint64_t (*)();

/// A symbol of the loaded library, or null.
void* symbol_of(const char* library, const char* name) {
  const std::string path = std::string(ALMA_BINARY_DIR) + "/" + library;
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  return handle == nullptr ? nullptr : dlsym(handle, name);
}

void expect_works(Backend& backend) {
  const std::vector<float> x{1, 2, 3};
  std::vector<float> y(3);
  const Out memory{backend.allocate(12), DType::f32, {3}};
  backend.upload(x.data(), memory.data, 12);
  backend.affine(memory, 2, 1, memory);
  backend.download(memory.data, y.data(), 12);
  backend.deallocate(memory.data);
  EXPECT_EQ(y, (std::vector<float>{3, 5, 7}));
}

// Opens cuda, which on a machine without a GPU must say so: if the simulator caught its calls it would find a GPU.
void expect_real(const std::string& simulated_hardware) {
  try {
    const std::unique_ptr<Backend> cuda = open_backend("cuda", {});
    EXPECT_EQ(cuda->info().device, "cuda");
    EXPECT_NE(cuda->info().hardware, simulated_hardware);
    expect_works(*cuda);
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_TRUE(text.find("no NVIDIA driver") != std::string::npos || text.find("no GPU found") != std::string::npos ||
                text.find("needs sm_80") != std::string::npos || text.find("update the driver") != std::string::npos)
        << text;
    EXPECT_EQ(error.kind(), ErrorKind::usage);
  }
}

TEST(Isolation, SimulatorAndRealBackendShareAProcess) {
  const std::unique_ptr<Backend> simulated = open_backend("cuda-sim", {});
  const std::string hardware = simulated->info().hardware;
  expect_works(*simulated);
  const auto launches = reinterpret_cast<Launches>(symbol_of("libalma_cuda_sim.so", "alma_sim_launches"));
  ASSERT_NE(launches, nullptr);
  EXPECT_EQ(launches(), 1u);
  expect_real(hardware);
  EXPECT_EQ(launches(), 1u) << "the simulator executed a kernel of the real backend";
  expect_works(*simulated);
  EXPECT_EQ(launches(), 2u);
}

TEST(Isolation, TheSimulatorHidesTheVendorsNames) {
  const std::unique_ptr<Backend> simulated = open_backend("cuda-sim", {});
  for (const char* name : {"cudaMallocAsync", "cudaMemcpyAsync", "cudaGetDeviceCount", "cublasLtMatmul", "cublasLtCreate"}) {
    EXPECT_EQ(symbol_of("libalma_cuda_sim.so", name), nullptr) << name << " is visible";
    EXPECT_EQ(dlsym(RTLD_DEFAULT, name), nullptr) << name << " is visible to the whole process";
  }
}

// Run on an emulated old processor too: an instruction that it lacks would end the program.
TEST(Processor, TheSimulatorNeedsAvx2AndSaysSo) {
#if defined(__x86_64__)
  const bool fits = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
#else
  const bool fits = true;
#endif
  try {
    expect_works(*open_backend("cuda-sim", {}));
    EXPECT_TRUE(fits);
  } catch (const Error& error) {
    EXPECT_FALSE(fits);
    EXPECT_NE(std::string(error.what()).find("x86-64-v3"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace alma::test
