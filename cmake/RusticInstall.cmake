# What `cmake --install` and cpack put where, beside the program, its plugins and the demo:
#
#   include/rustic/             the contract and its C++ layer           (rustic::sdk)
#   include/rustic-ai/          headers of programs that embed           (rustic::runtime)
#   lib/rustic-ai/*.a           both as archives
#   lib/cmake/rustic/           find_package(rustic 1 CONFIG), rustic_add_plugin
#   lib/pkgconfig/              rustic-sdk.pc (C), rustic-sdk-cpp.pc
#   share/rustic-ai/examples/   complete plugins; `rustic-ai plugin new` copies from them
#   share/man/
#
# Every path is relative to the prefix, so that the whole can be moved. The package's version is the
# contract's: major and minor of abi.h. find_package(rustic 1) is right for every program 1.x of the
# contract, whatever the version of the program is.
include(CMakePackageConfigHelpers)

file(STRINGS ${CMAKE_SOURCE_DIR}/sdk/include/rustic/abi.h lines REGEX "^#define RAI_ABI_M")
string(REGEX REPLACE ".*RAI_ABI_MAJOR ([0-9]+).*RAI_ABI_MINOR ([0-9]+).*" "\\1.\\2.0"
  RUSTIC_CONTRACT_VERSION "${lines}")

set(package_dir lib/cmake/rustic)
install(TARGETS rustic_abi EXPORT rustic-abi COMPONENT sdk)
set(archives)
foreach(part sdk testing schema provider storage kernel kernel_abi config runtime)
  if(TARGET rustic_${part})
    list(APPEND archives rustic_${part})
    set_target_properties(rustic_${part} PROPERTIES EXPORT_NAME ${part})
  endif()
endforeach()
set_target_properties(rustic_abi PROPERTIES EXPORT_NAME abi)
install(TARGETS ${archives} EXPORT rustic ARCHIVE DESTINATION lib/rustic-ai COMPONENT sdk)
foreach(export rustic-abi rustic)
  install(EXPORT ${export} NAMESPACE rustic:: FILE ${export}-targets.cmake
    DESTINATION ${package_dir} COMPONENT sdk)
endforeach()

install(DIRECTORY ${CMAKE_SOURCE_DIR}/sdk/include/rustic DESTINATION include COMPONENT sdk)
foreach(folder kernel kernel/abi host/runtime host/runtime/config)
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.hpp)
  list(FILTER headers EXCLUDE REGEX "test_")
  install(FILES ${headers} DESTINATION include/rustic-ai/${folder} COMPONENT sdk)
endforeach()

configure_package_config_file(${CMAKE_SOURCE_DIR}/sdk/cmake/rustic-config.cmake.in
  ${CMAKE_BINARY_DIR}/rustic-config.cmake INSTALL_DESTINATION ${package_dir}
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/rustic-config-version.cmake
  VERSION ${RUSTIC_CONTRACT_VERSION} COMPATIBILITY SameMajorVersion)
install(FILES
  ${CMAKE_BINARY_DIR}/rustic-config.cmake
  ${CMAKE_BINARY_DIR}/rustic-config-version.cmake
  ${CMAKE_SOURCE_DIR}/sdk/cmake/RusticPlugin.cmake
  ${CMAKE_SOURCE_DIR}/sdk/cmake/RusticEmbed.cmake
  ${CMAKE_SOURCE_DIR}/sdk/cmake/plugin.map
  DESTINATION ${package_dir} COMPONENT sdk)

foreach(name rustic-sdk rustic-sdk-cpp)
  configure_file(${CMAKE_SOURCE_DIR}/sdk/${name}.pc.in ${CMAKE_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/${name}.pc DESTINATION lib/pkgconfig COMPONENT sdk)
endforeach()

install(FILES ${CMAKE_SOURCE_DIR}/docs/man/rustic-ai.1 DESTINATION share/man/man1 COMPONENT program)
install(FILES ${CMAKE_SOURCE_DIR}/docs/man/rustic-sdk.7 DESTINATION share/man/man7 COMPONENT sdk)

# The examples stand where `rustic-ai plugin new` looks for them, also beside a program that is not
# installed.
file(GLOB_RECURSE examples CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/sdk/examples
  ${CMAKE_SOURCE_DIR}/sdk/examples/*/*)
foreach(file ${examples})
  configure_file(${CMAKE_SOURCE_DIR}/sdk/examples/${file}
    ${CMAKE_BINARY_DIR}/share/rustic-ai/examples/${file} COPYONLY)
  get_filename_component(folder ${file} DIRECTORY)
  install(FILES ${CMAKE_SOURCE_DIR}/sdk/examples/${file}
    DESTINATION share/rustic-ai/examples/${folder} COMPONENT sdk)
endforeach()
