#include "alma/learn/named_tensors.h"

#include <algorithm>

namespace alma {

std::vector<NamedTensor> with_prefix(const std::string& prefix, std::vector<NamedTensor> tensors) {
  for (NamedTensor& tensor : tensors) tensor.first = prefix + tensor.first;
  return tensors;
}

std::vector<NamedTensor> without_prefix(const std::string& prefix, const std::vector<NamedTensor>& tensors,
                                        const std::vector<NamedTensor>& like) {
  auto next = tensors.begin();
  // Mostly the one behind the last: a search of all for each takes minutes with 1,000 models.
  const auto find = [&](const std::string& name) {
    const auto same = [&name](const NamedTensor& tensor) { return tensor.first == name; };
    const auto behind = std::find_if(next, tensors.end(), same);
    if (behind != tensors.end()) return behind;
    const auto before = std::find_if(tensors.begin(), next, same);
    return before == next ? tensors.end() : before;
  };
  std::vector<NamedTensor> selected;
  for (const auto& [name, expected] : like) {
    const auto found = find(prefix + name);
    if (found == tensors.end()) fail(ErrorKind::data, "damaged checkpoint: no tensor '", prefix, name, "'");
    if (!(found->second.shape() == expected.shape()))
      fail(ErrorKind::data, "the checkpoint is of another model: '", prefix, name, "' is ", found->second.shape(),
           ", expected ", expected.shape());
    if (found->second.dtype() != expected.dtype())
      fail(ErrorKind::data, "the checkpoint is of another model: '", prefix, name, "' is of ", found->second.dtype(),
           ", expected ", expected.dtype());
    selected.emplace_back(name, found->second);
    next = std::next(found);
  }
  return selected;
}

}  // namespace alma
