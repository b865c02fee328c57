#include "kernels/sim/symbols.h"

#include <cxxabi.h>
#include <elf.h>
#include <link.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>

namespace alma::sim {
namespace {

// The program or library in which an address lies.
struct Object {
  std::uintptr_t address = 0;
  std::uintptr_t base = 0;
  std::string path;
};

int find_object(dl_phdr_info* info, std::size_t, void* data) {
  Object& object = *static_cast<Object*>(data);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || object.address - (info->dlpi_addr + segment.p_vaddr) >= segment.p_memsz) continue;
    object.base = info->dlpi_addr;
    object.path = *info->dlpi_name == '\0' ? "/proc/self/exe" : info->dlpi_name;
    return 1;
  }
  return 0;
}

// The mangled name of the function that begins at `value`; empty if the file does not say.
std::string find_function(const std::string& path, std::uintptr_t value) {
  std::ifstream file(path, std::ios::binary);
  const std::string image{std::istreambuf_iterator<char>(file), {}};
  const auto read = [&]<class T>(T& target, std::size_t offset) {
    if (offset > image.size() || image.size() - offset < sizeof(T)) return false;
    std::memcpy(&target, image.data() + offset, sizeof(T));
    return true;
  };
  ElfW(Ehdr) header;
  if (!read(header, 0) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return {};
  for (unsigned s = 0; s < header.e_shnum; ++s) {
    ElfW(Shdr) table, names;
    if (!read(table, header.e_shoff + s * sizeof table) || table.sh_type != SHT_SYMTAB) continue;
    if (!read(names, header.e_shoff + table.sh_link * sizeof names)) continue;
    ElfW(Sym) symbol;
    for (std::size_t i = 0; i < table.sh_size && read(symbol, table.sh_offset + i); i += sizeof symbol) {
      if (symbol.st_value != value || (symbol.st_info & 0xf) != STT_FUNC) continue;
      const std::size_t begin = names.sh_offset + symbol.st_name;
      if (begin < image.size()) return image.c_str() + begin;
    }
  }
  return {};
}

// "void alma::(anonymous namespace)::f<4, 8>(float const*)" -> "f<4, 8>"
std::string short_name(const std::string& mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> demangled(abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status),
                                                         std::free);
  if (status != 0) return mangled;
  std::string name = demangled.get();
  for (const std::string noise : {"(anonymous namespace)::", "alma::"})
    for (std::size_t at = name.find(noise); at != std::string::npos; at = name.find(noise, at)) name.erase(at, noise.size());
  int depth = 0;  // of template arguments
  std::size_t begin = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<') ++depth;
    if (name[i] == '>') --depth;
    if (depth > 0) continue;
    if (name[i] == '(') return name.substr(begin, i - begin);
    if (name[i] == ' ' || name[i] == ':') begin = i + 1;
  }
  return name.substr(begin);
}

}  // namespace

std::string kernel_name(const void* kernel) {
  static std::mutex mutex;
  static auto& known = *new std::map<const void*, std::string>;
  const std::lock_guard lock(mutex);
  std::string& name = known[kernel];
  if (!name.empty()) return name;
  Object object{reinterpret_cast<std::uintptr_t>(kernel), 0, {}};
  dl_iterate_phdr(find_object, &object);
  const std::string mangled = find_function(object.path, object.address - object.base);
  return name = mangled.empty() ? "the kernel" : short_name(mangled);
}

}  // namespace alma::sim
