#include "engine/structure.h"

#include <set>

namespace alma {

namespace {

// A string from the text in ASCII, whatever bytes it has.
std::string quoted(const nlohmann::json& text) { return text.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace); }

}  // namespace

std::unique_ptr<Module> ModuleTypes::make(Context& context, const nlohmann::json& structure, std::size_t most_bytes) const {
  Structure::Making making{*this, context, most_bytes};
  return Structure(making, structure, "structure", 1).made();
}

std::unique_ptr<Module> Structure::made() const {
  if (level_ > most_levels) refuse("more than ", most_levels, " modules inside one another");
  if (!json_.is_object()) refuse("must be an object, found ", json_.type_name());
  const nlohmann::json& type = at("type");
  if (!type.is_string()) refuse("\"type\" must be a string, found ", type.type_name());
  const auto found = making_.types.types_.find(type.get<std::string>());
  if (found == making_.types.types_.end()) refuse("no module is of type ", quoted(type));
  return found->second(*this);
}

std::unique_ptr<Module> Structure::made(const nlohmann::json& json, const std::string& name) const {
  return Structure(making_, json, path_ + "." + name, level_ + 1).made();
}

const nlohmann::json& Structure::at(const char* key) const {
  const auto found = json_.find(key);
  if (found == json_.end()) refuse("\"", key, "\" is missing");
  return *found;
}

const nlohmann::json& Structure::list(const char* key) const {
  const nlohmann::json& all = at(key);
  if (!all.is_array()) refuse("\"", key, "\" must be an array, found ", all.type_name());
  return all;
}

std::int64_t Structure::integer(const char* key, std::int64_t least, std::int64_t most) const {
  const nlohmann::json& value = at(key);
  const bool fits = value.is_number_unsigned() ? value.get<std::uint64_t>() >= static_cast<std::uint64_t>(least) &&
                                                     value.get<std::uint64_t>() <= static_cast<std::uint64_t>(most)
                                               : value.is_number_integer() && value.get<std::int64_t>() >= least &&
                                                     value.get<std::int64_t>() <= most;
  if (!fits)
    refuse("\"", key, "\" must be a whole number from ", least, " to ", most, ", found ",
           value.is_number() ? value.dump() : value.type_name());
  return value.get<std::int64_t>();
}

double Structure::number(const char* key, double least, double most) const {
  const nlohmann::json& value = at(key);
  if (!value.is_number() || !(value.get<double>() >= least && value.get<double>() <= most))
    refuse("\"", key, "\" must be a number from ", least, " to ", most, ", found ",
           value.is_number() ? value.dump() : value.type_name());
  return value.get<double>();
}

bool Structure::flag(const char* key) const {
  const nlohmann::json& value = at(key);
  if (!value.is_boolean()) refuse("\"", key, "\" must be true or false, found ", value.type_name());
  return value.get<bool>();
}

DType Structure::dtype() const {
  const nlohmann::json& value = at("dtype");
  if (value == "f32") return DType::f32;
  if (value == "f64") return DType::f64;
  refuse("\"dtype\" must be \"f32\" or \"f64\"");
}

std::unique_ptr<Module> Structure::child(const char* key) const { return made(at(key), key); }

std::vector<std::unique_ptr<Module>> Structure::children(const char* key) const {
  std::vector<std::unique_ptr<Module>> modules;
  for (const nlohmann::json& json : list(key))
    modules.push_back(made(json, std::string(key) + "." + std::to_string(modules.size())));
  return modules;
}

std::vector<Structure> Structure::objects(const char* key) const {
  std::vector<Structure> all;
  for (const nlohmann::json& json : list(key)) {
    const Structure entry(making_, json, path_ + "." + key + "." + std::to_string(all.size()), level_);
    if (!json.is_object()) entry.refuse("must be an object, found ", json.type_name());
    all.push_back(entry);
  }
  return all;
}

std::vector<std::pair<std::string, std::unique_ptr<Module>>> Structure::named_children(const char* key) const {
  std::vector<std::pair<std::string, std::unique_ptr<Module>>> modules;
  std::set<std::string> names;
  for (const Structure& entry : objects(key)) {
    const nlohmann::json& name = entry.at("name");
    if (!name.is_string() || name.get_ref<const std::string&>().empty())
      entry.refuse("\"name\" must be a string that is not empty");
    if (!names.insert(name.get<std::string>()).second) entry.refuse("the name ", quoted(name), " is there twice");
    modules.emplace_back(name.get<std::string>(), entry.child("module"));
  }
  return modules;
}

Tensor Structure::buffer(const Shape& shape) const {
  const DType type = dtype();
  std::size_t left = making_.bytes_left / size_of(type);
  for (int i = 0; i < shape.rank(); ++i) left /= static_cast<std::size_t>(shape[i]);  // sizes are at least 1
  if (left == 0) refuse("a tensor ", shape, " is more than what is there: ", making_.bytes_left, " bytes are left");
  making_.bytes_left -= static_cast<std::size_t>(shape.count()) * size_of(type);
  return Tensor::zeros(making_.context, shape, type);
}

Tensor Structure::parameter(const Shape& shape) const { return buffer(shape).set_requires_grad(true); }

}  // namespace alma
