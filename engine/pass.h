#pragma once
#include <vector>

#include "engine/tensor.h"

namespace alma {

class Module;

/// What a pass through a model is for.
enum class Purpose {
  evaluation,  // the model answers and stays as it is
  training,    // the model learns from these rows: batch statistics, dropout
};

/// How a layer that chooses among experts has used them.
struct Usage {
  const Module* layer;
  Tensor scores;  // [rows, experts]: each row's shares, which add up to 1; off the tape
};

/// One pass through a model: what it is for, and what the model leaves besides its output. The caller makes one for each
/// call of forward(); a module hands it on to its parts. It has nothing to do with the tape, which records or not in either
/// purpose.
struct Pass {
  Purpose purpose = Purpose::evaluation;

  // ---- what the caller says --------------------------------------------------------------------------------------------
  RandomPlace random = {};     // names the random bits of this pass: the key, and in device memory the step
  std::int64_t first_row = 0;  // the number of x's first row among the step's rows, where x is only a part of them
  bool wants_usage = false;

  // ---- what the model says ---------------------------------------------------------------------------------------------
  std::vector<Tensor> penalties = {};  // scalars on the tape that the training loss adds
  std::vector<Usage> usage = {};       // if it was wanted, in the order of the pass

  // ---- inside a Stack, which says it -----------------------------------------------------------------------------------
  std::int64_t members = 0;  // 0: a model by itself. Else x holds the rows of so many, those of one after those of another
  bool in_channels = false;  // or x is images [n, members * channels, h, w], one image of each member side by side

  bool training() const { return purpose == Purpose::training; }
};

}  // namespace alma
