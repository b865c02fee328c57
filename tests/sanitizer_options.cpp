// Part of every program of a sanitizer build.

extern "C" const char* __asan_default_options();

// Up to GCC 13 and LLVM 16 the interceptor of __tls_get_addr takes a thread-local block that happens to lie at a certain
// offset in its page for one with the header of an old glibc, and the leak check then crashes on the garbage before it
// ("Tracer caught signal 11"), about once in thousands of runs.
// allocator_may_return_null: a request that cannot be met is answered as without a sanitizer.
const char* __asan_default_options() { return "intercept_tls_get_addr=0:allocator_may_return_null=1"; }
