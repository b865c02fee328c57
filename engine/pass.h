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
  // Names the random bits of this pass: the key, and in device memory the step. A layer with n elements in a row draws from
  // number first_row * n on, so that a row gets the same bits in any part of the step's rows.
  RandomPlace random = {};
  std::int64_t first_row = 0;  // the number of x's first row among the step's rows, where x is only a part of them
  bool wants_usage = false;

  // ---- what the model says ---------------------------------------------------------------------------------------------
  // Scalars on the tape that the training loss adds, each as a mean over the rows of this pass: where these are a part of
  // the step's, their share of it.
  std::vector<Tensor> penalties = {};
  std::vector<Usage> usage = {};  // if it was wanted, in the order of the pass

  // ---- inside a Stack, which says it -----------------------------------------------------------------------------------
  std::int64_t members = 0;  // 0: a model by itself. Else x holds the rows of so many, those of one after those of another
  bool in_channels = false;  // or x is images [n, members * channels, h, w], one image of each member side by side

  bool training() const { return purpose == Purpose::training; }
};

}  // namespace alma
