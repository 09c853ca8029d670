# What is installed, by component: tool; c and runtime, the shared libraries as programs need them; dev, all that it takes to
# compile. Nothing of it names a folder of this machine, so an installed tree may be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pushforward)

install(TARGETS pushforward pushforward_export pushforward_ports EXPORT pushforwardTargets
  LIBRARY COMPONENT runtime NAMELINK_COMPONENT dev ARCHIVE COMPONENT dev)
install(DIRECTORY include/pushforward ${PROJECT_BINARY_DIR}/include/pushforward
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
install(EXPORT pushforwardTargets NAMESPACE pushforward:: DESTINATION ${package_dir} COMPONENT dev)
if(PUSHFORWARD_BUILD_C)
  install(TARGETS pushforward_c EXPORT pushforward_cTargets LIBRARY COMPONENT c NAMELINK_COMPONENT dev)
  install(FILES c/include/pushforward.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
  install(EXPORT pushforward_cTargets NAMESPACE pushforward:: DESTINATION ${package_dir} COMPONENT dev)
endif()
configure_package_config_file(cmake/pushforwardConfig.cmake.in ${PROJECT_BINARY_DIR}/pushforwardConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/pushforwardConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/FindHighway.cmake ${PROJECT_BINARY_DIR}/pushforwardConfig.cmake
  ${PROJECT_BINARY_DIR}/pushforwardConfigVersion.cmake DESTINATION ${package_dir} COMPONENT dev)

# pkg-config. A static library's users link what it links.
file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" up "${up}")
function(pushforward_pc name description requires libs)
  configure_file(cmake/library.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
endfunction()
if(BUILD_SHARED_LIBS)
  pushforward_pc(pushforward "${PROJECT_DESCRIPTION}" "eigen3 >= 3.4" "")
else()
  pushforward_pc(pushforward "${PROJECT_DESCRIPTION}" "eigen3 >= 3.4, libhwy, zlib" " -pthread")
endif()
pushforward_pc(pushforward_export "Models as one header in C99 and as ONNX" "pushforward = ${PROJECT_VERSION}" "")
pushforward_pc(pushforward_ports "Batch normalisation as other systems spell it" "pushforward = ${PROJECT_VERSION}" "")
if(PUSHFORWARD_BUILD_C)
  pushforward_pc(pushforward_c "The C interface of pushforward" "" "")
endif()

install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT dev)
