// libFuzzer's program of one target. The first folder that its command line names is the corpus: it gets the seeds.
#include <cstdint>
#include <filesystem>
#include <fstream>

#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

using namespace alma::fuzz;

int LLVMFuzzerInitialize(int* argc, char*** argv) {
  for (int i = 1; i < *argc; ++i) {
    const std::filesystem::path corpus = (*argv)[i];
    if (!std::filesystem::is_directory(corpus)) continue;
    int number = 0;
    for (const std::string& seed : targets().front().seeds())
      std::ofstream(corpus / ("seed-" + std::to_string(++number)), std::ios::binary) << seed;
    break;
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  take(targets().front(), {reinterpret_cast<const char*>(data), size});
  return 0;
}
