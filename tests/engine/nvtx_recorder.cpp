// What NVTX loads as a tool (NVTX_INJECTION64_PATH): notes the ranges of the program, "name" where one begins, ""
// where it ends.
#include <nvtx3/nvToolsExt.h>

#include <mutex>
#include <string>
#include <vector>

namespace {

std::mutex mutex;
std::vector<std::string> notes;

void note(const char* text) {
  const std::lock_guard lock(mutex);
  notes.emplace_back(text);
}
int push(const char* name) {
  note(name);
  return 0;
}
int pop() {
  note("");
  return 0;
}

}  // namespace

extern "C" {

int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_table) {
  const auto* callbacks = static_cast<const NvtxExportTableCallbacks*>(get_table(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable table = nullptr;
  unsigned size = 0;
  if (callbacks == nullptr || callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE, &table, &size) == 0 ||
      size <= NVTX_CBID_CORE_RangePop)
    return 0;
  *table[NVTX_CBID_CORE_RangePushA] = reinterpret_cast<NvtxFunctionPointer>(push);
  *table[NVTX_CBID_CORE_RangePop] = reinterpret_cast<NvtxFunctionPointer>(pop);
  return 1;
}

std::size_t nvtx_notes() { return notes.size(); }
const char* nvtx_note(std::size_t i) { return notes.at(i).c_str(); }
}
