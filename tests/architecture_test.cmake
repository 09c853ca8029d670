# Dependencies point one way, and what belongs in one folder stays there: prints every include that points back, in
# headers and sources, and every place of a vector-Jacobian product or of Boost.Math that is not theirs.
#   cmake -D ROOT=<source directory> [-D LEAST=<number of files that must be there, 100>] -P architecture_test.cmake
# architecture_fails_test shows that each of these is found.

if(NOT DEFINED LEAST)
  set(LEAST 100)
endif()

# The layer of a file by its path from the root; a file may include those of lower layers and of its own folder. A name
# that no rule knows is an error: a new folder gets a layer here.
function(layer_of path result)
  set(rules
    "^include/pushforward/(activation|error|reducer|trace|views)\\.hpp$=0"
    "^src/core/(error\\.cpp|number_text\\.[ch]pp)$=0"
    "^src/kernels/=1"
    "^include/pushforward/(arena|packed_weights|tape|tensor)\\.hpp$=2"
    "^src/core/(packed_weights|tape)\\.cpp$=2"
    "^include/pushforward/ops\\.hpp$=3"
    "^src/(ops|numerics)/=3"
    "^include/pushforward/nn/network\\.hpp$=4"
    "^include/pushforward/classes\\.hpp$=7"
    "^include/pushforward/[a-z_]+\\.hpp$=4"
    "^(include/pushforward|src)/(batch_norm|core)/=4"
    "^(include/pushforward/)?nn/=5"
    "^(include/pushforward/)?bijectors/=6"
    "^(include/pushforward/)?distributions/=7"
    "^(include/pushforward/)?flows/=8"
    "^(include/pushforward|src)/io/=9"
    "^(include/pushforward/)?ports/=9"
    "^include/pushforward/mpi/=9"
    "^(include/pushforward|src)/training/=10"
    "^(include/pushforward|src)/(diagnostics|export|inference|testing)/=11")
  foreach(rule ${rules})
    string(REGEX MATCH "^(.*)=([0-9]+)$" matched "${rule}")
    if(path MATCHES "${CMAKE_MATCH_1}")
      string(REGEX REPLACE "^.*=" "" layer "${rule}")
      set(${result} ${layer} PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "${path} belongs to no layer of the library")
endfunction()

# "bijectors" of include/pushforward/bijectors/exp.hpp and of bijectors/exp.cpp; empty for include/pushforward/pass.hpp.
function(folder_of path result)
  string(REGEX REPLACE "^(include/pushforward|src)/" "" path "${path}")
  get_filename_component(folder "${path}" DIRECTORY)
  set(${result} "${folder}" PARENT_SCOPE)
endfunction()

set(wrong "")
file(GLOB_RECURSE files RELATIVE "${ROOT}" "${ROOT}/include/*.hpp" "${ROOT}/src/*.[ch]pp" "${ROOT}/nn/*.[ch]pp"
  "${ROOT}/bijectors/*.[ch]pp" "${ROOT}/distributions/*.[ch]pp" "${ROOT}/flows/*.[ch]pp" "${ROOT}/ports/*.[ch]pp")
list(REMOVE_ITEM files include/pushforward/pushforward.hpp)
list(LENGTH files count)
if(count LESS LEAST)
  message(FATAL_ERROR "found only ${count} files to check in ${ROOT}")
endif()
foreach(file ${files})
  layer_of(${file} layer)
  folder_of(${file} folder)
  file(STRINGS ${ROOT}/${file} lines REGEX "^[ \t]*#[ \t]*include")
  foreach(line ${lines})
    if(line MATCHES "<(pushforward/[^>]+)>")
      set(included "include/${CMAKE_MATCH_1}")
    elseif(line MATCHES "\"([^\"]+)\"")
      set(included "${CMAKE_MATCH_1}")
      if(NOT EXISTS ${ROOT}/${included})
        set(wrong "${wrong}\n  ${file}: ${line} (private headers are named by their path from the root)")
        continue()
      endif()
      if(file MATCHES "^include/")
        set(wrong "${wrong}\n  ${file}: ${line} (private headers are not installed)")
        continue()
      endif()
    else()
      string(REGEX REPLACE "^.*<|>.*$" "" other "${line}")
      if(EXISTS ${ROOT}/${other})
        set(wrong "${wrong}\n  ${file}: ${line} (private headers stand in quotes)")
      elseif(file MATCHES "^include/" AND line MATCHES "<(boost|hwy|fmt|nlohmann|CLI)/")
        set(wrong "${wrong}\n  ${file}: ${line} (public headers need Eigen alone)")
      elseif(file MATCHES "^src/kernels/" AND line MATCHES "<Eigen/")
        set(wrong "${wrong}\n  ${file}: ${line} (kernels know pointers and strides only)")
      endif()
      continue()
    endif()
    if(included STREQUAL "include/pushforward/pushforward.hpp")
      set(wrong "${wrong}\n  ${file}: ${line} (the umbrella header is for users)")
      continue()
    endif()
    layer_of(${included} target)
    folder_of(${included} target_folder)
    if(target GREATER layer OR (target EQUAL layer AND layer GREATER 4 AND NOT target_folder STREQUAL folder))
      set(wrong "${wrong}\n  ${file} (layer ${layer}): ${line} (layer ${target})")
    endif()
  endforeach()
