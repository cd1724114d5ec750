# For authors of plugins; find_package(m3bsr) includes it.

# m3bsr_add_plugin(<target> <source>...): one shared object, TARGET.so, which m3bsr loads at run time. It takes m3bsr's
# headers and links nothing of it; -z defs turns a missing symbol into an error of the build, and m3_plugin_query alone
# is exported. `cmake --install` puts it beside m3bsr's own plugins. Builds without a type are optimised.
function(m3bsr_add_plugin target)
  if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo PARENT_SCOPE)
  endif()
  add_library(${target} MODULE ${ARGN})
  target_include_directories(${target} PRIVATE $<TARGET_PROPERTY:m3bsr::m3bsr,INTERFACE_INCLUDE_DIRECTORIES>)
  target_compile_options(${target} PRIVATE -Wall -Wextra)
  target_link_libraries(${target} PRIVATE m)
  target_link_options(${target} PRIVATE -Wl,-z,defs)
  set_target_properties(${target} PROPERTIES PREFIX "" C_STANDARD 17 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF
    C_VISIBILITY_PRESET hidden)
  install(TARGETS ${target} LIBRARY DESTINATION ${m3bsr_PLUGIN_DIR})
endfunction()

# m3bsr_add_conformance(<test> <target> <argument>...): a test that runs `m3bsr conformance` with the plugin of a target,
# where the command is installed.
function(m3bsr_add_conformance test target)
  if(EXISTS "${m3bsr_COMMAND}")
    add_test(NAME ${test} COMMAND ${m3bsr_COMMAND} conformance --plugin-path $<TARGET_FILE:${target}> ${ARGN})
  endif()
endfunction()
