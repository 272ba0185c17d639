# rustic_add_plugin(NAME SOURCES file... MANIFEST plugin.json [DOCUMENTS x.md...] [LIBRARIES lib...]
#                   [TEST_SOURCES x_test.cpp...] [TEST_LIBRARIES lib...] [TEST_LABELS unit|slow...])
#
# Makes NAME.so, a correct plugin: one exported symbol, the manifest as an ELF note, everything
# resolved when it is linked. The sources other than plugin.cpp also form the object library
# NAME_parts, which the tests link. A document x.md becomes <x.md.hpp> with the constant
# rustic_documents::x, and "description": "@x.md" in the manifest becomes its text.
# Where plugins are built, below the build directory. What is built elsewhere is not installed.
set(RUSTIC_PLUGIN_FOLDER lib/rustic-ai/plugins)
set(RUSTIC_PLUGIN_CMAKE_DIR ${CMAKE_CURRENT_LIST_DIR})

function(rustic_add_plugin name)
  cmake_parse_arguments(P "" "MANIFEST"
    "SOURCES;DOCUMENTS;LIBRARIES;TEST_SOURCES;TEST_LIBRARIES;TEST_LABELS" ${ARGN})
  string(MAKE_C_IDENTIFIER ${name} id)
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
  foreach(source ${P_SOURCES})
    if(source MATCHES "plugin\\.c(pp)?$")
      list(APPEND adapters ${source})
    else()
      list(APPEND parts ${source})
    endif()
  endforeach()

  add_library(${name} MODULE ${adapters} ${generated}/manifest.c)
  set_source_files_properties(${generated}/manifest.c PROPERTIES COMPILE_OPTIONS "-Wno-overlength-strings")
  if(parts)
    add_library(${name}_parts OBJECT ${parts})
    add_dependencies(${name}_parts ${name}_embed)
    target_link_libraries(${name}_parts PUBLIC rustic::sdk ${P_LIBRARIES})
    target_include_directories(${name}_parts PUBLIC ${CMAKE_CURRENT_SOURCE_DIR} ${generated})
    if(TARGET rustic_options)
      target_link_libraries(${name}_parts PRIVATE rustic_options)
    endif()
    target_link_libraries(${name} PRIVATE ${name}_parts)
  endif()
  add_dependencies(${name} ${name}_embed)
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${generated})
  target_link_libraries(${name} PRIVATE rustic::sdk ${P_LIBRARIES})
  if(TARGET rustic_options)
    target_link_libraries(${name} PRIVATE rustic_options)
  endif()
  target_compile_options(${name} PRIVATE -fvisibility=hidden)
  target_link_options(${name} PRIVATE
    -Wl,--version-script=${RUSTIC_PLUGIN_CMAKE_DIR}/plugin.map
    -Wl,--exclude-libs,ALL -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack -Wl,--build-id
    -Wl,--as-needed -Wl,--gc-sections)
  if(NOT RUSTIC_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
  set_target_properties(${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
    SKIP_BUILD_RPATH ON
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${RUSTIC_PLUGIN_FOLDER})
  if(RUSTIC_PLUGIN_FOLDER STREQUAL "lib/rustic-ai/plugins")
    install(TARGETS ${name} LIBRARY DESTINATION ${RUSTIC_PLUGIN_FOLDER})
  endif()
  set_property(GLOBAL APPEND PROPERTY RUSTIC_PLUGIN_TARGETS ${name})

  if(COMMAND rustic_plugin_tests)
    rustic_plugin_tests(${name} SOURCES ${P_TEST_SOURCES} LIBRARIES ${P_TEST_LIBRARIES}
      LABELS ${P_TEST_LABELS})
  endif()
endfunction()
