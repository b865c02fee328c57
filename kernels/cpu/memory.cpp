#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "kernels/checks/memory.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"

namespace alma {

void* CpuBackend::allocate(std::size_t bytes) {
  const Observed seen = check::allocate(*this, bytes);
  // Large arrays lie in huge pages where the system gives them to those who ask: a page table of 4 KiB pages for the
  // activations of a network does not fit into the processor's cache of it.
  constexpr std::size_t huge = std::size_t{2} << 20;
  const std::size_t alignment = bytes >= huge ? huge : 256;
  void* memory = bytes > SIZE_MAX - alignment
                     ? nullptr
                     : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr)
    fail("[allocate] out of memory: ", bytes, " bytes asked for; a smaller model, batch size or data set needs less");
  if (alignment == huge) ::madvise(memory, bytes / huge * huge, MADV_HUGEPAGE);  // refused without harm
  return memory;
}

void CpuBackend::deallocate(void* memory) noexcept {
  const Observed seen = check::deallocate(*this);
  std::free(memory);
}

void CpuBackend::upload(const void* host, void* device, std::size_t bytes) {
  const Observed seen = check::upload(*this, bytes);
  if (bytes > 0) std::memcpy(device, host, bytes);
}

void CpuBackend::download(const void* device, void* host, std::size_t bytes) {
  const Observed seen = check::download(*this, bytes);
  if (bytes > 0) std::memcpy(host, device, bytes);
}

void CpuBackend::copy(const void* source, std::size_t source_pitch, void* target, std::size_t target_pitch,
                      std::size_t width, std::size_t rows) {
  const Observed seen = check::copy(*this, width, rows);
  if (width == 0) return;
  for (std::size_t row = 0; row < rows; ++row)
    std::memcpy(static_cast<char*>(target) + row * target_pitch, static_cast<const char*>(source) + row * source_pitch,
                width);
}

void CpuBackend::synchronize() { const Observed seen = check::synchronize(*this); }

void CpuBackend::fill(Out y, double value) {
  const Observed seen = check::fill(*this, y);
  const auto fill_with = [&](auto typed) { std::fill_n(y.as<decltype(typed)>(), y.shape.count(), typed); };
  switch (y.dtype) {
    case DType::f32: return fill_with(static_cast<float>(value));
    case DType::f64: return fill_with(value);
    case DType::bf16: return fill_with(Bf16(static_cast<float>(value)));
    case DType::i32: return fill_with(static_cast<std::int32_t>(value));
    case DType::u8: return fill_with(static_cast<std::uint8_t>(value));
  }
}

}  // namespace alma
