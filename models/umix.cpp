#include "models/umix.h"

#include "engine/ops_elementwise.h"
#include "engine/structure.h"

namespace alma {

UniformMixture::UniformMixture(std::vector<std::unique_ptr<Module>> members, bool average)
    : members_(std::move(members)), average_(average) {
  if (members_.empty()) fail("[umix] no members");
}

Tensor UniformMixture::forward(const Tensor& x, Pass& pass) {
  Tensor sum = members_[0]->forward(x, pass);
  for (std::size_t k = 1; k < members_.size(); ++k) sum = sum + members_[k]->forward(x, pass);
  return average_ ? (1.0 / static_cast<double>(members_.size())) * sum : sum;
}

void UniformMixture::children(const ChildVisitor& visitor) {
  for (std::size_t k = 0; k < members_.size(); ++k) visitor("member." + std::to_string(k), *members_[k]);
}

UniformMixture::UniformMixture(const Structure& structure)
    : members_(structure.children("members")), average_(structure.flag("average")) {
  if (members_.empty()) structure.refuse("no members");
}

nlohmann::json UniformMixture::structure() const {
  return {{"type", type}, {"members", structures_of(members_)}, {"average", average_}};
}

std::unique_ptr<Module> UniformMixture::clone(Context& context) const {
  return std::make_unique<UniformMixture>(clones_of(members_, context), average_);
}

}  // namespace alma
