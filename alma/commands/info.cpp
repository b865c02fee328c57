#include <archive.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <zlib.h>
#include <nlohmann/json.hpp>

#include <lzma.h>
#include <CLI/Version.hpp>
#include <iostream>

#include "alma/commands/commands.h"
#include "alma/config/build_info.h"
#include "alma/config/config.h"
#include "base/process.h"
#include "kernels/open_backend.h"
#include "text/character_classes.h"

namespace alma {

int info_command() {
  require_standard_output();
  std::cout << "alma " << version() << "\n\nbuild\n  compiler   " << compiler() << "\n  cuda       " << cuda_toolkit()
            << "\n\ndevices\n";
  for (const auto& [device, usable, why] : list_devices())
    std::cout << (usable ? "  + " : "  - ") << device << std::string(device.size() < 16 ? 16 - device.size() : 1, ' ') << why
              << '\n';
  std::cout << "\nlibraries\n"
            << "  nlohmann-json  " << NLOHMANN_JSON_VERSION_MAJOR << '.' << NLOHMANN_JSON_VERSION_MINOR << '.'
            << NLOHMANN_JSON_VERSION_PATCH << "\n  toml++         " << toml_library_version() << "\n  CLI11          "
            << CLI11_VERSION << "\n  zlib           " << ::zlibVersion() << "\n  liblzma        " << ::lzma_version_string()
            << "\n  OpenSSL        " << ::OpenSSL_version(OPENSSL_VERSION) << "\n  libcurl        "
            << ::curl_version_info(CURLVERSION_NOW)->version << "\n  libarchive     "
            << (::archive_version_string() + std::string_view("libarchive ").size()) << "\n  PCRE2          "
            << pcre2_version() << " (Unicode " << unicode_version() << ")\n";
  return 0;
}

}  // namespace alma
