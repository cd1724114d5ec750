# m3bsr_dependencies: the libraries that core stands on. tools/setup installs them.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
find_path(CSV_INCLUDE_DIR csv.h REQUIRED) # libcsv brings no pkg-config file
find_library(CSV_LIBRARY csv REQUIRED)

add_library(m3bsr_dependencies INTERFACE)
target_include_directories(m3bsr_dependencies INTERFACE ${CSV_INCLUDE_DIR})
target_link_libraries(m3bsr_dependencies INTERFACE
  PkgConfig::JANSSON PkgConfig::YAML PkgConfig::XXHASH PkgConfig::UTF8PROC ${CSV_LIBRARY}
  Threads::Threads ${CMAKE_DL_LIBS} m)
