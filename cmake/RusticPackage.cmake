# `cpack` in the build directory makes two packages of everything that `cmake --install` installs:
# rustic-ai-VERSION-linux-ARCH.tar.gz, which runs wherever it is unpacked, and a .deb for /usr. Both run
# without a compiler; what the SDK needs to build plugins is suggested.
install(FILES ${CMAKE_SOURCE_DIR}/README.md DESTINATION share/doc/rustic-ai COMPONENT program)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION share/doc/rustic-ai RENAME copyright
  COMPONENT program)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs DESTINATION share/doc/rustic-ai COMPONENT program
  PATTERN man EXCLUDE)

string(TOLOWER ${CMAKE_SYSTEM_NAME} system)
set(CPACK_GENERATOR TGZ DEB)
set(CPACK_PACKAGE_NAME rustic-ai)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Agentic AI runtime: a small kernel and native plugins")
set(CPACK_PACKAGE_DESCRIPTION
"Talk to language models from a terminal or a script, let them use tools
under rules, keep every session, and extend all of it with native plugins.
With the SDK for plugins and for programs that embed the runtime.")
set(CPACK_PACKAGE_VENDOR "The Rustic-AI authors")
set(CPACK_PACKAGE_CONTACT "The Rustic-AI authors <rustic-ai@localhost>")
set(CPACK_PACKAGE_FILE_NAME rustic-ai-${PROJECT_VERSION}-${system}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_MONOLITHIC_INSTALL ON)
set(CPACK_STRIP_FILES ON)
# Archives keep their symbols but not what only a debugger reads.
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/strip-archives.cmake)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
  GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS
  "g++, cmake, pkg-config, libboost-json1.81-dev, libboost1.81-dev")
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
# OpenSSL is opened at the first https request, so no file names it. The other libraries, with their
# versions, the programs and plugins themselves name.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libssl3")
find_program(RUSTIC_SHLIBDEPS dpkg-shlibdeps)
find_program(RUSTIC_FILE file)
if(RUSTIC_SHLIBDEPS AND RUSTIC_FILE)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
else()
  string(APPEND CPACK_DEBIAN_PACKAGE_DEPENDS ", libboost-json1.81.0, libc6 (>= 2.36), libedit2, \
libgcc-s1, libre2-9, libsqlite3-0 (>= 3.37), libstdc++6 (>= 12), zlib1g")
endif()
include(CPack)
