#pragma once
#include <driver_types.h>

#include <cstddef>
#include <cstdint>
#include <map>

#include "kernels/sim/memory.h"

/// Who waits for whom: vector clocks of the streams and of the host (all its threads as one). Work on a stream comes after
/// the host's call and after the earlier work of the stream; events and synchronisation order the rest. Without the check
/// `streams` nothing here does anything.
namespace alma::sim {

/// The latest operation of each stream, by number, that is known to be over.
using Clock = std::map<std::uint32_t, std::uint64_t>;

void event_recorded(cudaEvent_t event, cudaStream_t stream);
void stream_waits(cudaStream_t stream, cudaEvent_t event);
void host_waits(cudaEvent_t event);
void host_waits(cudaStream_t stream);
void host_waits_for_all();
void forget(cudaEvent_t event);
void forget(cudaStream_t stream);

void pinned_allocated(void* memory, std::size_t bytes);
void pinned_freed(const void* memory);

/// One operation on a stream: a call, or a kernel. `what` must stay valid, as name_for_ever() of a text does.
class StreamWork {
 public:
  StreamWork(cudaStream_t stream, const char* what);

  /// Throws Error unless what other streams did with the block before is known to be over.
  void uses(Allocation& block, Use use);
  /// require_device() and uses() for `runs` runs of memory, `run_bytes` long and `pitch` apart; `argument` names it.
  void touches(const void* memory, std::size_t run_bytes, std::size_t runs, std::size_t pitch, const char* argument,
               Use use);
  /// The operation reads host memory; pinned memory must not change until the host has waited for the operation.
  void uploads(const void* host, std::size_t bytes);
  /// The operation writes host memory: pinned memory when the host waits for the operation (until then it holds 0xff bytes),
  /// other memory at once, because then the call itself waits.
  void downloads(void* host, const void* data, std::size_t bytes);

 private:
  void require_over(const StreamTime& earlier, const Allocation& block, const char* did, const char* does) const;

  bool on_;
  StreamTime now_;
  Clock clock_;
};

const char* name_for_ever(const std::string& text);

}  // namespace alma::sim
