#include "kernels/checks/softmax.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/softmax_rows.h"

namespace alma {
namespace {

/// What a piece of rows adds up.
struct Totals {
  double loss = 0;
  std::int64_t hits = 0;
};

/// What the loss needs of a row at its label; taken before the gradient is written, because grad may be logits.
template <class T>
struct AtLabel {
  bool valid = false;  // the label is a class
  bool none = false;   // it is kNoLabel
  bool hit = false;    // the row's largest element is there, and no lower index holds the same
  T below_max = std::numeric_limits<T>::quiet_NaN();  // logit - max

  AtLabel(const T* x, std::int64_t classes, std::int32_t label, T max)
      : valid(label >= 0 && label < classes), none(label == kNoLabel) {
    if (!valid) return;
    hit = x[label] == max && std::find(x, x + label, max) == x + label;
    below_max = x[label] - max;
  }
};

/// One call's views; see Backend::softmax_cross_entropy.
template <class T>
struct CrossEntropy {
  const T* logits;
  const std::int32_t* labels;
  std::int64_t classes;
  T scale;
  T* grad;  // null: evaluation

  /// The gradient where the onehot is taken off; or a row of NaN, for a label outside the classes; or of 0, for none.
  void finish(std::int64_t row, bool valid, T p_label) const {
    if (valid) {
      grad[row * classes + labels[row]] = (p_label - T(1)) * scale;
    } else {
      std::fill_n(grad + row * classes, classes, labels[row] == kNoLabel ? T(0) : std::numeric_limits<T>::quiet_NaN());
    }
  }

  void narrow(std::int64_t begin, std::int64_t end, Totals& totals) const {
    RowBlock<T> block;
    for (std::int64_t row = begin; row < end; row += block.rows) {
      const std::int64_t rows = std::min<std::int64_t>(block.rows, end - row);
      block.load(logits + row * classes, classes, rows);
      block.exponentiate(classes);
      // The logarithm of a product instead of a sum of logarithms: 16 sums of 1 .. 64 stay far below overflow.
      double product = 1, below_max = 0;
      for (std::int64_t r = 0; r < rows; ++r) {
        const AtLabel<T> at_label(logits + (row + r) * classes, classes, labels[row + r], block.max[r]);
        if (at_label.none) continue;
        totals.hits += at_label.hit;
        below_max += static_cast<double>(at_label.below_max);
        product *= static_cast<double>(block.sum[r]);
      }
      totals.loss += std::log(product) - below_max;
      if (grad == nullptr) continue;
      T at_label[block.rows];
      for (int r = 0; r < block.rows; ++r) block.sum[r] = T(1) / block.sum[r];
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::int32_t label = labels[row + r];
        at_label[r] = label >= 0 && label < classes ? block.value[label][r] * block.sum[r] : T(0);
      }
      for (std::int64_t j = 0; j < classes; ++j)
        for (int r = 0; r < block.rows; ++r) block.value[j][r] = (block.value[j][r] * block.sum[r]) * scale;
      block.store(classes, rows, grad + row * classes);
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::int32_t label = labels[row + r];
        finish(row + r, label >= 0 && label < classes, at_label[r]);
      }
    }
  }

  void wide(std::int64_t row, Totals& totals) const {
    if (labels[row] == kNoLabel) {
      if (grad != nullptr) finish(row, false, T(0));
      return;
    }
    const T* x = logits + row * classes;
    const T max = largest(x, classes);
    const AtLabel<T> at_label(x, classes, labels[row], max);
    totals.hits += at_label.hit;
    const auto add_loss = [&](T sum) { totals.loss += static_cast<double>(std::log(sum) - at_label.below_max); };
    if (grad == nullptr) return add_loss(lane_sum<T>(classes, [=](std::int64_t j) { return exponential(x[j] - max); }));
    T* e = grad + row * classes;
    const T sum = exponentiate_row(x, classes, max, e);
    add_loss(sum);
    const T inverse = T(1) / sum;
    const T p_label = at_label.valid ? e[labels[row]] * inverse : T(0);
#pragma GCC ivdep
    for (std::int64_t j = 0; j < classes; ++j) e[j] = (e[j] * inverse) * scale;
    finish(row, at_label.valid, p_label);
  }
};

}  // namespace

void CpuBackend::softmax_cross_entropy(const In& logits, const In& labels, double scale, const Out& grad, const Out& loss,
                                       const Out& hits) {
  const Observed seen = check::softmax_cross_entropy(*this, logits, labels, grad, loss, hits);
  for_float("softmax_cross_entropy", logits.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t rows = logits.shape[0], classes = logits.shape[1];
    const CrossEntropy<T> work{logits.as<T>(), labels.as<std::int32_t>(), classes, static_cast<T>(scale), grad.as<T>()};
    const std::int64_t grain = std::max<std::int64_t>(16, rows_per_piece(classes) / 16 * 16);
    const std::int64_t pieces = ceil_divide(rows, grain);
    Totals* totals = workspace_.take<Totals>(pieces);
    for_pieces(pool_, rows, grain, 3 * static_cast<double>(classes), [&](std::int64_t begin, std::int64_t end) {
      Totals sum;
      if (classes <= kNarrow) {
        work.narrow(begin, end, sum);
      } else {
        for (std::int64_t row = begin; row < end; ++row) work.wide(row, sum);
      }
      totals[begin / grain] = sum;
    });
    Totals all;
    for (std::int64_t piece = 0; piece < pieces; ++piece) {
      all.loss += totals[piece].loss;
      all.hits += totals[piece].hits;
    }
    *loss.as<T>() = static_cast<T>(all.loss * scale);
    if (hits) *hits.as<std::int32_t>() = static_cast<std::int32_t>(all.hits);
  });
}

}  // namespace alma