endforeach()

# Vector-Jacobian products are written among the operations, nowhere else; the tape runs them.
foreach(file ${files})
  if(file MATCHES "^(src/(ops|testing)/|src/core/tape\\.cpp$|include/pushforward/tape\\.hpp$)")
    continue()
  endif()
  file(READ ${ROOT}/${file} text)
  if(text MATCHES "(^|[^a-z_])(on_backward|on_reduce|on_shared|detail::record|record\\([a-z_]+, \\[)")
    set(wrong "${wrong}\n  ${file}: ${CMAKE_MATCH_2} (backward code belongs in src/ops)")
  endif()
  if(NOT file MATCHES "^src/numerics/" AND text MATCHES "<boost/math/[^>]*>")
    set(wrong "${wrong}\n  ${file}: ${CMAKE_MATCH_0} (special functions come from src/numerics)")
  endif()
endforeach()

# The program's code allocates and frees what Eigen holds, in the way of its own flags: a public function that gives such
# an object is always inlined. A local variable ends in ");".
foreach(file ${files})
  if(file MATCHES "^include/")
    file(STRINGS ${ROOT}/${file} lines
      REGEX "^ +((static|virtual|constexpr) +)*(Eigen::[A-Z][A-Za-z]*|Matrix|MappedRows|MappedBatch|SamplesAndLogProb|LogProb[A-Z][a-zA-Z]*)(<[A-Za-z]+>)? +[a-z_]+\\(.*[^)][;{,]$")
    foreach(line ${lines})
      set(wrong "${wrong}\n  ${file}: ${line} (a function that gives an Eigen object is [[gnu::always_inline]])")
    endforeach()
  endif()
endforeach()

# Under another name of its namespace nobody sees whom a line calls.
foreach(file ${files})
  file(STRINGS ${ROOT}/${file} lines REGEX "namespace +[A-Za-z0-9_]+ *=")
  foreach(line ${lines})
    if(NOT (file MATCHES "^src/kernels/" AND line MATCHES "= *hwy::") AND
        NOT (file MATCHES "^src/numerics/" AND line MATCHES "= *boost::"))
      set(wrong "${wrong}\n  ${file}: ${line} (call it by its own name)")
    endif()
  endforeach()
endforeach()

# What other libraries of ours have, and the contract checks, stay out of the umbrella header and of all that it includes.
set(reached pushforward/pushforward.hpp)
set(seen "")
while(reached)
  list(POP_FRONT reached header)
  list(FIND seen ${header} at)
  if(at GREATER -1)
    continue()
  endif()
  list(APPEND seen ${header})
  set(lines "")
  if(header STREQUAL "pushforward/classes.hpp")
    file(STRINGS ${ROOT}/classes.txt lines REGEX "^[a-z]")
    list(TRANSFORM lines REPLACE "^([^ ]+) .*" "<pushforward/\\1.hpp>")
  elseif(EXISTS ${ROOT}/include/${header})
    file(STRINGS ${ROOT}/include/${header} lines REGEX "^[ \t]*#[ \t]*include")
  endif()
  foreach(line ${lines})
    if(line MATCHES "<pushforward/(export|ports|testing)/")
      set(wrong "${wrong}\n  include/${header}: ${line} (the umbrella header includes this one)")
    elseif(line MATCHES "<(pushforward/[^>]+)>")
      list(APPEND reached ${CMAKE_MATCH_1})
    endif()
  endforeach()
endwhile()

if(wrong)
  message(FATAL_ERROR "Not where it belongs:${wrong}")
endif()
