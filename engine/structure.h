#pragma once
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "engine/module.h"

namespace alma {

class Structure;

/// The types of modules that can be made from what structure() has said of one, by the name in its "type".
class ModuleTypes {
 public:
  using Make = std::function<std::unique_ptr<Module>(const Structure&)>;
  void add(const std::string& type, Make make) { types_[type] = std::move(make); }
  /// A class with a constructor that takes a Structure, under the name T::type.
  template <class T>
  void add() {
    add(T::type, [](const Structure& structure) { return std::make_unique<T>(structure); });
  }
  /// The module, whose tensors are zeros: their values are a checkpoint's to give. It may not take more than `most_bytes` of
  /// memory, such as those of the tensors that are there. Throws Error(ErrorKind::data), saying where and what, for whatever
  /// is not the structure of a module.
  std::unique_ptr<Module> make(Context& context, const nlohmann::json& structure, std::size_t most_bytes) const;

 private:
  friend class Structure;
  std::map<std::string, Make> types_;
};

/// One module's structure while the module is made from it. The text is not trusted: each look at it throws
/// Error(ErrorKind::data) if it is not as asked for.
class Structure {
 public:
  /// At most so many modules inside one another.
  static constexpr int most_levels = 64;

  /// 1 to 2^31 - 1.
  std::int64_t size(const char* key) const;
  bool flag(const char* key) const;
  /// f32 or f64, under "dtype".
  DType dtype() const;
  std::unique_ptr<Module> child(const char* key) const;
  std::vector<std::unique_ptr<Module>> children(const char* key) const;
  /// Under names that differ.
  std::vector<std::pair<std::string, std::unique_ptr<Module>>> named_children(const char* key) const;

  /// A tensor of the module's state, zeros: a parameter, or one that wants no gradient.
  Tensor parameter(const Shape& shape) const;
  Tensor buffer(const Shape& shape) const;
  /// Ends the making: "structure.blocks.gate: sizes ...".
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(ErrorKind::data, path_, ": ", parts...);
  }

 private:
  friend class ModuleTypes;
  struct Making {  // what all modules of one structure share
    const ModuleTypes& types;
    Context& context;
    std::size_t bytes_left;
  };
  Structure(Making& making, const nlohmann::json& json, std::string path, int level)
      : making_(making), json_(json), path_(std::move(path)), level_(level) {}
  const nlohmann::json& at(const char* key) const;
  const nlohmann::json& list(const char* key) const;
  std::unique_ptr<Module> made() const;
  std::unique_ptr<Module> made(const nlohmann::json& json, const std::string& name) const;

  Making& making_;
  const nlohmann::json& json_;
  std::string path_;
  int level_;
};

/// The structures of modules, as an array.
template <class Modules>
nlohmann::json structures_of(const Modules& modules) {
  nlohmann::json all = nlohmann::json::array();
  for (const auto& module : modules) all.push_back(module->structure());
  return all;
}

}  // namespace alma
