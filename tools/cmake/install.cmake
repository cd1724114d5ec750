# What an installation holds: library, headers, plugins, command, CMake package, pkg-config file, man pages, the documents
# that headers and man pages cite, and the vector files.
include(CMakePackageConfigHelpers)

file(RELATIVE_PATH libdir_from_bindir ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
install(TARGETS m3bsr EXPORT m3bsr LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/m3bsr DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES include/ABI-CHANGELOG.md core/model/MODEL.md CHANGELOG.md LICENSE plugins/EXPERT.md plugins/CUSTOM-OP.md
  backends/BACKEND.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR})
set(M3BSR_INSTALL_VECTOR_DIR ${CMAKE_INSTALL_DATADIR}/m3bsr/vectors)
install(DIRECTORY tests/vectors/ DESTINATION ${M3BSR_INSTALL_VECTOR_DIR} FILES_MATCHING PATTERN "*.safetensors")
if(TARGET m3bsr_tool)
  # The same in the build, whose libraries lie in ../lib: a path that CMake changes on installing ends in an empty entry.
  set(rpath "$ORIGIN/../lib" "$ORIGIN/${libdir_from_bindir}")
  list(REMOVE_DUPLICATES rpath)
  set_target_properties(m3bsr_tool PROPERTIES INSTALL_RPATH "${rpath}" BUILD_WITH_INSTALL_RPATH ON)
  install(TARGETS m3bsr_tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  # The reference of the ops, which the command prints.
  add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/ops.md
    COMMAND sh -c "\"$1\" ops --markdown >\"$2\"" sh $<TARGET_FILE:m3bsr_tool> ${PROJECT_BINARY_DIR}/ops.md
    DEPENDS m3bsr_tool m3bsr VERBATIM)
  add_custom_target(m3bsr_ops ALL DEPENDS ${PROJECT_BINARY_DIR}/ops.md)
  install(FILES ${PROJECT_BINARY_DIR}/ops.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
endif()
get_property(plugins GLOBAL PROPERTY M3BSR_PLUGINS)
if(plugins)
  install(TARGETS ${plugins} LIBRARY DESTINATION ${M3BSR_INSTALL_PLUGIN_DIR})
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/m3bsr)
install(EXPORT m3bsr NAMESPACE m3bsr:: FILE m3bsr-targets.cmake DESTINATION ${package_dir})
configure_package_config_file(tools/cmake/m3bsr-config.cmake.in m3bsr-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(m3bsr-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/m3bsr-config.cmake ${PROJECT_BINARY_DIR}/m3bsr-config-version.cmake
  tools/cmake/m3bsr-plugin.cmake
  DESTINATION ${package_dir})
# Filled when it is installed, since `cmake --install --prefix` may choose another place than configuring did.
install(CODE "
  set(prefix \"\${CMAKE_INSTALL_PREFIX}\")
  set(libdir \"${CMAKE_INSTALL_LIBDIR}\")
  set(includedir \"${CMAKE_INSTALL_INCLUDEDIR}\")
  set(vectordir \"${M3BSR_INSTALL_VECTOR_DIR}\")
  set(version \"${PROJECT_VERSION}\")
  set(description \"${PROJECT_DESCRIPTION}\")
  configure_file(\"${PROJECT_SOURCE_DIR}/tools/cmake/m3bsr.pc.in\" \"${PROJECT_BINARY_DIR}/m3bsr.pc\" @ONLY)")
install(FILES ${PROJECT_BINARY_DIR}/m3bsr.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# Man pages: tools/man/NAME.SECTION.scd becomes NAME.SECTION.
find_program(SCDOC scdoc)
file(GLOB pages CONFIGURE_DEPENDS tools/man/*.scd)
if(SCDOC AND pages)
  set(built "")
  foreach(page IN LISTS pages)
    get_filename_component(name ${page} NAME_WLE)
    string(REGEX REPLACE ".*\\." "" section ${name})
    set(out ${PROJECT_BINARY_DIR}/man/${name})
    add_custom_command(OUTPUT ${out} COMMAND sh -c "\"$1\" <\"$2\" >\"$3\"" sh ${SCDOC} ${page} ${out}
      DEPENDS ${page} VERBATIM)
    install(FILES ${out} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
    list(APPEND built ${out})
  endforeach()
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/man)
  add_custom_target(m3bsr_man ALL DEPENDS ${built})
endif()
