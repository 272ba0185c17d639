# Run by cpack on what it is about to pack: see RusticPackage.cmake.
file(GLOB_RECURSE archives ${CPACK_TEMPORARY_DIRECTORY}/*.a)
find_program(strip strip)
if(archives AND strip)
  execute_process(COMMAND ${strip} --strip-debug --enable-deterministic-archives ${archives}
    COMMAND_ERROR_IS_FATAL ANY)
endif()
