# lmfast: the executable. Its Lua standard library and recipes are compiled in as bytes.
set(LM_STDLIB_CPP ${CMAKE_BINARY_DIR}/generated/stdlib_data.cpp)
file(GLOB_RECURSE LM_STDLIB_FILES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/lua/stdlib/*.lua ${CMAKE_SOURCE_DIR}/lua/recipes/*.lua)
set(LM_EMBED_FILES ${LM_STDLIB_FILES} ${CMAKE_SOURCE_DIR}/scripts/dependencies.tsv)
add_custom_command(OUTPUT ${LM_STDLIB_CPP}
  COMMAND ${CMAKE_COMMAND} -DOUT=${LM_STDLIB_CPP} -DROOT=${CMAKE_SOURCE_DIR} "-DFILES=${LM_EMBED_FILES}"
          -P ${CMAKE_SOURCE_DIR}/scripts/cmake/embed.cmake
  DEPENDS ${LM_EMBED_FILES} ${CMAKE_SOURCE_DIR}/scripts/cmake/embed.cmake VERBATIM)

file(GLOB LM_SHELL_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/runtime/*.cpp ${CMAKE_SOURCE_DIR}/src/bindings/*.cpp
     ${CMAKE_SOURCE_DIR}/src/agents/*.cpp ${CMAKE_SOURCE_DIR}/src/mcp/*.cpp)
list(FILTER LM_SHELL_SOURCES EXCLUDE REGEX "/runtime/main\\.cpp$")
add_library(lmfast_shell OBJECT ${LM_SHELL_SOURCES} ${LM_STDLIB_CPP} ${LM_COMMIT_H})
# .incbin is invisible to dependency scanning (and to ccache): the object depends on the files by name.
set_source_files_properties(${LM_STDLIB_CPP} PROPERTIES OBJECT_DEPENDS "${LM_EMBED_FILES}")
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/bindings/bind_host.cpp PROPERTIES
  COMPILE_OPTIONS "-include;${LM_COMMIT_H}" OBJECT_DEPENDS ${LM_COMMIT_H})
# What host.build says: which of the libraries that open on first use this build makes.
if(TARGET lmfast_train)
  target_compile_definitions(lmfast_shell PRIVATE LM_HAVE_TRAIN)
endif()
if(TARGET lmfast_cuda)
  target_compile_definitions(lmfast_shell PRIVATE LM_HAVE_CUDA)
endif()
target_link_libraries(lmfast_shell PUBLIC lmfast_engine PkgConfig::LUAJIT nlohmann_json::nlohmann_json ${CMAKE_DL_LIBS})

add_executable(lmfast ${CMAKE_SOURCE_DIR}/src/runtime/main.cpp)
target_link_libraries(lmfast PRIVATE lmfast_shell)
add_dependencies(lmfast lmfast_net lmfast_serve)  # they open on first use
set_target_properties(lmfast PROPERTIES ENABLE_EXPORTS ON)
install(TARGETS lmfast RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
