# oneDNN: SHOAL_DNNL_INCLUDE and SHOAL_DNNL_LIBRARY. Not by its own package
# configuration, which asks for OpenCL. SHOAL_DNNL_USABLE says whether it is
# the API that runs nets, on the same OpenMP as LibTorch.
find_path(SHOAL_DNNL_INCLUDE oneapi/dnnl/dnnl_config.h REQUIRED)
find_library(SHOAL_DNNL_LIBRARY dnnl REQUIRED)
set(SHOAL_DNNL_USABLE OFF)
file(STRINGS ${SHOAL_DNNL_INCLUDE}/oneapi/dnnl/dnnl_config.h found
     REGEX "DNNL_CPU_THREADING_RUNTIME DNNL_RUNTIME_OMP")
file(STRINGS ${SHOAL_DNNL_INCLUDE}/oneapi/dnnl/dnnl_version.h version
     REGEX "DNNL_VERSION_MAJOR 2")
if(found AND version)
  set(SHOAL_DNNL_USABLE ON)
endif()
