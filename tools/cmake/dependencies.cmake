# m3bsr_dependencies: the libraries that core stands on. tools/setup installs them.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(SODIUM IMPORTED_TARGET libsodium) # backends/lowering: a keyed hash of what is kept on disk
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
find_path(CSV_INCLUDE_DIR csv.h REQUIRED) # libcsv brings no pkg-config file
find_library(CSV_LIBRARY csv REQUIRED)
# Compressed tables are read where these are there.
pkg_check_modules(ZLIB IMPORTED_TARGET zlib)
pkg_check_modules(ZSTD IMPORTED_TARGET libzstd)

add_library(m3bsr_dependencies INTERFACE)
foreach(library ZLIB ZSTD)
  if(${library}_FOUND)
    target_link_libraries(m3bsr_dependencies INTERFACE PkgConfig::${library})
    target_compile_definitions(m3bsr_dependencies INTERFACE M3BSR_${library})
  else()
    message(STATUS "${library} was not found: what it compresses will not be read (zlib1g-dev, libzstd-dev)")
  endif()
endforeach()
target_include_directories(m3bsr_dependencies INTERFACE ${CSV_INCLUDE_DIR})
target_link_libraries(m3bsr_dependencies INTERFACE
  PkgConfig::JANSSON PkgConfig::YAML PkgConfig::XXHASH PkgConfig::UTF8PROC ${CSV_LIBRARY}
  Threads::Threads ${CMAKE_DL_LIBS} m)
