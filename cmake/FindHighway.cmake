# Highway as the target hwy::hwy: from its own CMake package where there is one, else from its header and its library.
# The library's build uses this file, and its installed package too.
include(FindPackageHandleStandardArgs)

if(NOT TARGET hwy::hwy)
  find_package(hwy CONFIG QUIET)
endif()
if(NOT TARGET hwy::hwy)
  find_path(Highway_INCLUDE_DIR hwy/highway.h)
  find_library(Highway_LIBRARY hwy)
  mark_as_advanced(Highway_INCLUDE_DIR Highway_LIBRARY)
  if(Highway_INCLUDE_DIR AND Highway_LIBRARY)
    add_library(hwy::hwy UNKNOWN IMPORTED)
    set_target_properties(hwy::hwy PROPERTIES
      IMPORTED_LOCATION "${Highway_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${Highway_INCLUDE_DIR}")
  endif()
endif()
if(TARGET hwy::hwy)
  set(Highway_TARGET hwy::hwy)
endif()
find_package_handle_standard_args(Highway REQUIRED_VARS Highway_TARGET
  REASON_FAILURE_MESSAGE "install libhwy-dev, or say where hwy/highway.h lies with CMAKE_PREFIX_PATH")
