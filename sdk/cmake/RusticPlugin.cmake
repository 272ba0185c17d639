# rustic_add_plugin(NAME SOURCES file... MANIFEST plugin.json [DOCUMENTS x.md...] [LIBRARIES lib...]
#                   [TEST_SOURCES x_test.cpp...] [TEST_LIBRARIES lib...] [TEST_LABELS unit|slow...])
#
# Makes NAME.so, a correct plugin: one exported symbol, the manifest as an ELF note, everything
# resolved when it is linked. The sources other than plugin.c and plugin.cpp also form the object
# library NAME_parts, which the tests link. A document x.md becomes <x.md.hpp> with the constant
# rustic_documents::x, and "description": "@x.md" in the manifest becomes its text.
#
# Outside of Rustic-AI's own tree NAME.so lies in the build directory, `cmake --install` puts it into
# lib/rustic-ai/plugins of the prefix (~/.local is the user's), the test programs have a main of their
# own, link rustic::testing and know the plugin as the macro PLUGIN_FILE.

# Where plugins are built, below the build directory. What is built elsewhere is not installed.
if(NOT RUSTIC_OUTSIDE)
  set(RUSTIC_PLUGIN_FOLDER lib/rustic-ai/plugins)
endif()
set(RUSTIC_PLUGIN_CMAKE_DIR ${CMAKE_CURRENT_LIST_DIR})

