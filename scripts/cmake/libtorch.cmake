# Finds libtorch: TORCH_LIBRARIES, TORCH_INCLUDE_DIRS, TORCH_INSTALL_PREFIX.
# A libtorch made for CUDA has a package file that insists on the CUDA toolkit, although compiling against it takes none.
# Where the toolkit is missing, its libraries are named here by hand.
find_file(LM_TORCH_CONFIG TorchConfig.cmake PATHS ${Torch_DIR} PATH_SUFFIXES Torch share/cmake/Torch NO_CACHE)
get_filename_component(prefix "${LM_TORCH_CONFIG}" DIRECTORY)
get_filename_component(prefix "${prefix}/../../.." ABSOLUTE)
find_package(CUDAToolkit QUIET)
if(CUDAToolkit_FOUND OR NOT EXISTS ${prefix}/lib/libtorch_cuda.so)
  find_package(Torch REQUIRED)
  return()
endif()
message(STATUS "libtorch for CUDA in ${prefix}, no CUDA toolkit: using its libraries without its package file")
set(TORCH_INSTALL_PREFIX ${prefix})
set(TORCH_INCLUDE_DIRS ${prefix}/include ${prefix}/include/torch/csrc/api/include)
# libtorch_cuda.so registers itself when it is loaded; nothing refers to it by name. The CUDA libraries it asks for are
# found at run time, through its own search path.
set(TORCH_LIBRARIES -Wl,--no-as-needed,--allow-shlib-undefined ${prefix}/lib/libtorch.so ${prefix}/lib/libtorch_cpu.so
    ${prefix}/lib/libtorch_cuda.so ${prefix}/lib/libc10.so ${prefix}/lib/libc10_cuda.so -Wl,--as-needed)
