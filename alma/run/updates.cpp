#include "alma/run/updates.h"

#include <algorithm>

namespace alma {

Updates::Updates(const MegaBatchStream& stream, std::int64_t wait, bool replay)
    : stream_(stream), wait_(wait), replay_(replay) {
  if (wait != 0) Schedule(stream.size(), wait);  // checks it
}

std::int64_t Updates::train_samples(std::int64_t first, std::int64_t last) const {
  std::int64_t samples = 0;
  for (std::int64_t t = first; t < last; ++t) samples += static_cast<std::int64_t>(stream_[t].train.size());
  return samples;
}

bool Updates::happens_at(std::int64_t t) const {
  if (wait_ != 0) return Schedule(stream_.size(), wait_).updates_at(t);
  return auto_.trains(train_samples(replay_ ? 0 : first_, t));
}

void Updates::has_happened(std::int64_t t, std::optional<double> error) {
  const std::int64_t from = replay_ ? 0 : first_;
  std::int64_t validated = 0;
  for (std::int64_t i = from; i < t; ++i) validated += static_cast<std::int64_t>(stream_[i].validation.size());
  auto_.has_trained(train_samples(from, t), error, validated);
  first_ = t;
  ++count_;
}

UpdateSpan Updates::next() const {
  std::int64_t last = first_;
  while (last < stream_.size())
    if (happens_at(++last)) break;
  return {first_, last};
}

std::vector<UpdateSpan> expected_updates(std::int64_t mega_batches, std::int64_t wait) {
  std::vector<UpdateSpan> updates;
  if (wait != 0) {
    const Schedule schedule(mega_batches, wait);
    for (std::int64_t u = 0; u < schedule.updates(); ++u) updates.push_back(schedule[u]);
    return updates;
  }
  constexpr std::int64_t samples = 1000;  // of a mega-batch
  AutoWait rule;
  std::int64_t first = 0;
  for (std::int64_t t = 1; t <= mega_batches; ++t)
    if (rule.trains((t - first) * samples)) {
      rule.has_trained((t - first) * samples, std::nullopt, 0);
      updates.push_back({first, t});
      first = t;
    }
  return updates;
}

}  // namespace alma
