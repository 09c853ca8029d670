# Reads the list of classes. Included: sets PUSHFORWARD_CLASS_SOURCES and writes pushforward/classes.hpp, all their headers
# and the list itself as a macro, below OUT. Also as a script:
#   cmake -D ROOT=<source directory> -D OUT=<folder of headers> -P classes.cmake

file(STRINGS ${ROOT}/classes.txt lines REGEX "^[a-z]")
set(PUSHFORWARD_CLASS_SOURCES "")
set(headers "")
set(entries "")
foreach(line ${lines})
  if(NOT line MATCHES "^([a-z_]+/[a-z0-9_]+) ([A-Za-z0-9]+) ([a-z0-9_]+)$")
    message(FATAL_ERROR "classes.txt: expected 'folder/file Class name', got '${line}'")
  endif()
  list(APPEND PUSHFORWARD_CLASS_SOURCES "${CMAKE_MATCH_1}.cpp")
  list(APPEND headers "#include <pushforward/${CMAKE_MATCH_1}.hpp>")
  string(APPEND entries " \\\n  X(${CMAKE_MATCH_2}, \"${CMAKE_MATCH_3}\")")
endforeach()
list(REMOVE_DUPLICATES PUSHFORWARD_CLASS_SOURCES)
list(REMOVE_DUPLICATES headers)
list(JOIN headers "\n" headers)
file(CONFIGURE OUTPUT ${OUT}/pushforward/classes.hpp @ONLY CONTENT "#pragma once

// Made by the build from classes.txt.

@headers@

#define PUSHFORWARD_CLASSES(X)@entries@
")
