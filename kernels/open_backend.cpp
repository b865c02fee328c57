#include "kernels/open_backend.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
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

/// Where the dynamic loader looks for this program's libraries: LD_LIBRARY_PATH; the run path, in which programs that have
/// found alma by CMake have its folder of backends; the system's folders.
std::vector<fs::path> loader_folders() {
  void* program = dlopen(nullptr, RTLD_LAZY);
  Dl_serinfo size{};
  if (program == nullptr || dlinfo(program, RTLD_DI_SERINFOSIZE, &size) != 0) return {};
  const std::unique_ptr<Dl_serinfo, void (*)(void*)> info(static_cast<Dl_serinfo*>(std::calloc(1, size.dls_size)),
                                                          std::free);
  if (!info || dlinfo(program, RTLD_DI_SERINFOSIZE, info.get()) != 0 || dlinfo(program, RTLD_DI_SERINFO, info.get()) != 0)
    return {};
  std::vector<fs::path> folders;
  for (unsigned i = 0; i < info->dls_cnt; ++i) folders.emplace_back(info->dls_serpath[i].dls_name);
  return folders;
}

/// Beside the running program (a build folder), in ../lib/alma (an installed copy, which may be moved), and the loader's.
std::vector<fs::path> library_folders() {
  std::vector<fs::path> folders;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    folders.push_back(program.parent_path());
    folders.push_back(program.parent_path().parent_path() / "lib" / "alma");
  }
  for (fs::path& folder : loader_folders()) folders.push_back(std::move(folder));
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

/// A library is not there.
struct NotBuilt : Error {
  NotBuilt(const std::string& message, std::string cure_, const std::string& otherwise)
      : Error(ErrorKind::usage, message + "; " + cure_ + otherwise), cure(std::move(cure_)) {}
  std::string cure;
};

/// The path of a library that must be there. `cure` says how to get it, `otherwise` what else helps.
fs::path require_library(const std::string& op, const std::string& device, const std::string& file, const std::string& cure,
                         const std::string& otherwise) {
  fs::path path = find_library(file);
  if (!path.empty()) return path;
  std::string searched;
  for (const fs::path& folder : library_folders()) searched += (searched.empty() ? "" : ", ") + folder.string();
  throw NotBuilt("[" + op + "] device " + device + ": " + file + " was not found in " + searched, cure, otherwise);
}

/// The function `symbol` of a library, which stays loaded.
void* open_function(const std::string& op, const std::string& device, const fs::path& library, const char* symbol) {
  void* opened = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr)
    fail(ErrorKind::usage, '[', op, "] device ", device, " cannot be loaded: ", dlerror(),
         library.filename() == kCudaLibrary
             ? "; install the libraries of the CUDA toolkit that this build was made with, or use --device cpu"
             : "");
  void* function = dlsym(opened, symbol);
  if (function == nullptr) fail(ErrorKind::usage, '[', op, "] ", library.string(), " has no function ", symbol);
  return function;
}

std::unique_ptr<Backend> load(const std::string& device, const std::string& file, const BackendOptions& options) {
  const std::string target = fs::path(file).stem().string().substr(3);  // without "lib"
  const fs::path path = require_library(
      "open_backend", device, file,
      (device.starts_with("cuda") ? "configure with -DALMA_CUDA=on (CUDA toolkit 12.8 or newer) and build target "
                                  : "build target ") +
          target,
      ", or name the folder of the backends (lib/alma of an installed copy) in LD_LIBRARY_PATH");
  void* factory = open_function("open_backend", device, path, kBackendFactory);
  return std::unique_ptr<Backend>(reinterpret_cast<BackendFactory>(factory)(options, kBackendAbi));
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

void* open_kernels(const Backend& backend, const std::string& name, const char* symbol) {
  const std::string on = backend.info().device;
  const std::string device = on.substr(0, on.find(':'));  // all GPUs have one library
  std::string file = "lib" + name + "_" + device + ".so";
  std::replace(file.begin(), file.end(), '-', '_');
  const fs::path path =
      require_library("open_kernels", device, file, "build the kernels with alma_kernels() of alma's CMake package",
                      ", or use another device");
  return open_function("open_kernels", device, path, symbol);
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
    } catch (const NotBuilt& error) {
      status.why = "not built: " + error.cure;
    } catch (const std::exception& error) {
      status.why = error.what();
    }
    devices.push_back(status);
  }
  return devices;
}

}  // namespace alma
