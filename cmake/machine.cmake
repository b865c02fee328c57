# What this machine has, asked at every configuration, because a build folder may move to another machine:
#   ALMA_LEVEL_HERE  the best of the CPU levels that are built, as their libraries are named: generic, x86_64_v3, x86_64_v4
#   ALMA_GPUS_HERE   the architectures of its NVIDIA GPUs, such as 90; empty without one

set(ALMA_LEVEL_HERE generic)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND NOT CMAKE_CROSSCOMPILING)
  set(source ${CMAKE_BINARY_DIR}/CMakeFiles/level_here.cpp)
  # The same questions as in kernels/open_backend.cpp.
  file(WRITE ${source} "int main() { return __builtin_cpu_supports(\"x86-64-v4\") ? 4 : __builtin_cpu_supports(\"x86-64-v3\") ? 3 : 0; }\n")
  unset(level CACHE)
  try_run(level compiled ${CMAKE_BINARY_DIR}/CMakeFiles/level_here ${source})
  if(level EQUAL 3 OR level EQUAL 4)
    set(ALMA_LEVEL_HERE x86_64_v${level})
  endif()
  unset(level CACHE)
  unset(compiled CACHE)
endif()

set(ALMA_GPUS_HERE "")
find_program(NVIDIA_SMI nvidia-smi)
if(NVIDIA_SMI)
  execute_process(COMMAND ${NVIDIA_SMI} --query-gpu=compute_cap --format=csv,noheader
    OUTPUT_VARIABLE capabilities RESULT_VARIABLE status ERROR_QUIET)
  if(status EQUAL 0)
    string(REGEX MATCHALL "[0-9]+\\.[0-9]+" ALMA_GPUS_HERE "${capabilities}")
    list(TRANSFORM ALMA_GPUS_HERE REPLACE "\\." "")
    list(REMOVE_DUPLICATES ALMA_GPUS_HERE)
    list(SORT ALMA_GPUS_HERE COMPARE NATURAL)
  endif()
endif()
message(STATUS "alma: this machine: CPU level ${ALMA_LEVEL_HERE}, GPU architectures: ${ALMA_GPUS_HERE}")
