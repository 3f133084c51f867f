# liblmfast.so: the engine without torch. liblmfast_net.so, liblmfast_serve.so, liblmfast_train.so, liblmfast_cuda.so: opened on
# first use.
file(GLOB_RECURSE LM_ENGINE_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/engine/*.cpp)
list(FILTER LM_ENGINE_SOURCES EXCLUDE REGEX "/engine/train/|/engine/net/|/engine/serve/|/kernels/cuda/")
add_library(lmfast_engine SHARED ${LM_ENGINE_SOURCES})
set_target_properties(lmfast_engine PROPERTIES OUTPUT_NAME lmfast)
target_link_libraries(lmfast_engine PUBLIC lm_options fmt::fmt Threads::Threads
                      PRIVATE nlohmann_json::nlohmann_json PkgConfig::PCRE2 PkgConfig::UTF8PROC PkgConfig::PNG PkgConfig::JPEG ZLIB::ZLIB
                      PkgConfig::ZSTD ${SNAPPY_LIBRARY}
                      ${CMAKE_DL_LIBS})

# Decoding and quantising give the reference's bits: multiply-adds must not be fused.
foreach(source ${LM_ENGINE_SOURCES})
  if(source MATCHES "/kernels/cpu/(dequant/|panel_blocks)|/engine/quant/")
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS -ffp-contract=off)
  endif()
endforeach()

# Each instruction set has files of its own; the rest of the engine runs on any x86-64 or other machine.
foreach(source ${LM_ENGINE_SOURCES})
  if(source MATCHES "/kernels/")
    set(flags -O3)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
      if(source MATCHES "_(avx512|amx)\\.cpp$")
        list(APPEND flags -mavx2 -mfma -mf16c -mbmi2 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni
             -mprefer-vector-width=512 -Wno-uninitialized -Wno-maybe-uninitialized)  # g++ 12 misjudges its own intrinsics
        if(source MATCHES "_amx\\.cpp$")
          list(APPEND flags -mamx-tile -mamx-int8)
        endif()
      elseif(source MATCHES "_(avx2|avxvnni)\\.cpp$")
        list(APPEND flags -mavx2 -mfma -mf16c -mbmi2)
        if(source MATCHES "_avxvnni\\.cpp$")
          list(APPEND flags -mavxvnni)
        endif()
      endif()
    elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64" AND source MATCHES "_neon_dot\\.cpp$")
      list(APPEND flags -march=armv8.2-a+dotprod)
    endif()
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${flags})
  endif()
endforeach()
install(TARGETS lmfast_engine LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

# liblmfast_net.so: the HTTP client and OpenSSL, whose loading takes longer than that of all the rest.
file(GLOB LM_NET_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/engine/net/*.cpp)
add_library(lmfast_net SHARED ${LM_NET_SOURCES})
target_link_libraries(lmfast_net PRIVATE lmfast_engine CURL::libcurl OpenSSL::Crypto)
set_target_properties(lmfast_net PROPERTIES INSTALL_RPATH "$ORIGIN")
install(TARGETS lmfast_net LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

# liblmfast_serve.so: the HTTP server and what answers there. 
file(GLOB_RECURSE LM_SERVE_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/engine/serve/*.cpp)
add_library(lmfast_serve SHARED ${LM_SERVE_SOURCES})
set(LM_PAGE_FOLDER ${CMAKE_SOURCE_DIR}/src/engine/serve/page)
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/engine/serve/routes/page.cpp PROPERTIES
  COMPILE_DEFINITIONS LM_PAGE_FOLDER="${LM_PAGE_FOLDER}"
  OBJECT_DEPENDS "${LM_PAGE_FOLDER}/index.html;${LM_PAGE_FOLDER}/style.css;${LM_PAGE_FOLDER}/app.js")
target_link_libraries(lmfast_serve PUBLIC lmfast_engine PRIVATE nlohmann_json::nlohmann_json OpenSSL::SSL OpenSSL::Crypto SQLite::SQLite3)
target_include_directories(lmfast_serve SYSTEM PRIVATE ${Boost_INCLUDE_DIRS})
set_target_properties(lmfast_serve PROPERTIES INSTALL_RPATH "$ORIGIN")
install(TARGETS lmfast_serve LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

if(LM_TRAIN AND NOT LM_SANITIZE AND NOT LM_FUZZ)
  include(libtorch)
  file(GLOB_RECURSE LM_TRAIN_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/engine/train/*.cpp)
  add_library(lmfast_train SHARED ${LM_TRAIN_SOURCES})
  target_include_directories(lmfast_train SYSTEM PRIVATE ${TORCH_INCLUDE_DIRS})
  target_link_libraries(lmfast_train PRIVATE lmfast_engine ${TORCH_LIBRARIES})
  # libtorch brings headers of another fmt than the system's: inline code only, so that nothing is asked of either library.
  target_compile_definitions(lmfast_train PRIVATE FMT_HEADER_ONLY=1 AT_PER_OPERATOR_HEADERS)
  target_link_libraries(lmfast_train PRIVATE nlohmann_json::nlohmann_json)
  # at::parallel_for is a serial loop in code that is compiled without it. The library is libtorch's own.
  target_compile_options(lmfast_train PRIVATE -fopenmp)
  target_link_options(lmfast_train PRIVATE -fopenmp)
  foreach(source ${LM_TRAIN_SOURCES})
    if(source MATCHES "/train/kernels/train_kernels_")
      set(flags -O3 -fopenmp-simd -fno-math-errno -fno-trapping-math)
      if(source MATCHES "_avx512\\.cpp$")
        list(APPEND flags -mavx2 -mfma -mf16c -mbmi2 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mprefer-vector-width=512)
      elseif(source MATCHES "_avx2\\.cpp$")
        list(APPEND flags -mavx2 -mfma -mf16c -mbmi2)
      endif()
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${flags})
    endif()
  endforeach()
  set_target_properties(lmfast_train PROPERTIES INSTALL_RPATH "$ORIGIN;$ORIGIN/../${CMAKE_INSTALL_LIBDIR};${TORCH_INSTALL_PREFIX}/lib")
  install(TARGETS lmfast_train LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

# liblmfast_cuda.so: the GPU library, opened when a device is asked for.
if(LM_CUDA)
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 75 80 90)
  endif()
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
  file(GLOB LM_CUDA_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/engine/kernels/cuda/*.cu
       ${CMAKE_SOURCE_DIR}/src/engine/kernels/cuda/*.cpp)
  add_library(lmfast_cuda SHARED ${LM_CUDA_SOURCES})
  set_target_properties(lmfast_cuda PROPERTIES CUDA_STANDARD_REQUIRED OFF)
  target_compile_options(lmfast_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20>)  # CMake 3.25 does not know this of newer toolkits
  target_link_libraries(lmfast_cuda PRIVATE lmfast_engine CUDA::cudart_static)
  set_target_properties(lmfast_cuda PROPERTIES INSTALL_RPATH "$ORIGIN")
  install(TARGETS lmfast_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
