# What every target of this project compiles with: the interface target rustic_options.
include(GNUInstallDirs)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

option(RUSTIC_WERROR "Warnings are errors" OFF)
option(RUSTIC_TESTS "Build the tests" ON)
option(RUSTIC_BENCHMARKS "Build the benchmarks" OFF)
option(RUSTIC_FUZZERS "Build the fuzzers (needs clang)" OFF)
set(RUSTIC_SANITIZE "" CACHE STRING "Sanitizers for everything: address,undefined or thread")

find_program(RUSTIC_CCACHE ccache)
if(RUSTIC_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths count relative to the sources, so that one checkout's results serve another. Without the
  # sloppiness nothing that uses a precompiled header is kept.
  set(launcher env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros ${RUSTIC_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

find_package(Threads REQUIRED)
find_package(Boost 1.81.0 EXACT CONFIG REQUIRED COMPONENTS json)

add_library(rustic_options INTERFACE)
target_compile_options(rustic_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual>
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>
  $<$<BOOL:${RUSTIC_WERROR}>:-Werror>
  -fno-omit-frame-pointer)
target_compile_definitions(rustic_options INTERFACE
  _GNU_SOURCE BOOST_DLL_USE_STD_FS BOOST_ASIO_NO_DEPRECATED BOOST_ALLOW_DEPRECATED_HEADERS)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # GCC 12 warns from inside the standard library and Boost when it inlines them.
  target_compile_options(rustic_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized -Wno-restrict -Wno-dangling-pointer
                              -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread>
    $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
endif()
# For what runs once in a command, and waits for the disk and the network when it does: it compiles in
# two thirds of the time.
set(RUSTIC_SMALL_OPTIONS $<$<CONFIG:Release>:-Os>)
if(RUSTIC_SANITIZE)
  target_compile_options(rustic_options INTERFACE
    -fsanitize=${RUSTIC_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(rustic_options INTERFACE -fsanitize=${RUSTIC_SANITIZE})
  if(RUSTIC_SANITIZE MATCHES thread)
    target_compile_options(rustic_options INTERFACE -Wno-tsan)
  endif()
endif()
