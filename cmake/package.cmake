# What `cmake --install` copies, what find_package(alma) finds there, and the packages that CPack makes (`make package`).
#   bin/alma               the program
#   lib/alma/              one library for each device, opened at run time: beside ../bin, so that the copy may be moved
#   lib/*.a, include/alma  to build on; lib/cmake/alma: the CMake package
# Components: runtime, dev (to build on), cuda (what needs NVIDIA's libraries).

set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME runtime)
install(TARGETS alma RUNTIME DESTINATION bin)
install(DIRECTORY alma/configs DESTINATION share/alma)
install(FILES LICENSE DESTINATION share/doc/alma RENAME copyright)

get_target_property(backends alma_backends MANUALLY_ADDED_DEPENDENCIES)
foreach(backend ${backends})
  if(backend STREQUAL "alma_cuda")
    # Installed kernels of others link cuda and cuda-sim by these names, which carry the folder of headers.
    set_target_properties(alma_cuda PROPERTIES EXPORT_NAME cuda INSTALL_RPATH_USE_LINK_PATH ON)
    target_include_directories(alma_cuda INTERFACE $<INSTALL_INTERFACE:include/alma>)
    install(TARGETS alma_cuda EXPORT alma-cuda LIBRARY DESTINATION lib/alma COMPONENT cuda)
    install(EXPORT alma-cuda NAMESPACE alma:: FILE alma-cuda-targets.cmake DESTINATION lib/cmake/alma COMPONENT cuda)
  elseif(backend STREQUAL "alma_cuda_sim")
    set_target_properties(alma_cuda_sim PROPERTIES EXPORT_NAME cuda_sim)
    target_include_directories(alma_cuda_sim INTERFACE $<INSTALL_INTERFACE:include/alma>)
    install(TARGETS alma_cuda_sim EXPORT alma LIBRARY DESTINATION lib/alma)
  else()
    install(TARGETS ${backend} LIBRARY DESTINATION lib/alma)
  endif()
endforeach()

# alma::base, alma::kernels, ...; alma::program is everything of the folder alma/: learners, runs, sweeps, reports, commands.
set_target_properties(alma_lib PROPERTIES OUTPUT_NAME alma_program)
foreach(part base kernels engine models data text program)
  set(target alma_${part})
  if(part STREQUAL "program")
    set(target alma_lib)
  endif()
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${part})
  install(TARGETS ${target} EXPORT alma ARCHIVE DESTINATION lib COMPONENT dev)
endforeach()
target_include_directories(alma_base INTERFACE $<INSTALL_INTERFACE:include/alma>)
target_compile_features(alma_base INTERFACE $<INSTALL_INTERFACE:cxx_std_20>)
# The run path of who links them: open_backend() looks there. A link option, because an archive has no run path of its own.
target_link_options(alma_kernels INTERFACE $<INSTALL_INTERFACE:LINKER:-rpath,$<INSTALL_PREFIX>/lib/alma>)

install(DIRECTORY base data text engine models kernels alma DESTINATION include/alma COMPONENT dev
  FILES_MATCHING PATTERN "*.h" PATTERN "kernels/cpu" EXCLUDE PATTERN "configs" EXCLUDE PATTERN "page" EXCLUDE)
install(FILES kernels/cpu/parallel.h DESTINATION include/alma/kernels/cpu COMPONENT dev)
install(DIRECTORY examples DESTINATION share/alma COMPONENT dev)

include(CMakePackageConfigHelpers)
set(folder ${CMAKE_CURRENT_BINARY_DIR}/package)
configure_package_config_file(cmake/alma-config.cmake.in ${folder}/alma-config.cmake INSTALL_DESTINATION lib/cmake/alma)
write_basic_package_version_file(${folder}/alma-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${folder}/alma-config.cmake ${folder}/alma-config-version.cmake cmake/alma-kernels.cmake
  DESTINATION lib/cmake/alma COMPONENT dev)
install(EXPORT alma NAMESPACE alma:: FILE alma-targets.cmake DESTINATION lib/cmake/alma COMPONENT dev)

# ---- packages: one archive of everything; for Debian alma, alma-dev and alma-cuda --------------------------------------
set(CPACK_GENERATOR TGZ DEB)
set(CPACK_PACKAGE_CONTACT "The alma authors <alma@localhost>")
set(CPACK_PACKAGE_FILE_NAME alma-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_COMPONENTS_ALL runtime dev)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME alma)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_RECOMMENDS libjs-vega)  # the figures of `alma report`
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SUGGESTS dataset-fashion-mnist)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME alma-dev)
string(JOIN ", " CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "g++" "cmake (>= 3.25)" nlohmann-json3-dev libtomlplusplus-dev zlib1g-dev
  liblzma-dev libzstd-dev libssl-dev libcurl4-openssl-dev libarchive-dev libpcre2-dev)
set(CPACK_COMPONENT_DEV_DEPENDS runtime)
if(TARGET alma_cuda)
  list(APPEND CPACK_COMPONENTS_ALL cuda)
  set(CPACK_COMPONENT_CUDA_DEPENDS runtime)
  set(CPACK_DEBIAN_CUDA_PACKAGE_NAME alma-cuda)
  # NVIDIA's packages; recommended, as its installer brings the same libraries without them.
  find_package(CUDAToolkit REQUIRED QUIET)
  set(toolkit ${CUDAToolkit_VERSION_MAJOR}-${CUDAToolkit_VERSION_MINOR})
  set(CPACK_DEBIAN_CUDA_PACKAGE_DEPENDS "libc6, libstdc++6, libgcc-s1")
  set(CPACK_DEBIAN_CUDA_PACKAGE_RECOMMENDS "cuda-cudart-${toolkit}, libcublas-${toolkit}")
  if(ALMA_CUDNN_FOUND)
    string(APPEND CPACK_DEBIAN_CUDA_PACKAGE_RECOMMENDS ", libcudnn9-cuda-${CUDAToolkit_VERSION_MAJOR}")
  endif()
endif()
include(CPack)
