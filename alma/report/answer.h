#pragma once
#include <span>
#include <string>
#include <vector>

#include "alma/report/groups.h"

namespace alma {

/// The paper's question, how long a learner should wait, as the runs of one stream answer it.
struct Answer {
  std::string stream;  // RunGroup::stream
  std::string text;    // a few sentences
};

/// One answer for each stream of images on which a learner without replay has run at two waiting times or more. The measure
/// is the CER of Eq. (1), averaged over seeds; a tie goes to the shorter wait. The text says which wait is best for whom,
/// what the others cost, where the least CER is, and what comes within 10% of it for less compute; of single seeds it says
/// so, and where the second-best wait is within twice the standard error of the difference it names both.
std::vector<Answer> answers(std::span<const RunGroup> groups);

}  // namespace alma
