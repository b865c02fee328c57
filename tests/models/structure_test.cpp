// Modules say what they are made of, and can be made from it; what is said is not trusted.
#include "engine/structure.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/nn_images.h"
#include "engine/ops_shape.h"
#include "models/mixture.h"
#include "models/mlp.h"
#include "models/module_types.h"
#include "models/umix.h"
#include "models/vgg.h"
#include "tests/engine/gradient_check.h"
#include "tests/engine/passes.h"

namespace alma::test {
namespace {

using nlohmann::json;

std::size_t bytes_of_state(Module& module) {
  std::size_t bytes = 0;
  for (const auto& [name, tensor] : named_state(module)) bytes += tensor.bytes();
  return bytes;
}

// By way of text, as in a checkpoint, and with not one byte more than its tensors take.
std::unique_ptr<Module> made_again(Module& module) {
  return module_types().make(cpu(), json::parse(module.structure().dump()), bytes_of_state(module));
}

template <class T>
void expect_round_trip(Module& module, const Tensor& x, const std::string& what) {
  const auto again = made_again(module);
  EXPECT_EQ(again->structure(), module.structure()) << what;
  const auto before = named_state(module), after = named_state(*again);
  ASSERT_EQ(after.size(), before.size()) << what;
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].first, before[i].first);
    EXPECT_EQ(after[i].second.shape(), before[i].second.shape()) << what << ", " << before[i].first;
    EXPECT_EQ(after[i].second.dtype(), before[i].second.dtype()) << what << ", " << before[i].first;
    EXPECT_EQ(after[i].second.requires_grad(), before[i].second.requires_grad()) << what << ", " << before[i].first;
  }
  copy_tensors(before, after);
  EXPECT_EQ(trained(*again, x).template to_vector<T>(), trained(module, x).template to_vector<T>()) << what;
  EXPECT_EQ(evaluated(*again, x).template to_vector<T>(), evaluated(module, x).template to_vector<T>()) << what;
}

RandomStream init_of(std::uint64_t index) { return {1, "test", index}; }

std::unique_ptr<Module> mlp(std::int64_t experts) { return make_mlp(cpu(), {7, 5, 3, experts, 2}, init_of(0), DType::f64); }

TEST(Structure, OfEveryLayerMakesItAgain) {
  RandomStream init = init_of(0);
  const Tensor rows = random_tensor({6, 7}, 1), images = random_tensor({4, 3, 6, 6}, 2);
  for (const bool relu : {false, true}) {
    Linear linear(cpu(), 7, 5, relu, init, DType::f64);
    expect_round_trip<double>(linear, rows, "linear");
    BatchNorm2d norm(cpu(), 3, relu, DType::f64);
    expect_round_trip<double>(norm, images, "batch_norm2d");
    Conv2d conv(cpu(), 3, 5, 3, relu, init, DType::f64);
    expect_round_trip<double>(conv, images, relu ? "conv2d with a bias" : "conv2d");
  }
  Linear single(cpu(), 2, 3, true, init);
  expect_round_trip<float>(single, Tensor::full(cpu(), {4, 2}, DType::f32, 0.3), "linear in f32");
}

TEST(Structure, OfEveryModelMakesItAgain) {
  const Tensor rows = random_tensor({6, 7}, 1), images = random_tensor({4, 3 * 32 * 32}, 2);
  for (const std::int64_t experts : {1, 3}) {
    expect_round_trip<double>(*mlp(experts), rows, "mlp");
    const auto vgg = make_vgg19(cpu(), {3, 4, 10, experts}, init_of(0), DType::f64);
    expect_round_trip<double>(*vgg, images, "vgg19");
  }
  RandomStream init = init_of(3);
  for (const Gating gating : {Gating::soft, Gating::hard}) {
    const auto grown = make_mlp(cpu(), {7, 5, 3, 2, 2, gating}, init_of(0), DType::f64);
    for (Mixture* mixture : mixtures_of(*grown)) {
      mixture->split(1, 3, init);
      mixture->split(3, 2, init);
    }
    expect_round_trip<double>(*grown, rows, "mlp of grown mixtures");
  }
  for (const bool average : {false, true}) {
    std::vector<std::unique_ptr<Module>> members;
    for (const std::int64_t experts : {1, 2}) members.push_back(mlp(experts));  // not alike
    UniformMixture umix(std::move(members), average);
    expect_round_trip<double>(umix, rows, "uniform_mixture");
  }
  const auto a = mlp(2), b = mlp(2);
  Stack stack(std::vector<Module*>{a.get(), b.get()});
  expect_round_trip<double>(stack, random_tensor({12, 7}, 3), "stack");
}

