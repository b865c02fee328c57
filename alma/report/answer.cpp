#include "alma/report/answer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "alma/config/kinds.h"
#include "alma/console/text.h"

namespace alma {

namespace {

using Groups = std::vector<const RunGroup*>;

constexpr double kClose = 1.25;  // a learner with less compute is named if its CER is at most this many times the lowest
constexpr std::size_t kMostNames = 3;  // a larger number of learners is counted, not listed

std::int64_t wait_of(const RunGroup& group) { return group.config().learner.wait; }

bool better(const RunGroup* a, const RunGroup* b) {
  return a->cer.mean != b->cer.mean ? a->cer.mean < b->cer.mean : wait_of(*a) < wait_of(*b);
}

/// "a", "a and b", "a, b and c".
std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  return text;
}

/// Twice the standard error of the difference of two means; 0 where a single seed has no spread.
double noise(const RunGroup& a, const RunGroup& b) {
  const auto variance = [](const RunGroup& group) {
    return group.cer.s * group.cer.s / static_cast<double>(group.runs.size());
  };
  return a.runs.size() > 1 && b.runs.size() > 1 ? 2 * std::sqrt(variance(a) + variance(b)) : 0;
}

/// "w = 4", or "w = 4 or 10" where the difference of the two is within the noise. `learner` is sorted by CER.
std::string best_wait(const Groups& learner) {
  const RunGroup &best = *learner[0], &second = *learner[1];
  std::string text = "w = " + wait_name(wait_of(best));
  if (second.cer.mean - best.cer.mean < noise(best, second)) text += " or " + wait_name(wait_of(second));
  return text;
}

std::string best_waits(const std::vector<Groups>& learners) {
  std::map<std::string, std::vector<std::string>> panels;  // by the wait that is best for them
  for (const Groups& learner : learners) panels[best_wait(learner)].push_back(learner[0]->panel);
  std::vector<std::string> clauses;
  for (const auto& [wait, names] : panels) {
    const std::string count = std::to_string(names.size());
    clauses.push_back(wait + " is best for " +
                      (names.size() <= kMostNames ? listed(names)
                       : names.size() == learners.size()
                           ? "all " + count + " learners"
                           : count + " of the " + std::to_string(learners.size()) + " learners"));
  }
  return listed(clauses);
}

/// The extra CER of the waits that are best for no learner, where every learner has tried them.
std::string costs_of_other_waits(const std::vector<Groups>& learners) {
  std::set<std::int64_t> best;
  std::map<std::int64_t, std::vector<double>> excess;  // of the CER over the learner's best
  for (const Groups& learner : learners) {
    best.insert(wait_of(*learner[0]));
    for (const RunGroup* group : learner) excess[wait_of(*group)].push_back(group->cer.mean / learner[0]->cer.mean - 1);
  }
  std::vector<std::string> parts;
  for (const auto& [wait, values] : excess) {
    if (best.contains(wait) || values.size() != learners.size()) continue;
    parts.push_back("w = " + wait_name(wait) + " costs " + fixed(100 * spread_of(values).mean, 0) + "% more");
  }
  return parts.empty() ? "" : " On average, " + listed(parts) + ".";
}

/// The group with the lowest CER, and the cheapest one that comes close to it.
std::string least_cer(const Groups& groups) {
  const RunGroup& best = **std::min_element(groups.begin(), groups.end(), better);
  const RunGroup* cheapest = &best;
  for (const RunGroup* group : groups)
    if (group->cer.mean <= kClose * best.cer.mean && group->macs < cheapest->macs) cheapest = group;
  std::string text = " The lowest CER is " + fixed(best.cer.mean, 2) + ", reached by " + best.label;
  if (cheapest != &best)
    text += "; " + cheapest->label + " has " + fixed(100 * (cheapest->cer.mean / best.cer.mean - 1), 0) + "% more at " +
            fixed(100 * cheapest->macs / best.macs, 0) + "% of its training compute";
  return text + ".";
}

std::string text_of(const std::vector<Groups>& learners, const Groups& all) {
  const bool single = std::all_of(all.begin(), all.end(), [](const RunGroup* group) { return group->runs.size() == 1; });
  return "How long should a learner wait before it trains? Measured by the CER (Eq. 1), " + best_waits(learners) + "." +
         costs_of_other_waits(learners) + least_cer(all) +
         (single ? " Each value comes from a single seed: with another seed, differences of a few percent may reverse."
                 : "");
}

}  // namespace

std::vector<Answer> answers(std::span<const RunGroup> groups) {
  std::map<std::string, std::map<std::string, Groups>> streams;  // panels of each
  for (const RunGroup& group : groups)
    if (group.stages.empty() && !group.config().learner.replay && group.cer.mean > 0)
      streams[group.stream][group.panel].push_back(&group);
  std::vector<Answer> found;
  for (auto& [stream, panels] : streams) {
    std::vector<Groups> learners;  // with two waits or more
    Groups all;
    for (auto& [panel, members] : panels) {
      all.insert(all.end(), members.begin(), members.end());
      if (members.size() < 2) continue;
      std::sort(members.begin(), members.end(), better);
      learners.push_back(members);
    }
    if (!learners.empty()) found.push_back({stream, text_of(learners, all)});
  }
  return found;
}

}  // namespace alma