# Tests with a main of their own; RusticTest.cmake has another form for the tree.
function(rustic_plain_plugin_tests name)
  cmake_parse_arguments(T "" "" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  if(NOT T_SOURCES OR (DEFINED BUILD_TESTING AND NOT BUILD_TESTING) OR
     (DEFINED RUSTIC_TESTS AND NOT RUSTIC_TESTS))
    return()
  endif()
  add_executable(${name}_test ${T_SOURCES})
  add_dependencies(${name}_test ${name})
  if(TARGET ${name}_parts)
    target_link_libraries(${name}_test PRIVATE ${name}_parts)
  endif()
  if(T_SOURCES MATCHES "\\.cpp")
    target_link_libraries(${name}_test PRIVATE rustic::testing)
  else()
    target_link_libraries(${name}_test PRIVATE rustic::abi ${CMAKE_DL_LIBS})
  endif()
  if(TARGET rustic_options)
    target_link_libraries(${name}_test PRIVATE rustic_options)
    set_target_properties(${name}_test PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  endif()
  target_link_libraries(${name}_test PRIVATE ${T_LIBRARIES})
  target_include_directories(${name}_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(${name}_test PRIVATE PLUGIN_FILE="$<TARGET_FILE:${name}>")
  add_test(NAME ${name}_test COMMAND ${name}_test)
  if(NOT T_LABELS)
    set(T_LABELS unit)
  endif()
  set_tests_properties(${name}_test PROPERTIES TIMEOUT 60 LABELS "${T_LABELS}")
endfunction()

function(rustic_add_plugin name)
  cmake_parse_arguments(P "" "MANIFEST"
    "SOURCES;DOCUMENTS;LIBRARIES;TEST_SOURCES;TEST_LIBRARIES;TEST_LABELS" ${ARGN})
  if(NOT P_SOURCES OR NOT P_MANIFEST OR P_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "rustic_add_plugin(${name}): it takes SOURCES file... MANIFEST plugin.json; "
                        "what is this: \"${P_UNPARSED_ARGUMENTS}\"")
  endif()
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/${name}.generated)

  set(documents)
  foreach(document ${P_DOCUMENTS})
    list(APPEND documents ${CMAKE_CURRENT_SOURCE_DIR}/${document})
  endforeach()
  add_custom_command(OUTPUT ${generated}/manifest.c
    COMMAND ${CMAKE_COMMAND} -DMANIFEST=${CMAKE_CURRENT_SOURCE_DIR}/${P_MANIFEST}
      -DOUTPUT=${generated} "-DDOCUMENTS=${documents}"
      -P ${RUSTIC_PLUGIN_CMAKE_DIR}/RusticEmbed.cmake
    DEPENDS ${P_MANIFEST} ${documents} ${RUSTIC_PLUGIN_CMAKE_DIR}/RusticEmbed.cmake
    VERBATIM)
  add_custom_target(${name}_embed DEPENDS ${generated}/manifest.c)

  set(parts)
  set(adapters)
  set(sdk rustic::abi)
  foreach(source ${P_SOURCES})
    if(NOT source MATCHES "\\.c$")
      set(sdk rustic::sdk)
    endif()
    if(source MATCHES "plugin\\.c(pp)?$")
      list(APPEND adapters ${source})
    else()
      list(APPEND parts ${source})
    endif()
  endforeach()
  if(NOT TARGET ${sdk})
    message(FATAL_ERROR "rustic_add_plugin(${name}): ${sdk} is missing; a plugin in C++ needs "
                        "LANGUAGES CXX in project() before find_package(rustic)")
  endif()

  add_library(${name} MODULE ${adapters} ${generated}/manifest.c)
  set_source_files_properties(${generated}/manifest.c PROPERTIES COMPILE_OPTIONS "-Wno-overlength-strings")
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if(NOT "C" IN_LIST languages)
    set_source_files_properties(${generated}/manifest.c PROPERTIES LANGUAGE CXX)
  endif()
  set(compiled ${name})
  if(parts)
    add_library(${name}_parts OBJECT ${parts})
    add_dependencies(${name}_parts ${name}_embed)
    target_link_libraries(${name}_parts PUBLIC ${sdk} ${P_LIBRARIES})
    target_include_directories(${name}_parts PUBLIC ${CMAKE_CURRENT_SOURCE_DIR} ${generated})
    target_link_libraries(${name} PRIVATE ${name}_parts)
    list(APPEND compiled ${name}_parts)
  endif()
  foreach(target ${compiled})
    if(TARGET rustic_options)
      target_link_libraries(${target} PRIVATE rustic_options)
      continue()
    endif()
    # A unique symbol would keep the file mapped and be shared between two generations of it.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON
      C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  endforeach()
  target_compile_options(${name} PRIVATE -fvisibility=hidden)
  add_dependencies(${name} ${name}_embed)
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${generated})
  target_link_libraries(${name} PRIVATE ${sdk} ${P_LIBRARIES})
  target_link_options(${name} PRIVATE
    -Wl,--version-script=${RUSTIC_PLUGIN_CMAKE_DIR}/plugin.map
    -Wl,--exclude-libs,ALL -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack -Wl,--build-id
    -Wl,--as-needed -Wl,--gc-sections)
  # A sanitizer's own symbols come with the program.
  if(NOT RUSTIC_SANITIZE AND NOT "${CMAKE_C_FLAGS} ${CMAKE_CXX_FLAGS}" MATCHES "-fsanitize")
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
  set_target_properties(${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name} SKIP_BUILD_RPATH ON)
  if(RUSTIC_OUTSIDE)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
    install(TARGETS ${name} LIBRARY DESTINATION lib/rustic-ai/plugins)
  else()
    set_target_properties(${name} PROPERTIES
      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${RUSTIC_PLUGIN_FOLDER})
    if(RUSTIC_PLUGIN_FOLDER STREQUAL "lib/rustic-ai/plugins")
      install(TARGETS ${name} LIBRARY DESTINATION ${RUSTIC_PLUGIN_FOLDER} COMPONENT program)
    endif()
  endif()
  set_property(GLOBAL APPEND PROPERTY RUSTIC_PLUGIN_TARGETS ${name})

  set(tests SOURCES ${P_TEST_SOURCES} LIBRARIES ${P_TEST_LIBRARIES} LABELS ${P_TEST_LABELS})
  if(COMMAND rustic_plugin_tests AND NOT RUSTIC_PLAIN_TESTS)
    rustic_plugin_tests(${name} ${tests})
  else()
    rustic_plain_plugin_tests(${name} ${tests})
    if(COMMAND rustic_plugin_tests)
      rustic_plugin_tests(${name})
    endif()
  endif()
endfunction()
