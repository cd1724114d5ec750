# Plugins: one shared object a folder, named m3bsr_<kind>_<name>.so, which links nothing of ours.

# m3bsr_add_plugin(<kind> <name> <source>...): the target is m3bsr_<kind>_<name>. Its sources are compiled as
# m3bsr_<kind>_<name>_objects, so that unit tests can reach what the plugin hides.
function(m3bsr_add_plugin kind name)
  set(target m3bsr_${kind}_${name})
  add_library(${target}_objects OBJECT ${ARGN})
  target_include_directories(${target}_objects PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(${target}_objects PRIVATE m3bsr_flags PUBLIC Threads::Threads m)

  add_library(${target} MODULE)
  target_link_libraries(${target} PRIVATE ${target}_objects)
  set_target_properties(${target} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${M3BSR_BUILD_PLUGIN_DIR}
    LINKER_LANGUAGE C)
  if(NOT M3BSR_SANITIZE) # a sanitizer's own symbols come from the program
    target_link_options(${target} PRIVATE -Wl,-z,defs)
  endif()
  set_property(GLOBAL APPEND PROPERTY M3BSR_PLUGINS ${target})
endfunction()

# m3bsr_add_plugins(<kind> <folder>): every folder in it that has sources is a plugin. A folder that needs more
# than its *.c files (other flags, a vendor's library) has a CMakeLists.txt, which calls m3bsr_add_plugin itself.
function(m3bsr_add_plugins kind folder)
  file(GLOB names CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/${folder} ${PROJECT_SOURCE_DIR}/${folder}/*)
  foreach(name IN LISTS names)
    set(home ${PROJECT_SOURCE_DIR}/${folder}/${name})
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${home}/*.c)
    if(EXISTS ${home}/CMakeLists.txt)
      add_subdirectory(${home})
    elseif(sources)
      m3bsr_add_plugin(${kind} ${name} ${sources})
    endif()
  endforeach()
endfunction()
