# rustic_add_test(NAME SOURCES file... [LIBRARIES lib...] [LABELS label...] [TIMEOUT_S n])
# One doctest program, one ctest entry. The label is "unit" unless told otherwise. Tests of the kernel,
# the SDK, the engines and the policies also get the label "sanitized": they gate under ASan and TSan.
enable_testing()

# Tests are more than half of what a build compiles, and each runs for moments. A test that starts
# programs is not optimised at all; one that is linked with what it tests is a little, since the linker
# may take its copy of an inline function for both.
set(RUSTIC_PROCESS_TEST_OPTIONS $<$<CONFIG:Release>:-O0>)
set(RUSTIC_UNIT_TEST_OPTIONS $<$<CONFIG:Release>:-O1>)

function(rustic_add_test name)
  if(NOT RUSTIC_TESTS)
    return()
  endif()
  cmake_parse_arguments(T "" "TIMEOUT_S" "SOURCES;LIBRARIES;LABELS;ARGS" ${ARGN})
  if(NOT T_LABELS)
    set(T_LABELS unit)
  endif()
  if(NOT T_TIMEOUT_S)
    set(T_TIMEOUT_S 60)
  endif()
  file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  if(folder MATCHES "^(kernel|sdk|plugins/engines|plugins/policies|plugins/storage/memory)")
    list(APPEND T_LABELS sanitized)
  endif()
  if("sanitized" IN_LIST T_LABELS)
    set_property(GLOBAL APPEND PROPERTY RUSTIC_SANITIZED_TARGETS ${name})
  endif()
  add_executable(${name} ${T_SOURCES})
  if("e2e" IN_LIST T_LABELS)
    target_compile_options(${name} PRIVATE ${RUSTIC_PROCESS_TEST_OPTIONS})
  else()
    target_compile_options(${name} PRIVATE ${RUSTIC_UNIT_TEST_OPTIONS})
  endif()
  target_link_libraries(${name} PRIVATE ${T_LIBRARIES} rustic_doctest_main rustic_options)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name} ${T_ARGS})
  set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}" TIMEOUT ${T_TIMEOUT_S}
    ENVIRONMENT "RUSTIC_BUILD_DIR=${CMAKE_BINARY_DIR};RUSTIC_SOURCE_DIR=${CMAKE_SOURCE_DIR}")
endfunction()

# Called by rustic_add_plugin: the tests that stand beside a plugin, and its symbol check.
function(rustic_plugin_tests name)
  if(NOT RUSTIC_TESTS)
    return()
  endif()
  cmake_parse_arguments(T "" "" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  if(T_SOURCES)
    set(parts)
    if(TARGET ${name}_parts)
      set(parts ${name}_parts)
    endif()
    rustic_add_test(${name}_test SOURCES ${T_SOURCES} LIBRARIES ${parts} rustic::sdk ${T_LIBRARIES}
      LABELS ${T_LABELS})
    add_dependencies(${name}_test ${name})
  endif()
  add_test(NAME tidy.symbols.${name}
    COMMAND ${CMAKE_SOURCE_DIR}/tests/tidy/symbols.sh $<TARGET_FILE:${name}>)
  set_tests_properties(tidy.symbols.${name} PROPERTIES LABELS tidy)
endfunction()

if(RUSTIC_TESTS)
  find_path(DOCTEST_INCLUDE_DIR doctest/doctest.h REQUIRED)
  add_library(rustic_doctest_main OBJECT ${CMAKE_SOURCE_DIR}/tests/doctest_main.cpp)
  target_compile_options(rustic_doctest_main PRIVATE ${RUSTIC_PROCESS_TEST_OPTIONS})
  target_include_directories(rustic_doctest_main PUBLIC ${DOCTEST_INCLUDE_DIR})
  target_link_libraries(rustic_doctest_main PRIVATE rustic_options)
endif()
