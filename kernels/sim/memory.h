#pragma once
#include <cstddef>
#include <string>

/// The simulated device's memory: exact-size host blocks, so that the address sanitizer sees the first byte beyond one,
/// filled with 0xff (NaN as f32, -1 as i32), so that values read before they are written show in the result.
namespace alma::sim {

inline constexpr std::size_t kDeviceMemory = std::size_t{8} << 30;
inline constexpr std::size_t kDeviceAlignment = 256;

/// Null when the device has no memory left.
void* allocate_device(std::size_t bytes);
/// Throws Error if `memory` is not the start of a live block.
void free_device(void* memory, const char* call);
/// Throws Error unless [memory, memory + bytes) lies in one live block; `what` names the argument.
void require_device(const void* memory, std::size_t bytes, const char* call, const char* what);
/// Throws Error if memory points into a live block of the device.
void require_host(const void* memory, const char* call, const char* what);

}  // namespace alma::sim
