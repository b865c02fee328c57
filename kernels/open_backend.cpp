#include "kernels/open_backend.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <optional>

namespace alma {
namespace {

namespace fs = std::filesystem;

/// Best first.
constexpr std::array<const char*, 3> kCpuLevels = {"x86-64-v4", "x86-64-v3", "generic"};
constexpr const char* kCudaLibrary = "libalma_cuda.so";
constexpr const char* kSimulatorLibrary = "libalma_cuda_sim.so";

bool processor_has(const std::string& level) {
  if (level == "generic") return true;
#if defined(__x86_64__)
  if (level == "x86-64-v3") return __builtin_cpu_supports("x86-64-v3");
  if (level == "x86-64-v4") return __builtin_cpu_supports("x86-64-v4");
#endif
  return false;
}

std::string file_of_level(std::string level) {
  std::replace(level.begin(), level.end(), '-', '_');
  return "libalma_cpu_" + level + ".so";
}

/// Beside the running program (build folder), then where an installed program finds them, then the folder of this build, for
/// programs and tests that lie elsewhere.
std::vector<fs::path> library_folders() {
  std::vector<fs::path> folders;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    folders.push_back(program.parent_path());
    folders.push_back(program.parent_path().parent_path() / "lib" / "alma");
  }
  folders.emplace_back(ALMA_LIBRARY_DIR);
  return folders;
}

/// Empty if there is none.
fs::path find_library(const std::string& file) {
  for (const fs::path& folder : library_folders()) {
    std::error_code error;
    if (fs::is_regular_file(folder / file, error)) return folder / file;
  }
  return {};
}

std::unique_ptr<Backend> load(const std::string& device, const std::string& file, const BackendOptions& options) {
  const fs::path path = find_library(file);
  if (path.empty()) {
    std::string searched;
    for (const fs::path& folder : library_folders()) searched += (searched.empty() ? "" : ", ") + folder.string();
    const bool cuda = device.starts_with("cuda");
    fail(ErrorKind::usage, "[open_backend] device ", device, ": ", file, " was not found in ", searched,
         cuda ? "; configure with -DALMA_CUDA=on (CUDA toolkit 12.8 or newer) and build it, or use --device cpu"
              : "; build the target of that name");
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    fail(ErrorKind::usage, "[open_backend] device ", device, " cannot be loaded: ", dlerror(),
         file == kCudaLibrary
             ? "; install the libraries of the CUDA toolkit that this build was made with, or use --device cpu"
             : "");
  void* symbol = dlsym(library, kBackendFactory);
  if (symbol == nullptr)
    fail(ErrorKind::usage, "[open_backend] ", path.string(), " is not a backend: it has no ", kBackendFactory);
  return std::unique_ptr<Backend>(reinterpret_cast<BackendFactory>(symbol)(options, kBackendAbi));
}

std::unique_ptr<Backend> open_cpu(const std::string& level, const BackendOptions& options) {
  if (!processor_has(level))
    fail(ErrorKind::usage, "[open_backend] this processor lacks level ", level, "; use --device cpu for the best it has");
  return load("cpu:" + level, file_of_level(level), options);
}

std::unique_ptr<Backend> open_best_cpu(const BackendOptions& options) {
  for (const char* level : kCpuLevels)
    if (processor_has(level) && !find_library(file_of_level(level)).empty()) return open_cpu(level, options);
  return open_cpu("generic", options);  // says what is missing
}

std::unique_ptr<Backend> open_auto(BackendOptions options) {
  // Without a driver there is no GPU, and the vendor's libraries behind ours would take 200 MB to find that out.
  if (dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL) == nullptr) {
    options.why = "no NVIDIA driver on this machine (libcuda.so.1 was not found)";
    return open_best_cpu(options);
  }
  try {
    return load("cuda", kCudaLibrary, options);
  } catch (const Error& error) {  // no library or no usable GPU
    options.why = error.what();
  }
  return open_best_cpu(options);
}

/// The number of the GPU that `device` names: 0 for "cuda", 1 for "cuda:1". None where it names no GPU of this kind.
std::optional<int> gpu_number(const std::string& device, const std::string& kind) {
  if (device == kind) return 0;
  if (!device.starts_with(kind + ":")) return {};
  const char* const first = device.data() + kind.size() + 1;
  const char* const last = device.data() + device.size();
  unsigned short number = 0;  // more than any machine has
  const auto [end, error] = std::from_chars(first, last, number);
  if (error != std::errc() || end != last) return {};
  return number;
}

}  // namespace

std::unique_ptr<Backend> open_backend(const std::string& device, const BackendOptions& options) {
  if (device == "cpu") return open_best_cpu(options);
  if (device.starts_with("cpu:")) {
    const std::string level = device.substr(4);
    if (std::find(kCpuLevels.begin(), kCpuLevels.end(), level) != kCpuLevels.end()) return open_cpu(level, options);
  }
  BackendOptions on_gpu = options;
  for (const auto& [kind, library] : {std::pair("cuda", kCudaLibrary), std::pair("cuda-sim", kSimulatorLibrary)}) {
    const std::optional<int> gpu = gpu_number(device, kind);
    if (!gpu) continue;
    on_gpu.gpu = *gpu;
    return load(device, library, on_gpu);
  }
  if (device == "auto") return open_auto(options);
  fail(ErrorKind::usage, "[open_backend] unknown device \"", device,
       "\", expected cpu, cpu:generic, cpu:x86-64-v3, cpu:x86-64-v4, cuda, cuda:N (GPU number N, from 0), cuda-sim or auto");
}

std::vector<DeviceStatus> list_devices() {
  std::vector<DeviceStatus> devices;
  for (const char* device : {"cpu", "cpu:generic", "cpu:x86-64-v3", "cpu:x86-64-v4", "cuda", "cuda-sim"}) {
    DeviceStatus status{device, false, {}};
    try {
      const BackendInfo info = open_backend(device, {})->info();
      status.usable = true;
      status.why = info.level + ", " + info.hardware +
                   (info.memory == 0 ? "" : ", " + std::to_string(info.memory >> 20) + " MiB") +
                   (info.versions.empty() ? "" : ", " + info.versions);
    } catch (const std::exception& error) {
      status.why = error.what();
    }
    devices.push_back(status);
  }
  return devices;
}

}  // namespace alma
