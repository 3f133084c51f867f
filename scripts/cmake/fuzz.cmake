# One libFuzzer program for each tests/fuzz/NAME_fuzz.cpp; clang only.
file(GLOB LM_FUZZ_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/*_fuzz.cpp)
foreach(source ${LM_FUZZ_SOURCES})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE lmfast_shell lmfast_serve nlohmann_json::nlohmann_json)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  target_compile_definitions(${name} PRIVATE LM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
endforeach()
