# check_lists finds what it is for: small trees with one line too few, or one that does not count, each.
#   cmake -D WORK=<folder to write to> -P check_lists_fails_test.cmake

if(NOT WORK)
  message(FATAL_ERROR "say where to write: cmake -D WORK=<folder> -P check_lists_fails_test.cmake")
endif()

# A tree that is right but for `text` in place of the line `line` in `path`; `message` is what must be said of it, empty
# for nothing.
function(check path line text message)
  file(REMOVE_RECURSE ${WORK})
  file(WRITE ${WORK}/classes.txt "# source, class, name in files
bijectors/exp Exp exp
bijectors/scale Scale scale
distributions/multivariate_student_t MultivariateStudentT multivariate_student_t
distributions/student_t StudentT student_t
nn/mlp Mlp mlp
")
  file(WRITE ${WORK}/include/pushforward/bijectors/exp.hpp "template <Scalar T>\nusing Exp = FixedBijector<T, ExpMap>;\n")
  foreach(class "bijectors/scale Scale Bijector" "distributions/student_t StudentT Distribution"
      "distributions/multivariate_student_t MultivariateStudentT Distribution" "nn/mlp Mlp Network")
    string(REPLACE " " ";" class "${class}")
    list(GET class 0 header)
    list(GET class 1 name)
    list(GET class 2 base)
    file(WRITE ${WORK}/include/pushforward/${header}.hpp
      "template <Scalar T>\nclass ${base}Base : public Component<T> {};\nclass ${name} final : public ${base}<T> {};\n")
  endforeach()
  file(WRITE ${WORK}/bijectors/scale.cpp "  f.constant(\"sign\", sign_);\n  f.parameter(\"log_scale\", log_scale_, {n});\n")
  file(WRITE ${WORK}/docs/model_file.md "Types; all of them.
| type | constants | tensors |
| `exp` | `dim` integer | |
| `scale` | `sign` integers | `log_scale` |
| `multivariate_student_t` | | |
| `student_t` | | |
| `mlp` | | `layer<i>.weight` |
")
  file(WRITE ${WORK}/tests/catalogue.hpp "// Every class, one line each.
{\"Exp\", Exp<T>(3)},
{\"Scale\", Scale<T>(scale)},
{\"MultivariateStudentT\", MultivariateStudentT<T>(12, loc, tril)},
{\"StudentT\", StudentT<T>{df, loc, scale}},
{\"Coupling\", Coupling<T>(mask, Mlp<T>(1, 2))},
")
  file(WRITE ${WORK}/tests/CMakeLists.txt "pushforward_test(exp_test)
pushforward_test(scale_test mlp_test.cpp)
pushforward_test(tangent_test)
")
  file(WRITE ${WORK}/tests/tangent_test.cpp "add(\"Mlp\", Mlp<T>(3, 4));\n")
  foreach(name exp scale mlp)
    file(WRITE ${WORK}/tests/${name}_test.cpp "TEST_CASE(\"${name}\") {}\n")
  endforeach()

  file(READ ${WORK}/${path} right)
  string(FIND "${right}" "${line}\n" at)
  if(at EQUAL -1)
    message(SEND_ERROR "'${line}' is no line of ${path}")
  endif()
  string(REPLACE "${line}\n" "${text}" wrong "${right}")
  file(WRITE ${WORK}/${path} "${wrong}")
  execute_process(COMMAND ${CMAKE_COMMAND} -D ROOT=${WORK} -P ${CMAKE_CURRENT_LIST_DIR}/check_lists.cmake
    RESULT_VARIABLE status ERROR_VARIABLE said)
  string(REGEX REPLACE "[ \n]+" " " said "${said}")
  string(FIND "${said}" "${message}" at)
  if(message STREQUAL "")
    if(NOT status EQUAL 0)
      message(SEND_ERROR "'${text}' for '${line}' in ${path} should be right: ${said}")
    endif()
  elseif(status EQUAL 0 OR at EQUAL -1)
    message(SEND_ERROR "'${text}' for '${line}' in ${path} should be called \"${message}\": ${said}")
  endif()
endfunction()

set(exp "bijectors/exp Exp exp")
check(classes.txt "${exp}" "${exp}\n" "")
check(classes.txt "${exp}" "" "classes.txt: bijectors/exp Exp <name in files>")
check(classes.txt "${exp}" "# ${exp}\n" "classes.txt: bijectors/exp Exp <name in files>")
check(classes.txt "bijectors/scale Scale scale" "bijectors/scaled Scale scale\n"
  "classes.txt: bijectors/scale Scale <name in files>")
check(classes.txt "distributions/student_t StudentT student_t" ""
  "classes.txt: distributions/student_t StudentT <name in files>")

set(student "{\"StudentT\", StudentT<T>{df, loc, scale}},")
set(none "tests/catalogue.hpp: an object of StudentT<T>")
check(tests/catalogue.hpp "${student}" "" "${none}")
check(tests/catalogue.hpp "${student}" "// ${student}\n" "${none}")
check(tests/catalogue.hpp "${student}" "/* by and by **\n * ${student}\n **/\n" "${none}")
check(tests/catalogue.hpp "${student}" "{\"StudentT<T>()\", Exp<T>(2)},\n" "${none}")
check(tests/catalogue.hpp "${student}" "using Student = StudentT<T>;\n" "${none}")
check(tests/catalogue.hpp "${student}" "/**/ ${student} // Student's t\n" "")
check(tests/catalogue.hpp "{\"Exp\", Exp<T>(3)}," "" "tests/catalogue.hpp: an object of Exp<T>")
check(tests/catalogue.hpp "{\"Scale\", Scale<T>(scale)}," "" "tests/catalogue.hpp: an object of Scale<T>")
check(tests/catalogue.hpp "{\"Coupling\", Coupling<T>(mask, Mlp<T>(1, 2))}," "" "tests/catalogue.hpp: an object of Mlp<T>")

check(tests/tangent_test.cpp "add(\"Mlp\", Mlp<T>(3, 4));" "// Mlp<T>(3, 4)\n"
  "tests/tangent_test.cpp: an object of Mlp<T>")

set(scale "| `scale` | `sign` integers | `log_scale` |")
check(docs/model_file.md "| `exp` | `dim` integer | |" "" "docs/model_file.md: | `exp` | constants")
check(docs/model_file.md "| `student_t` | | |" "`student_t`, see there\n" "docs/model_file.md: | `student_t` |")
check(docs/model_file.md "${scale}" "| `scale` | | `log_scale` |\n" "docs/model_file.md: `sign`, which bijectors/scale.cpp")
check(docs/model_file.md "${scale}" "| `scale` | `sign` | log_scale |\n" "docs/model_file.md: `log_scale`, which bijectors")
check(docs/model_file.md "${scale}" "| `scale` | `sign` | `loc.log_scale` |\n" "")

check(tests/CMakeLists.txt "pushforward_test(exp_test)" "" "tests/CMakeLists.txt: pushforward_test(exp_test)")
check(tests/CMakeLists.txt "pushforward_test(exp_test)" "# pushforward_test(exp_test)\n"
  "tests/CMakeLists.txt: pushforward_test(exp_test)")
check(tests/CMakeLists.txt "pushforward_test(scale_test mlp_test.cpp)" "pushforward_test(scale_test)\n"
  "tests/CMakeLists.txt: pushforward_test(mlp_test)")
string(REPEAT "\n" 500 empty_lines)
check(tests/exp_test.cpp "TEST_CASE(\"exp\") {}" "${empty_lines}" "")
check(tests/exp_test.cpp "TEST_CASE(\"exp\") {}" "${empty_lines}\n" "tests/exp_test.cpp: 501")
