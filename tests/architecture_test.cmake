# Dependencies point one way: prints every include that points back.
#   cmake -D ROOT=<source directory> -P architecture_test.cmake

set(wrong "")
function(forbid files pattern why)
  if(NOT files)
    message(FATAL_ERROR "no files to check: ${why}")
  endif()
  foreach(file ${files})
    file(STRINGS ${file} lines REGEX "^#include [<\"]${pattern}")
    foreach(line ${lines})
      file(RELATIVE_PATH name ${ROOT} ${file})
      set(wrong "${wrong}\n  ${name}: ${line} (${why})")
    endforeach()
  endforeach()
  set(wrong "${wrong}" PARENT_SCOPE)
endfunction()

file(GLOB kernels "${ROOT}/src/kernels/*")
forbid("${kernels}" "(pushforward/([a-z_]+/|tape|pass|ops|tensor|component|bijector|distribution|registry)|Eigen)"
  "kernels know pointers and strides only")
file(GLOB core "${ROOT}/src/*.cpp" "${ROOT}/src/*.hpp" "${ROOT}/include/pushforward/*.hpp")
list(REMOVE_ITEM core "${ROOT}/include/pushforward/pushforward.hpp" "${ROOT}/include/pushforward/builders.hpp")
forbid("${core}" "pushforward/(bijectors|distributions|training|io|testing)/" "the core knows no concrete class")
file(GLOB networks "${ROOT}/src/nn/*" "${ROOT}/include/pushforward/nn/*.hpp")
forbid("${networks}" "pushforward/(bijectors|distributions|training|io|testing)/" "networks stand below bijectors")
file(GLOB maps "${ROOT}/bijectors/*" "${ROOT}/distributions/*" "${ROOT}/include/pushforward/bijectors/*.hpp"
  "${ROOT}/include/pushforward/distributions/*.hpp")
forbid("${maps}" "pushforward/(training|io|testing)/" "bijectors and distributions stand below training and files")
file(GLOB_RECURSE public "${ROOT}/include/pushforward/*.hpp")
forbid("${public}" "(boost|hwy|fmt|nlohmann|CLI)/" "public headers need Eigen alone")

if(wrong)
  message(FATAL_ERROR "Includes that point the wrong way:${wrong}")
endif()
