// Compiled for this machine's processor. No templates of the standard library here: the linker keeps one copy of each for
// the whole program, and it would be this file's or another's.
#include <Eigen/Core>
#include <cstdio>

#include "bench/peers/gemm_systems.h"

namespace alma::bench {

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

}  // namespace

void eigen_multiply(const GemmProblem& p) {
  const GemmShape& s = p.shape;
  const Eigen::Map<const Matrix> a(p.a, s.transpose_a ? s.k : s.m, s.transpose_a ? s.m : s.k);
  const Eigen::Map<const Matrix> b(p.b, s.transpose_b ? s.n : s.k, s.transpose_b ? s.k : s.n);
  Eigen::Map<Matrix> c(p.c, s.m, s.n);
  if (s.transpose_a && s.transpose_b)
    c.noalias() = a.transpose() * b.transpose();
  else if (s.transpose_a)
    c.noalias() = a.transpose() * b;
  else if (s.transpose_b)
    c.noalias() = a * b.transpose();
  else
    c.noalias() = a * b;
}

const char* eigen_description() {
  static char text[128];
  std::snprintf(text, sizeof text, "Eigen %d.%d.%d, %s", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION,
                Eigen::SimdInstructionSetsInUse());
  return text;
}

}  // namespace alma::bench
