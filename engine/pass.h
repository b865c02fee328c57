#pragma once
#include <vector>

#include "engine/tensor.h"

namespace alma {

class Module;

/// The purpose of a pass through a model.
enum class Purpose {
  evaluation,  // the model answers and stays as it is
  training,    // the model learns from these rows: batch statistics, dropout
};

/// The use of experts by a layer that chooses among them.
struct Usage {
  const Module* layer;
  Tensor scores;  // [rows, experts]: the gate's scores, which add up to 1 in each row; off the tape
  // Of a layer that has grown by a hard gate: what its newest gate computes of the rows that come to it, [rows, scores].
  Tensor newest_gate = {};
};

/// One pass through a model: its purpose, and the model's results besides the output. The caller makes one for each call of
/// forward(); a module passes it on to its children. It is independent of the tape, which may record with either purpose.
struct Pass {
  Purpose purpose = Purpose::evaluation;

  // ---- what the caller says --------------------------------------------------------------------------------------------
  // The random bits of this pass: the key, and in device memory the step. A layer with n elements in a row draws from number
  // first_row * n on, so that a row gets the same bits in any part of the step's rows.
  RandomPlace random = {};
  std::int64_t first_row = 0;  // the index of x's first row in the step's rows, if x is a part of them
  bool wants_usage = false;

  // ---- what the model says ---------------------------------------------------------------------------------------------
  // Scalars on the tape that the training loss adds, each a mean over the rows of this pass: if these are a part of the
  // step's rows, their share of it.
  std::vector<Tensor> penalties = {};
  std::vector<Usage> usage = {};  // if requested, in the order of the pass

  // ---- inside a Stack, which says it -----------------------------------------------------------------------------------
  std::int64_t members = 0;  // 0: not in a stack. Else x has the rows of that many members, one after the other
  bool in_channels = false;  // x is images [n, members * channels, h, w], the members' images next to one another

  bool training() const { return purpose == Purpose::training; }
  /// The random bits of one of the model's layers, which are numbered by the model; x has `elements` in a row.
  RandomPlace random_of(std::uint64_t layer, std::int64_t elements) const {
    return {random.key ^ (layer + 1) * 0x9e3779b97f4a7c15, random.state, random.first + first_row * elements};
  }
};

}  // namespace alma
