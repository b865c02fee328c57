# alma_kernels(NAME SOURCES...): the CUDA sources of a primitive of one's own (examples/op) as a library for each device that
# this copy of alma has, for open_kernels(backend, NAME, ...):
#   lib<NAME>_cuda_sim.so  compiled as C++, for the simulator
#   lib<NAME>_cuda.so      compiled by nvcc, for CMAKE_CUDA_ARCHITECTURES, by default those of alma itself
# They lie beside the program, unless CMAKE_LIBRARY_OUTPUT_DIRECTORY says otherwise. In CMake they are the targets
# <NAME>_cuda_sim and <NAME>_cuda; without alma's devices or without a CUDA toolkit they are left out. A macro, because a
# function must not enable a language.
macro(alma_kernels name)
  if(TARGET alma::cuda_sim)
    find_package(CUDAToolkit 12.8 QUIET)
    if(CUDAToolkit_FOUND)
      _alma_simulated_kernels(${name} ${ARGN})
      if(TARGET alma::cuda)
        if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
          set(CMAKE_CUDA_ARCHITECTURES ${alma_CUDA_ARCHITECTURES})
        endif()
        enable_language(CUDA)
        _alma_cuda_kernels(${name} ${ARGN})
      endif()
    else()
      message(STATUS "${name}: no CUDA toolkit (12.8 or newer) found, kernels for cuda and cuda-sim are left out")
    endif()
  else()
    message(STATUS "${name}: this copy of alma has neither cuda nor cuda-sim, kernels for them are left out")
  endif()
endmacro()

# Both with hidden names: the kernels of the two devices have the same ones.
function(_alma_simulated_kernels name)
  # The same source is CUDA for the other library, so this one gets a file that includes it.
  set(copies)
  foreach(source ${ARGN})
    get_filename_component(path ${source} ABSOLUTE)
    get_filename_component(stem ${source} NAME_WE)
    set(copy ${CMAKE_CURRENT_BINARY_DIR}/${name}_cuda_sim/${stem}.cpp)
    file(CONFIGURE OUTPUT ${copy} CONTENT "#include \"${path}\"\n")
    list(APPEND copies ${copy})
  endforeach()
  add_library(${name}_cuda_sim MODULE ${copies})
  target_include_directories(${name}_cuda_sim PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_include_directories(${name}_cuda_sim SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
  target_link_libraries(${name}_cuda_sim PRIVATE alma::cuda_sim)
  target_compile_features(${name}_cuda_sim PRIVATE cxx_std_20)
  target_compile_options(${name}_cuda_sim PRIVATE -fvisibility=hidden -fvisibility-inlines-hidden
    -fno-gnu-unique -O3 -fno-math-errno)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    target_compile_options(${name}_cuda_sim PRIVATE -march=x86-64-v3)
  endif()
endfunction()

function(_alma_cuda_kernels name)
  add_library(${name}_cuda MODULE ${ARGN})
  target_include_directories(${name}_cuda PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name}_cuda PRIVATE alma::cuda CUDA::cudart)
  target_compile_options(${name}_cuda PRIVATE -std=c++20
    -Xcompiler=-fvisibility=hidden,-fvisibility-inlines-hidden,-fno-gnu-unique)
  set_target_properties(${name}_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Shared)
endfunction()
