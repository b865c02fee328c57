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

/// One answer for each stream of images on which a learner without replay has run at two or more waiting times. The measure
/// is the CER of Eq. (1), averaged over seeds; a tie goes to the shorter wait. The text says which wait is best for which
/// learners, what the other waits cost, which run has the lowest CER, and which learner comes close to it with less
/// compute. It says so if there is only one seed, and names both waits if the second-best is within twice the standard
/// error of the difference.
std::vector<Answer> answers(std::span<const RunGroup> groups);

}  // namespace alma
