#include "alma/run/updates.h"

namespace alma {

Updates::Updates(const MegaBatchStream& stream, std::int64_t wait, bool replay) : wait_(wait), replay_(replay) {
  if (wait != 0) Schedule(stream.size(), wait);  // checks it
  for (std::int64_t t = 0; t < stream.size(); ++t) {
    train_.push_back(train_.back() + std::ssize(stream[t].train));
    validation_.push_back(validation_.back() + std::ssize(stream[t].validation));
  }
}

bool Updates::happens_at(std::int64_t t) const {
  if (wait_ != 0) return Schedule(size(), wait_).updates_at(t);
  return auto_.trains(train_samples(replay_ ? 0 : first_, t));
}

void Updates::has_happened(std::int64_t t, std::optional<double> error) {
  const std::int64_t from = replay_ ? 0 : first_;
  auto_.has_trained(train_samples(from, t), error, sum(validation_, from, t));
  first_ = t;
  ++count_;
}

UpdateSpan Updates::next() const {
  std::int64_t last = first_;
  while (last < size())
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
