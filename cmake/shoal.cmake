# Build rules shared by every folder: warnings, sanitizers, precompiled headers
# and the two target helpers. Sources are always listed, never globbed.

add_library(shoal_options INTERFACE)
target_compile_features(shoal_options INTERFACE cxx_std_17)
target_compile_options(
  shoal_options
  INTERFACE -Wall
            -Wextra
            -Wconversion
            -Wshadow
            -Wnon-virtual-dtor
            $<$<BOOL:${SHOAL_WERROR}>:-Werror>
            $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)
if(SHOAL_SANITIZE)
  # Everything is instrumented, third-party headers included, so that standard
  # containers crossing a target border keep one layout.
  add_compile_options(-fsanitize=${SHOAL_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${SHOAL_SANITIZE})
  if(SHOAL_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # Boost.Asio uses fences, which the sanitizer does not see; g++ warns.
    add_compile_options(-Wno-tsan)
  endif()
endif()

# shoal_library(<name> HEADERS ... SOURCES ... DEPS ... PRIVATE_DEPS ...)
# makes target shoal_<name> with alias shoal::<name>. HEADERS are the public
# ones: each must compile alone (target all_verify_interface_header_sets).
function(shoal_library name)
  cmake_parse_arguments(PARSE_ARGV 1 a "" ""
                        "HEADERS;SOURCES;DEPS;PRIVATE_DEPS")
  add_library(shoal_${name} STATIC ${a_SOURCES})
  add_library(shoal::${name} ALIAS shoal_${name})
  target_sources(shoal_${name} PUBLIC FILE_SET HEADERS BASE_DIRS
                                      ${PROJECT_SOURCE_DIR} FILES ${a_HEADERS})
  target_link_libraries(
    shoal_${name}
    PUBLIC ${a_DEPS}
    PRIVATE shoal_options ${a_PRIVATE_DEPS})
  target_compile_features(shoal_${name} PUBLIC cxx_std_17)
endfunction()

# shoal_program(<name> SOURCES ... DEPS ...): an installed program in
# build/<preset>/bin.
function(shoal_program name)
  cmake_parse_arguments(PARSE_ARGV 1 a "" "" "SOURCES;DEPS")
  add_executable(${name} ${a_SOURCES})
  target_link_libraries(${name} PRIVATE ${a_DEPS} shoal_options)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                                           ${CMAKE_BINARY_DIR}/bin)
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# shoal_test(<folder> SOURCES ... DEPS ...): one GoogleTest program for the
# tests that mirror <folder>, its cases registered with ctest.
function(shoal_test folder)
  cmake_parse_arguments(PARSE_ARGV 1 a "" "" "SOURCES;DEPS")
  add_executable(shoal_${folder}_tests ${a_SOURCES})
  target_link_libraries(
    shoal_${folder}_tests PRIVATE ${a_DEPS} shoal_options GTest::gmock
                                  GTest::gtest_main)
  target_compile_definitions(
    shoal_${folder}_tests
    PRIVATE SHOAL_SHARED_DATA="${SHOAL_SHARED_DATA}"
            SHOAL_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
            SHOAL_BINARY_DIR="${CMAKE_BINARY_DIR}")
  gtest_discover_tests(
    shoal_${folder}_tests
    TEST_PREFIX "${folder}."
    DISCOVERY_MODE PRE_TEST
    PROPERTIES TIMEOUT 600)
endfunction()
