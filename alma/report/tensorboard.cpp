// Event files are TFRecords of protocol buffers (tensorflow/core/util/event.proto and summary.proto). The few fields that
// scalars need are encoded here, since no library for them is packaged.
#include "alma/report/tensorboard.h"

#include <array>
#include <bit>
#include <chrono>
#include <set>

#include "base/files.h"

namespace alma {

namespace {

static_assert(std::endian::native == std::endian::little, "protocol buffers and TFRecords are little-endian");

template <class T>
std::string bytes_of(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// ---- protocol buffers ---------------------------------------------------------------------------------------------------

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

enum WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string field(int number, WireType type, const std::string& content) {
  return varint(static_cast<std::uint64_t>(number << 3 | type)) + content;
}
std::string text(int number, const std::string& content) { return field(number, kBytes, varint(content.size()) + content); }

// Summary.Value: tag = 1, simple_value = 2.
std::string scalar(const std::string& tag, double value) {
  return text(1, text(1, tag) + field(2, kFixed32, bytes_of(static_cast<float>(value))));
}

// Event: wall_time = 1, step = 2, file_version = 3, summary = 5.
std::string event(double time, std::int64_t step, const std::string& what) {
  return field(1, kFixed64, bytes_of(time)) + field(2, kVarint, varint(static_cast<std::uint64_t>(step))) + what;
}

// ---- TFRecord -----------------------------------------------------------------------------------------------------------

std::string guard(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return bytes_of(std::rotr(crc, 15) + 0xa282ead8u);
}

std::string record(const std::string& content) {
  const std::string length = bytes_of(static_cast<std::uint64_t>(content.size()));
  return length + guard(length) + content + guard(content);
}

/// Seconds since 1970 at which the run would have begun, had it run without a pause until its metrics were written.
double start_time(const RunRecord& run) {
  std::error_code error;
  const auto written = std::filesystem::last_write_time(run.folder / "metrics.jsonl", error);
  if (error) return 0;
  const auto time = std::chrono::file_clock::to_sys(written).time_since_epoch();
  return std::chrono::duration<double>(time).count() - run.records.back().seconds;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> entries{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
      entries[i] = crc;
    }
    return entries;
  }();
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) crc = table[(crc ^ static_cast<unsigned char>(byte)) & 0xff] ^ crc >> 8;
  return ~crc;
}

std::string tensorboard_events(const RunRecord& run) {
  const double start = start_time(run);
  std::string file = record(event(start, 0, text(3, "brain.Event:2")));
  double cer = 0;
  for (const MegaBatchRecord& r : run.records) {
    cer += r.error;
    std::string values = r.ppl ? scalar("ppl", *r.ppl) : scalar("error", r.error) + scalar("CER", cer);
    if (r.bits_per_byte) values += scalar("bits_per_byte", *r.bits_per_byte);
    if (r.loss) values += scalar("loss", *r.loss);
    values += scalar("parameters", static_cast<double>(r.params)) + scalar("train_macs", static_cast<double>(r.train_macs));
    if (r.updated) values += scalar("epochs", static_cast<double>(r.epochs));
    if (r.val_accuracy) values += scalar("val_accuracy", *r.val_accuracy);
    file += record(event(start + r.seconds, r.t, text(5, values)));
  }
  return file;
}

void write_tensorboard(std::span<const RunRecord> runs, const std::filesystem::path& folder) {
  std::set<std::string> taken;
  for (const RunRecord& run : runs) {
    const std::string name = std::filesystem::canonical(run.folder).filename();
    std::string own = name;
    for (int i = 2; !taken.insert(own).second; ++i) own = name + "-" + std::to_string(i);
    std::filesystem::create_directories(folder / own);
    write_atomically(folder / own / "events.out.tfevents.alma", tensorboard_events(run));
  }
}

}  // namespace alma
