#pragma once
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "engine/module.h"

namespace alma {

class Structure;

/// The types of modules that can be made from the result of structure(), by the name in its "type".
class ModuleTypes {
 public:
  using Make = std::function<std::unique_ptr<Module>(const Structure&)>;
  void add(const std::string& type, Make make) { types_[type] = std::move(make); }
  /// Adds a class with a constructor that takes a Structure, under the name T::type.
  template <class T>
  void add() {
    add(T::type, [](const Structure& structure) { return std::make_unique<T>(structure); });
  }
  /// Makes the module, whose tensors are zeros until a checkpoint gives their values. It may take at most `most_bytes` of
  /// memory, such as the size of the checkpoint's tensors. Throws Error(ErrorKind::data) that names the place and the fault
  /// if this is not the structure of a module.
  std::unique_ptr<Module> make(Context& context, const nlohmann::json& structure, std::size_t most_bytes) const;

 private:
  friend class Structure;
  std::map<std::string, Make> types_;
};

/// The structure of one module, from which the module is made. The text is not trusted: every access throws
/// Error(ErrorKind::data) if the value is missing or of another kind.
class Structure {
 public:
  /// The deepest nesting of modules.
  static constexpr int most_levels = 64;

  bool has(const char* key) const { return json_.contains(key); }
  /// A whole number from 1 to 2^31 - 1.
  std::int64_t size(const char* key) const { return integer(key, 1, std::numeric_limits<std::int32_t>::max()); }
  /// A whole number from `least` to `most`, neither of which is negative.
  std::int64_t integer(const char* key, std::int64_t least, std::int64_t most) const;
  /// A number from `least` to `most`.
  double number(const char* key, double least, double most) const;
  bool flag(const char* key) const;
  /// f32 or f64, under "dtype".
  DType dtype() const;
  std::unique_ptr<Module> child(const char* key) const;
  std::vector<std::unique_ptr<Module>> children(const char* key) const;
  /// The objects of an array, which are not modules themselves.
  std::vector<Structure> objects(const char* key) const;
  /// Named children, whose names are distinct.
  std::vector<std::pair<std::string, std::unique_ptr<Module>>> named_children(const char* key) const;

  /// A tensor of the module's state, filled with zeros: a parameter, or a tensor without gradient.
  Tensor parameter(const Shape& shape) const;
  Tensor buffer(const Shape& shape) const;
  /// Throws Error(ErrorKind::data) with the place: "structure.blocks.gate: sizes ...".
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(ErrorKind::data, path_, ": ", parts...);
  }

 private:
  friend class ModuleTypes;
  struct Making {  // shared by all modules of one structure
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

/// Copies of modules in `context`.
inline std::vector<std::unique_ptr<Module>> clones_of(const std::vector<std::unique_ptr<Module>>& modules,
                                                      Context& context) {
  std::vector<std::unique_ptr<Module>> clones;
  for (const auto& module : modules) clones.push_back(module->clone(context));
  return clones;
}

/// The structures of modules, as an array.
template <class Modules>
nlohmann::json structures_of(const Modules& modules) {
  nlohmann::json all = nlohmann::json::array();
  for (const auto& module : modules) all.push_back(module->structure());
  return all;
}

}  // namespace alma
