# Finds the CUDA toolkit, and with it builds the devices cuda-sim (no driver needed) and cuda. Included by kernels/.
if(ALMA_CUDA STREQUAL "off")
  message(STATUS "alma: ALMA_CUDA=off, this build has the device cpu alone")
  return()
endif()

find_package(CUDAToolkit 12.8 QUIET)
if(NOT CUDAToolkit_FOUND)
  if(ALMA_CUDA STREQUAL "on")
    message(FATAL_ERROR "alma: ALMA_CUDA=on, but no CUDA toolkit (12.8 or newer) was found; "
      "put nvcc on PATH or set CUDAToolkit_ROOT")
  endif()
  message(STATUS "alma: no CUDA toolkit (12.8 or newer) found, this build has the device cpu alone")
  return()
endif()

set(ALMA_CUDA_KERNELS batch_norm.cu batch_norm_backward.cu elementwise.cu gather.cu layer_norm.cu layer_norm_backward.cu mix.cu optim.cu pool.cu reduce.cu softmax.cu)
set(ALMA_CUDA_HOST backend.cpp gemm.cpp staging.cpp)
list(TRANSFORM ALMA_CUDA_KERNELS PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
list(TRANSFORM ALMA_CUDA_HOST PREPEND ${CMAKE_CURRENT_LIST_DIR}/)

add_subdirectory(sim)

if(ALMA_SANITIZE)
  message(STATUS "alma: CUDA toolkit ${CUDAToolkit_VERSION}: device cuda-sim (cuda is left out of a sanitizer build)")
  return()
endif()

# Machine code for every architecture, and intermediate code of the newest for GPUs that come later.
set(CMAKE_CUDA_ARCHITECTURES ${ALMA_CUDA_ARCHITECTURES})
list(POP_BACK CMAKE_CUDA_ARCHITECTURES newest)
list(TRANSFORM CMAKE_CUDA_ARCHITECTURES APPEND -real)
list(APPEND CMAKE_CUDA_ARCHITECTURES ${newest})
enable_language(CUDA)
if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  # CMake 3.25 does not know that nvcc compiles C++20, and would refuse the target.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
add_subdirectory(cuda)
message(STATUS "alma: CUDA toolkit ${CUDAToolkit_VERSION}: devices cuda (${ALMA_CUDA_ARCHITECTURES}) and cuda-sim")