TEST(Structure, ChildrenAreWalkedUnderTheNamesOfTheirTensors) {
  const auto model = mlp(2);
  std::vector<std::string> paths, tensors;
  const std::function<void(Module&, const std::string&)> walk = [&](Module& module, const std::string& prefix) {
    module.children([&](const std::string& name, Module& child) {
      paths.push_back(prefix + name);
      walk(child, prefix + name + ".");
    });
  };
  walk(*model, "");
  EXPECT_EQ(paths,
            (std::vector<std::string>{"hidden.0", "hidden.0.gate", "hidden.0.expert.0", "hidden.0.expert.1", "hidden.1",
                                      "hidden.1.gate", "hidden.1.expert.0", "hidden.1.expert.1", "output"}));
  for (const auto& [name, tensor] : named_state(*model)) {
    const std::string owner = name.substr(0, name.rfind('.'));
    EXPECT_EQ(std::count(paths.begin(), paths.end(), owner), 1) << name;
  }
}

// A type of somebody else's.
class Doubling final : public Module {
 public:
  static constexpr const char* type = "doubling";
  explicit Doubling(std::unique_ptr<Module> of) : of_(std::move(of)) {}
  explicit Doubling(const Structure& structure) : of_(structure.child("of")) {}
  Tensor forward(const Tensor& x, Pass& pass) override {
    const Tensor y = of_->forward(x, pass);
    return concat({y, y}, 0);
  }
  void children(const ChildVisitor& visitor) override { visitor("of", *of_); }
  json structure() const override { return {{"type", type}, {"of", of_->structure()}}; }
  std::unique_ptr<Module> clone(Context& context) const override { return std::make_unique<Doubling>(of_->clone(context)); }

 private:
  std::unique_ptr<Module> of_;
};

TEST(Structure, KnowsTypesThatAProgramAdds) {
  Doubling module(mlp(1));
  expect_error([&] { made_again(module); }, {"structure", "doubling"});
  ModuleTypes types = module_types();
  types.add<Doubling>();
  const auto again = types.make(cpu(), module.structure(), bytes_of_state(module));
  copy_tensors(named_state(module), named_state(*again));
  const Tensor x = random_tensor({6, 7}, 1);
  EXPECT_EQ(evaluated(*again, x).to_vector<double>(), evaluated(module, x).to_vector<double>());
}

