# lmfast_tests: every C++ test of the torch-free code in one doctest binary.
find_package(doctest REQUIRED)
file(GLOB LM_TEST_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/cpp/*.cpp)
add_executable(lmfast_tests ${LM_TEST_SOURCES})
target_compile_definitions(lmfast_tests PRIVATE LM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
target_link_libraries(lmfast_tests PRIVATE lmfast_shell lmfast_serve nlohmann_json::nlohmann_json doctest::doctest ZLIB::ZLIB)
add_dependencies(lmfast_tests lmfast_net)
# One program for each tests/bench/NAME.cpp; built by name only.
file(GLOB LM_BENCH_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/bench/*.cpp)
foreach(source ${LM_BENCH_SOURCES})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} EXCLUDE_FROM_ALL ${source})
  target_link_libraries(${name} PRIVATE lmfast_engine)
endforeach()
