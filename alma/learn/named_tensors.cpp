#include "alma/learn/named_tensors.h"

#include <algorithm>

namespace alma {

std::vector<NamedTensor> with_prefix(const std::string& prefix, std::vector<NamedTensor> tensors) {
  for (NamedTensor& tensor : tensors) tensor.first = prefix + tensor.first;
  return tensors;
}

std::vector<NamedTensor> without_prefix(const std::string& prefix, const std::vector<NamedTensor>& tensors,
                                        const std::vector<NamedTensor>& like) {
  std::vector<NamedTensor> selected;
  for (const auto& [name, expected] : like) {
    const auto same = [full = prefix + name](const NamedTensor& tensor) { return tensor.first == full; };
    const auto found = std::find_if(tensors.begin(), tensors.end(), same);
    if (found == tensors.end()) fail(ErrorKind::data, "damaged checkpoint: no tensor '", prefix, name, "'");
    if (!(found->second.shape() == expected.shape()))
      fail(ErrorKind::data, "the checkpoint is of another model: '", prefix, name, "' is ", found->second.shape(),
           ", expected ", expected.shape());
    selected.emplace_back(name, found->second);
  }
  return selected;
}

}  // namespace alma
