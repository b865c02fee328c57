#include "kernels/sim/stream_order.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "kernels/sim/control.h"

namespace alma::sim {
namespace {

struct StreamState {
  std::uint32_t number = 0;
  Clock clock;
};

// A copy between the device and pinned memory that the host does not know to be over.
struct Copy {
  StreamTime time;
  unsigned char* host;
  std::size_t bytes;
  bool download;
  std::vector<unsigned char> data;  // of a download
  std::size_t hash;                 // of an upload's bytes
};

struct State {
  std::mutex mutex;
  std::uint32_t streams_made = 0;
  std::map<cudaStream_t, StreamState> streams;
  std::map<cudaEvent_t, Clock> events;
  Clock host;
  std::map<const unsigned char*, std::size_t> pinned;  // bytes by address
  std::vector<Copy> copies;

  StreamState& stream(cudaStream_t handle) {
    StreamState& found = streams[handle];
    if (found.number == 0) found.number = ++streams_made;
    return found;
  }
  bool is_pinned(const void* memory) const {
    const auto* address = static_cast<const unsigned char*>(memory);
    const auto after = pinned.upper_bound(address);
    return after != pinned.begin() && address < std::prev(after)->first + std::prev(after)->second;
  }
};

State& state() {
  static auto& instance = *new State;
  return instance;
}

bool off() { return !checks_on(alma_sim_streams); }

void join(Clock& clock, const Clock& other) {
  for (const auto& [stream, tick] : other) clock[stream] = std::max(clock[stream], tick);
}
bool is_over(const StreamTime& time, const Clock& clock) {
  const auto known = clock.find(time.stream);
  return time.tick == 0 || (known != clock.end() && known->second >= time.tick);
}
std::size_t hash_of(const unsigned char* memory, std::size_t bytes) {
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(memory), bytes});
}

// The host has waited: downloads arrive, and uploads must have found what they were given.
void finish_copies(State& all) {
  std::vector<Copy> open, over;
  for (Copy& copy : all.copies) (is_over(copy.time, all.host) ? over : open).push_back(std::move(copy));
  all.copies = std::move(open);
  for (const Copy& copy : over) {
    if (copy.download) {
      std::memcpy(copy.host, copy.data.data(), copy.bytes);
    } else if (hash_of(copy.host, copy.bytes) != copy.hash) {
      fail("[sim] streams: the host wrote to the pinned memory that ", copy.time.what, " uploads (", copy.bytes,
           " bytes at ", static_cast<const void*>(copy.host), ") before it waited for the copy");
    }
  }
}

}  // namespace

void event_recorded(cudaEvent_t event, cudaStream_t stream) {
  if (off()) return;
  State& all = state();
  const std::lock_guard lock(all.mutex);
  StreamState& source = all.stream(stream);
  join(source.clock, all.host);
  all.events[event] = source.clock;
}
void stream_waits(cudaStream_t stream, cudaEvent_t event) {
  if (off()) return;
  State& all = state();
  const std::lock_guard lock(all.mutex);
  join(all.stream(stream).clock, all.events[event]);
}
void host_waits(cudaEvent_t event) {
  if (off()) return;
  State& all = state();
  const std::lock_guard lock(all.mutex);
  join(all.host, all.events[event]);
  finish_copies(all);
}
void host_waits(cudaStream_t stream) {
  if (off()) return;
  State& all = state();
  const std::lock_guard lock(all.mutex);
  join(all.host, all.stream(stream).clock);
  finish_copies(all);
}
void host_waits_for_all() {
  if (off()) return;
  State& all = state();
  const std::lock_guard lock(all.mutex);
  for (const auto& [handle, stream] : all.streams) join(all.host, stream.clock);
  finish_copies(all);
}
void forget(cudaEvent_t event) {
  const std::lock_guard lock(state().mutex);
  state().events.erase(event);
}
void forget(cudaStream_t stream) {
  const std::lock_guard lock(state().mutex);
  state().streams.erase(stream);
}

void pinned_allocated(void* memory, std::size_t bytes) {
  const std::lock_guard lock(state().mutex);
  state().pinned[static_cast<const unsigned char*>(memory)] = bytes;
}
void pinned_freed(const void* memory) {
  host_waits_for_all();
  const std::lock_guard lock(state().mutex);
  state().pinned.erase(static_cast<const unsigned char*>(memory));
}

StreamWork::StreamWork(cudaStream_t stream, const char* what) : on_(!off()) {
  now_.what = what;
  if (!on_) return;
  State& all = state();
  const std::lock_guard lock(all.mutex);
  StreamState& own = all.stream(stream);
  join(own.clock, all.host);
  now_ = {own.number, ++own.clock[own.number], what};
  clock_ = own.clock;
}

void StreamWork::require_over(const StreamTime& earlier, const Allocation& block, const char* did, const char* does) const {
  if (is_over(earlier, clock_)) return;
  fail("[sim] streams: ", now_.what, " ", does, " allocation ", block.number, " (", block.bytes, " bytes), which ",
       earlier.what, " ", did, " on another stream, without waiting for it");
}

void StreamWork::uses(Allocation& block, Use use) {
  if (!on_) return;
  const std::lock_guard lock(state().mutex);
  const bool reads = use == Use::read || use == Use::pass_on;
  require_over(block.writer, block, "writes", reads ? "reads" : "writes");
  if (reads) {
    std::erase_if(block.readers, [&](const StreamTime& reader) { return reader.stream == now_.stream; });
    block.readers.push_back(now_);
    return;
  }
  for (const StreamTime& reader : block.readers) require_over(reader, block, "reads", "writes");
  block.readers.clear();
  block.writer = now_;
}

void StreamWork::touches(const void* memory, std::size_t run_bytes, std::size_t runs, std::size_t pitch,
                         const char* argument, Use use) {
  Allocation& block = require_device(memory, (runs - 1) * pitch + run_bytes, now_.what, argument, Use::none);
  if (use == Use::none) return;
  uses(block, use);
  if (!checks_on(alma_sim_memcheck) || use == Use::pass_on || use == Use::take) return;
  for (std::size_t run = 0; run < runs; ++run)
    require_device(static_cast<const char*>(memory) + run * pitch, run_bytes, now_.what, argument, use);
}

void StreamWork::uploads(const void* host, std::size_t bytes) {
  if (!on_) return;
  State& all = state();
  const std::lock_guard lock(all.mutex);
  if (!all.is_pinned(host)) return;  // the call copies it away before it returns
  auto* memory = const_cast<unsigned char*>(static_cast<const unsigned char*>(host));
  all.copies.push_back({now_, memory, bytes, false, {}, hash_of(memory, bytes)});
}

void StreamWork::downloads(void* host, const void* data, std::size_t bytes) {
  if (!on_) {
    std::memcpy(host, data, bytes);
    return;
  }
  State& all = state();
  const std::lock_guard lock(all.mutex);
  if (!all.is_pinned(host)) {
    std::memcpy(host, data, bytes);
    join(all.host, clock_);
    return finish_copies(all);
  }
  const auto* from = static_cast<const unsigned char*>(data);
  all.copies.push_back({now_, static_cast<unsigned char*>(host), bytes, true, {from, from + bytes}, 0});
  std::memset(host, 0xff, bytes);
}

const char* name_for_ever(const std::string& text) {
  static auto& names = *new std::set<std::string>;
  const std::lock_guard lock(state().mutex);
  return names.insert(text).first->c_str();
}

}  // namespace alma::sim
