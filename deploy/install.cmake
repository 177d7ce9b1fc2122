# What `make install` and the .deb put beside the program: its man page and completions (printed by
# the program itself), systemd units, the library with what pkg-config and CMake need to find it,
# licence. Included by CMakeLists.txt.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(made ${CMAKE_BINARY_DIR}/install)

# At install time, since only then the prefix is known, and so that no other build runs the program.
install(CODE "
  set(made \"${made}\")
  set(source \"${CMAKE_SOURCE_DIR}\")
  set(program \"$<TARGET_FILE:sluice>\")
  set(SLUICE_BIN \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/sluice\")")
install(CODE [=[
  function(print_to file)
    execute_process(COMMAND env -i ${program} ${ARGN} OUTPUT_FILE ${made}/${file}
      COMMAND_ERROR_IS_FATAL ANY)
  endfunction()
  file(MAKE_DIRECTORY ${made})
  print_to(sluice.1 config --man)
  print_to(sluice completion bash)
  print_to(_sluice completion zsh)
  print_to(sluice.fish completion fish)
  foreach(unit sluice-source sluice-enhance@ sluice-sink)
    configure_file(${source}/deploy/systemd/${unit}.service.in ${made}/${unit}.service @ONLY)
  endforeach()]=])
install(FILES ${made}/sluice.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${made}/sluice DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${made}/_sluice DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES ${made}/sluice.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES ${made}/sluice-source.service ${made}/sluice-enhance@.service ${made}/sluice-sink.service
  DESTINATION lib/systemd/system)

# --- the library ---
install(TARGETS libsluice EXPORT sluice LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/sluice.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT sluice NAMESPACE sluice:: FILE sluice-config.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sluice)
write_basic_package_version_file(${made}/sluice-config-version.cmake
  VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
configure_file(deploy/sluice.pc.in ${made}/sluice.pc @ONLY)
install(FILES ${made}/sluice-config-version.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sluice)
install(FILES ${made}/sluice.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES deploy/libsluice.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
install(FILES docs/LIBRARY.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/sluice-pipeline)

install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/sluice-pipeline RENAME copyright)

set(CPACK_GENERATOR DEB)
# Debian has another program called sluice, newer by its number: hence the name and the conflict.
set(CPACK_PACKAGE_NAME sluice-pipeline)
set(CPACK_DEBIAN_PACKAGE_CONFLICTS sluice)
set(CPACK_PACKAGE_CONTACT "the sluice authors <sluice@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "runs a stream of posts through an enricher, each exactly once")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${CMAKE_SOURCE_DIR}/deploy/debian/postinst ${CMAKE_SOURCE_DIR}/deploy/debian/postrm
  ${CMAKE_SOURCE_DIR}/deploy/debian/triggers)
include(CPack)