void expect_refused(const json& structure, std::initializer_list<const char*> parts, std::size_t bytes = 1 << 20) {
  try {
    module_types().make(cpu(), structure, bytes);
    ADD_FAILURE() << "no error for " << structure.dump().substr(0, 200);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
    for (const char* part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << "'" << part << "' is not in: " << error.what();
  }
}

TEST(Structure, ThatIsNoneIsRefused) {
  expect_refused(nullptr, {"structure: must be an object, found null"});
  expect_refused(json::array(), {"found array"});
  expect_refused(json::object(), {"\"type\" is missing"});
  expect_refused({{"type", 7}}, {"\"type\" must be a string, found number"});
  expect_refused({{"type", "linaer"}}, {"no module is of type \"linaer\""});
  expect_refused({{"type", "\xff\x01"}}, {"no module is of type"});
  expect_refused({{"type", "linear"}}, {"structure: \"in\" is missing"});
  expect_refused({{"type", "sequential"}, {"modules", 3}}, {"\"modules\" must be an array, found number"});
  expect_refused({{"type", "mixture"}, {"gate", {{"type", "max_pool"}}}, {"experts", json::array()}},
                 {"1 to 16 experts, found 0"});
  const json one = {{"type", "linear"}, {"in", 2}, {"out", 2}, {"relu", false}, {"dtype", "f32"}};
  const auto split_mixture = [&](json splits, int experts) {
    return json{
        {"type", "mixture"}, {"gate", one}, {"experts", std::vector<json>(experts, one)}, {"splits", std::move(splits)}};
  };
  const auto split = [&](const json& expert, const json& into) {
    return json{{"expert", expert}, {"into", into}, {"gate", one}};
  };
  expect_refused(split_mixture({split(2, 2)}, 3), {"structure: a split of expert 2 where there are 2"});
  expect_refused(split_mixture({split(0, 2), split(2, 2), split(4, 2)}, 5), {"a split of expert 4 where there are 4"});
  expect_refused(split_mixture({split(0, 3)}, 2), {"1 to 16 experts before the splits, found 0"});
  expect_refused(split_mixture({split(0, 2)}, 18), {"1 to 16 experts before the splits, found 17"});
  expect_refused(split_mixture({split(0, 1)}, 2),
                 {"structure.splits.0: \"into\" must be a whole number from 2 to 16, found 1"});
  expect_refused(split_mixture({split(-1, 2)}, 3), {"\"expert\" must be a whole number from 0 to 1023, found -1"});
  expect_refused(split_mixture({split(0, 1e300)}, 3), {"\"into\" must be a whole number"});
  expect_refused(split_mixture(one, 3), {"\"splits\" must be an array, found object"});
  expect_refused(split_mixture({"split"}, 3), {"structure.splits.0: must be an object, found string"});
  expect_refused({{"type", "uniform_mixture"}, {"members", json::array()}, {"average", true}}, {"no members"});
  const json pool = {{"type", "max_pool"}}, named = {{"name", "a"}, {"module", pool}};
  expect_refused({{"type", "sequential"}, {"modules", {named, named}}}, {"structure.modules.1", "\"a\"", "twice"});
  expect_refused({{"type", "sequential"}, {"modules", {{{"name", ""}, {"module", pool}}}}},
                 {"structure.modules.0", "not empty"});
  expect_refused({{"type", "stack"}, {"members", 2}, {"model", pool}}, {"members without tensors"});
  expect_refused({{"type", "stack"}, {"members", 1'000'000'000}, {"model", pool}}, {"at most 65536 members"});
}

TEST(Structure, SizesAreWholeNumbersForWhichThereIsMemory) {
  const auto linear = [](const json& in, const json& out) {
    return json{{"type", "linear"}, {"in", in}, {"out", out}, {"relu", false}, {"dtype", "f32"}};
  };
  for (const json& size : {json(0), json(-1), json(1.5), json(1e300), json("7"), json(true), json(nullptr), json(1ull << 31),
                           json(~0ull), json(std::int64_t{-9'000'000'000'000'000'000}), json::array()})
    expect_refused(linear(size, 2), {"structure: \"in\" must be a whole number from 1 to 2147483647"});
  constexpr std::int64_t most = 2'147'483'647;
  expect_refused(linear(most, most), {"a tensor [2147483647, 2147483647]", "1048576 bytes are left"});
  expect_refused({{"type", "conv2d"}, {"in", most}, {"out", most}, {"kernel", most}, {"bias", true}, {"dtype", "f32"}},
                 {"bytes are left"});
  expect_refused({{"type", "conv2d"}, {"in", 1}, {"out", 1}, {"kernel", 2}, {"bias", true}, {"dtype", "f32"}}, {"odd", "2"});
  // 4 x 3 weights and 4 shifts in f32 are 64 bytes, to the byte.
  EXPECT_NO_THROW(module_types().make(cpu(), linear(3, 4), 64));
  expect_refused(linear(3, 4), {"a tensor [4]"}, 63);
  json other = linear(3, 4);
  other["dtype"] = "i32";
  expect_refused(other, {"\"dtype\" must be \"f32\" or \"f64\""});
  other = linear(3, 4);
  other["relu"] = 1;
  expect_refused(other, {"\"relu\" must be true or false, found number"});
}

// A million modules from one line of text would be.
TEST(Structure, MembersWithoutTensorsAreRefusedAtTheFirst) {
  int made = 0;
  ModuleTypes types = module_types();
  types.add("counted", [&](const Structure&) {
    ++made;
    return std::make_unique<Sequential>();
  });
  const json stack = {{"type", "stack"}, {"members", 65'536}, {"model", {{"type", "counted"}}}};
  try {
    types.make(cpu(), stack, 1 << 20);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("members without tensors"), std::string::npos) << error.what();
  }
  EXPECT_EQ(made, 1);
}

TEST(Structure, ModulesInsideOneAnotherHaveAnEnd) {
  const auto nested = [](int levels) {
    json structure = {{"type", "max_pool"}};
    for (int i = 1; i < levels; ++i)
      structure = {{"type", "sequential"}, {"modules", {{{"name", "a"}, {"module", std::move(structure)}}}}};
    return structure;
  };
  EXPECT_NO_THROW(module_types().make(cpu(), nested(Structure::most_levels), 0));
  expect_refused(nested(Structure::most_levels + 1), {"more than 64 modules inside one another"});
  expect_refused(nested(5'000), {"more than 64 modules inside one another"});
}

}  // namespace
}  // namespace alma::test
