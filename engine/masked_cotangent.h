#pragma once
#include <optional>
#include <utility>

#include "engine/tensor.h"

namespace alma {

/// A protocol that saves an op y = relu(z) a pass through memory in backward. The product that makes y's cotangent can also
/// apply the ReLU's mask, and sum the columns of the result, which gives the gradient of z's bias. Each op that uses y
/// registers in forward; a single user offers such a product in backward, and y's op takes it.
///
/// The invariant: y's op continues with z's cotangent, even if other ops have added to y's.
///   take() tells an offer by its memory. As long as the offer stands it holds that memory, so that the tape, which adds in
///   place only to what nobody else holds, puts a sum elsewhere: what arrives in that memory is the offer and nothing else.
///   Any other cotangent is a sum in which the offer may or may not be, and is masked as a whole: that does no harm to what
///   is masked already, as a mask depends on y alone and is 0 or 1.
class MaskedCotangent {
 public:
  struct Offer {
    Tensor cotangent;  // of z
    Tensor sums;       // of its columns; undefined if not needed
  };
  void add_taker() { ++takers_; }
  /// Whether an offer is possible. With several users no single one makes the whole cotangent, and the work of an offer
  /// would be wasted.
  bool has_sole_taker() const { return takers_ == 1; }
  void offer(Offer offer) { offer_ = std::move(offer); }
  /// Takes the offer if nothing else has arrived; returns nothing if the mask must still be applied. Afterwards there
  /// is no offer.
  std::optional<Offer> take(const Tensor& arrived) {
    const std::optional<Offer> offer = std::exchange(offer_, std::nullopt);
    return offer && offer->cotangent.in().data == arrived.in().data ? offer : std::nullopt;
  }

 private:
  int takers_ = 0;
  std::optional<Offer> offer_;
};

}  // namespace alma
