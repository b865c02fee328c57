#include "alma/report/report.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "alma/config/build_info.h"
#include "alma/config/kinds.h"
#include "alma/report/answer.h"
#include "alma/report/page_files.h"
#include "base/error.h"
#include "base/files.h"
#include "base/utf8.h"

namespace alma {

namespace {

using nlohmann::json;

// Vega's modules; each uses those before it. The package has no bundle of them.
constexpr const char* kVegaModules[] = {"vega-util",
                                        "vega-time",
                                        "vega-format",
                                        "vega-canvas",
                                        "vega-loader",
                                        "vega-statistics",
                                        "vega-event-selector",
                                        "vega-expression",
                                        "vega-scale",
                                        "vega-dataflow",
                                        "vega-scenegraph",
                                        "vega-selection",
                                        "vega-functions",
                                        "vega-runtime",
                                        "vega-transforms",
                                        "vega-view-transforms",
                                        "vega-encode",
                                        "vega-parser",
                                        "vega-view"};

json to_json(const Spread& spread) { return {spread.mean, spread.s, spread.low, spread.high}; }

json to_json(const RunGroup& group) {
  const Config& config = group.config();
  json result = {{"label", group.label},
                 {"stream", group.stream},
                 {"panel", group.panel},
                 {"learner", learner_name(config)},
                 {"h", config.model.width},
                 {"wait", config.learner.wait == 0 ? json(wait_name(config.learner.wait)) : json(config.learner.wait)},
                 {"replay", config.learner.replay},
                 {"seconds", to_json(group.seconds)},
                 {"mem", group.mem},
                 {"macs", group.macs},
                 {"flops", group.flops},
                 {"parameters", group.parameters},
                 {"inference", group.inference_macs}};
  if (group.stages.empty()) {
    result["cer"] = to_json(group.cer);
    result["paper"] = group.paper_cer ? to_json(*group.paper_cer) : json();
    result["final"] = to_json(group.final_error);
  } else {
    result["ppl"] = to_json(group.stages.back().mean_ppl);
    result["final"] = to_json(group.stages.back().ppl);
    result["bits"] = group.bits_per_byte ? to_json(*group.bits_per_byte) : json();
    result["final_bits"] = group.final_bits_per_byte ? to_json(*group.final_bits_per_byte) : json();
    for (const Stage& s : group.stages)
      result["stages"].push_back({{"t", s.t},
                                  {"ppl", to_json(s.ppl)},
                                  {"mean", to_json(s.mean_ppl)},
                                  {"flops", s.flops},
                                  {"params", s.params},
                                  {"experts", s.experts}});
  }
  for (const ConfigValue& value : list_config(config))
    if (!value.is_default && value.key != "seed") result["config"].push_back({value.key, value.value});
  for (const Size& s : group.sizes) result["sizes"].push_back({s.t, s.parameters, s.experts});
  for (const CurvePoint& p : group.curve) result["curve"].push_back({p.t, p.mean, p.low, p.high});
  for (const RunRecord* run : group.runs)
    result["runs"].push_back(
        {{"folder", shown_bytes(run->folder.string())},
         {"seed", run->config.seed},
         {group.stages.empty() ? "cer" : "ppl", group.stages.empty() ? run->measures.cer : run->measures.mean_ppl},
         {"final", judged_by(run->records.back())},
         {"bits", run->measures.bits_per_byte ? json(*run->measures.bits_per_byte) : json()},
         {"seconds", run->seconds},
         {"device", run->device + " " + run->level}});
  return result;
}

/// JSON that is safe inside a script element.
std::string page_data(const RunCollection& collection) {
  const std::vector<RunGroup> groups = group_runs(collection.runs);
  json data = {{"version", version()},         {"groups", json::array()},
               {"answers", json::object()},    {"replay_pairs", replay_pairs(groups)},
               {"union_pairs", json::array()}, {"left_out", json::array()}};
  for (const RunGroup& group : groups) data["groups"].push_back(to_json(group));
  for (const Answer& answer : answers(groups)) data["answers"][answer.stream] = answer.text;
  for (const UnionPair& pair : union_pairs(groups))
    data["union_pairs"].push_back({{"sequential", pair.sequential},
                                   {"iid", pair.iid},
                                   {"k", pair.k},
                                   {"sequential_ppl", to_json(pair.sequential_ppl)},
                                   {"iid_ppl", to_json(pair.iid_ppl)}});
  for (const LeftOut& left : collection.left_out)
    data["left_out"].push_back({{"folder", shown_bytes(left.folder.string())}, {"reason", shown_bytes(left.reason)}});
  std::string text;
  for (const char c : data.dump()) c == '<' ? text += "\\u003c" : text += c;
  return text;
}

// Vega's licence must accompany every copy.
constexpr const char* kVegaCopyright = "/usr/share/doc/libjs-vega/copyright";

/// Vega as `vega.View` and `vega.parse`.
std::string vega_scripts(const std::filesystem::path& folder) {
  std::string text = "\"use strict\";\nconst modules = {};\n";
  for (const char* name : kVegaModules) {
    const std::filesystem::path path = folder / (std::string(name) + ".min.js");
    auto script = read_text(path);
    if (!script)
      fail(ErrorKind::usage, "cannot read ", path.string(),
           ", a part of Vega, which draws the report; install the package libjs-vega, or set ALMA_VEGA to the folder of its "
           "scripts");
    if (const std::size_t map = script->find("\n//# sourceMappingURL"); map != std::string::npos) script->resize(map);
    text += "{ const module = { exports: {} };\n(function (module, exports, require) {\n" + *script +
            "\n})(module, module.exports, (name) => modules[name]);\nmodules[\"" + name + "\"] = module.exports; }\n";
    if (name == std::string_view("vega-selection")) text += "modules[\"vega-selections\"] = modules[\"vega-selection\"];\n";
  }
  return text + std::string(kVegaJs);
}

void put(std::string& page, std::string_view mark, std::string_view content) {
  page.replace(page.find(mark), mark.size(), content);
}

// ---- CSV ------------------------------------------------------------------------------------------------------------

std::string quoted(const std::string& field) {
  if (field.find_first_of(",\"\r\n") == std::string::npos) return field;
  std::string text = "\"";
  for (const char c : field) text += c == '"' ? "\"\"" : std::string(1, c);
  return text + "\"";
}

std::string line(const std::vector<std::string>& fields) {
  std::string text;
  for (const std::string& field : fields) text += (text.empty() ? "" : ",") + quoted(field);
  return text + "\r\n";
}

}  // namespace

std::string report_page(const RunCollection& collection, const std::filesystem::path& vega) {
  std::string page(kPageHtml);
  // The runs are inserted last, so that no mark is searched for in their texts.
  put(page, "{{style}}", kPageCss);
  put(page, "{{copyright}}", read_text(kVegaCopyright).value_or(""));
  put(page, "{{vega}}", vega_scripts(vega));
  put(page, "{{figures}}", kFiguresJs);
  put(page, "{{script}}", kPageJs);
  put(page, "{{data}}", page_data(collection));
  return page;
}

std::string report_csv(std::span<const RunRecord> runs) {
  std::vector<std::string> names = {"folder", "learner"};
  for (const ConfigValue& value : list_config(Config{})) names.push_back(value.key);
  std::string text;
  for (const RunRecord& run : runs) {
    std::vector<std::string> fields = {shown_bytes(run.folder.string()), learner_name(run.config)};
    for (const ConfigValue& value : list_config(run.config)) {
      const bool word = value.value.starts_with('"');  // a TOML string as config_write.cpp writes it is a JSON string
      fields.push_back(word ? json::parse(value.value).get<std::string>() : value.value);
    }
    nlohmann::ordered_json measures;  // measures that a run does not have stay empty
    for (const char* name :
         {"cer", "final_error", "mem", "comp_macs", "comp_flops", "paper_cer", "ppl", "mean_ppl", "bits_per_byte"})
      measures[name] = nullptr;
    measures.update(to_json(run.measures));
    measures["parameters"] = run.records.back().params;
    measures["inference_macs"] = count_to_json(run.records.back().inference_macs);
    measures["seconds"] = run.seconds;
    measures["device"] = run.device;
    measures["level"] = run.level;
    measures["version"] = run.version;
    for (const auto& [name, value] : measures.items()) {
      if (text.empty()) names.push_back(name);
      fields.push_back(value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump());
    }
    if (text.empty()) text = line(names);
    text += line(fields);
  }
  return text;
}

void write_figures(const RunCollection& collection, const std::filesystem::path& vega, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const std::string script =
      vega_scripts(vega) + "const data = " + page_data(collection) + ";\n" + std::string(kFiguresJs) + std::string(kSvgJs);
  const std::filesystem::path file =
      folder / ("alma-report-" + std::to_string(::getpid()) + ".js");  // a name that nobody else uses
  write_atomically(file, script);
  // Node.js cannot use paths that are not UTF-8, so it reads its script from standard input and works inside the folder.
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, file.c_str(), O_RDONLY, 0);
  ::posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  std::string words[] = {"node", "--input-type=commonjs", "-"};
  char* arguments[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  pid_t process = 0;
  int status = ::posix_spawnp(&process, "node", &actions, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  const bool started = status == 0;
  if (started) ::waitpid(process, &status, 0);
  std::filesystem::remove(file);
  if (!started)
    fail(ErrorKind::usage, "cannot start node, which draws the SVG files: ", system_error_text(status),
         "; install Node.js (package nodejs)");
  if (status != 0) fail("node, which draws the SVG files, failed as said above; expected Node.js 18 or newer");
}

}  // namespace alma
