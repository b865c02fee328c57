#include "data/stream.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/random.h"

namespace alma {
namespace {

void append(std::vector<std::int32_t>& all, const std::vector<std::int32_t>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

}  // namespace

MegaBatchStream::MegaBatchStream(std::int64_t samples, std::int64_t mega_batches, double validation, std::uint64_t seed)
    : samples_(samples) {
  if (samples > std::numeric_limits<std::int32_t>::max())
    fail(ErrorKind::data, "a training set of ", samples, " samples; a stream holds fewer than 2^31");
  if (mega_batches < 1 || mega_batches > samples)
    fail(ErrorKind::usage, "stream.mega_batches = ", mega_batches, ": expected 1 .. ", samples,
         " (the number of training samples)");
  if (!(validation >= 0 && validation < 1))  // this way round, NaN is refused too
    fail(ErrorKind::usage, "stream.validation = ", validation, ": expected a fraction, at least 0 and below 1");

  const std::vector<std::int32_t> order = RandomStream(seed, "stream").permutation(samples);
  const std::int64_t size = samples / mega_batches, larger = samples % mega_batches;
  auto next = order.begin();
  for (std::int64_t t = 0; t < mega_batches; ++t) {
    const auto end = next + static_cast<std::ptrdiff_t>(size + (t < larger ? 1 : 0));
    // Rounding down keeps a training sample: a fraction below 1, times n, stays below n in f64 too. The run is in random
    // order already, so that its first samples are as good a choice for validation as any.
    const auto first_train = next + static_cast<std::ptrdiff_t>(validation * static_cast<double>(end - next));
    batches_.push_back({{first_train, end}, {next, first_train}});
    next = end;
  }
}

MegaBatchStream::MegaBatchStream(std::vector<MegaBatch> mega_batches) : samples_(0), batches_(std::move(mega_batches)) {
  for (const MegaBatch& batch : batches_) samples_ += std::ssize(batch.train) + std::ssize(batch.validation);
}

Schedule::Schedule(std::int64_t mega_batches, std::int64_t wait) : mega_batches_(mega_batches), wait_(wait) {
  if (wait < 1 || wait > mega_batches)
    fail(ErrorKind::usage, "learner.wait = ", wait, ": expected 1 .. ", mega_batches, " (stream.mega_batches)");
}

UpdateSpan Schedule::operator[](std::int64_t u) const { return {u * wait_, std::min((u + 1) * wait_, mega_batches_)}; }

MegaBatch collect(const MegaBatchStream& stream, std::int64_t first, std::int64_t last, bool replay) {
  if (first < 0 || first > last || last > stream.size())
    fail("[collect] mega-batches ", first, " .. ", last, " of ", stream.size());
  MegaBatch all;
  for (std::int64_t t = replay ? 0 : first; t < last; ++t) {
    append(all.train, stream[t].train);
    append(all.validation, stream[t].validation);
    if (t >= first) all.arrived += static_cast<std::int64_t>(stream[t].train.size());
  }
  return all;
}

}  // namespace alma
