#pragma once
#include <sys/resource.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kLimitable = false;
#else
constexpr bool kLimitable = true;
#endif

namespace alma::test {

/// Why a test that needs limit_address_space() is left out.
constexpr const char* kNotLimitable = "a sanitizer's shadow memory takes terabytes of addresses: RLIMIT_AS cannot be set";

/// For the rest of this process, which is a test's child.
inline void limit_address_space(rlim_t bytes) {
  const rlimit limit{bytes, bytes};
  ::setrlimit(RLIMIT_AS, &limit);
}

}  // namespace alma::test
