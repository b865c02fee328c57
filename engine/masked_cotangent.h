#pragma once
#include <optional>
#include <utility>

#include "engine/tensor.h"

namespace alma {

/// How an op y = relu(z) is spared a pass through memory on the way back. The product that makes y's cotangent can apply the
/// ReLU's mask in passing, and add up the columns of the result, which is the gradient of z's bias. Whoever takes y counts
/// itself in on the way there; a sole taker offers such a product on the way back; y's op takes it.
///
/// The invariant: what y's op goes on with is z's cotangent, whoever else has added to y's.
///   take() tells an offer by its memory. As long as the offer stands it holds that memory, so that the tape, which adds in
///   place only to what nobody else holds, puts a sum elsewhere: what arrives in that memory is the offer and nothing else.
///   Any other cotangent is a sum in which the offer may or may not be, and is masked as a whole: that does no harm to what
///   is masked already, as a mask depends on y alone and is 0 or 1.
class MaskedCotangent {
 public:
  struct Offer {
    Tensor cotangent;  // of z
    Tensor sums;       // of its columns; undefined if nobody wants them
  };
  void add_taker() { ++takers_; }
  /// With several takers none of them makes all of the cotangent: an offer would be work done twice.
  bool has_sole_taker() const { return takers_ == 1; }
  void offer(Offer offer) { offer_ = std::move(offer); }
  /// The offer if it is all that has arrived; nothing if the mask is still to be applied. No offer stands afterwards.
  std::optional<Offer> take(const Tensor& arrived) {
    const std::optional<Offer> offer = std::exchange(offer_, std::nullopt);
    return offer && offer->cotangent.in().data == arrived.in().data ? offer : std::nullopt;
  }

 private:
  int takers_ = 0;
  std::optional<Offer> offer_;
};

}  // namespace alma
