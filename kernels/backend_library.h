#pragma once
#include <string>

#include "base/thread_pool.h"
#include "kernels/backend.h"

/// What a backend library exports: one function, and what it is called with.
namespace alma {

/// What a backend is made with.
struct BackendOptions {
  ThreadPool* pool = nullptr;  // outlives the backend; cpu and cuda-sim work on it; null: the caller's thread alone
  std::string why = {};        // for BackendInfo
  int gpu = 0;                 // cuda and cuda-sim: its number
};

/// The C symbol that every backend library exports. `abi` is kBackendAbi of the caller; another one throws.
inline constexpr int kBackendAbi = 13;
inline constexpr const char* kBackendFactory = "alma_backend_create";
using BackendFactory = Backend* (*)(const BackendOptions& options, int abi);

}  // namespace alma
